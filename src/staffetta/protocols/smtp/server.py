"""An SMTP and LMTP server as a sans-IO machine: octets in, events and octets out.

    machine = SmtpServer(settings)
    machine.greet()
    write(machine.bytes_to_send())
    ...
    machine.receive(octets)                          # whatever came, however cut
    while (event := machine.next_event()) is not None:
        match event:
            case MailGiven(): machine.accept_mail()
            case RecipientGiven(path): machine.accept_recipient(), or machine.refuse(reply, reason)
            case MessageReceived(): ...              # later: machine.accept_message(receipt)
            case Refused(): ...                      # said already: record it
            case Closed(): ...                       # flush, then close
    write(machine.bytes_to_send())                   # all replies of one read in one write

What needs no decision (order, syntax, limits, EHLO, NOOP, RSET and so on) the machine answers
itself. After an event that wants an answer it parks: `next_event` is None and further input is held
until the answer is given, at once or much later; then the door goes on with `next_event`. So
replies keep the order of the commands, pipelined or not (RFC 2920), and how the octets are cut
never changes what happens. An answer given after the conversation was closed is ignored: the peer
may go away while its message is being made safe, and that message is accepted nevertheless.

The machine keeps no time: `phase` says whose turn it is, and the door calls `time_out`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.events import (
    AuthGiven,
    CloseReason,
    Envelope,
    Event,
    MailGiven,
    MessageReceived,
    Phase,
    RecipientGiven,
    RefusalReason,
    TlsRequested,
)
from staffetta.protocols.smtp.order import Stage
from staffetta.protocols.smtp.reading import (
    read_auth_line,
    read_chunk,
    read_command,
    read_text,
    refuse_message,
)
from staffetta.protocols.smtp.replies import Reply
from staffetta.protocols.smtp.session import Session
from staffetta.protocols.smtp.settings import SmtpSettings

# Bound once: until Python 3.12 each look-up of an enum's member costs a third of a microsecond.
_GREETING: Final = Phase.GREETING
_COMMAND: Final = Phase.COMMAND
_DATA: Final = Phase.DATA
_CHUNK: Final = Phase.CHUNK
_AUTH: Final = Phase.AUTH
_DECISION: Final = Phase.DECISION
_TLS: Final = Phase.TLS
_CLOSED: Final = Phase.CLOSED
# Used input up to here may stay until the next read takes its place.
_KEPT_BYTES_MAX: Final = 1024

_MAIL: Final = Stage.MAIL
_RECIPIENTS: Final = Stage.RECIPIENTS
_MAIL_OK: Final = replies.MAIL_OK.wire
_RECIPIENT_OK: Final = replies.RECIPIENT_OK.wire


class SmtpServer:
    """One connection. `tls`: whether it began with TLS (RFC 8314 §3.3)."""

    __slots__ = ("_session",)

    def __init__(self, settings: SmtpSettings, *, tls: bool = False) -> None:
        self._session = Session(settings, tls=tls)

    # --- what the door asks ----------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self._session.phase

    @property
    def hello(self) -> str:
        """The name the peer gave in EHLO, HELO or LHLO; empty before."""
        return self._session.hello

    @property
    def tls(self) -> bool:
        return self._session.tls

    @property
    def open_mail(self) -> MailGiven | None:
        """The accepted MAIL of the open transaction; None outside of one."""
        return self._session.mail

    @property
    def open_envelope(self) -> Envelope | None:
        """The open transaction as it stands; None outside of one."""
        return self._session.envelope()

    @property
    def spoke_early(self) -> bool:
        """Whether the peer sent something before it was greeted (RFC 5321 §4.3.1 forbids it)."""
        return self._session.phase is _GREETING and len(self._session.input) > 0

    @property
    def wants_input(self) -> bool:
        """False while more is held than may be: stop reading, and look again after `next_event`."""
        session = self._session
        phase = session.phase
        if phase is _DECISION or phase is _GREETING:
            return len(session.input) < session.limits.held_bytes_max
        return phase is not _CLOSED and phase is not _TLS

    # --- octets in, events and octets out --------------------------------------------------------

    def receive(self, octets: bytes) -> None:
        """Take what came from the peer. Dropped after the end, and between STARTTLS and TLS."""
        session = self._session
        phase = session.phase
        if phase is not _CLOSED and phase is not _TLS:
            session.input.feed(octets)

    def next_event(self) -> Event | None:
        """The next thing the door has to know; None until there is more input, or an answer."""
        session = self._session
        events = session.events
        received = session.input
        while not events:
            phase = session.phase
            if phase is _COMMAND:
                if received.at == len(received.held):
                    if received.at > _KEPT_BYTES_MAX:
                        received.release()
                    return None
                progressed = read_command(session)
            elif phase is _DATA:
                progressed = read_text(session)
            elif phase is _CHUNK:
                progressed = read_chunk(session)
            elif phase is _AUTH:
                progressed = read_auth_line(session)
            else:
                return None
            if not progressed and not events:
                return None
        return events.popleft()

    def bytes_to_send(self) -> bytes:
        """All that is to be sent and was not yet taken from here."""
        out = self._session.out
        if len(out) == 1:
            return out.pop()
        octets = b"".join(out)
        out.clear()
        return octets

    # --- the door's moves ------------------------------------------------------------------------

    def greet(self) -> None:
        """Begin the conversation (RFC 5321 §4.2)."""
        session = self._session
        if session.phase is _GREETING:
            session.out.append(session.settings.greeting_wire)
            session.phase = _COMMAND

    def turn_away(self, reply: Reply, reason: str) -> None:
        """Refuse the whole connection instead of greeting it."""
        session = self._session
        if session.phase is _GREETING:
            session.record("", reply, reason)
            session.hang_up(reply, CloseReason.TURNED_AWAY)

    def time_out(self) -> None:
        """The peer took too long: 421 4.4.2, and the end."""
        hostname = self._session.settings.hostname
        self._session.hang_up(replies.timeout_reply(hostname), CloseReason.TIMEOUT)

    def shut_down(self) -> None:
        """The server is going: 421 4.3.2, and the end. Not while a message awaits its answer."""
        hostname = self._session.settings.hostname
        self._session.hang_up(replies.shutdown_reply(hostname), CloseReason.SHUTDOWN)

    def peer_gone(self) -> None:
        """The peer closed, or the connection broke."""
        session = self._session
        if session.phase is not _CLOSED:
            session.out.clear()
            session.close(CloseReason.PEER)

    # --- the door's answers ----------------------------------------------------------------------

    def accept_mail(self) -> None:
        """Answer `MailGiven`: 250 2.1.0."""
        session = self._session
        question = session.question
        if question is None:
            return
        assert isinstance(question, MailGiven)
        session.question = None
        session.phase = _COMMAND
        session.mail = question
        session.stage = _MAIL
        session.out.append(_MAIL_OK)

    def accept_recipient(self, size_bytes_max: int | None = None) -> bool:
        """Answer `RecipientGiven`: 250 2.1.5.

        `size_bytes_max` lowers the limit of this message to what the recipient may receive. False
        if the sender has declared more than that: then the recipient is refused with 552 5.3.4
        (RFC 1870 §6.1), and the others' limit stays.
        """
        session = self._session
        question = session.question
        if question is None:
            return False
        assert isinstance(question, RecipientGiven)
        assert session.mail is not None
        if size_bytes_max is not None:
            declared_bytes = session.mail.parameters.size_bytes
            if declared_bytes is not None and declared_bytes > size_bytes_max:
                self.refuse(replies.MESSAGE_TOO_BIG, RefusalReason.MESSAGE_TOO_BIG)
                return False
            session.size_bytes_max = min(session.size_bytes_max, size_bytes_max)
        session.question = None
        session.phase = _COMMAND
        session.recipients.append(question)
        session.stage = _RECIPIENTS
        session.out.append(_RECIPIENT_OK)
        return True

    def accept_message(self, receipt_text: str) -> None:
        """Answer `MessageReceived`: `250 2.0.0 <receipt_text>`, once per recipient in LMTP."""
        session = self._session
        question = session.question
        if question is None:
            return
        assert isinstance(question, MessageReceived)
        wire = replies.accepted_wire(receipt_text)
        if session.settings.lmtp:
            wire *= len(session.recipients)
        session.out.append(wire)
        session.end_message()

    def answer_recipients(self, fates: Sequence[tuple[Reply, str]]) -> None:
        """Answer `MessageReceived` in LMTP: reply and reason for each recipient, in order.

        RFC 2033 §4.2; the reason is recorded where the reply is a refusal.
        """
        session = self._session
        question = session.question
        if question is None:
            return
        assert isinstance(question, MessageReceived)
        assert session.settings.lmtp, "SMTP has one reply for all recipients"
        assert len(fates) == len(session.recipients), "each recipient has one fate"
        for recipient, (reply, reason) in zip(session.recipients, fates, strict=True):
            session.out.append(reply.wire)
            if not reply.is_positive:
                session.record("DATA", reply, reason, path=recipient.forward_path)
        session.end_message()

    def refuse(self, reply: Reply, reason: str) -> None:
        """Answer any question with no; a `Refused` with these words follows."""
        session = self._session
        question = session.question
        if question is None:
            return
        assert not reply.is_positive, reply
        session.question = None
        session.phase = _COMMAND
        if isinstance(question, MessageReceived):
            refuse_message(session, reply, reason)
        elif isinstance(question, RecipientGiven):
            session.out.append(reply.wire)
            session.record("RCPT", reply, reason, path=question.forward_path)
            if reply.is_permanent:
                session.count_refused_recipient()
        elif isinstance(question, AuthGiven):
            session.refuse("AUTH", reply, reason)
            if reply.is_permanent:
                session.count_failed_login()
        elif isinstance(question, MailGiven):
            session.refuse("MAIL", reply, reason, path=question.reverse_path)
        else:
            session.refuse("STARTTLS", reply, reason)

    def accept_auth(self, identity: str) -> None:
        """Answer `AuthGiven`: 235 2.7.0; `identity` goes into every envelope from now on."""
        session = self._session
        question = session.question
        if question is None:
            return
        assert isinstance(question, AuthGiven)
        session.question = None
        session.phase = _COMMAND
        session.authenticated_as = identity
        session.name_protocol()
        session.out.append(replies.AUTHENTICATED.wire)

    def start_tls(self) -> None:
        """Answer `TlsRequested`: 220 2.0.0. Send it, negotiate, then call `tls_started`.

        Whatever the peer sent in clear after STARTTLS is dropped here and until then: it may be
        somebody else's (RFC 3207 §4.2, §6).
        """
        session = self._session
        question = session.question
        if question is None:
            return
        assert isinstance(question, TlsRequested)
        session.question = None
        session.phase = _TLS
        session.input.clear()
        session.out.append(replies.GO_AHEAD_WITH_TLS.wire)

    def tls_started(self) -> None:
        """TLS is up: all that the peer said before is forgotten (RFC 3207 §4.2)."""
        session = self._session
        if session.phase is _TLS:
            session.begin_tls()
