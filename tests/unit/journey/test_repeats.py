"""The same message again: recognised while its `250` may be lost, and only then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staffetta.journey import repeats
from staffetta.journey.repeats import SUSPECT_S, Repeats, TransactionDigest, find_suspects
from staffetta.log.memory import MemoryLog
from tests.joints import HeldClock, Scribe


def digest_of(content: bytes, sender: str = "s@x", paths: tuple[str, ...] = ("a@y",)) -> bytes:
    digest = TransactionDigest(sender, paths)
    digest.update(content)
    return digest.value()


@given(st.binary(max_size=100_000), st.lists(st.integers(0, 100_000), max_size=5))
def test_where_the_content_was_cut_means_nothing(content: bytes, cuts: list[int]) -> None:
    digest = TransactionDigest("s@x", ["a@y"])
    start = 0
    for cut in sorted(cuts):
        digest.update(content[start:cut])
        start = max(start, cut)
    digest.update(content[start:])
    assert digest.value() == digest_of(content)


def test_the_order_and_the_number_of_the_paths_mean_nothing() -> None:
    assert digest_of(b"x", paths=("a@y", "b@y")) == digest_of(b"x", paths=("b@y", "a@y", "b@y"))


def test_everything_else_means_something() -> None:
    different = {
        digest_of(b"x"),
        digest_of(b"y"),
        digest_of(b"x", sender=""),
        digest_of(b"x", paths=("a@y", "b@y")),
        digest_of(b"x", paths=("a@yb@y",)),
        digest_of(b"x", sender="s@xa@y", paths=()),
    }
    assert len(different) == 6


def test_what_is_remembered_is_found_until_it_is_confirmed() -> None:
    known = Repeats()
    assert known.find(b"d") is None
    known.remember(b"d", b"r")
    assert known.find(b"d") == b"r"
    known.confirm(b"d")
    known.confirm(b"d")  # twice is as once
    assert known.find(b"d") is None
    assert len(known) == 0


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "UNCONFIRMED_MAX", 2)
    known = Repeats()
    for name in (b"a", b"b", b"c"):
        known.remember(name, b"r" + name)
    assert [known.find(name) for name in (b"a", b"b", b"c")] == [None, b"rb", b"rc"]


def test_after_a_crash_the_last_minutes_are_suspect_and_only_with_a_message_id() -> None:
    log, clock = MemoryLog(), HeldClock()
    scribe = Scribe(log.writer(1), clock)
    scribe.accept(7, message_id="<old@x>")
    clock.pass_s(SUSPECT_S + 1)
    wanted = [scribe.accept(7, message_id="<a@x>")]
    scribe.accept(7)
    clock.pass_s(SUSPECT_S)
    wanted.append(scribe.accept(7, message_id="<b@x>"))
    clock.pass_s(3_600)  # how long it was down does not matter
    assert [receipt for _, receipt in find_suspects(log, 1)] == wanted
    assert find_suspects(log, 2) == []
