"""What the server says: code, enhanced status code (RFC 3463), text; and its octets on the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

REPLY_LINE_BYTES_MAX = 512
"""RFC 5321 §4.5.3.1.5, counting code and CRLF."""

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `text` may have several lines, separated by LF; `wire` is what is sent.

    `enhanced` is empty where RFC 2034 §4 wants none: greeting, EHLO, and every 3xx. Whatever is not
    printable ASCII is sent as `?`, so no reply can be made to look like two.
    """

    code: int
    enhanced: str
    text: str
    wire: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert 200 <= self.code <= 599, self.code
        if self.enhanced:
            assert _ENHANCED.fullmatch(self.enhanced), self.enhanced
            assert self.enhanced[0] == str(self.code)[0], (self.code, self.enhanced)
        object.__setattr__(self, "wire", _encode(self.code, self.enhanced, self.text))

    @property
    def is_positive(self) -> bool:
        """Whether this says yes (2xx, or 3xx: go on)."""
        return self.code < 400

    @property
    def is_permanent(self) -> bool:
        """Whether this says never (5xx), and not: come back later (4xx)."""
        return self.code >= 500

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


def _encode(code: int, enhanced: str, text: str) -> bytes:
    prefix = f"{enhanced} " if enhanced else ""
    room = REPLY_LINE_BYTES_MAX - len("250-\r\n") - len(prefix)
    lines = [_UNPRINTABLE.sub("?", line)[:room] for line in text.split("\n")]
    last = len(lines) - 1
    # RFC 2034 §4: each line of a reply has the enhanced code.
    return "".join(
        f"{code}{' ' if at == last else '-'}{prefix}{line}\r\n" for at, line in enumerate(lines)
    ).encode("ascii")


def accepted_wire(receipt_text: str) -> bytes:
    """The octets of `250 2.0.0 <receipt_text>`: made for every message, so without a `Reply`."""
    assert receipt_text.isascii(), receipt_text
    assert receipt_text.isprintable(), receipt_text
    return f"250 2.0.0 {receipt_text}\r\n".encode("ascii")


# --- yes ---------------------------------------------------------------------------------------

MAIL_OK = Reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient ok")
SEND_MESSAGE = Reply(354, "", "Send the message, end it with <CR><LF>.<CR><LF>")
RESET = Reply(250, "2.0.0", "Forgotten")
NOOP = Reply(250, "2.0.0", "Ok")
GO_AHEAD_WITH_TLS = Reply(220, "2.0.0", "Ready to start TLS")
AUTHENTICATED = Reply(235, "2.7.0", "Welcome")
# RFC 5321 §3.5.3: 252 where the answer would tell strangers who has a mailbox here.
VERIFY_BY_SENDING = Reply(252, "2.0.0", "Send some mail, I will see whom it is for")

# --- order: RFC 5321 §4.1.4, 503 -----------------------------------------------------------------

HELLO_FIRST = Reply(503, "5.5.1", "Say EHLO first")
LHLO_FIRST = Reply(503, "5.5.1", "Say LHLO first")
MAIL_FIRST = Reply(503, "5.5.1", "MAIL first")
MAIL_TWICE = Reply(503, "5.5.1", "A transaction is open: end it or RSET")
RECIPIENT_FIRST = Reply(503, "5.5.1", "RCPT first")
# RFC 5321 §3.3: DATA after MAIL when no RCPT was accepted.
NO_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")
CHUNKS_BEGUN = Reply(503, "5.5.1", "BDAT has begun: BDAT or RSET")
CHUNKS_FAILED = Reply(503, "5.5.1", "A chunk was refused: RSET")
AUTHENTICATED_ALREADY = Reply(503, "5.5.1", "Authenticated already")
TLS_ALREADY = Reply(503, "5.5.1", "TLS is active already")
NOT_DURING_MAIL = Reply(503, "5.5.1", "Not during a mail transaction")

# --- syntax: RFC 5321 §4.2.2, 500 to 502, 555 ----------------------------------------------------

UNKNOWN_COMMAND = Reply(500, "5.5.1", "Unknown command")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
NOT_MAIL = Reply(421, "4.7.0", "This is a mail server")
EMPTY_LINE = Reply(500, "5.5.2", "Empty line")
LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
BARE_NEWLINE_IN_COMMAND = Reply(500, "5.5.2", "Bare CR or LF: lines end with CR LF")
UNPRINTABLE_COMMAND = Reply(500, "5.5.2", "Control character in command")
BAD_HELLO_NAME = Reply(501, "5.5.4", "Say your host name, or its address in square brackets")
NO_ARGUMENT_EXPECTED = Reply(501, "5.5.4", "No argument expected")
ARGUMENT_EXPECTED = Reply(501, "5.5.4", "Argument expected")
MAIL_SYNTAX = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX = Reply(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]")
BDAT_SYNTAX = Reply(501, "5.5.4", "Syntax: BDAT octets [LAST]")
BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT = Reply(501, "5.1.3", "Bad recipient address syntax")
# RFC 6531 §3.5
SMTPUTF8_NEEDED = Reply(553, "5.6.7", "Address is not ASCII: SMTPUTF8 needed")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Unknown parameter")
BAD_PARAMETER = Reply(501, "5.5.4", "Bad parameter value")
PARAMETER_TWICE = Reply(501, "5.5.4", "Parameter given twice")

# --- limits --------------------------------------------------------------------------------------

# RFC 1870 §6.1
MESSAGE_TOO_BIG = Reply(552, "5.3.4", "Message too big")
CHUNK_TOO_BIG = Reply(552, "5.3.4", "Message too big, closing")
# RFC 5321 §4.5.3.1.10
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients: send the message again to the rest")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors")
TOO_MANY_COMMANDS = Reply(421, "4.7.0", "Too many commands without a message")
TOO_MANY_TRANSACTIONS = Reply(421, "4.7.0", "Enough for one connection, come back with a new one")
TOO_MANY_REFUSED_RECIPIENTS = Reply(421, "4.7.0", "Too many refused recipients")
TOO_MANY_FAILED_LOGINS = Reply(421, "4.7.0", "Too many failed logins")
LINE_WITHOUT_END = Reply(421, "4.7.0", "Line without end")

# --- content -------------------------------------------------------------------------------------

# RFC 5321 §2.3.8. 5.6.11 is the code by which other large receivers refuse this too.
BARE_NEWLINE = Reply(550, "5.6.11", "Bare CR or LF in the message: lines end with CR LF")
NUL = Reply(550, "5.6.0", "NUL in the message")
TEXT_LINE_TOO_LONG = Reply(550, "5.6.0", "A line of the message is too long")
HEADER_TOO_BIG = Reply(552, "5.3.4", "Message header too big")

# --- TLS and authentication ----------------------------------------------------------------------

TLS_FIRST = Reply(530, "5.7.0", "STARTTLS first")  # RFC 3207 §4
TLS_UNAVAILABLE = Reply(454, "4.7.0", "TLS not available now")  # RFC 3207 §4
AUTHENTICATION_FIRST = Reply(530, "5.7.0", "Authentication required")  # RFC 4954 §6
ENCRYPTION_FIRST = Reply(538, "5.7.11", "Encryption required for authentication")  # RFC 4954 §6
BAD_CREDENTIALS = Reply(535, "5.7.8", "Authentication credentials invalid")  # RFC 4954 §6
UNKNOWN_MECHANISM = Reply(504, "5.5.4", "Unknown authentication mechanism")
AUTHENTICATION_CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")  # RFC 4954 §4
BAD_BASE64 = Reply(501, "5.5.2", "Cannot decode")
CHALLENGE_ANSWER_TOO_LONG = Reply(500, "5.5.6", "Authentication exchange line too long")

# --- the server's own going -----------------------------------------------------------------------


def farewell(hostname: str) -> Reply:
    """The answer to QUIT (RFC 5321 §4.1.1.10)."""
    return Reply(221, "2.0.0", f"{hostname} goodbye")


def timeout_reply(hostname: str) -> Reply:
    """The peer took too long (RFC 5321 §4.5.3.2)."""
    return Reply(421, "4.4.2", f"{hostname} timeout, closing")


def shutdown_reply(hostname: str) -> Reply:
    """The server is going (RFC 5321 §3.8, RFC 3463 X.3.2)."""
    return Reply(421, "4.3.2", f"{hostname} going down, come back soon")


def too_many_connections_reply(hostname: str) -> Reply:
    """The peer, or everybody together, has too many connections."""
    return Reply(421, "4.7.0", f"{hostname} too many connections, come back later")
