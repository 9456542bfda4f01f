"""STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 §6.2, RFC 4616, RFC 4959).

Signing in asks the directory alone, never a cell: whoever has the right password gets in,
whatever is broken behind.
"""

from __future__ import annotations

from staffetta.directory.credentials import CannotSay, Denial, Denied, SignedIn
from staffetta.doors.imap.accounts import Account, open_account
from staffetta.doors.imap.session import Session
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.commands import Authenticate, Login, StartTls
from staffetta.protocols.imap.parser import decode_sasl_line
from staffetta.screening.sign_in import TooManyAttempts

_DENIALS = {
    Denial.WRONG: ("Wrong address or password", codes.AUTHENTICATIONFAILED),
    Denial.SUSPENDED: ("This account is suspended", codes.AUTHORIZATIONFAILED),
    Denial.CLOSED: ("This account is closed", codes.AUTHORIZATIONFAILED),
}
_CANNOT_SAY = (
    "Signing in is not possible right now; your password may well be right",
    codes.UNAVAILABLE,
)
_TOO_MANY = (
    "Too many failed attempts; please try again in a quarter of an hour",
    codes.LIMIT,
)


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
    text = password.decode("utf-8", "surrogateescape")
    outcome = await hall.desk.check(user, text, session.peer)
    match outcome:
        case SignedIn(target):
            limit = hall.settings.append_bytes_max
            return _welcome(session, tag, open_account(target, hall.catalogue(), limit))
        case Denied(reason):
            return _refuse(session, tag, user, reason.value, _DENIALS[reason])
        case TooManyAttempts():
            return _refuse(session, tag, user, "too many", _TOO_MANY)
        case CannotSay(reason):
            return _refuse(session, tag, user, reason, _CANNOT_SAY)


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


def _refuse(
    session: Session, tag: bytes, user: str, reason: str, words: tuple[str, bytes]
) -> bytes:
    hall = session.hall
    hall.figures.sign_ins_failed.value += 1
    hall.logger.info("imap-sign-in-refused", address=user, peer=session.peer, reason=reason)
    session.sign_in_failures += 1
    answer = responses.no(tag, *words)
    if session.sign_in_failures >= hall.settings.sign_in_failures_max:
        session.send(answer + responses.bye("Too many failed attempts"))
        session.output.end()
        return b""
    return answer


def _refuse_in_clear(tag: bytes) -> bytes:
    return responses.no(tag, "Not in clear: use TLS", codes.PRIVACYREQUIRED)
