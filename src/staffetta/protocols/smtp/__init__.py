"""SMTP (RFC 5321) and LMTP (RFC 2033), the receiving side, sans-IO. `server` says how to drive it.

`paths`, `parameters`: what MAIL and RCPT may say. `content`: where a message ends, and what may be
in it. `order`: which command may come when. `commands`: what each does to the `session`.
"""

from staffetta.protocols.smtp.events import (
    AuthGiven,
    BodyChunk,
    BodyDiscarded,
    BodyType,
    Closed,
    CloseReason,
    Envelope,
    Event,
    MailGiven,
    MailParameters,
    MessageReceived,
    NotifyOn,
    OriginalRecipient,
    Phase,
    RecipientGiven,
    RecipientParameters,
    RefusalReason,
    Refused,
    ReturnContent,
    TlsRequested,
)
from staffetta.protocols.smtp.paths import NULL_PATH, Path
from staffetta.protocols.smtp.replies import (
    Reply,
    shutdown_reply,
    timeout_reply,
    too_many_connections_reply,
)
from staffetta.protocols.smtp.server import SmtpServer
from staffetta.protocols.smtp.settings import SmtpLimits, SmtpSettings

__all__ = [
    "NULL_PATH",
    "AuthGiven",
    "BodyChunk",
    "BodyDiscarded",
    "BodyType",
    "CloseReason",
    "Closed",
    "Envelope",
    "Event",
    "MailGiven",
    "MailParameters",
    "MessageReceived",
    "NotifyOn",
    "OriginalRecipient",
    "Path",
    "Phase",
    "RecipientGiven",
    "RecipientParameters",
    "RefusalReason",
    "Refused",
    "Reply",
    "ReturnContent",
    "SmtpLimits",
    "SmtpServer",
    "SmtpSettings",
    "TlsRequested",
    "shutdown_reply",
    "timeout_reply",
    "too_many_connections_reply",
]
