"""The delivering process: one thread for each cell, and one that watches the log for them.

A cell that hangs holds its own thread and nothing else. Threads are daemons: the end of the
process does not wait for a system call that never returns, because everything that matters is
in the log and behind the checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from staffetta.delivery.cell_reader import CellReader
from staffetta.delivery.tail import Tail
from staffetta.log.port import LogBroken, LogDamaged, LogFull
from staffetta.runtime.clock import Clock
from staffetta.runtime.faults import VolumeFault

# How long new entries may gather before a busy reader takes its next batch: the more messages a
# mailbox gets at once, the less often its file is opened.
GATHER_S = 0.05
POLL_S = 0.015
BACK_OFF_FIRST_S = 0.2
BACK_OFF_MAX_S = 2.0
# A step that takes longer is a cell that hangs.
STEP_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class CellCondition:
    """How one cell is doing, as seen by the delivering process."""

    cell: str
    state: str  # healthy, suspect, down
    detail: str
    waiting: int
    held: int
    delivered: int
    oldest_waiting_s: float | None


class CellThread:
    """Drives one reader; starts at once, ends with `stop`."""

    def __init__(
        self, reader: CellReader, clock: Clock, report: Callable[[str, str, str], None]
    ) -> None:
        """`report(cell, state, detail)` hears of changes, on whatever thread sees them."""
        self.reader = reader
        self.wake = threading.Event()
        self._clock = clock
        self._report = report
        self._stopping = False
        self._paused = threading.Event()
        self._go_on = threading.Event()
        self._go_on.set()
        self._fault = ""
        self._faults = 0
        self._step_began_s: float | None = None
        self._reported = "healthy"
        self.thread = threading.Thread(
            target=self._run, name=f"deliver-{reader.cell.name}", daemon=True
        )

    @property
    def condition(self) -> tuple[str, str]:
        """(state, detail) at this moment."""
        began_s = self._step_began_s
        if began_s is not None and self._clock.monotonic_s() - began_s > STEP_DEADLINE_S:
            return "down", f"does not answer since {self._clock.monotonic_s() - began_s:.0f} s"
        if self._faults == 0:
            return "healthy", ""
        return ("suspect" if self._faults == 1 else "down"), self._fault

    def watch(self) -> None:
        """Report a change of condition; called from the watching thread now and then."""
        state, detail = self.condition
        if state != self._reported:
            self._reported = state
            self._report(self.reader.cell.name, state, detail)

    def stop(self) -> None:
        """Ask the thread to finish its step, make it final and end."""
        self._stopping = True
        self._go_on.set()
        self.wake.set()

    def pause(self, timeout_s: float) -> bool:
        """Keep the thread from beginning another step; False if it does not stop in time."""
        self._paused.clear()
        self._go_on.clear()
        self.wake.set()
        return self._paused.wait(timeout_s)

    def go_on(self) -> None:
        """Undo `pause`."""
        self._go_on.set()

    def _run(self) -> None:
        back_off_s = BACK_OFF_FIRST_S
        while not self._stopping:
            if not self._go_on.is_set():
                self._guarded(self.reader.finish)
                self._paused.set()
                self._go_on.wait()
                continue
            busy = self._guarded(self.reader.step)
            if busy is None:
                self.wake.clear()
                self.wake.wait(back_off_s)
                back_off_s = min(back_off_s * 2, BACK_OFF_MAX_S)
                continue
            back_off_s = BACK_OFF_FIRST_S
            if busy:
                self.wake.clear()
                self.wake.wait(GATHER_S)
            elif not self.wake.wait(self._idle_s()):
                self._tidy()
            self.wake.clear()
        self._guarded(self.reader.finish)

    def _tidy(self) -> None:
        """Nothing has come for a while: do what is better done before somebody asks for it."""
        while self._guarded(self.reader.tidy) and not self.wake.is_set():
            if self._stopping or not self._go_on.is_set():
                return

    def _idle_s(self) -> float:
        return 1.0 if self._go_on.is_set() else 0.0

    def _guarded(self, step: Callable[[], bool | None]) -> bool | None:
        """Run a step; None when the cell or the log failed, which is remembered."""
        self._step_began_s = self._clock.monotonic_s()
        try:
            busy = bool(step())
        except (VolumeFault, LogFull, LogBroken, LogDamaged) as fault:
            self._fault = str(fault)
            self._faults += 1
            return None
        finally:
            self._step_began_s = None
        self._faults = 0
        return busy


class Deliveries:
    """All cells of one delivering process."""

    def __init__(self, tail: Tail, clock: Clock, report: Callable[[str, str, str], None]) -> None:
        self.cells: dict[str, CellThread] = {}
        self._tail = tail
        self._clock = clock
        self._report = report
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="deliver-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch the log."""
        self._watcher.start()

    def add(self, reader: CellReader) -> None:
        """Begin to deliver to a cell."""
        cell = CellThread(reader, self._clock, self._report)
        self.cells = {**self.cells, reader.cell.name: cell}  # other threads iterate the old one
        cell.thread.start()

    def stop(self, grace_s: float) -> list[str]:
        """End all threads; returns the cells whose thread did not end within the grace."""
        self._stopped.set()
        for cell in self.cells.values():
            cell.stop()
        deadline_s = self._clock.monotonic_s() + grace_s
        late = []
        for name, cell in self.cells.items():
            cell.thread.join(max(deadline_s - self._clock.monotonic_s(), 0.0))
            if cell.thread.is_alive():
                late.append(name)
            else:
                cell.reader.close()
        return late

    def conditions(self) -> list[CellCondition]:
        """How the cells are doing."""
        found = []
        for name, cell in self.cells.items():
            state, detail = cell.condition
            reader = cell.reader.state()
            found.append(
                CellCondition(
                    name,
                    state,
                    detail,
                    reader.waiting,
                    reader.held,
                    reader.delivered,
                    reader.oldest_waiting_s,
                )
            )
        return found

    def _watch(self) -> None:
        """Wake the cells when the log has grown. The log's disk may hang too: then nothing
        can be delivered anyway, and this thread waits with it."""
        seen: dict[int, int] = {}
        while not self._stopped.wait(POLL_S):
            for cell in self.cells.values():
                cell.watch()
            try:
                now = {p: self._tail.last(p) for p in self._tail.partitions()}
            except VolumeFault:
                continue
            if now != seen:
                seen = now
                for cell in self.cells.values():
                    cell.wake.set()
