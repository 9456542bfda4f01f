"""The state of one conversation, and the few moves that every part of the machine makes on it."""

from __future__ import annotations

from collections import deque
from typing import Final

from staffetta.protocols.lines import LineBuffer
from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.auth import AuthExchange
from staffetta.protocols.smtp.content import TextReader
from staffetta.protocols.smtp.events import (
    AuthGiven,
    BodyDiscarded,
    Closed,
    CloseReason,
    Envelope,
    Event,
    MailGiven,
    MessageReceived,
    Phase,
    RecipientGiven,
    Refused,
    TlsRequested,
)
from staffetta.protocols.smtp.order import LMTP_ORDER, SMTP_ORDER, Stage
from staffetta.protocols.smtp.paths import Path
from staffetta.protocols.smtp.replies import Reply
from staffetta.protocols.smtp.settings import SmtpSettings

Question = MailGiven | RecipientGiven | MessageReceived | TlsRequested | AuthGiven
"""The events that park the machine until the door answers."""

_REFUSED_LINE_BYTES_MAX = 512
# Bound once: until Python 3.12 each look-up of an enum's member costs a third of a microsecond.
_COMMAND: Final = Phase.COMMAND
_DECISION: Final = Phase.DECISION
_NEW: Final = Stage.NEW
_READY: Final = Stage.READY


class Session:
    """One connection's state; only the machine's own modules see it."""

    __slots__ = (
        "_failed_logins",
        "_refused_recipients",
        "auth",
        "auth_possible",
        "authenticated_as",
        "chunk_is_last",
        "chunk_left_bytes",
        "chunk_refusal",
        "chunk_size_bytes",
        "commands",
        "errors",
        "events",
        "hello",
        "hello_verb",
        "input",
        "limits",
        "mail",
        "order",
        "out",
        "phase",
        "protocol",
        "question",
        "reader",
        "recipient_commands",
        "recipients",
        "settings",
        "size_bytes_max",
        "stage",
        "tls",
        "transactions",
    )

    def __init__(self, settings: SmtpSettings, *, tls: bool) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.tls = tls
        self.phase = Phase.GREETING
        self.input = LineBuffer(settings.limits.command_drop_bytes_max)
        self.out: list[bytes] = []
        self.events: deque[Event] = deque()
        self.question: Question | None = None
        self.hello = ""
        self.hello_verb = b""
        self.authenticated_as: str | None = None
        self.auth_possible = settings.auth_possible(tls=tls)
        self.auth: AuthExchange | None = None
        self.order = LMTP_ORDER if settings.lmtp else SMTP_ORDER
        self.errors = 0
        self.commands = 0
        self.transactions = 0
        self._refused_recipients = 0
        self._failed_logins = 0
        self.chunk_left_bytes = 0
        self.chunk_size_bytes = 0
        self.chunk_is_last = False
        self.chunk_refusal: Reply | None = None
        self.recipients: list[RecipientGiven] = []
        self.reader: TextReader | None = None
        self.forget_hello()

    # --- stages ----------------------------------------------------------------------------------

    def forget_hello(self) -> None:
        """As after the greeting, and after STARTTLS (RFC 3207 §4.2)."""
        self.hello = ""
        self.hello_verb = b""
        self.name_protocol()
        self.forget_transaction()

    def forget_transaction(self) -> None:
        """As after RSET (RFC 5321 §4.1.1.5)."""
        self.mail: MailGiven | None = None
        self.recipients = []
        self.recipient_commands = 0
        self.reader = None
        self.size_bytes_max = self.limits.message_bytes_max
        said_hello = self.hello or not self.settings.hello_required
        self.stage = _READY if said_hello else _NEW

    def envelope(self) -> Envelope | None:
        """The transaction as it stands; None outside of one."""
        if self.mail is None:
            return None
        protocol = self.protocol
        if self.mail.parameters.smtputf8:
            protocol = f"UTF8{protocol.removeprefix('E')}"  # RFC 6531 §4.3
        return Envelope(
            self.hello, protocol, self.mail, tuple(self.recipients), self.authenticated_as
        )

    def name_protocol(self) -> None:
        """Find the word of RFC 3848 for this conversation, anew where it may have changed."""
        if self.hello_verb == b"HELO":
            self.protocol = "SMTP"
            return
        secured = "S" if self.tls else ""
        authenticated = "A" if self.authenticated_as is not None else ""
        name = "LMTP" if self.settings.lmtp else "ESMTP"
        self.protocol = f"{name}{secured}{authenticated}"

    def begin_tls(self) -> None:
        """Forget all that was said in clear (RFC 3207 §4.2)."""
        self.discard_chunks()
        self.tls = True
        self.auth_possible = self.settings.auth_possible(tls=True)
        self.authenticated_as = None
        self.forget_hello()
        self.phase = _COMMAND

    def end_message(self) -> None:
        """After the answer to a message that was not wholly refused."""
        self.question = None
        self.phase = _COMMAND
        self.commands = 0
        self.forget_transaction()

    # --- moves -----------------------------------------------------------------------------------

    def ask(self, question: Question) -> None:
        """Tell the door, and go no further before it has answered."""
        self.events.append(question)
        self.question = question
        self.phase = _DECISION

    def refuse(
        self,
        command: str,
        reply: Reply,
        reason: str,
        line: bytes = b"",
        path: Path | None = None,
    ) -> None:
        """Say no to a command, have it recorded, and hang up if it was one too many."""
        self.out.append(reply.wire)
        self.record(command, reply, reason, line, path)
        self.count_error()

    def count_error(self) -> None:
        self.errors += 1
        if self.errors >= self.limits.errors_max:
            self.hang_up(replies.TOO_MANY_ERRORS, CloseReason.TOO_MANY)

    def record(
        self, command: str, reply: Reply, reason: str, line: bytes = b"", path: Path | None = None
    ) -> None:
        self.events.append(
            Refused(command, reply, reason, line[:_REFUSED_LINE_BYTES_MAX], path, self.envelope())
        )

    def count_refused_recipient(self) -> None:
        self._refused_recipients += 1
        if self._refused_recipients >= self.limits.refused_recipients_max:
            self.hang_up(replies.TOO_MANY_REFUSED_RECIPIENTS, CloseReason.TOO_MANY)

    def count_failed_login(self) -> None:
        self._failed_logins += 1
        if self._failed_logins >= self.limits.failed_logins_max:
            self.hang_up(replies.TOO_MANY_FAILED_LOGINS, CloseReason.TOO_MANY)

    def hang_up(self, reply: Reply, reason: CloseReason) -> None:
        """Say a last word and close, unless that is done already."""
        if self.phase is not Phase.CLOSED:
            self.out.append(reply.wire)
            self.close(reason)

    def close(self, reason: CloseReason) -> None:
        """Nothing is read any more; what waits to be sent is still sent."""
        handed_over = isinstance(self.question, MessageReceived)
        self.discard_chunks()
        self.events.append(Closed(reason, None if handed_over else self.envelope()))
        self.phase = Phase.CLOSED
        self.question = None
        self.auth = None
        self.input.clear()
        self.forget_transaction()

    def discard_chunks(self) -> None:
        """Tell the door that the chunks it got will never be a message, if it got any."""
        if self.reader is not None and self.reader.was_chunked:
            self.events.append(BodyDiscarded())
            self.reader.was_chunked = False
