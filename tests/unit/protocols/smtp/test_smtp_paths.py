"""Reverse-paths and forward-paths (RFC 5321 §4.1.2, RFC 6531 §3.3)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from staffetta.protocols.smtp.paths import (
    NULL_PATH,
    ORDINARY_RECIPIENT,
    ORDINARY_SENDER,
    Path,
    take_forward_path,
    take_ordinary,
    take_path,
    take_reverse_path,
)

LABEL_63 = "d" * 63
DOMAIN_255 = ".".join([LABEL_63, LABEL_63, LABEL_63, "d" * 63])


@pytest.mark.parametrize(
    ("text", "local_part", "domain"),
    [
        ("<anna@client.example>", "anna", "client.example"),
        ("<Anna.Maria@Client.Example>", "Anna.Maria", "Client.Example"),
        ("<a@b>", "a", "b"),
        ("<o'brien!#$%&*+/=?^_`{|}~-@x.example>", "o'brien!#$%&*+/=?^_`{|}~-", "x.example"),
        ("<a@xn--citt-3na.example>", "a", "xn--citt-3na.example"),
        ("<a@1.2.3>", "a", "1.2.3"),
        ("<a@em_1.example>", "a", "em_1.example"),
        ('<"a b@c"@x.example>', "a b@c", "x.example"),
        ('<"a\\"b\\\\c"@x.example>', 'a"b\\c', "x.example"),
        ('<"anna"@x.example>', "anna", "x.example"),
        ('<""@x.example>', "", "x.example"),
        ("<a@[192.0.2.1]>", "a", "[192.0.2.1]"),
        ("<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]"),
        ("<@one.example:a@x.example>", "a", "x.example"),
        ("<@one.example,@two.example:a@x.example>", "a", "x.example"),
        ("<niccolò@città.example>", "niccolò", "città.example"),
        ("<用户@例え.example>", "用户", "例え.example"),
        (f"<{'l' * 64}@x.example>", "l" * 64, "x.example"),
        (f"<{'l' * 256}@x.example>", "l" * 256, "x.example"),
        (f"<a@{DOMAIN_255}>", "a", DOMAIN_255),
    ],
)
def test_sound_paths(text: str, local_part: str, domain: str) -> None:
    taken = take_path(text + " SIZE=1", 0)
    assert taken is not None
    path, end = taken
    assert (path.local_part, path.domain) == (local_part, domain)
    assert path.raw == text[1:-1]
    assert end == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<",
        "<>",
        "a@b",
        "<a@b",
        "<a>",
        "<@b>",
        "<a@>",
        "<a@@b>",
        "<a b@c>",
        "<.a@b>",
        "<a.@b>",
        "<a..b@c>",
        "<a@b..c>",
        "<a@.b>",
        "<a@b.>",
        "<a@-b>",
        "<a@b->",
        '<"a@b>',
        '<"a"b"@c>',
        '<"a\\"@c>',
        "<a@[192.0.2.256]>",
        "<a@[192.0.2.01]>",
        "<a@[1.2.3]>",
        "<a@[IPv6:2001:db8::1%eth0]>",
        "<a@[IPv6:zz]>",
        "<a@[tag:content]>",
        "<a@[]>",
        "<@one.example a@x.example>",
        "<a\x00@b>",
        "<a\x85@b>",
        "<a\r\n@b>",
        f"<{'l' * 257}@x.example>",
        f"<{'ò' * 129}@x.example>",
        f"<a@{'d' * 64}.example>",
        f"<a@{DOMAIN_255}.d>",
    ],
)
def test_unsound_paths(text: str) -> None:
    assert take_path(text, 0) is None


def test_the_mailbox_is_without_the_route() -> None:
    taken = take_path("<@one.example,@two.example:a@[IPv6:2001:db8::1]>", 0)
    assert taken is not None
    assert taken[0].mailbox == "a@[IPv6:2001:db8::1]"
    assert Path("a@x.example", "a", "x.example").mailbox == "a@x.example"


def test_nobody_is_only_a_sender() -> None:
    assert take_reverse_path("<>", 0) == (NULL_PATH, 2)
    assert take_forward_path("<>", 0) is None
    assert NULL_PATH.is_null
    assert str(NULL_PATH) == "<>"


def test_only_postmaster_needs_no_domain() -> None:
    assert take_forward_path("<pOSTmaster>", 0) == (Path("pOSTmaster", "pOSTmaster", ""), 12)
    assert take_forward_path("<anna>", 0) is None
    assert take_reverse_path("<postmaster>", 0) is None


@given(
    st.text("aZ0._-+='\"@<>[]:, è", max_size=12),
    st.text("aZ0._-@<>[]:, è", max_size=12),
)
@example("a" * 60, "b.example")
@example("a", "b" * 63)
@example("a--b", "c--d.e")
@example("a", "b-.c")
def test_the_short_way_answers_as_the_long_way(local_part: str, domain: str) -> None:
    text = f"<{local_part}@{domain}>"
    taken = take_path(text, 0)
    for keyword, short in (("FROM:", ORDINARY_SENDER), ("TO:", ORDINARY_RECIPIENT)):
        for parameters in ("", " SIZE=1"):
            found = take_ordinary(short, keyword + text + parameters)
            if found is not None:
                path, end = found
                assert taken == (path, end - len(keyword))
        assert take_ordinary(short, keyword + text + "x") is None
    assert take_ordinary(ORDINARY_SENDER, f"TO:{text}") is None
    assert take_ordinary(ORDINARY_RECIPIENT, f"FROM:{text}") is None


def test_a_long_hostile_path_takes_no_time() -> None:
    for piece in ("a.", '"\\', "a-", "@a,", "[", "ò"):
        assert take_path("<" + piece * 2_000, 0) is None
        assert take_path("<a@" + piece * 2_000, 0) is None
        assert take_path("<@" + piece * 2_000, 0) is None
