"""Untagged data about mailboxes and the server: LIST, STATUS, NAMESPACE, QUOTA, ID.

Names go in as text and out in modified UTF-7. Each builder gives a complete line with CRLF.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from staffetta.protocols.imap.commands import StatusItem
from staffetta.protocols.imap.mailbox_names import SEPARATOR, encode_name
from staffetta.protocols.imap.quoting import format_astring, format_string

_SEPARATOR = format_string(SEPARATOR.encode("ascii"))


def list_line(
    attributes: Iterable[str],
    name: str,
    *,
    child_info: Sequence[str] = (),
    command: bytes = b"LIST",
) -> bytes:
    """* LIST (attributes) "/" name; `command=b"LSUB"` for LSUB.

    `child_info` is the CHILDINFO of RECURSIVEMATCH (RFC 5258 §4): usually ("SUBSCRIBED",).
    """
    line = b"* %b (%b) %b %b" % (
        command,
        " ".join(attributes).encode("ascii"),
        _SEPARATOR,
        format_mailbox(name),
    )
    if child_info:
        inner = b" ".join(format_string(word.encode("ascii")) for word in child_info)
        line += b' ("CHILDINFO" (%b))' % inner
    return line + b"\r\n"


def separator_line() -> bytes:
    """The answer to `LIST "" ""`: the separator, and an empty root (RFC 3501 §6.3.8)."""
    return b'* LIST (\\Noselect) %b ""\r\n' % _SEPARATOR


def status(name: str, values: Mapping[StatusItem, int | bytes | None]) -> bytes:
    """* STATUS: a number for each item; bytes for MAILBOXID; None for no APPENDLIMIT."""
    pairs = b" ".join(
        b"%b %b" % (item.value, _format_status(item, value)) for item, value in values.items()
    )
    return b"* STATUS %b (%b)\r\n" % (format_mailbox(name), pairs)


def namespace(personal_prefix: str = "") -> bytes:
    """* NAMESPACE with one personal namespace and no others (RFC 2342)."""
    prefix = format_string(encode_name(personal_prefix))
    return b"* NAMESPACE ((%b %b)) NIL NIL\r\n" % (prefix, _SEPARATOR)


def quota(root: str, resources: Iterable[tuple[bytes, int, int]]) -> bytes:
    """* QUOTA (RFC 9208 §5.1): (resource, used, limit) each; STORAGE counts KiB."""
    inner = b" ".join(b"%b %d %d" % resource for resource in resources)
    return b"* QUOTA %b (%b)\r\n" % (format_astring(root.encode("utf-8")), inner)


def quota_root(name: str, roots: Iterable[str]) -> bytes:
    """* QUOTAROOT (RFC 9208 §5.2)."""
    words = [format_astring(root.encode("utf-8")) for root in roots]
    return b" ".join([b"* QUOTAROOT", format_mailbox(name), *words]) + b"\r\n"


def identity(parameters: Mapping[str, str]) -> bytes:
    """* ID (RFC 2971); NIL where there is nothing to say."""
    if not parameters:
        return b"* ID NIL\r\n"
    words = [word.encode("utf-8") for pair in parameters.items() for word in pair]
    return b"* ID (%b)\r\n" % b" ".join(map(format_string, words))


def format_mailbox(name: str) -> bytes:
    """A mailbox name as it stands in a response: always a string, INBOX alone as an atom.

    Quoting even what could be an atom is what clients have seen most.
    """
    return b"INBOX" if name == "INBOX" else format_string(encode_name(name))


def _format_status(item: StatusItem, value: int | bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    if isinstance(value, bytes):
        return b"(%b)" % value if item is StatusItem.MAILBOXID else value
    return b"%d" % value
