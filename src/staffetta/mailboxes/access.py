"""Touching a cell safely: its own threads, a deadline, and a breaker.

Everything that people do with their mailboxes goes through a `CellAccess`, one for each cell.
A cell that fails or hangs costs its own users an honest answer and nobody else anything:

- `healthy`: operations run, at most one at a time for each mailbox, each with a deadline;
- `suspect`: one of them failed or missed its deadline. Operations are answered at once with
  `CellUnavailable` while a probe finds out whether it is the cell. A cell that only refuses
  writes (full, read-only) stays suspect, and goes on being read;
- `down`: the probe failed as well. It is repeated every second until it succeeds.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from staffetta.mailboxes.port import (
    Cell,
    Mailbox,
    MailboxDamaged,
    MailboxIncomplete,
    MailboxRef,
)
from staffetta.runtime.faults import FaultMode, VolumeFault
from staffetta.runtime.tasks import DeadlineMissed, Pool, PoolBusy

T = TypeVar("T")

PROBE_THREADS_MAX = 4
PROBES_WAITING_MAX = 4
_REFUSES_WRITES = (FaultMode.FULL, FaultMode.READONLY)


class CellState(StrEnum):
    """How a cell is, as this process sees it; the words of the log's `CellChanged`."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    DOWN = "down"


class CellUnavailable(Exception):
    """The cell cannot do it now. Temporary, and says nothing about the mailbox.

    `mode` is the way in which it fails, where that is known. `is_busy`: nothing is wrong with
    it, but too much is asked of it at once.
    """

    def __init__(
        self, cell: str, mode: FaultMode | None, detail: str, is_busy: bool = False
    ) -> None:
        super().__init__(f"cell {cell}: {detail}")
        self.cell = cell
        self.mode = mode
        self.is_busy = is_busy


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """How long and how much; seconds and counts."""

    deadline_s: float = 5.0
    turn_s: float = 30.0  # for earlier operations on the same mailbox to end
    threads_max: int = 4
    waiting_max: int = 2_000
    probe_deadline_s: float = 5.0
    probe_interval_s: float = 1.0
    healthy_probe_interval_s: float = 10.0


Changed = Callable[[str, CellState, str], None]
"""Told of a cell, its new state and why."""

Troubled = Callable[[MailboxRef, MailboxDamaged | MailboxIncomplete], None]
"""Told of a mailbox that cannot be shown, and why."""


class _Turn:
    """One operation on one mailbox: tells a job that never began from one that still runs."""

    __slots__ = ("begun", "lock", "over")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begun = False
        self.over = False

    def begin(self) -> bool:
        """Called on the pool's thread; False if the caller has given up before."""
        with self.lock:
            if self.over:
                return False
            self.begun = True
            return True

    def give_up(self) -> bool:
        """Called on the loop; True if the job had not begun, so that it never will."""
        with self.lock:
            self.over = True
            return not self.begun


class CellAccess:
    """The way to the mailboxes of one cell. Lives on one event loop.

    `changed` hears of every change of state, `troubled` of every mailbox that its file or its
    rebuild keeps from being shown.
    """

    def __init__(
        self,
        cell: Cell,
        settings: AccessSettings,
        changed: Changed = lambda cell, state, detail: None,
        troubled: Troubled = lambda ref, error: None,
    ) -> None:
        self.name = cell.name
        self.state = CellState.HEALTHY
        self.detail = ""
        self.refuses_reads = False
        self.refuses_writes = False
        self._cell = cell
        self._settings = settings
        self._changed = changed
        self._troubled = troubled
        self._pool = Pool(f"cell-{cell.name}", settings.threads_max, settings.waiting_max)
        self._probe_pool = Pool(f"probe-{cell.name}", PROBE_THREADS_MAX, PROBES_WAITING_MAX)
        self._mode: FaultMode | None = None
        self._turns: dict[int, deque[asyncio.Future[bool]]] = {}
        self._prober: asyncio.Task[None] | None = None
        self._doubt = asyncio.Event()

    def start(self) -> None:
        """Begin to probe: seldom while the cell is healthy, every second while it is not."""
        self._prober = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stop probing. Jobs that hang keep their threads; nobody waits for them."""
        if self._prober is not None:
            self._prober.cancel()
            with suppress(asyncio.CancelledError):
                await self._prober
            self._prober = None

    async def run(
        self,
        ref: MailboxRef,
        job: Callable[[Mailbox], T],
        writes: bool = False,
        deadline_s: float | None = None,
    ) -> T:
        """What `job` returns when called with the open mailbox, on a thread of the cell.

        Raises what the job raises where that is about the mailbox (`NoSuchFolder`,
        `MailboxDamaged`, …), and `CellUnavailable` for everything that is about the cell:
        at once while the cell is suspect or down. Jobs on one mailbox run in turn.
        """
        self._refuse_if_open(writes)
        await self._take_turn(ref.mailbox)
        turn = _Turn()
        loop = asyncio.get_running_loop()

        def call(abandoned: threading.Event) -> T:
            if not turn.begin():
                raise CellUnavailable(self.name, FaultMode.HANG, "given up")
            try:
                mailbox = self._cell.open(ref)
                mailbox.abandoned = abandoned
                return job(mailbox)
            finally:
                with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                    loop.call_soon_threadsafe(self._pass_turn, ref.mailbox)

        try:
            self._refuse_if_open(writes)  # it may have opened while this job waited
            return await self._run(call, deadline_s or self._settings.deadline_s)
        except (VolumeFault, DeadlineMissed, PoolBusy) as fault:
            raise self._note_fault(fault, writes) from fault
        except (MailboxDamaged, MailboxIncomplete) as error:
            self._troubled(ref, error)
            raise
        finally:
            if turn.give_up():
                self._pass_turn(ref.mailbox)

    async def _run(self, call: Callable[[threading.Event], T], deadline_s: float) -> T:
        patience_s = self._settings.deadline_s
        if deadline_s <= patience_s:
            return await self._pool.run(call, deadline_s)
        # It may be long: then a probe tells whether the cell works, so that it need not be
        # waited for in vain.
        task = asyncio.get_running_loop().create_task(self._pool.run(call, deadline_s))
        try:
            while not (await asyncio.wait({task}, timeout=patience_s))[0]:
                self._doubt.set()
                patience_s = self._settings.probe_interval_s
                self._refuse_if_open(writes=False)
            return task.result()
        finally:
            task.cancel()

    def _refuse_if_open(self, writes: bool) -> None:
        if self.refuses_reads or (writes and self.refuses_writes):
            raise CellUnavailable(self.name, self._mode, self.detail)

    def _note_fault(
        self, fault: VolumeFault | DeadlineMissed | PoolBusy, writes: bool
    ) -> CellUnavailable:
        self._doubt.set()
        if isinstance(fault, PoolBusy):
            return CellUnavailable(self.name, None, str(fault), is_busy=True)
        mode = fault.mode if isinstance(fault, VolumeFault) else FaultMode.HANG
        if self.state is CellState.HEALTHY:
            self._enter(CellState.SUSPECT, mode, str(fault), writes and mode in _REFUSES_WRITES)
        return CellUnavailable(self.name, mode, str(fault))

    def _enter(self, state: CellState, mode: FaultMode | None, detail: str, readable: bool) -> None:
        self.refuses_reads = not readable
        self.refuses_writes = state is not CellState.HEALTHY
        self._mode = mode
        self.detail = detail
        if not readable:
            for waiting in self._turns.values():
                for future in waiting:
                    _end_wait(future)
        if state is not self.state:
            self.state = state
            self._changed(self.name, state, detail)

    async def _watch(self) -> None:
        while True:
            await self._probe()
            well = self.state is CellState.HEALTHY
            settings = self._settings
            pause_s = settings.healthy_probe_interval_s if well else settings.probe_interval_s
            self._doubt.clear()
            if well:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._doubt.wait(), pause_s)
            else:
                await asyncio.sleep(pause_s)

    async def _probe(self) -> None:
        try:
            await self._probe_pool.run(
                lambda abandoned: self._cell.probe(), self._settings.probe_deadline_s
            )
        except VolumeFault as fault:
            readable = fault.mode in _REFUSES_WRITES
            state = CellState.SUSPECT if readable else CellState.DOWN
            self._enter(state, fault.mode, str(fault), readable)
        except (DeadlineMissed, PoolBusy) as fault:
            self._enter(CellState.DOWN, FaultMode.HANG, str(fault), readable=False)
        else:
            self._enter(CellState.HEALTHY, None, "", readable=True)

    async def _take_turn(self, mailbox: int) -> None:
        waiting = self._turns.get(mailbox)
        if waiting is None:
            self._turns[mailbox] = deque()
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        waiting.append(future)
        timer = loop.call_later(self._settings.turn_s, _end_wait, future)
        try:
            mine = await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.result():
                self._pass_turn(mailbox)  # it was given in the same moment
            raise
        finally:
            timer.cancel()
        if not mine:
            raise CellUnavailable(
                self.name, FaultMode.HANG, "an earlier operation on this mailbox does not end"
            )

    def _pass_turn(self, mailbox: int) -> None:
        waiting = self._turns[mailbox]
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(True)
                return
        del self._turns[mailbox]


class CellAccesses:
    """The ways to all cells of a process, made and started when they are first needed."""

    def __init__(
        self,
        open_cell: Callable[[str], Cell],
        settings: AccessSettings,
        changed: Changed = lambda cell, state, detail: None,
        troubled: Troubled = lambda ref, error: None,
    ) -> None:
        """`open_cell` must not touch a disk."""
        self._open_cell = open_cell
        self._settings = settings
        self._changed = changed
        self._troubled = troubled
        self._accesses: dict[str, CellAccess] = {}

    def of(self, name: str) -> CellAccess:
        """The way to the cell of that name."""
        access = self._accesses.get(name)
        if access is None:
            cell = self._open_cell(name)
            access = CellAccess(cell, self._settings, self._changed, self._troubled)
            self._accesses[name] = access
            access.start()
        return access

    def __iter__(self) -> Iterator[CellAccess]:
        return iter(tuple(self._accesses.values()))

    async def close(self) -> None:
        """Stop probing all of them."""
        for access in self:
            await access.close()


def _end_wait(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(False)
