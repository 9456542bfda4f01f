"""What the machine tells the door, and what a message's envelope says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from staffetta.protocols.smtp.paths import Path
from staffetta.protocols.smtp.replies import Reply


class BodyType(StrEnum):
    """RFC 6152 §3. BINARYMIME (RFC 3030) is not offered."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"


class ReturnContent(StrEnum):
    """RFC 3461 §4.3: how much of the message a delivery report shall bring back."""

    FULL = "FULL"
    HEADERS = "HDRS"


class NotifyOn(StrEnum):
    """RFC 3461 §4.1: when a delivery report about a recipient is wanted."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What MAIL said after its path. None: not said."""

    size_bytes: int | None = None
    body: BodyType | None = None
    smtputf8: bool = False
    ret: ReturnContent | None = None
    envid: str | None = None
    """Decoded from xtext."""
    auth: str | None = None
    """RFC 4954 §5, decoded from xtext; empty for `<>`."""


@dataclass(frozen=True, slots=True)
class OriginalRecipient:
    """RFC 3461 §4.2, RFC 6533 §3: whom the sender meant, decoded."""

    address_type: str
    address: str


@dataclass(frozen=True, slots=True)
class RecipientParameters:
    """What RCPT said after its path. `notify` is empty when not said."""

    notify: frozenset[NotifyOn] = frozenset()
    original: OriginalRecipient | None = None


NO_MAIL_PARAMETERS = MailParameters()
NO_RECIPIENT_PARAMETERS = RecipientParameters()


@dataclass(frozen=True, slots=True)
class MailGiven:
    """MAIL, sound in itself. Answer with `accept_mail` or `refuse`."""

    reverse_path: Path
    """Null (`is_null`) for delivery reports (RFC 5321 §4.5.5)."""
    parameters: MailParameters = NO_MAIL_PARAMETERS


@dataclass(frozen=True, slots=True)
class RecipientGiven:
    """RCPT, sound in itself. Answer with `accept_recipient` or `refuse`."""

    forward_path: Path
    parameters: RecipientParameters = NO_RECIPIENT_PARAMETERS


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whom a message is from and for, and how it came. `recipients`: the accepted ones, in order.

    `protocol` is the word for the WITH clause of a Received field (RFC 3848, RFC 6531 §4.3).
    """

    hello: str
    protocol: str
    mail: MailGiven
    recipients: tuple[RecipientGiven, ...]
    authenticated_as: str | None = None


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A whole message. Answer with `accept_message`, `answer_recipients` (LMTP) or `refuse`.

    `body` has its transparency dots removed; None when it went to the door in `BodyChunk`s.
    """

    envelope: Envelope
    body: bytes | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BodyChunk:
    """The next part of a message too large to be kept. No answer.

    Ends with `MessageReceived` (whole) or `BodyDiscarded` (throw away what came). Where one chunk
    ends and the next begins means nothing.
    """

    octets: bytes


@dataclass(frozen=True, slots=True)
class BodyDiscarded:
    """What came in `BodyChunk`s will never be whole: refused, reset, or cut off."""


@dataclass(frozen=True, slots=True)
class TlsRequested:
    """STARTTLS. Answer with `start_tls`, or `refuse`."""


@dataclass(frozen=True, slots=True)
class AuthGiven:
    """Credentials. Answer with `accept_auth` or `refuse`."""

    mechanism: str
    authorization_id: str
    authentication_id: str
    password: str = field(repr=False)


class RefusalReason(StrEnum):
    """Why the machine itself refused; a door adds words of its own."""

    ORDER = "order"
    SYNTAX = "syntax"
    UNKNOWN_COMMAND = "unknown-command"
    NOT_IMPLEMENTED = "not-implemented"
    NOT_MAIL = "not-mail"
    LINE_TOO_LONG = "line-too-long"
    BARE_NEWLINE = "bare-newline"
    BAD_ADDRESS = "bad-address"
    SMTPUTF8_NEEDED = "smtputf8-needed"
    BAD_PARAMETER = "bad-parameter"
    MESSAGE_TOO_BIG = "message-too-big"
    HEADER_TOO_BIG = "header-too-big"
    NUL = "nul"
    NO_RECIPIENTS = "no-recipients"
    TOO_MANY = "too-many"
    TLS_REQUIRED = "tls-required"
    AUTH_REQUIRED = "auth-required"
    AUTH_FAILED = "auth-failed"


@dataclass(frozen=True, slots=True)
class Refused:
    """A no that was said, by the machine or by the door, for the record. No answer.

    `line` is the command as received, cut to 512 octets, credentials left out; empty when a message
    was refused. `path` is the address in question, where it could be read; `envelope` the
    transaction as it stood, if there was one.
    """

    command: str
    reply: Reply
    reason: str
    line: bytes = b""
    path: Path | None = None
    envelope: Envelope | None = None


class CloseReason(Enum):
    """Why the conversation is over."""

    QUIT = "QUIT"
    PEER = "the peer went away"
    TIMEOUT = "the peer took too long"
    SHUTDOWN = "the server is going"
    TURNED_AWAY = "turned away at the greeting"
    TOO_MANY = "a ceiling of the connection was reached"
    BROKEN = "no framing left to go on with"


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event: send what there is to send, then close.

    `envelope` is the transaction that was cut off, if one was open.
    """

    reason: CloseReason
    envelope: Envelope | None = None


Event = (
    MailGiven
    | RecipientGiven
    | MessageReceived
    | BodyChunk
    | BodyDiscarded
    | TlsRequested
    | AuthGiven
    | Refused
    | Closed
)


class Phase(Enum):
    """Whose turn it is, and for what; the door's time limits hang on it (RFC 5321 §4.5.3.2)."""

    GREETING = "greeting"
    """`greet` or `turn_away` is awaited."""
    COMMAND = "command"
    DATA = "data"
    CHUNK = "chunk"
    AUTH = "auth"
    DECISION = "decision"
    """The door's answer is awaited; the peer owes nothing."""
    TLS = "tls"
    """`tls_started` is awaited."""
    CLOSED = "closed"
