"""Which command may come when (RFC 5321 §4.1.4), as a table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.replies import Reply


class Stage(IntEnum):
    """How far the conversation has come; its place in an `OrderTable`."""

    NEW = 0
    """No EHLO yet."""
    READY = 1
    """No transaction."""
    MAIL = 2
    """A sender, no recipient."""
    RECIPIENTS = 3
    """A sender, and recipients."""
    CHUNKS = 4
    """Some of the message, by BDAT."""
    SPOILED = 5
    """A chunk was refused."""


OrderTable = tuple[Mapping[bytes, Reply], ...]


def _table(hello_first: Reply, no_recipients: Reply) -> OrderTable:
    """What is said to a command out of order; a command that is not listed may come."""
    in_transaction = {
        b"MAIL": replies.MAIL_TWICE,
        b"AUTH": replies.NOT_DURING_MAIL,  # RFC 4954 §4
    }
    chunking = in_transaction | {b"RCPT": replies.CHUNKS_BEGUN, b"DATA": replies.CHUNKS_BEGUN}
    table = {
        Stage.NEW: dict.fromkeys((b"MAIL", b"RCPT", b"DATA", b"BDAT", b"AUTH"), hello_first),
        Stage.READY: dict.fromkeys((b"RCPT", b"DATA", b"BDAT"), replies.MAIL_FIRST),
        Stage.MAIL: in_transaction | dict.fromkeys((b"DATA", b"BDAT"), no_recipients),
        Stage.RECIPIENTS: in_transaction,
        Stage.CHUNKS: chunking,
        Stage.SPOILED: chunking | {b"BDAT": replies.CHUNKS_FAILED},
    }
    return tuple(MappingProxyType(table[stage]) for stage in Stage)


SMTP_ORDER = _table(replies.HELLO_FIRST, replies.NO_RECIPIENTS)
LMTP_ORDER = _table(replies.LHLO_FIRST, replies.RECIPIENT_FIRST)
"""RFC 2033 §4.2: DATA without an accepted recipient is 503."""
