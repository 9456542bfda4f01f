"""STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 §6.2, RFC 4616, RFC 4959).

Signing in asks the directory alone, never a cell: whoever has the right password gets in,
whatever is broken behind.
"""

from __future__ import annotations

import asyncio

from staffetta.doors.imap.accounts import Account, SignInRefusal
from staffetta.doors.imap.session import Session
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.commands import Authenticate, Login, StartTls
from staffetta.protocols.imap.parser import decode_sasl_line

ADDRESS_BYTES_MAX = 1_024
PASSWORD_BYTES_MAX = 1_024

_REFUSALS = {
    SignInRefusal.WRONG: ("Wrong address or password", codes.AUTHENTICATIONFAILED),
    SignInRefusal.SUSPENDED: ("This account is suspended", codes.AUTHORIZATIONFAILED),
    SignInRefusal.CLOSED: ("This account is closed", codes.AUTHORIZATIONFAILED),
    SignInRefusal.UNSURE: (
        "Signing in is not possible right now; your password may well be right",
        codes.UNAVAILABLE,
    ),
}


async def start_tls(session: Session, command: StartTls) -> bytes:
    """STARTTLS: the OK is the last thing in clear."""
    if session.is_secure:
        return responses.bad(command.tag, "TLS is on already")
    if session.hall.tls is None:
        return responses.no(command.tag, "TLS is not available", codes.UNAVAILABLE)
    await session.output.start_tls(responses.ok(command.tag, "Begin TLS negotiation now"))
    return b""


async def log_in(session: Session, command: Login) -> bytes:
    """LOGIN."""
    if not session.may_send_password:
        return _refuse_in_clear(command.tag)
    return await _try(session, command.tag, command.user, command.password)


async def authenticate(session: Session, command: Authenticate) -> bytes:
    """AUTHENTICATE PLAIN, with or without an initial response."""
    tag = command.tag
    if command.mechanism != "PLAIN":
        return responses.no(tag, "That mechanism is not supported", codes.CANNOT)
    if not session.may_send_password:
        return _refuse_in_clear(tag)
    response = command.initial_response
    if response is None:
        try:
            response = decode_sasl_line(await session.output.ask(responses.challenge(b"")))
        except ValueError:
            return responses.bad(tag, "Not base64")
        if response is None:
            return responses.bad(tag, "AUTHENTICATE cancelled")
    parts = response.split(b"\0")
    if len(parts) != 3:
        return responses.bad(tag, "Not a PLAIN response")
    authorization, user, password = parts
    if authorization not in (b"", user):
        text = "Signing in on behalf of somebody else is not possible"
        return responses.no(tag, text, codes.AUTHORIZATIONFAILED)
    return await _try(session, tag, user.decode("utf-8", "replace"), password)


async def _try(session: Session, tag: bytes, user: str, password: bytes) -> bytes:
    hall = session.hall
    if len(user) > ADDRESS_BYTES_MAX or len(password) > PASSWORD_BYTES_MAX:
        return _count_failure(session, tag, SignInRefusal.WRONG)
    patience = hall.attempts.judge(session.peer, user)
    if patience.delay_s:
        await asyncio.sleep(patience.delay_s)
    if patience.refuse:
        text = "Too many failed attempts; please try again in a quarter of an hour"
        return responses.no(tag, text, codes.LIMIT)
    outcome = await hall.verifier.verify(user, password.decode("utf-8", "surrogateescape"))
    if isinstance(outcome, SignInRefusal):
        hall.logger.info(
            "imap-sign-in-refused", address=user, peer=session.peer, reason=outcome.value
        )
        if outcome is SignInRefusal.WRONG:
            hall.attempts.note_failure(session.peer, user, password)
        return _count_failure(session, tag, outcome)
    hall.attempts.note_success(session.peer, user)
    return _welcome(session, tag, outcome)


def _welcome(session: Session, tag: bytes, account: Account) -> bytes:
    if not session.output.welcome(account):
        return responses.no(tag, "Too many sessions on this mailbox", codes.LIMIT)
    session.account = account
    session.hall.figures.sign_ins.value += 1
    session.hall.logger.info(
        "imap-sign-in", address=account.address, peer=session.peer, tls=session.is_secure
    )
    code = codes.capability(session.list_capabilities())
    return responses.ok(tag, "Signed in", code)


def _count_failure(session: Session, tag: bytes, refusal: SignInRefusal) -> bytes:
    text, code = _REFUSALS[refusal]
    session.hall.figures.sign_ins_failed.value += 1
    session.sign_in_failures += 1
    answer = responses.no(tag, text, code)
    if session.sign_in_failures >= session.hall.settings.sign_in_failures_max:
        session.send(answer + responses.bye("Too many failed attempts"))
        session.output.end()
        return b""
    return answer


def _refuse_in_clear(tag: bytes) -> bytes:
    return responses.no(tag, "Not in clear: use TLS", codes.PRIVACYREQUIRED)
