from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from staffetta.directory.demo import furnish
from staffetta.directory.records import GIB, TIB, MailboxState
from staffetta.runtime.disk import DirectoryVolume
from tests.directory_world import NOBODYS_HASH as HASH
from tests.directory_world import World


@pytest.fixture
def empty(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.close()


def test_two_brands_over_four_cells(empty: World) -> None:
    people = furnish(empty.directory, lambda: HASH)
    assert people[0].address == "anna@libero.example"
    for brand in ("libero", "virgilio"):
        cells = {person.cell for person in people if person.brand == brand}
        assert cells == {"c1", "c2", "c3", "c4"}
    plans = empty.directory.catalogue.read().plans
    assert {key: plan.quota_bytes for key, plan in plans.items()} == {
        ("libero", "free"): GIB,
        ("libero", "plus"): 5 * GIB,
        ("libero", "plus-1tb"): TIB,
        ("virgilio", "free"): 3 * GIB,
        ("virgilio", "plus"): 100 * GIB,
    }
    table = empty.table(with_credentials=True)
    table.catch_up()
    for domain in ("libero.example", "virgilio.example"):
        for role in ("postmaster", "abuse"):
            assert table.resolve(role, domain).targets[0].brand == domain.partition(".")[0]
    assert len(table.resolve("tutti", "virgilio.example").targets) == 3
    assert table.credential("anna@libero.example").password_hash == HASH
    assert table.credential("postmaster@libero.example").password_hash == ""


def test_a_second_time_changes_nothing(empty: World) -> None:
    first = furnish(empty.directory, lambda: HASH)
    empty.directory.accounts.set_state("bruno@libero.example", MailboxState.SUSPENDED)
    version = empty.directory.version()

    def never() -> str:
        raise AssertionError("nobody is new")

    second = furnish(empty.directory, never)
    assert [one.mailbox for one in second] == [one.mailbox for one in first]
    assert second[1].state is MailboxState.SUSPENDED
    assert empty.directory.version() == version


def test_an_interrupted_first_time_is_completed(tmp_path: Path) -> None:
    whole = World(tmp_path / "whole")
    furnish(whole.directory, lambda: HASH)
    part = World(tmp_path / "part")
    for record in whole.directory.catalogue.read().brands.values():
        part.directory.catalogue.add(record)
    furnish(part.directory, lambda: HASH)
    assert part.directory.catalogue.read() == whole.directory.catalogue.read()
    assert list(part.directory.accounts.each()) == list(whole.directory.accounts.each())
    whole.close()
    part.close()
    assert DirectoryVolume("x", tmp_path / "part").exists("directory/directory.db")
