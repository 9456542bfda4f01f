"""Mailboxes of SMTP, and address lists of header fields."""

from __future__ import annotations

import pytest

from staffetta.formats.address import (
    Address,
    AddressError,
    parse_domain,
    parse_forward_path,
    parse_mailbox,
    parse_path,
    parse_reverse_path,
    split_path,
)
from staffetta.formats.address_list import ADDRESSES_MAX, GROUP_END, TOKENS_MAX, parse_list


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("anna@libero.example", "anna", "libero.example"),
        ("Anna.Rossi+Spesa@LIBERO.Example", "Anna.Rossi+Spesa", "libero.example"),
        ('"anna rossi"@libero.example', "anna rossi", "libero.example"),
        (r'"a\"b\\c"@libero.example', 'a"b\\c', "libero.example"),
        ('"anna"@libero.example', "anna", "libero.example"),
        ("anna@[192.0.2.1]", "anna", "[192.0.2.1]"),
        ("anna@[ipv6:2001:DB8:0::1]", "anna", "[IPv6:2001:db8::1]"),
        ("!#$%&'*+-/=?^_`{|}~@a_b.example", "!#$%&'*+-/=?^_`{|}~", "a_b.example"),
    ],
)
def test_mailboxes(text: str, local: str, domain: str) -> None:
    assert parse_mailbox(text) == Address(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "anna",
        "anna@",
        "@libero.example",
        '""@libero.example',
        ".anna@libero.example",
        "anna.@libero.example",
        "an..na@libero.example",
        "anna rossi@libero.example",
        "anna@libero..example",
        "anna@libero.example.",
        "anna@-libero.example",
        "anna@libero.example junk",
        "anna@libero@example",
        "anna@[1.2.3]",
        "anna@[300.2.3.4]",
        "anna@[IPv6:::1",
        "anna\r\n@libero.example",
        '"anna\r\n"@libero.example',
        "anna@lib\0ero.example",
        "a" * 257 + "@libero.example",
        "anna@" + "a." * 130 + "example",
        "anna@" + "a" * 64 + ".example",
        "perché@libero.example",
    ],
)
def test_what_is_no_mailbox(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_mailbox(text)
    assert refused.value.reason


def test_international_mailboxes() -> None:
    address = parse_mailbox("Zoë@BÜCHER.example", smtputf8=True)
    assert address == Address("Zoë", "xn--bcher-kva.example")
    assert address.is_internationalised
    assert address.unicode_domain == "bücher.example"
    assert address.key == "zoë@xn--bcher-kva.example"
    assert parse_mailbox("Zoe\u0308@b.example", smtputf8=True).key == "zoë@b.example"
    with pytest.raises(AddressError):
        parse_mailbox("a@" + "ü" * 300 + ".example", smtputf8=True)
    with pytest.raises(AddressError):
        parse_domain("a\u2028b.example")


def test_addresses_as_text_are_read_back() -> None:
    for text in ("anna@libero.example", '"a b"@libero.example', r'"a\\\"b"@libero.example'):
        assert str(parse_mailbox(text)) == text


@pytest.mark.parametrize(
    ("local", "user", "detail"),
    [
        ("anna", "anna", None),
        ("anna+spesa", "anna", "spesa"),
        ("anna+", "anna", ""),
        ("anna+a+b", "anna", "a+b"),
        ("+anna", "+anna", None),
    ],
)
def test_subaddresses(local: str, user: str, detail: str | None) -> None:
    address, found = Address(local, "libero.example").split_subaddress()
    assert (address.local, found) == (user, detail)


def test_paths() -> None:
    assert parse_reverse_path(b"<>") is None
    assert parse_reverse_path(b"<a@b.example>") == Address("a", "b.example")
    assert parse_forward_path(b"<PostMaster>") == Address("postmaster", "")
    assert parse_forward_path(b"<@x.example,@y.example:a@b.example>") == Address("a", "b.example")
    for wrong in (
        b"<>",
        b"a@b.example",
        b"<a@b.example",
        b"<@x:>",
        b"<@@x:a@b>",
        b"<\xff@b.example>",
    ):
        with pytest.raises(AddressError):
            parse_path(wrong, smtputf8=True)
    with pytest.raises(AddressError):
        parse_path(b"<" + b"a" * 2000 + b"@b.example>")


def test_paths_are_split_from_their_parameters() -> None:
    assert split_path(b"<a@b> SIZE=1 BODY=8BITMIME") == (b"<a@b>", b"SIZE=1 BODY=8BITMIME")
    assert split_path(b"<>") == (b"<>", b"")
    assert split_path(b'<"a> b"@c> X=1') == (b'<"a> b"@c>', b"X=1")
    for wrong in (b"a@b", b"<a@b", b"<a@b>SIZE=1", b"<<a@b>>", b""):
        with pytest.raises(AddressError):
            split_path(wrong)


def listed(value: str) -> list[str]:
    """Each member as `name|route|mailbox|host`, groups as `{name` and `}`."""
    shown = []
    for member in parse_list(value.encode()):
        if member == GROUP_END:
            shown.append("}")
        elif member.is_group:
            shown.append("{" + (member.mailbox or b"").decode())
        else:
            shown.append("|".join("-" if field is None else field.decode() for field in member[:4]))
    return shown


@pytest.mark.parametrize(
    ("value", "members"),
    [
        ("", []),
        (" \r\n ", []),
        (",, ,", []),
        ("a@b", ["-|-|a|b"]),
        (" a@b , c@d\r\n , e@f", ["-|-|a|b", "-|-|c|d", "-|-|e|f"]),
        ("Anna <a@b>", ["Anna|-|a|b"]),
        ('"Rossi, Anna" <a@b>, c@d', ["Rossi, Anna|-|a|b", "-|-|c|d"]),
        ("Anna Maria  Rossi<a@b>", ["Anna Maria Rossi|-|a|b"]),
        ("J. R. Hart <a@b>", ["J. R. Hart|-|a|b"]),
        ('"" <a@b>', ["-|-|a|b"]),
        ("<a@b>", ["-|-|a|b"]),
        (r'"A \"B\" C" <a@b>', ['A "B" C|-|a|b']),
        ('Anna "la Rossa" <a@b>', ["Anna la Rossa|-|a|b"]),
        ("a@b (Anna)", ["Anna|-|a|b"]),
        ("a@b (Anna (la (Rossa)))", ["Anna (la (Rossa))|-|a|b"]),
        ("(who) Anna <a@b>", ["Anna|-|a|b"]),
        ("=?utf-8?q?=C3=A8?= <a@b>", ["=?utf-8?q?=C3=A8?=|-|a|b"]),
        ("<@r,@s:a@b>", ["-|@r,@s|a|b"]),
        ('"a b"@c', ["-|-|a b|c"]),
        ("a . b@c . d", ["-|-|a.b|c.d"]),
        ("a@[192.0.2.1]", ["-|-|a|[192.0.2.1]"]),
        ("g: a@b, c <c@d>;", ["{g", "-|-|a|b", "c|-|c|d", "}"]),
        ("g:;, a@b", ["{g", "}", "-|-|a|b"]),
        ("g: a@b", ["{g", "-|-|a|b", "}"]),
        ("two words: a@b;c@d", ["{two words", "-|-|a|b", "}", "-|-|c|d"]),
        ("root", ["-|-|root|-"]),
        ("<>", ["-|-|-|-"]),
        ("a@", ["-|-|a|-"]),
        ("a@b@c", ["-|-|a@b@c|-"]),
        ("boss@bank.example <x@evil.example>", ["boss@bank.example|-|x|evil.example"]),
        ("a@b>", ["-|-|a|b"]),
        ("(never closed", []),
        ('"never closed <a@b>', ["-|-|never closed <a@b>|-"]),
        ("Zoë <zoë@bücher.example>", ["Zoë|-|zoë|bücher.example"]),
    ],
)
def test_lists(value: str, members: list[str]) -> None:
    assert listed(value) == members


def test_lists_are_bounded() -> None:
    assert len(parse_list(b"a@b," * (ADDRESSES_MAX + 10))) == ADDRESSES_MAX
    assert len(parse_list(b"a:;" * TOKENS_MAX)) <= ADDRESSES_MAX + 1
    assert len(parse_list(b"(x)a@b," * TOKENS_MAX)) < TOKENS_MAX
