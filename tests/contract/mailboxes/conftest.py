"""Every test here runs on each implementation of `mailboxes.port`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from staffetta.mailboxes.port import Cell, Mailbox
from tests.mailbox_rig import REF, make_memory_cell, make_sqlite_cell


@pytest.fixture(params=["memory", "sqlite"])
def cell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cell]:
    made: Cell = make_memory_cell() if request.param == "memory" else make_sqlite_cell(tmp_path)
    yield made
    report = made.check(REF)
    assert report.problems == []
    made.close()


@pytest.fixture
def mailbox(cell: Cell) -> Mailbox:
    return cell.open(REF)
