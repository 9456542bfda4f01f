"""What one SMTP listener is: its name, its limits, what it offers; and what it says about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from staffetta.protocols.smtp.replies import Reply, farewell

_KIB = 1024
_MIB = 1024 * _KIB


@dataclass(frozen=True, slots=True)
class SmtpLimits:
    """Every ceiling of one connection. Octets where it says bytes, a number of things elsewhere."""

    command_line_bytes_max: int = 4 * _KIB
    """One command with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512, and SIZE, 8BITMIME, SMTPUTF8
    and DSN together add 1,200 to MAIL and RCPT (RFC 3461 §4.5): one ceiling for all."""
    command_drop_bytes_max: int = 128 * _KIB
    """How much of one overlong command is read past before hanging up."""
    auth_line_bytes_max: int = 12 * _KIB
    """One line of an AUTH exchange (RFC 4954 §4)."""
    recipients_max: int = 1_000
    """Accepted recipients of one message; RFC 5321 §4.5.3.1.8 asks for 100."""
    overshoot_recipients_max: int = 1_000
    """RCPT commands of one message beyond `recipients_max`, before 421."""
    message_bytes_max: int = 50 * _MIB
    """One message as RFC 1870 §5 counts it: with CRLFs, without transparency dots."""
    overrun_bytes_max: int = 16 * _MIB
    """What is read past after twice the largest message, to answer in order, before hanging up."""
    header_bytes_max: int = _MIB
    """The header section of one message."""
    text_line_bytes_max: int = _MIB
    """One line of a message with its CRLF; RFC 5321 §4.5.3.1.6 asks for 1,000."""
    body_memory_bytes_max: int = 256 * _KIB
    """A message up to here is handed over whole; a larger one in `BodyChunk`s as it comes."""
    body_chunk_bytes: int = 64 * _KIB
    """The least that a `BodyChunk` holds, the last of a message aside."""
    held_bytes_max: int = 64 * _KIB
    """Input kept while a decision is awaited, after which `wants_input` is false."""
    errors_max: int = 30
    """Refused commands before 421; refused recipients have a ceiling of their own."""
    refused_recipients_max: int = 200
    """Recipients refused for ever (5xx) on one connection before 421."""
    commands_without_message_max: int = 200
    """Commands other than RCPT, DATA and BDAT since the last accepted message, before 421."""
    transactions_max: int = 100_000
    """MAIL commands on one connection before 421."""
    failed_logins_max: int = 3
    """Refused AUTH attempts before 421."""

    small_text_bytes_max: int = field(init=False, repr=False)
    """Derived: a text up to here can break none of the limits on parts of it."""

    def __post_init__(self) -> None:
        parts = (self.body_memory_bytes_max, self.header_bytes_max, self.text_line_bytes_max)
        object.__setattr__(self, "small_text_bytes_max", min(parts))
        assert self.command_line_bytes_max <= self.command_drop_bytes_max
        assert self.auth_line_bytes_max <= self.command_drop_bytes_max
        assert self.recipients_max >= 1


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """One listener. `hostname` is what the server calls itself in greeting, EHLO and 421.

    `auth_offered` makes AUTH PLAIN and LOGIN known, under TLS only unless `auth_in_clear`.
    """

    hostname: str
    lmtp: bool = False
    """Speak LMTP (RFC 2033): LHLO, and one reply per recipient after the message."""
    starttls_offered: bool = True
    tls_required: bool = False
    auth_offered: bool = False
    auth_required: bool = False
    auth_in_clear: bool = False
    hello_required: bool = True
    nul_refused: bool = True
    """Refuse NUL in messages: no MIME body may have it (RFC 2045 §2.8) and no IMAP literal can
    carry it (RFC 3501 §4.3)."""
    limits: SmtpLimits = field(default_factory=SmtpLimits)
    farewell: Reply = field(init=False, repr=False, compare=False)
    greeting_wire: bytes = field(init=False, repr=False, compare=False)
    helo_wire: bytes = field(init=False, repr=False, compare=False)
    ehlo_clear_wire: bytes = field(init=False, repr=False, compare=False)
    ehlo_tls_wire: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.hostname, "a server has a name"
        protocol = "LMTP" if self.lmtp else "ESMTP"
        made = {
            "farewell": farewell(self.hostname),
            "greeting_wire": Reply(220, "", f"{self.hostname} {protocol}").wire,
            "helo_wire": Reply(250, "", self.hostname).wire,
            "ehlo_clear_wire": self._ehlo(tls=False).wire,
            "ehlo_tls_wire": self._ehlo(tls=True).wire,
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def auth_possible(self, *, tls: bool) -> bool:
        """Whether AUTH is offered on a connection with or without TLS."""
        return self.auth_offered and (tls or self.auth_in_clear)

    def _ehlo(self, *, tls: bool) -> Reply:
        """RFC 5321 §4.1.1.1: one extension a line, after the server's name."""
        limits = self.limits
        lines = [
            self.hostname,
            "PIPELINING",  # RFC 2920
            f"SIZE {limits.message_bytes_max}",  # RFC 1870
            "8BITMIME",  # RFC 6152
            "SMTPUTF8",  # RFC 6531
            "ENHANCEDSTATUSCODES",  # RFC 2034
            "CHUNKING",  # RFC 3030
            "DSN",  # RFC 3461
            # RFC 9422: at most six digits
            f"LIMITS RCPTMAX={min(limits.recipients_max, 999_999)}",
        ]
        if self.starttls_offered and not tls:
            lines.append("STARTTLS")  # RFC 3207
        if self.auth_possible(tls=tls):
            lines.append("AUTH PLAIN LOGIN")  # RFC 4954
        return Reply(250, "", "\n".join(lines))
