"""The ESMTP parameters that follow the path in MAIL and RCPT (RFC 5321 §4.1.1.11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from staffetta.protocols.smtp.events import (
    NO_MAIL_PARAMETERS,
    NO_RECIPIENT_PARAMETERS,
    BodyType,
    MailParameters,
    NotifyOn,
    OriginalRecipient,
    RecipientParameters,
    RefusalReason,
    ReturnContent,
)
from staffetta.protocols.smtp.refusal import CommandRefusal
from staffetta.protocols.smtp.replies import (
    BAD_PARAMETER,
    PARAMETER_TWICE,
    UNKNOWN_PARAMETER,
)

ENVID_CHARACTERS_MAX = 100
"""RFC 3461 §4.4, before decoding."""

ORCPT_CHARACTERS_MAX = 500
"""RFC 3461 §4.2, before decoding."""

_KEYWORD = re.compile(r"[A-Z0-9][A-Z0-9-]*")
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 §4
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})*")  # RFC 3461 §4
_UTF8_XTEXT = re.compile(r"(?:[!-*,-<>-~\u00a0-\U0010ffff]|\+[0-9A-Fa-f]{2})*")
_HEX_PAIR = re.compile(r"\+([0-9A-Fa-f]{2})")
_HEX_POINT = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 §3
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]+")
_PRINTABLE = re.compile(r"[ -~]*")

_BODY_TYPES = MappingProxyType({word.value: word for word in BodyType})
_RETURN_CONTENTS = MappingProxyType({word.value: word for word in ReturnContent})

_Word = TypeVar("_Word")


def parse_mail_parameters(text: str, *, auth_offered: bool) -> MailParameters:
    """What follows the reverse-path; raises `CommandRefusal`."""
    given = _split(text)
    if not given:
        return NO_MAIL_PARAMETERS
    size_bytes = body = ret = envid = auth = None
    smtputf8 = False
    for keyword, value in given.items():
        match keyword:
            case "SIZE":
                size_bytes = _size(value)
            case "BODY":
                body = _one_of(_BODY_TYPES, value)
            case "SMTPUTF8":
                smtputf8 = _flag(value)
            case "RET":
                ret = _one_of(_RETURN_CONTENTS, value)
            case "ENVID":
                envid = _envid(value)
            case "AUTH" if auth_offered:
                auth = _auth(value)
            case _:
                raise CommandRefusal(UNKNOWN_PARAMETER, RefusalReason.BAD_PARAMETER)
    return MailParameters(size_bytes, body, smtputf8, ret, envid, auth)


def parse_recipient_parameters(text: str, *, smtputf8: bool) -> RecipientParameters:
    """What follows the forward-path; raises `CommandRefusal`."""
    given = _split(text)
    if not given:
        return NO_RECIPIENT_PARAMETERS
    notify: frozenset[NotifyOn] = frozenset()
    original = None
    for keyword, value in given.items():
        match keyword:
            case "NOTIFY":
                notify = _notify(value)
            case "ORCPT":
                original = _orcpt(value, smtputf8=smtputf8)
            case _:
                raise CommandRefusal(UNKNOWN_PARAMETER, RefusalReason.BAD_PARAMETER)
    return RecipientParameters(notify, original)


def _bad() -> CommandRefusal:
    return CommandRefusal(BAD_PARAMETER, RefusalReason.BAD_PARAMETER)


def _split(text: str) -> dict[str, str | None]:
    """Keywords in capitals and their values; None where there is no `=`."""
    given: dict[str, str | None] = {}
    for word in text.split(" "):
        if not word:
            continue
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        if _KEYWORD.fullmatch(keyword) is None:
            raise CommandRefusal(UNKNOWN_PARAMETER, RefusalReason.BAD_PARAMETER)
        if keyword in given:
            raise CommandRefusal(PARAMETER_TWICE, RefusalReason.BAD_PARAMETER)
        given[keyword] = value if equals else None
    return given


def _size(value: str | None) -> int:
    if value is None or _SIZE.fullmatch(value) is None:
        raise _bad()
    return int(value)


def _one_of(words: Mapping[str, _Word], value: str | None) -> _Word:
    word = words.get((value or "").upper())
    if word is None:
        raise _bad()
    return word


def _flag(value: str | None) -> bool:
    if value is not None:
        raise _bad()
    return True


def _envid(value: str | None) -> str:
    if not value or len(value) > ENVID_CHARACTERS_MAX:
        raise _bad()
    return _printable(_decode_xtext(value))


def _auth(value: str | None) -> str:
    if not value:
        raise _bad()
    return "" if value == "<>" else _printable(_decode_xtext(value))


def _notify(value: str | None) -> frozenset[NotifyOn]:
    words = (value or "").upper().split(",")
    try:
        notify = frozenset(NotifyOn(word) for word in words)
    except ValueError:
        raise _bad() from None
    # RFC 3461 §4.1: NEVER stands alone.
    if len(notify) != len(words) or (NotifyOn.NEVER in notify and len(notify) > 1):
        raise _bad()
    return notify


def _orcpt(value: str | None, *, smtputf8: bool) -> OriginalRecipient:
    if not value or len(value) > ORCPT_CHARACTERS_MAX:
        raise _bad()
    address_type, separator, encoded = value.partition(";")
    if not separator or not encoded or _ADDRESS_TYPE.fullmatch(address_type) is None:
        raise _bad()
    if address_type.lower() == "utf-8":
        return OriginalRecipient("utf-8", _decode_utf8_xtext(encoded, smtputf8=smtputf8))
    return OriginalRecipient(address_type, _printable(_decode_xtext(encoded)))


def _decode_xtext(encoded: str) -> str:
    if _XTEXT.fullmatch(encoded) is None:
        raise _bad()
    return _HEX_PAIR.sub(lambda pair: chr(int(pair[1], 16)), encoded)


def _decode_utf8_xtext(encoded: str, *, smtputf8: bool) -> str:
    """RFC 6533 §3: UTF-8 itself only where SMTPUTF8 was said, `\\x{...}` everywhere."""
    if not smtputf8 and not encoded.isascii():
        raise _bad()
    if _UTF8_XTEXT.fullmatch(encoded) is None:
        raise _bad()
    try:
        decoded = _HEX_POINT.sub(lambda point: chr(int(point[1], 16)), encoded)
        decoded = _HEX_PAIR.sub(lambda pair: chr(int(pair[1], 16)), decoded)
        decoded.encode()  # no surrogates
    except (ValueError, OverflowError):
        raise _bad() from None
    if not decoded.isprintable():
        raise _bad()
    return decoded


def _printable(decoded: str) -> str:
    # RFC 3461 §4.2 and §4.4: what a delivery report can quote. This also keeps CR and LF out.
    if _PRINTABLE.fullmatch(decoded) is None:
        raise _bad()
    return decoded
