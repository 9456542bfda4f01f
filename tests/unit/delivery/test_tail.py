"""The tail is a cache: whoever reads through it reads what the log says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staffetta.delivery import tail
from staffetta.delivery.tail import KINDS, Tail
from staffetta.log.facts import Held
from staffetta.log.memory import MemoryLog
from tests.joints import HeldClock, Scribe


def make_scribe(log: MemoryLog) -> Scribe:
    return Scribe(log.writer(1), HeldClock())


def add_other(scribe: Scribe) -> None:
    """An entry that no cell has to read."""
    receipt = scribe.mint.make(scribe.clock.now_us())
    scribe.note(Held(0, 7, "x", 1, 1), receipt, 7)


def read_all(one: Tail, after: int, limit: int) -> tuple[list[int], int]:
    found: list[int] = []
    while True:
        entries, reach = one.read(1, after, limit)
        assert len(entries) <= limit
        assert all(after < entry.position <= reach for entry in entries)
        found += [entry.position for entry in entries]
        if reach == after:
            return found, after
        after = reach


def test_an_empty_partition_reaches_no_further() -> None:
    log = MemoryLog()
    one = Tail(log)
    assert one.partitions() == []
    make_scribe(log)
    assert one.partitions() == [1]
    assert one.last(1) == 0
    assert one.read(1, 0, 10) == ([], 0)


def test_it_reaches_over_entries_of_other_kinds() -> None:
    log = MemoryLog()
    scribe = make_scribe(log)
    for _ in range(3):
        add_other(scribe)
    assert Tail(log).read(1, 0, 10) == ([], 3)


def test_readers_at_different_places_all_read_everything() -> None:
    log = MemoryLog()
    scribe, one = make_scribe(log), Tail(log)
    for _ in range(10):
        scribe.accept(7)
    assert read_all(one, 4, 3) == ([5, 6, 7, 8, 9, 10], 10)
    assert read_all(one, 0, 3) == (list(range(1, 11)), 10)  # behind what is kept
    scribe.accept(7)
    assert read_all(one, 10, 3) == ([11], 11)
    assert read_all(one, 6, 100) == ([7, 8, 9, 10, 11], 11)


def test_what_no_longer_fits_is_read_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "KEPT_ENTRIES_MAX", 4)
    monkeypatch.setattr(tail, "READ_ENTRIES", 4)
    log = MemoryLog()
    scribe, one = make_scribe(log), Tail(log)
    for _ in range(20):
        scribe.accept(7)
    assert read_all(one, 0, 5) == (list(range(1, 21)), 20)
    assert read_all(one, 0, 5) == (list(range(1, 21)), 20)
    assert read_all(one, 18, 5) == ([19, 20], 20)


STEPS = st.lists(
    st.one_of(
        st.just("accept"),
        st.just("other"),
        st.tuples(st.integers(0, 2), st.integers(1, 5)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(STEPS, st.integers(0, 6), st.integers(1, 4))
def test_whatever_the_order_each_reader_gets_each_entry_once(
    steps: list[str | tuple[int, int]], kept_more: int, read_at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "KEPT_ENTRIES_MAX", read_at_once + kept_more)
        patch.setattr(tail, "READ_ENTRIES", read_at_once)
        log = MemoryLog()
        scribe, one = make_scribe(log), Tail(log)
        reached = [0, 0, 0]
        found: list[list[int]] = [[], [], []]
        for step in steps:
            match step:
                case "accept":
                    scribe.accept(7)
                case "other":
                    add_other(scribe)
                case (int(reader), int(limit)):
                    entries, reached[reader] = one.read(1, reached[reader], limit)
                    found[reader] += [entry.position for entry in entries]
        wanted = [entry.position for entry in log.read(1, 0, 1_000, KINDS)]
        for reader in range(3):
            rest, end = read_all(one, reached[reader], 3)
            assert found[reader] + rest == wanted
            assert end == log.last(1)
