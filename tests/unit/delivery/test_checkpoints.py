"""The checkpoint and what is held change together, and survive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from staffetta.delivery.checkpoints import OVER_QUOTA, UNVERIFIED, Checkpoints, HeldItem, Item
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.faults import FaultMode, VolumeFault


def make_held(position: int, mailbox: int = 7, *, at_us: int = 0, ordinal: int = 0) -> HeldItem:
    receipt = position.to_bytes(10, "big")
    item = Item(1, position, ordinal, receipt, at_us or position, mailbox, "a@example.org", 5)
    return HeldItem(item, OVER_QUOTA)


@pytest.fixture
def volume(tmp_path: Path) -> DirectoryVolume:
    return DirectoryVolume("log", tmp_path)


@pytest.fixture
def checkpoints(volume: DirectoryVolume) -> Iterator[Checkpoints]:
    made = Checkpoints(volume, "a")
    yield made
    made.close()


def test_a_new_cell_has_read_nothing_and_holds_nothing(checkpoints: Checkpoints) -> None:
    assert checkpoints.positions() == {}
    assert checkpoints.held(10) == []
    assert checkpoints.held_mailboxes() == {}
    assert checkpoints.safe_position(1) == 0


def test_progress_and_held_items_are_there_when_it_is_opened_again(
    volume: DirectoryVolume, checkpoints: Checkpoints
) -> None:
    held = [make_held(3), make_held(4, ordinal=1)]
    checkpoints.move({1: 5, 64: 9}, held)
    checkpoints.move({1: 6})
    again = Checkpoints(volume, "a")
    assert again.positions() == {1: 6, 64: 9}
    assert again.held(10) == held
    again.close()


def test_cells_know_nothing_of_each_other(
    volume: DirectoryVolume, checkpoints: Checkpoints
) -> None:
    checkpoints.move({1: 5}, [make_held(3)])
    other = Checkpoints(volume, "b")
    assert (other.positions(), other.held(10)) == ({}, [])
    other.close()


def test_held_items_come_oldest_first_of_one_mailbox_or_of_all(checkpoints: Checkpoints) -> None:
    late, early, other = make_held(3, at_us=30), make_held(5, at_us=10), make_held(4, 8, at_us=20)
    checkpoints.move({1: 5}, [late, early, other])
    assert checkpoints.held(10) == [early, other, late]
    assert checkpoints.held(2) == [early, other]
    assert checkpoints.held(10, 7) == [early, late]
    assert checkpoints.held_mailboxes() == {7: 2, 8: 1}


def test_an_item_that_is_held_again_has_its_newest_reason_and_mailbox(
    checkpoints: Checkpoints,
) -> None:
    first = make_held(3, 0)
    checkpoints.move({1: 3}, [first])
    second = HeldItem(replace(first.item, mailbox=9), UNVERIFIED)
    checkpoints.move({1: 3}, [second])
    assert checkpoints.held(10) == [second]


def test_a_released_item_is_gone_and_the_others_stay(checkpoints: Checkpoints) -> None:
    one, two = make_held(3), make_held(3, ordinal=1)
    checkpoints.move({1: 3}, [one, two])
    checkpoints.move({1: 4}, released=[one.item])
    assert checkpoints.held(10) == [two]


def test_nothing_is_safe_from_the_first_held_message_on(checkpoints: Checkpoints) -> None:
    checkpoints.move({1: 10, 2: 4}, [make_held(7), make_held(5)])
    assert checkpoints.oldest_held_position(1) == 5
    assert checkpoints.safe_position(1) == 4
    assert checkpoints.oldest_held_position(2) is None
    assert checkpoints.safe_position(2) == 4
    checkpoints.move({1: 10}, released=[make_held(5).item, make_held(7).item])
    assert checkpoints.safe_position(1) == 10


def test_on_a_broken_disk_all_of_a_move_is_left_out(
    volume: DirectoryVolume, checkpoints: Checkpoints
) -> None:
    checkpoints.move({1: 1})
    volume.gate.break_(FaultMode.FULL)
    with pytest.raises(VolumeFault):
        checkpoints.move({1: 2}, [make_held(2)])
    volume.gate.mend()
    assert (checkpoints.positions(), checkpoints.held(10)) == ({1: 1}, [])
