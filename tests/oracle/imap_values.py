"""Reads IMAP's parenthesised values, strictly, and brings ENVELOPE and BODYSTRUCTURE to one form.

The reader knows nothing of the writer: it follows the grammar of RFC 3501 section 9 and refuses
whatever a strict client might trip over. The one form is that in which the oracle's values were
compared: white space, letter case where it means nothing, and the words that stand for a missing
mailbox or domain make no difference.
"""

from __future__ import annotations

import re
from typing import Any

_ATOM = re.compile(rb"NIL|[0-9]+")
_QUOTED = re.compile(rb'"((?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")

Value = Any
"""None for NIL, int, bytes for a string, list for a list."""


def read_value(octets: bytes) -> Value:
    """The one value that is all of `octets`; ValueError when they are not exactly one."""
    value, end = _read(octets, 0)
    if end != len(octets):
        raise ValueError(f"trailing octets: {octets[end : end + 40]!r}")
    return value


def _read(octets: bytes, at: int) -> tuple[Value, int]:
    if octets[at : at + 1] == b"(":
        return _read_list(octets, at + 1)
    if match := _QUOTED.match(octets, at):
        return re.sub(rb"\\(.)", rb"\1", match[1]), match.end()
    if match := _LITERAL.match(octets, at):
        end = match.end() + int(match[1])
        text = octets[match.end() : end]
        if b"\0" in text or len(text) != int(match[1]):
            raise ValueError("bad literal")
        return text, end
    if match := _ATOM.match(octets, at):
        return None if match[0] == b"NIL" else int(match[0]), match.end()
    raise ValueError(f"no value at {at}: {octets[at : at + 40]!r}")


def _read_list(octets: bytes, at: int) -> tuple[list[Value], int]:
    values: list[Value] = []
    while octets[at : at + 1] != b")":
        if values and octets[at : at + 1] == b" ":
            at += 1
        elif values and not (isinstance(values[-1], list) and octets[at : at + 1] == b"("):
            # Only lists may stand side by side: addresses, and the parts of a multipart.
            raise ValueError(f"no space at {at}: {octets[at : at + 40]!r}")
        value, at = _read(octets, at)
        values.append(value)
    if not values:
        raise ValueError("empty list")
    return values, at + 1


def check_envelope(value: Value) -> None:
    """Raises AssertionError unless `value` has the shape of an ENVELOPE."""
    assert isinstance(value, list)
    assert len(value) == 10
    for text in [*value[:2], *value[8:]]:
        assert text is None or isinstance(text, bytes)
    for addresses in value[2:8]:
        assert addresses is None or isinstance(addresses, list)
        depth = 0
        for address in addresses or []:
            assert isinstance(address, list)
            assert len(address) == 4
            assert all(field is None or isinstance(field, bytes) for field in address)
            if address[3] is None:
                depth += 1 if address[2] is not None else -1
                assert depth in (0, 1), "groups neither nest nor close twice"
            else:
                assert address[2] is not None
        assert depth == 0, "each group closes"


def check_structure(value: Value, *, extended: bool = True) -> None:
    """Raises AssertionError unless `value` has the shape of a BODYSTRUCTURE (or BODY)."""
    assert isinstance(value, list)
    if isinstance(value[0], list):
        parts = [part for part in value if isinstance(part, list)]
        count = next(n for n, part in enumerate(value) if not isinstance(part, list))
        for part in parts[:count]:
            check_structure(part, extended=extended)
        assert isinstance(value[count], bytes)
        assert len(value) == count + (5 if extended else 1)
        if extended:
            _check_params(value[count + 1])
            _check_extension(value[count + 2 :])
        return
    assert isinstance(value[0], bytes)
    assert isinstance(value[1], bytes)
    _check_params(value[2])
    assert all(field is None or isinstance(field, bytes) for field in value[3:5])
    assert isinstance(value[5], bytes)
    assert isinstance(value[6], int)
    rest = value[7:]
    if (value[0], value[1]) == (b"message", b"rfc822"):
        check_envelope(rest[0])
        check_structure(rest[1], extended=extended)
        rest = rest[2:]
    if value[0] == b"text" or (value[0], value[1]) == (b"message", b"rfc822"):
        assert isinstance(rest[0], int)
        rest = rest[1:]
    if not extended:
        assert rest == []
        return
    assert rest[0] is None or isinstance(rest[0], bytes)
    _check_extension(rest[1:])


def _check_params(value: Value) -> None:
    if value is not None:
        assert len(value) % 2 == 0
        assert all(isinstance(text, bytes) for text in value)


def _check_extension(value: Value) -> None:
    disposition, languages, location = value
    if disposition is not None:
        assert isinstance(disposition[0], bytes)
        _check_params(disposition[1])
        assert len(disposition) == 2
    assert languages is None or isinstance(languages, bytes | list)
    assert location is None or isinstance(location, bytes)


_MISSING_HOSTS = frozenset(
    [
        "missing_domain",
        "unspecified-domain",
        "syntax_error",
        ".syntax-error.",
        ".missing-host-name.",
    ]
)


def plain_envelope(value: Value) -> Value:
    """An ENVELOPE in the one form, as the oracle's JSON has it."""
    if value is None:
        return None
    addresses = [
        None if members is None else [_plain_address(member) for member in members]
        for members in value[2:8]
    ]
    return [_squeeze(value[0]), _squeeze(value[1]), *addresses, *map(_squeeze, value[8:])]


def _plain_address(address: Value) -> Value:
    name, _route, mailbox, host = address
    host = None if host is None else host.decode("latin-1").lower()
    if mailbox == b"MISSING_MAILBOX" or host in _MISSING_HOSTS:
        return "INVALID"
    return [_squeeze(name), _squeeze(mailbox), host or None]


def plain_structure(value: Value) -> Value:
    """A BODYSTRUCTURE in the one form, as the oracle's JSON has it."""
    if isinstance(value[0], list):
        count = next(n for n, part in enumerate(value) if not isinstance(part, list))
        parts = [plain_structure(part) for part in value[:count]]
        subtype, params, disposition = value[count : count + 3]
        return [
            "multipart",
            *parts,
            _lower(subtype),
            _plain_params(params),
            _plain_disposition(disposition),
        ]
    media, subtype = _lower(value[0]), _lower(value[1])
    params = _plain_params(value[2])
    if media == "text" and not any(name == "charset" for name, _ in params):
        params = sorted([*params, ["charset", "us-ascii"]])
    plain = [media, subtype, params, _squeeze(value[3]), _squeeze(value[4])]
    plain += [_lower(value[5]), value[6]]
    rest = value[7:]
    if (media, subtype) == ("message", "rfc822"):
        plain += [plain_envelope(rest[0]), plain_structure(rest[1]), rest[2]]
        rest = rest[3:]
    elif media == "text":
        plain.append(rest[0])
        rest = rest[1:]
    return [*plain, _plain_disposition(rest[1])]


def _plain_params(value: Value) -> Value:
    if value is None:
        return []
    pairs = zip(value[::2], value[1::2], strict=True)
    return sorted(
        [_lower(name), _lower(text) if name.lower() == b"charset" else _squeeze(text)]
        for name, text in pairs
    )


def _plain_disposition(value: Value) -> Value:
    return None if value is None else [_lower(value[0]), _plain_params(value[1])]


def _squeeze(text: bytes | None) -> str | None:
    return None if text is None else re.sub(r"\s+", " ", text.decode("latin-1")).strip()


def _lower(text: bytes) -> str:
    return text.decode("latin-1").lower()
