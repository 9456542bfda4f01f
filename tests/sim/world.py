"""A whole world: a machine with its disks and processes, senders outside, owners inside."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from staffetta.mailboxes.memory import MemoryCell
from staffetta.mailboxes.roster import found_cell
from staffetta.runtime.faults import FaultMode
from tests.sim.directory import DOMAIN, FixedRecipients
from tests.sim.disk import ENDLESS_BYTES, DiskFaults, Survival
from tests.sim.loop import make_loop
from tests.sim.machine import Machine, Process
from tests.sim.network import Network
from tests.sim.owners import AccessRole, Testimony
from tests.sim.roles import MX, AcceptRole, DeliverRole, Storage, SystemSettings
from tests.sim.scheduler import Scheduler
from tests.sim.senders import RETRY_S, Habits, Mishap, Post, Sender
from tests.sim.volume import SimVolume

RESTART_S = (0.1, 2.0)
REST_LIMIT_S = 4_000.0
# The mailbox of mail for people that there turned out not to be.
STRAY = 77


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What there is in a world."""

    cells: tuple[str, ...] = ("c1", "c2")
    memory_cells: frozenset[str] = frozenset()
    mailboxes: int = 5
    small_quota_bytes: int = 0  # of the last mailbox; 0: no limit
    owners: bool = False
    system: SystemSettings = field(default_factory=SystemSettings)


class World:
    """Everything of one run. To be closed."""

    def __init__(
        self,
        seed: int,
        settings: WorldSettings | None = None,
        *,
        show: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings or WorldSettings()
        self.scheduler = Scheduler(seed, show=show)
        self.machine = Machine(self.scheduler)
        self.network = Network(self.scheduler)
        self.outside = make_loop(self.scheduler)
        self.recipients = FixedRecipients()
        self.senders: list[Sender] = []
        self.testimony = Testimony()
        self.damages: list[str] = []
        self.accept: AcceptRole | None = None
        self.deliver: DeliverRole | None = None
        self.access: AccessRole | None = None
        self._chance = self.scheduler.stream("world")
        self._broken: dict[str, FaultMode] = {}
        self._staying_down = False
        self._owners_awake = self.settings.owners
        self.storage = self._set_up_disks()
        self._set_up_mailboxes()
        self._found_cells()

    # --- setting up ------------------------------------------------------------------------------

    def _set_up_disks(self) -> Storage:
        machine, settings = self.machine, self.settings
        log = machine.add_disk("log")
        log.found_directory("log")
        log.found_directory("deliver")
        cells = {}
        for name in settings.cells:
            cells[name] = machine.add_disk(name)
            cells[name].found_directory(name)
        memory = {
            name: MemoryCell(name, random.Random(name).randbytes)  # type: ignore[arg-type]
            for name in sorted(settings.memory_cells)
        }
        return Storage(log, cells, memory)

    def _set_up_mailboxes(self) -> None:
        cells, count = self.settings.cells, self.settings.mailboxes
        for number in range(1, count + 1):
            quota_bytes = self.settings.small_quota_bytes if number == count else 0
            self.recipients.add(number, cells[number % len(cells)], quota_bytes)
        self.recipients.aliases["tutti"] = tuple(range(1, count + 1))
        self.recipients.add(STRAY, cells[0])

    def _found_cells(self) -> None:
        process = self.machine.start("install")

        def found() -> None:
            for name, disk in self.storage.cells.items():
                found_cell(SimVolume(process, disk, name, name), process.entropy)

        process.spawn(found)
        self.scheduler.run_for(1.0)
        self.machine.kill(process)

    # --- processes -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all processes; those that end are started again after a while."""
        self._staying_down = False
        self.start_accept()
        self.start_deliver()
        if self._owners_awake:
            self.start_access()

    def start_accept(self) -> None:
        process = self._begin("accept", self.start_accept)
        self.accept = AcceptRole(
            process, self.storage, self.recipients, self.network, self.settings.system, self._end
        )
        self._apply_orders(self.accept.volumes)

    def start_deliver(self) -> None:
        process = self._begin("deliver", self.start_deliver)
        self.deliver = DeliverRole(
            process, self.storage, self.recipients, self.settings.system, self._end, self.damages
        )
        self._apply_orders(self.deliver.volumes)

    def start_access(self) -> None:
        process = self._begin("access", self.start_access)
        everybody = [
            number for number, one in self.recipients.mailboxes.items() if not one.quota_bytes
        ]
        self.access = AccessRole(
            process, self.storage, self.recipients, self.settings.system, self.testimony,
            self._end, everybody,
        )  # fmt: skip
        self._apply_orders(self.access.volumes)

    def _begin(self, name: str, again: Callable[[], None]) -> Process:
        process = self.machine.start(name)

        def revive() -> None:
            if not self._staying_down:
                self.scheduler.after(self._chance.uniform(*RESTART_S), start_if_down)

        def start_if_down() -> None:
            asleep = name == "access" and not self._owners_awake
            if not self._staying_down and not self._is_up(name) and not asleep:
                again()

        process.at_end.append(revive)
        return process

    def _is_up(self, name: str) -> bool:
        return any(process.name == name for process in self.machine.processes)

    def _end(self, process: Process) -> None:
        """A process found that it cannot go on."""
        self.scheduler.interrupt(lambda: self._kill_if_alive(process))

    def _kill_if_alive(self, process: Process) -> None:
        if process.alive:
            self.machine.kill(process)

    def find(self, name: str) -> Process | None:
        """The process of that name, if one is running."""
        return next((p for p in self.machine.processes if p.name == name), None)

    def kill(self, name: str) -> None:
        """SIGKILL, if it runs."""
        process = self.find(name)
        if process is not None:
            self.machine.kill(process)

    # --- cells out of order ----------------------------------------------------------------------

    def break_cell(self, name: str, mode: FaultMode) -> None:
        """As `cell break` does, in every process that uses the cell; or the log, or the
        checkpoints (`deliver`)."""
        self.scheduler.trace(f"break {name} {mode.value}")
        self._broken[name] = mode
        self._obey()

    def mend_cell(self, name: str) -> None:
        """As `cell mend` does."""
        self.scheduler.trace(f"mend {name}")
        self._broken.pop(name, None)
        self._obey()

    def _obey(self) -> None:
        for role in (self.accept, self.deliver, self.access):
            if role is not None:
                self._apply_orders(role.volumes)

    def _apply_orders(self, volumes: dict[str, SimVolume]) -> None:
        for name, volume in volumes.items():
            mode = self._broken.get(name)
            if mode is None:
                volume.gate.mend()
            elif volume.gate.mode is not mode:
                volume.gate.break_(mode)

    # --- mail ------------------------------------------------------------------------------------

    def send(
        self,
        name: str,
        posts: Sequence[Post],
        mishaps: Sequence[Mishap],
        pause_s: float,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        """Have a sender begin."""
        habits = Habits(name, f"192.0.2.{len(self.senders) + 1}", MX, pause_s, retry_s)
        self.senders.append(
            Sender(self.scheduler, self.network, self.outside, habits, posts, mishaps)
        )

    @property
    def posts(self) -> list[Post]:
        return [post for sender in self.senders for post in sender.posts]

    # --- the end ---------------------------------------------------------------------------------

    def mend_everything(self) -> None:
        """No faults, no mishaps, no doubts, room for all."""
        self.machine.crashes.clear()
        for disk in self.machine.disks.values():
            disk.faults = DiskFaults()
            disk.capacity_bytes = ENDLESS_BYTES
        for name in list(self._broken):
            self.mend_cell(name)
        self.recipients.doubt = None
        self.recipients.lift_quotas()
        # Mail for an address that turned out not to be is an operator's to decide on.
        self.recipients.aliases["nessuno"] = (STRAY,)
        for sender in self.senders:
            sender.calm = True
        self._owners_awake = False
        if self.access is not None:
            self.access.stopped = True

    def come_to_rest(self) -> None:
        """Go on until all mail is in the mailboxes. Raises `Stuck`."""
        self.scheduler.run_until(
            lambda: all(sender.done for sender in self.senders), REST_LIMIT_S, "the senders"
        )
        for sender in self.senders:
            sender.task.result()
        self.scheduler.run_until(self._is_at_rest, REST_LIMIT_S, "the deliveries")

    def _is_at_rest(self) -> bool:
        accept, deliver = self.accept, self.deliver
        return (
            accept is not None
            and accept.process.alive
            and accept.commit is not None
            and accept.commit.idle
            and deliver is not None
            and deliver.process.alive
            and deliver.idle
        )

    def stop(self, survival: Survival) -> None:
        """Take the power away and leave it off."""
        self._staying_down = True
        self.machine.cut_power(survival)

    def close(self) -> None:
        self._staying_down = True
        self.outside.close()
        self.machine.close()


def make_posts(
    chance: random.Random, count: int, *, mailboxes: int, size_bytes_max: int, first: int = 1
) -> list[Post]:
    """Messages unlike each other: small and large, to one and to many, with dots and bytes."""
    posts = []
    for number in range(first, first + count):
        recognisable = chance.random() < 0.9
        lines = [f"Subject: post {number}"]
        if recognisable:
            lines.append(f"Message-ID: <post-{number}@sender.example>")
        lines += ["", f"marker-{number}-", ".", "..dots", "perch\u00e9"]
        size_bytes = chance.random() ** 3 * size_bytes_max
        while sum(map(len, lines)) < size_bytes:
            lines.append("." * chance.randrange(3) + chance.randbytes(20).hex())
        content = "\r\n".join([*lines, ""]).encode()
        people = [f"u{n}@{DOMAIN}" for n in range(1, mailboxes + 1)]
        addresses = chance.sample(people, chance.choice((1, 1, 1, 2, min(3, mailboxes))))
        if chance.random() < 0.1:
            addresses = [f"tutti@{DOMAIN}"]
        if chance.random() < 0.1:
            addresses.append(f"nessuno@{DOMAIN}")
        reverse_path = chance.choice((f"a{number}@sender.example", ""))
        posts.append(Post(number, reverse_path, tuple(addresses), content, recognisable))
    return posts
