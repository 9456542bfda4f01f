"""What each command line does. A handler gets the session, the whole line, and its argument."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.arguments import parse_mail, parse_rcpt
from staffetta.protocols.smtp.auth import AuthExchange
from staffetta.protocols.smtp.content import TextReader, begin_dotted, overrun_bytes_max
from staffetta.protocols.smtp.events import (
    AuthGiven,
    CloseReason,
    Phase,
    RefusalReason,
    TlsRequested,
)
from staffetta.protocols.smtp.order import Stage
from staffetta.protocols.smtp.refusal import CommandRefusal
from staffetta.protocols.smtp.replies import Reply
from staffetta.protocols.smtp.session import Session

_DATA_PHASE: Final = Phase.DATA
_CHUNK: Final = Phase.CHUNK
_CHUNKS: Final = Stage.CHUNKS

Handler = Callable[[Session, bytes, bytes], None]

# Host names as they come, and address literals; no brackets, spaces or comments that would let a
# name say more than itself in a Received field.
_HELLO_NAME = re.compile(rb"[A-Za-z0-9._:-]{1,255}|\[[A-Za-z0-9._:-]{1,255}\]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BDAT = re.compile(rb"([0-9]{1,20})(?: +(LAST))?", re.IGNORECASE)

# What browsers and other strangers say first; an answer would make this server part of an attack
# on somebody who trusts it.
_NOT_MAIL = frozenset((b"CONNECT", b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"HOST:"))
_NOT_IMPLEMENTED = frozenset((b"EXPN", b"ETRN", b"TURN", b"ATRN", b"SEND", b"SOML", b"SAML"))

# The commands that bring a message forward; all others are counted until one is accepted.
_PROGRESS = frozenset((b"RCPT", b"DATA", b"BDAT"))


def obey(session: Session, line: bytes) -> None:
    """Do what a command line says, or refuse it."""
    verb, _, argument = line.partition(b" ")
    handler = _HANDLERS.get(verb)
    if handler is None:
        verb = verb.upper()
        handler = _HANDLERS.get(verb)
        if handler is None:
            _refuse_unknown(session, verb, line)
            return
    if verb not in _PROGRESS:
        session.commands += 1
        if session.commands > session.limits.commands_without_message_max:
            _refuse_and_close(session, verb, replies.TOO_MANY_COMMANDS, line)
            return
    refusal = session.order[session.stage].get(verb)
    # The octets of a chunk out of order must be read past all the same: `_bdat` asks again.
    if refusal is not None and verb != b"BDAT":
        session.refuse(verb.decode(), refusal, order_reason(refusal), line)
        return
    handler(session, line, argument)


def order_reason(refusal: Reply) -> RefusalReason:
    """Why a command out of order was refused, for the record."""
    if refusal is replies.NO_RECIPIENTS or refusal is replies.RECIPIENT_FIRST:
        return RefusalReason.NO_RECIPIENTS
    return RefusalReason.ORDER


def _refuse_unknown(session: Session, verb: bytes, line: bytes) -> None:
    if verb in _NOT_MAIL:
        session.record("", replies.NOT_MAIL, RefusalReason.NOT_MAIL, line)
        session.hang_up(replies.NOT_MAIL, CloseReason.BROKEN)
    elif verb in _NOT_IMPLEMENTED:
        session.refuse(verb.decode(), replies.NOT_IMPLEMENTED, RefusalReason.NOT_IMPLEMENTED, line)
    else:
        reply = replies.UNKNOWN_COMMAND if line else replies.EMPTY_LINE
        session.refuse("", reply, RefusalReason.UNKNOWN_COMMAND, line)


def _refuse_and_close(session: Session, verb: bytes, reply: Reply, line: bytes) -> None:
    session.record(verb.decode(), reply, RefusalReason.TOO_MANY, line)
    session.hang_up(reply, CloseReason.TOO_MANY)


def _refuse_argument(session: Session, verb: bytes, argument: bytes, line: bytes) -> bool:
    """Refuse an argument where none may be; trailing blanks are none (RFC 5321 §4.1.1)."""
    if argument.strip(b" \t"):
        session.refuse(verb.decode(), replies.NO_ARGUMENT_EXPECTED, RefusalReason.SYNTAX, line)
        return True
    return False


# --- greeting ------------------------------------------------------------------------------------


def _hello(session: Session, line: bytes, argument: bytes) -> None:
    """EHLO and HELO (RFC 5321 §4.1.1.1), LHLO (RFC 2033 §4.1)."""
    verb = line[:4].upper()
    if (verb == b"LHLO") is not session.settings.lmtp:
        session.refuse(verb.decode(), replies.UNKNOWN_COMMAND, RefusalReason.UNKNOWN_COMMAND, line)
        return
    name = argument.strip(b" \t")
    if _HELLO_NAME.fullmatch(name) is None:
        session.refuse(verb.decode(), replies.BAD_HELLO_NAME, RefusalReason.SYNTAX, line)
        return
    session.discard_chunks()
    session.hello = name.decode()
    session.hello_verb = verb
    session.name_protocol()
    session.forget_transaction()  # RFC 5321 §4.1.4: EHLO resets as RSET does.
    settings = session.settings
    if verb == b"HELO":
        session.out.append(settings.helo_wire)
    else:
        session.out.append(settings.ehlo_tls_wire if session.tls else settings.ehlo_clear_wire)


# --- transaction ---------------------------------------------------------------------------------


def _mail(session: Session, line: bytes, argument: bytes) -> None:
    settings = session.settings
    if settings.tls_required and not session.tls:
        session.refuse("MAIL", replies.TLS_FIRST, RefusalReason.TLS_REQUIRED, line)
        return
    if settings.auth_required and session.authenticated_as is None:
        session.refuse("MAIL", replies.AUTHENTICATION_FIRST, RefusalReason.AUTH_REQUIRED, line)
        return
    if session.transactions >= session.limits.transactions_max:
        _refuse_and_close(session, b"MAIL", replies.TOO_MANY_TRANSACTIONS, line)
        return
    try:
        given = parse_mail(argument, auth_offered=session.auth_possible)
        # RFC 1870 §6.1: a message declared too big is refused before it is sent.
        if (given.parameters.size_bytes or 0) > session.limits.message_bytes_max:
            raise CommandRefusal(
                replies.MESSAGE_TOO_BIG, RefusalReason.MESSAGE_TOO_BIG, given.reverse_path
            )
    except CommandRefusal as refusal:
        session.refuse("MAIL", refusal.reply, refusal.reason, line, refusal.path)
        return
    session.transactions += 1
    session.ask(given)


def _rcpt(session: Session, line: bytes, argument: bytes) -> None:
    mail, limits = session.mail, session.limits
    assert mail is not None, "the order table lets RCPT in only after MAIL"
    session.recipient_commands += 1
    if session.recipient_commands > limits.recipients_max + limits.overshoot_recipients_max:
        _refuse_and_close(session, b"RCPT", replies.TOO_MANY_REFUSED_RECIPIENTS, line)
        return
    try:
        given = parse_rcpt(argument, smtputf8=mail.parameters.smtputf8)
    except CommandRefusal as refusal:
        session.refuse("RCPT", refusal.reply, refusal.reason, line, refusal.path)
        return
    if len(session.recipients) >= limits.recipients_max:
        # Not counted as an error: the rest of the list is to come again (RFC 5321 §4.5.3.1.10).
        reply, path = replies.TOO_MANY_RECIPIENTS, given.forward_path
        session.out.append(reply.wire)
        session.record("RCPT", reply, RefusalReason.TOO_MANY, line, path)
        return
    session.ask(given)


def _data(session: Session, line: bytes, argument: bytes) -> None:
    if _refuse_argument(session, b"DATA", argument, line):
        return
    session.out.append(replies.SEND_MESSAGE.wire)
    session.phase = _DATA_PHASE
    begin_dotted(session.input)


def _bdat(session: Session, line: bytes, argument: bytes) -> None:
    """RFC 3030 §2. Refused or not, its octets follow."""
    found = _BDAT.fullmatch(argument.strip(b" "))
    if found is None:
        # Nobody knows how many octets follow, and they are not to be read as commands.
        session.refuse("BDAT", replies.BDAT_SYNTAX, RefusalReason.SYNTAX, line)
        if session.phase is not Phase.CLOSED:
            session.close(CloseReason.BROKEN)
        return
    octets = int(found[1])
    if octets > overrun_bytes_max(session.limits, session.size_bytes_max):
        session.record("BDAT", replies.CHUNK_TOO_BIG, RefusalReason.MESSAGE_TOO_BIG, line)
        session.discard_chunks()
        session.forget_transaction()
        session.hang_up(replies.CHUNK_TOO_BIG, CloseReason.TOO_MANY)
        return
    session.chunk_size_bytes = session.chunk_left_bytes = octets
    session.chunk_is_last = found[2] is not None
    session.chunk_refusal = session.order[session.stage].get(b"BDAT")
    session.phase = _CHUNK
    if session.chunk_refusal is None:
        session.stage = _CHUNKS
        if session.reader is None:
            session.reader = TextReader(
                session.limits, session.size_bytes_max, nul_refused=session.settings.nul_refused
            )


def _rset(session: Session, line: bytes, argument: bytes) -> None:
    if _refuse_argument(session, b"RSET", argument, line):
        return
    session.discard_chunks()
    session.forget_transaction()
    session.out.append(replies.RESET.wire)


# --- the rest ------------------------------------------------------------------------------------


def _noop(session: Session, line: bytes, argument: bytes) -> None:
    """NOOP, and VRFY and HELP, whose words do not matter (RFC 5321 §4.1.1.6, 8, 9)."""
    verb = line[:4].upper()
    if _CONTROL.search(argument) is not None:
        session.refuse(verb.decode(), replies.UNPRINTABLE_COMMAND, RefusalReason.SYNTAX, line)
    elif verb == b"HELP":
        words = "EHLO HELO MAIL RCPT DATA BDAT RSET VRFY NOOP QUIT STARTTLS AUTH"
        if session.settings.lmtp:
            words = words.replace("EHLO HELO", "LHLO")
        session.out.append(Reply(214, "2.0.0", f"Commands (RFC 5321):\n{words}").wire)
    elif verb == b"NOOP":
        session.out.append(replies.NOOP.wire)
    elif argument.strip(b" "):
        session.out.append(replies.VERIFY_BY_SENDING.wire)
    else:
        session.refuse("VRFY", replies.ARGUMENT_EXPECTED, RefusalReason.SYNTAX, line)


def _quit(session: Session, line: bytes, argument: bytes) -> None:
    if _refuse_argument(session, b"QUIT", argument, line):
        return
    session.hang_up(session.settings.farewell, CloseReason.QUIT)


def _starttls(session: Session, line: bytes, argument: bytes) -> None:
    """RFC 3207 §4."""
    if session.tls:
        session.refuse("STARTTLS", replies.TLS_ALREADY, RefusalReason.ORDER, line)
    elif not session.settings.starttls_offered:
        session.refuse("STARTTLS", replies.NOT_IMPLEMENTED, RefusalReason.NOT_IMPLEMENTED, line)
    elif not _refuse_argument(session, b"STARTTLS", argument, line):
        session.ask(TlsRequested())


# --- AUTH (RFC 4954) -----------------------------------------------------------------------------


def _auth(session: Session, line: bytes, argument: bytes) -> None:
    mechanism, _, initial = argument.strip(b" ").partition(b" ")
    safe_line = b"AUTH " + mechanism[:20]
    refusal: tuple[Reply, RefusalReason] | None = None
    if not session.settings.auth_offered:
        refusal = (replies.NOT_IMPLEMENTED, RefusalReason.NOT_IMPLEMENTED)
    elif not session.auth_possible:
        refusal = (replies.ENCRYPTION_FIRST, RefusalReason.TLS_REQUIRED)
    elif session.authenticated_as is not None:
        refusal = (replies.AUTHENTICATED_ALREADY, RefusalReason.ORDER)
    elif not mechanism:
        refusal = (replies.ARGUMENT_EXPECTED, RefusalReason.SYNTAX)
    if refusal is not None:
        session.refuse("AUTH", *refusal, safe_line)
        return
    try:
        session.auth = AuthExchange(mechanism.decode("ascii", "replace").upper())
    except CommandRefusal as unknown:
        session.refuse("AUTH", unknown.reply, unknown.reason, safe_line)
        return
    session.phase = Phase.AUTH
    if initial:
        go_on_with_auth(session, initial)
    else:
        session.out.append(session.auth.challenge)


def go_on_with_auth(session: Session, response: bytes) -> None:
    """Take one line of an AUTH exchange."""
    exchange = session.auth
    assert exchange is not None
    try:
        given: AuthGiven | None = exchange.take(response)
    except CommandRefusal as refusal:
        stop_auth(session, refusal.reply, refusal.reason)
        return
    if given is None:
        session.out.append(exchange.challenge)
    else:
        session.auth = None
        session.ask(given)


def stop_auth(session: Session, reply: Reply, reason: RefusalReason) -> None:
    """Refuse an AUTH exchange in its middle; what came is not recorded, it may be a password."""
    session.auth = None
    session.phase = Phase.COMMAND
    session.refuse("AUTH", reply, reason)


_HANDLERS: Mapping[bytes, Handler] = MappingProxyType(
    {
        b"EHLO": _hello,
        b"HELO": _hello,
        b"LHLO": _hello,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"BDAT": _bdat,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _noop,
        b"HELP": _noop,
        b"QUIT": _quit,
        b"STARTTLS": _starttls,
        b"AUTH": _auth,
    }
)
