"""A crash at every single disk operation of a small piece of work.

The work is done once to count its operations; then once for each of them with a crash there,
each time from an empty disk, with the same seed and therefore with the same steps up to the
crash. Afterwards the senders go on, everything is started again, and everything must be true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tests.sim.directory import DOMAIN
from tests.sim.disk import DiskFaults, Survival
from tests.sim.machine import Crash, Moment
from tests.sim.scenarios import conclude
from tests.sim.senders import Mishap, Post
from tests.sim.world import World, WorldSettings

SEED = 1
# What ends something on the disk; a crash just after it is another one than just before the next.
ENDING = frozenset({"sync", "rename", "remove", "link"})
WORKING_S = 4.0


def small_posts() -> list[Post]:
    """A message for two mailboxes, one too large for a row of the log, and one more."""
    return [
        _post(1, (f"u1@{DOMAIN}", f"u2@{DOMAIN}"), 3),
        _post(2, (f"u1@{DOMAIN}",), 120),
        _post(3, (f"u2@{DOMAIN}",), 1),
    ]


def _post(number: int, addresses: tuple[str, ...], lines: int) -> Post:
    text = "\r\n".join([f"marker-{number}-", *("x" * 30 for _ in range(lines)), ""])
    content = f"Message-ID: <{number}@sender.example>\r\n\r\n{text}".encode()
    return Post(number, "a@sender.example", addresses, content, recognisable=True)


@dataclass(frozen=True, slots=True)
class Work:
    """The piece of work, and what is wrong with the disks while it is done."""

    settings: WorldSettings = field(
        default_factory=lambda: WorldSettings(cells=("c1",), mailboxes=2)
    )
    faults: Callable[[str], DiskFaults] = lambda disk: DiskFaults()
    retry_s: tuple[float, float] = (0.5, 1.0)

    def run(self, crash: Crash | None = None) -> tuple[list[str], dict[str, list[str]]]:
        """Do it with that crash. Returns the breaches, and the operations of each process."""
        world = World(SEED, self.settings)
        try:
            for name, disk in world.machine.disks.items():
                disk.faults = self.faults(name)
            if crash is not None:
                world.machine.crashes.append(crash)
            world.start()
            world.send("sender", small_posts(), [Mishap.NONE], 0.2, self.retry_s)
            world.scheduler.run_for(WORKING_S)
            kinds = {name: list(kinds) for name, kinds in world.machine.kinds.items()}
            return conclude(world, again=False).breaches, kinds
        finally:
            world.close()

    def with_system(self, **changes: object) -> Work:
        """The same work by a system that is set up otherwise."""
        system = replace(self.settings.system, **changes)  # type: ignore[arg-type]
        return replace(self, settings=replace(self.settings, system=system))


def kills(process: str, kinds: list[str]) -> Iterator[Crash]:
    """SIGKILL before each operation, and after each that ends something."""
    for number, kind in enumerate(kinds, 1):
        yield Crash(process, number)
        if kind in ENDING:
            yield Crash(process, number, Moment.AFTER)


def power_cuts(process: str, kinds: list[str]) -> Iterator[Crash]:
    """The power goes before each operation, and parts of what was pending survive; and just
    after each that ends something, and nothing else survives."""
    for number, kind in enumerate(kinds, 1):
        yield Crash(process, number, Moment.BEFORE, Survival.PARTS)
        if kind in ENDING:
            yield Crash(process, number, Moment.AFTER, Survival.NOTHING)
