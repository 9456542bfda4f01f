"""A machine of the simulated world: its clock, its disks, its processes, and how they end.

A process can be killed (its memory is gone, the machine goes on: what it wrote is in the page
cache) or lose its power together with everything on the machine (only what is durable is left).
Either can strike at any disk operation, before it is done or just after.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import apsw

from tests.sim.disk import Disk, Survival
from tests.sim.loop import make_loop
from tests.sim.scheduler import Killed, Scheduler
from tests.sim.threads import SimThread, SimWorker

# Five seconds before an hour ends: the log changes its file while something is going on.
START_US = 1_790_000_000_000_000 // 3_600_000_000 * 3_600_000_000 - 5_000_000
SYNC_LATENCY_S = 0.004
WRITE_PAUSE_LIKELIHOOD = 0.05
WRITE_PAUSE_S = 0.001


class Moment(Enum):
    """When a crash strikes, of the operation at which it does."""

    BEFORE = "before"
    AFTER = "after"  # it was done, and nobody heard of it


@dataclass(frozen=True, slots=True)
class Crash:
    """The end of a process, or of all (`survival` set: a power cut), at a disk operation.

    `process` names whose operations are counted, from 1.
    """

    process: str
    operation: int
    moment: Moment = Moment.BEFORE
    survival: Survival | None = None


class SimClock:
    """The machine's clock, as its processes read it; may be set wrong."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.offset_us = 0

    def now_us(self) -> int:
        return START_US + self._scheduler.now_us + self.offset_us

    def monotonic_s(self) -> float:
        return self._scheduler.now_us / 1_000_000

    def utc_offset_s(self, at_us: int) -> int:
        return 3600


class SimEntropy:
    """Chance from the seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def token(self, size_bytes: int) -> bytes:
        return self._chance.randbytes(size_bytes)


class Process:
    """One simulated process: a loop, threads, open databases. Ends for good."""

    def __init__(self, machine: Machine, name: str, incarnation: int) -> None:
        self.machine = machine
        self.name = name
        self.label = f"{name}#{incarnation}"
        self.alive = True
        self.loop = make_loop(machine.scheduler)
        self.clock = machine.clock
        self.entropy = SimEntropy(machine.scheduler.stream(f"entropy {self.label}"))
        self.connections: list[apsw.Connection] = []
        self.at_end: list[Callable[[], None]] = []
        self._threads: list[SimThread] = []

    def spawn(self, main: Callable[[], None]) -> SimThread:
        """Begin a thread."""
        thread = SimThread(self.machine.scheduler, self, main)
        self._threads.append(thread)
        return thread

    def worker(self, name: str) -> SimWorker:
        """Begin a thread that runs jobs for the loop."""
        chance = self.machine.scheduler.stream(f"worker {self.label} {name}")
        return SimWorker(self.spawn, self.loop, chance)

    def operate(self, kind: str, disk: str, path: str, size: int = 0) -> None:
        """A disk operation is about to be done. Raises `Killed` where a crash is due."""
        if not self.alive:
            raise Killed
        self.machine.note_operation(self, Moment.BEFORE, kind, f"{disk}:{path} {size}")
        self._dally(kind)

    def done(self) -> None:
        """It has been done. Raises `Killed` where a crash is due."""
        self.machine.note_operation(self, Moment.AFTER, "", "")

    def _dally(self, kind: str) -> None:
        chance = self.machine.latency
        if SimThread.running is None:
            return
        if kind == "sync":
            SimThread.running.park(chance.random() * SYNC_LATENCY_S)
        elif chance.random() < WRITE_PAUSE_LIKELIHOOD:
            SimThread.running.park(chance.random() * WRITE_PAUSE_S)

    def end(self) -> None:
        """See everything of a dead process gone. Called by the machine."""
        assert not self.alive
        self.loop.close()
        for thread in self._threads:
            thread.end()
        for connection in self.connections:
            # Closing must not touch the disk: the dead do not tidy up.
            with suppress(apsw.ConnectionClosedError):
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close(True)
        self.connections.clear()
        for call in self.at_end:
            call()


class Machine:
    """Disks, processes and a clock that lose their power together."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.clock = SimClock(scheduler)
        self.latency = scheduler.stream("latency")
        self.disks: dict[str, Disk] = {}
        self.processes: list[Process] = []
        self.crashes: list[Crash] = []
        self.operations: dict[str, int] = {}  # by process name, over all its lives
        self.kinds: dict[str, list[str]] = {}  # of those operations
        self._lives: dict[str, int] = {}
        self._due: Crash | None = None
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._tell_unless_simulated
        self._directory = tempfile.TemporaryDirectory(prefix="staffetta-sim-", dir=_memory())

    @property
    def scratch(self) -> str:
        """Where SQLite's wal-index files lie: memory shared by the connections, not a disk."""
        return self._directory.name

    def add_disk(self, name: str) -> Disk:
        self.disks[name] = Disk(name, self.scheduler.stream(f"disk {name}"))
        return self.disks[name]

    def start(self, name: str) -> Process:
        """A new process of that name."""
        self._lives[name] = self._lives.get(name, 0) + 1
        process = Process(self, name, self._lives[name])
        self.processes.append(process)
        self.scheduler.trace(f"start {process.label}")
        return process

    def note_operation(self, process: Process, moment: Moment, kind: str, what: str) -> None:
        """Count a disk operation; strike if a crash is planned for it. Raises `Killed`."""
        if not process.alive:
            raise Killed
        count = self.operations.get(process.name, 0)
        if moment is Moment.BEFORE:
            count += 1
            self.operations[process.name] = count
            self.kinds.setdefault(process.name, []).append(kind)
            self.scheduler.trace(f"{process.label} {count} {kind} {what}")
        for crash in self.crashes:
            if (crash.process, crash.operation, crash.moment) == (process.name, count, moment):
                self.crashes.remove(crash)
                self._strike(process, crash)
                raise Killed

    def _strike(self, process: Process, crash: Crash) -> None:
        """From within a thread of the victim: the rest is done when it has given way."""
        self._doom([process] if crash.survival is None else list(self.processes))
        self._due = crash
        self.scheduler.interrupt(self._bury)

    def _doom(self, victims: list[Process]) -> None:
        for victim in victims:
            self.scheduler.trace(f"end {victim.label}")
            victim.alive = False

    def _bury(self) -> None:
        crash, self._due = self._due, None
        self._remove_dead()
        if crash is not None and crash.survival is not None:
            self._cut_disks(crash.survival)

    def _remove_dead(self) -> None:
        dead = [process for process in self.processes if not process.alive]
        self.processes = [process for process in self.processes if process.alive]
        for process in dead:
            process.end()

    def _cut_disks(self, survival: Survival) -> None:
        for disk in self.disks.values():
            disk.power_cut(survival)

    def kill(self, process: Process) -> None:
        """End one process now; called by the scheduler, not from within its threads."""
        assert SimThread.running is None
        self._doom([process])
        self._remove_dead()

    def cut_power(self, survival: Survival) -> None:
        """End all processes now and leave the disks with what survives."""
        assert SimThread.running is None
        self.scheduler.trace(f"power cut, {survival.value} survives")
        self._doom(list(self.processes))
        self._remove_dead()
        self._cut_disks(survival)

    def close(self) -> None:
        """End everything, whatever state it is in."""
        self._doom(list(self.processes))
        self._remove_dead()
        self._directory.cleanup()
        sys.unraisablehook = self._hook

    def _tell_unless_simulated(self, what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, Killed | apsw.Error):
            self._hook(what)


def _memory() -> str | None:
    """A directory in memory where the machine has one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
