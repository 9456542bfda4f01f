"""One seed, one story: a world is made, mail comes in, things go wrong, all is mended, and then
everything that anybody was told must be true."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass

from staffetta.directory.recipients import Doubt
from staffetta.runtime.faults import FaultMode
from tests.sim.checks import check
from tests.sim.disk import Disk, Survival
from tests.sim.machine import Crash, Moment
from tests.sim.senders import Mishap
from tests.sim.world import World, WorldSettings, make_posts

STEPS = 8
STEP_S = 4.0
HANG_S = 30.0
MODES = (FaultMode.HANG, FaultMode.ERROR, FaultMode.FULL, FaultMode.READONLY, FaultMode.GONE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    breaches: list[str]
    trace_hash: str
    posts: int
    accepted: int
    operations: int
    virtual_s: float

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.posts} posts, {self.accepted} accepted recipients, "
            f"{self.operations} disk operations, {self.virtual_s:.0f} s, trace {self.trace_hash}"
        )


def run_seed(
    seed: int, steps: int = STEPS, *, show: Callable[[str], None] | None = None
) -> Outcome:
    """Tell the story of a seed to its end."""
    chance = random.Random(f"{seed}/story")
    world = World(seed, _draw_settings(chance), show=show)
    try:
        world.start()
        _send(world, chance)
        story = Story(world, chance)
        for _ in range(steps):
            world.scheduler.run_for(chance.random() * STEP_S)
            story.disturb()
        world.scheduler.run_for(chance.random() * STEP_S)
        return conclude(world)
    finally:
        world.close()


def conclude(world: World, *, again: bool = True) -> Outcome:
    """Mend, wait until all is quiet, take the power away, and look. With `again`, everything is
    started once more in between, to see that it leaves things as they are."""
    world.mend_everything()
    world.come_to_rest()
    world.stop(Survival.NOTHING)
    if again:
        world.start()
        world.scheduler.run_for(2.0)
        world.come_to_rest()
        world.stop(Survival.NOTHING)
    virtual_s = world.scheduler.now_us / 1_000_000
    return Outcome(
        world.scheduler.seed,
        check(world),
        world.scheduler.trace_hash,
        len(world.posts),
        sum(len(answer) == 16 for post in world.posts for answer in post.answers.values()),
        sum(world.machine.operations.values()),
        virtual_s,
    )


def _draw_settings(chance: random.Random) -> WorldSettings:
    return WorldSettings(
        memory_cells=frozenset({"c2"}) if chance.random() < 0.2 else frozenset(),
        small_quota_bytes=chance.choice((0, 0, 3_000)),
        owners=chance.random() < 0.6,
    )


def _send(world: World, chance: random.Random) -> None:
    first = 1
    mishaps = [Mishap.NONE] * chance.choice((1, 3, 9)) + list(Mishap)
    for number in range(chance.randrange(2, 5)):
        posts = make_posts(
            chance,
            chance.randrange(2, 7),
            mailboxes=world.settings.mailboxes,
            size_bytes_max=chance.choice((1_000, 20_000)),
            first=first,
        )
        for post in posts:
            if chance.random() < 0.1:
                post.tries_max = chance.randrange(1, 4)
        first += len(posts)
        world.send(f"sender-{number}", posts, mishaps, chance.choice((0.01, 1.0, 6.0)))


class Story:
    """What goes wrong, one thing after the other."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._kinds: list[Callable[[], None]] = [
            self._kill,
            self._kill,
            self._plan_crash,
            self._plan_crash,
            self._cut_power,
            self._break_cell,
            self._break_cell,
            self._mend,
            self._hang_log,
            self._fill_disk,
            self._fail_sync,
            self._fail_write,
            self._doubt,
            self._set_clock,
        ]

    def disturb(self) -> None:
        """One disturbance."""
        self._chance.choice(self._kinds)()

    def _kill(self) -> None:
        self._world.kill(self._chance.choice(("accept", "deliver", "access")))

    def _plan_crash(self) -> None:
        name = self._chance.choice(("accept", "deliver", "access"))
        machine = self._world.machine
        operation = machine.operations.get(name, 0) + self._chance.randrange(1, 60)
        survival = self._chance.choice((None, None, *Survival))
        machine.crashes.append(Crash(name, operation, self._chance.choice(list(Moment)), survival))

    def _cut_power(self) -> None:
        self._world.machine.cut_power(self._chance.choice(list(Survival)))

    def _break_cell(self) -> None:
        cell = self._chance.choice(self._world.settings.cells)
        self._world.break_cell(cell, self._chance.choice(MODES))

    def _hang_log(self) -> None:
        world = self._world
        world.break_cell("log", FaultMode.HANG)
        world.scheduler.after(self._chance.random() * HANG_S, lambda: world.mend_cell("log"))

    def _mend(self) -> None:
        for cell in self._world.settings.cells:
            self._world.mend_cell(cell)
        self._world.recipients.doubt = None
        for disk in self._world.machine.disks.values():
            disk.capacity_bytes = 1 << 40

    def _fill_disk(self) -> None:
        disk = self._draw_disk()
        disk.capacity_bytes = 0
        room_bytes = self._chance.choice((0, 1_000, 50_000))
        disk.capacity_bytes = max(room_bytes - disk.free_bytes, 1)
        later_s = self._chance.random() * 2 * STEP_S
        self._world.scheduler.after(later_s, lambda: _empty(disk))

    def _fail_sync(self) -> None:
        disk, left = self._draw_disk(), [self._chance.randrange(20)]
        disk.faults.sync_fails = lambda path: _count_down(left)

    def _fail_write(self) -> None:
        disk, left = self._draw_disk(), [self._chance.randrange(40)]
        disk.faults.write_fails = lambda path: _count_down(left)

    def _doubt(self) -> None:
        self._world.recipients.doubt = self._chance.choice((Doubt.STALE, Doubt.DAMAGED, None))

    def _set_clock(self) -> None:
        self._world.machine.clock.offset_us += self._chance.randrange(-90_000_000, 90_000_000)

    def _draw_disk(self) -> Disk:
        return self._chance.choice(list(self._world.machine.disks.values()))


def _empty(disk: Disk) -> None:
    disk.capacity_bytes = 1 << 40


def _count_down(left: list[int]) -> int:
    left[0] -= 1
    return errno.EIO if left[0] == -1 else 0
