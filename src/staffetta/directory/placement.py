"""Which cell a new mailbox goes to: the open one that is least full, by share of its room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from staffetta.directory.records import CellRecord, CellState


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A cell and how many mailboxes it has."""

    cell: CellRecord
    mailboxes: int


class Placement:
    """Places mailboxes one after the other; the same start gives the same places.

    Ties go to the name that sorts first, so that equal cells are filled in turn.
    """

    __slots__ = ("_cells", "_mailboxes")

    def __init__(self, cells: Iterable[Occupancy]) -> None:
        found = list(cells)
        self._cells = {one.cell.name: one.cell for one in found}
        self._mailboxes = {one.cell.name: one.mailboxes for one in found}

    def choose(self) -> CellRecord | None:
        """The cell for the next mailbox; None when every open cell is full. Counts nothing."""
        open_cells = [
            cell
            for cell in self._cells.values()
            if cell.state is CellState.OPEN and self.has_room(cell)
        ]
        return min(open_cells, key=self._fullness, default=None)

    def named(self, name: str) -> CellRecord | None:
        """The cell of that name, or None."""
        return self._cells.get(name)

    def has_room(self, cell: CellRecord) -> bool:
        """Is there room for one more?"""
        return self._mailboxes[cell.name] < cell.mailboxes_max

    def count_in(self, cell: CellRecord) -> None:
        """One more mailbox is in that cell."""
        self._mailboxes[cell.name] += 1

    def _fullness(self, cell: CellRecord) -> tuple[float, str]:
        return self._mailboxes[cell.name] / cell.mailboxes_max, cell.name
