from __future__ import annotations

from staffetta.directory.placement import Occupancy, Placement
from staffetta.directory.records import CellRecord, CellState


def cell(name: str, mailboxes_max: int = 10, state: CellState = CellState.OPEN) -> CellRecord:
    return CellRecord(name, f"cells/{name}", mailboxes_max, state)


def place(placement: Placement, times: int) -> list[str]:
    names = []
    for _ in range(times):
        chosen = placement.choose()
        if chosen is None:
            names.append("")
            continue
        placement.count_in(chosen)
        names.append(chosen.name)
    return names


def test_equal_cells_are_filled_in_turn() -> None:
    placement = Placement([Occupancy(cell("b"), 0), Occupancy(cell("a"), 0)])
    assert place(placement, 5) == ["a", "b", "a", "b", "a"]


def test_the_least_full_comes_first_by_share_of_its_room() -> None:
    placement = Placement([Occupancy(cell("large", 100), 30), Occupancy(cell("small"), 4)])
    assert place(placement, 3) == ["large", "large", "large"]


def test_closed_and_full_cells_take_none() -> None:
    placement = Placement(
        [Occupancy(cell("shut", state=CellState.CLOSED), 0), Occupancy(cell("open", 2), 1)]
    )
    assert place(placement, 2) == ["open", ""]
