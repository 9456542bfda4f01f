"""The processes of the simulated machine, put together from the real parts as the app does it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from staffetta.delivery.cell_reader import CellReader, ReaderSettings
from staffetta.delivery.checkpoints import Checkpoints
from staffetta.delivery.facts_sink import FactsSink
from staffetta.delivery.tail import Tail
from staffetta.doors.smtp.door import DoorCounts, DoorSettings, SmtpDoor
from staffetta.journey.accept import Acceptance
from staffetta.journey.refusals import Refusals
from staffetta.journey.repeats import Repeats, find_suspects
from staffetta.log.commit import CommitLimits, GroupCommit
from staffetta.log.port import LogBroken, LogDamaged, LogFull, LogReader, LogWriter
from staffetta.log.receipts import ReceiptMint
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.memory import MemoryCell
from staffetta.mailboxes.port import Cell
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.protocols.smtp.settings import SmtpLimits, SmtpSettings
from staffetta.runtime.disk import DatabaseSettings
from staffetta.runtime.faults import VolumeFault
from tests.sim.directory import FixedRecipients
from tests.sim.disk import Disk
from tests.sim.machine import Process
from tests.sim.network import Network
from tests.sim.threads import SimLock, SimThread
from tests.sim.volume import SimVolume

ACCEPT_PARTITION = 1
DELIVER_PARTITION = 64
ACCESS_PARTITION = 128
HOST = "mx.libero.example"
MX = "mx"
ROOM_INTERVAL_S = 0.5
ROOM_BYTES_MIN = 64 * 1024
BACK_OFF_S = (0.2, 2.0)
WATCH_INTERVAL_S = 1.0
GATHER_S = 0.01
IDLE_S = 0.25


@dataclass(frozen=True, slots=True)
class SystemSettings:
    """How the processes are set up; small numbers, so that everything happens soon."""

    inline_bytes_max: int = 2_048
    group_entries_max: int = 8
    log_checkpoint_pages: int = 30
    mailbox_checkpoint_pages: int = 20
    open_files_max: int = 2
    batch_entries: int = 6
    batch_bytes_max: int = 8_192
    sync_interval_s: float = 0.3
    held_retry_s: float = 1.0
    # For showing that the checks see what they are there for: how databases are opened instead,
    # and what stands between the reader and its cell.
    database_settings: Callable[[DatabaseSettings], DatabaseSettings] = lambda settings: settings
    cell_wrapper: Callable[[Cell], Cell] = lambda cell: cell


@dataclass(slots=True)
class Storage:
    """The disks of the machine, and which lives on which."""

    log: Disk
    cells: dict[str, Disk]
    memory_cells: dict[str, MemoryCell] = field(default_factory=dict)


def open_volume(process: Process, disk: Disk, name: str, settings: SystemSettings) -> SimVolume:
    """A volume as one process sees it; its directory is there."""
    volume = SimVolume(process, disk, name, name)
    volume.settings_in_force = settings.database_settings
    return volume


def log_settings(settings: SystemSettings) -> LogSettings:
    """A new file every hour, and no thread of its own for checkpoints."""
    return LogSettings(1, shared=False, checkpoint_pages=settings.log_checkpoint_pages)


class AcceptRole:
    """Takes mail, as `app.roles.accept` sets it up."""

    def __init__(
        self,
        process: Process,
        storage: Storage,
        recipients: FixedRecipients,
        network: Network,
        settings: SystemSettings,
        ended: Callable[[Process], None],
    ) -> None:
        """`ended(process)` is called when the role cannot go on and its process ends."""
        self.process = process
        self.counts = DoorCounts()
        self.commit: GroupCommit | None = None
        self.door: SmtpDoor | None = None
        self._recipients = recipients
        self._network = network
        self._settings = settings
        self._ended = ended
        self._volume = open_volume(process, storage.log, "log", settings)
        self.volumes = {"log": self._volume}
        process.spawn(self._boot)

    def _boot(self) -> None:
        try:
            writer = SqliteLogWriter(self._volume, ACCEPT_PARTITION, log_settings(self._settings))
            reader = SqliteLogReader(self._volume, period_h=1)
            suspects = find_suspects(reader, ACCEPT_PARTITION)
            reader.close()
        except (VolumeFault, LogDamaged):
            self.process.loop.call_soon(self._ended, self.process)
            return
        self.process.loop.call_soon(self._open, writer, suspects)

    def _open(self, writer: LogWriter, suspects: Sequence[tuple[bytes, bytes]]) -> None:
        process, settings = self.process, self._settings
        limits = CommitLimits(group_entries_max=settings.group_entries_max)
        commit = self.commit = GroupCommit(writer, process.worker("log"), limits)
        mint = ReceiptMint(ACCEPT_PARTITION, process.entropy)
        smtp = SmtpSettings(
            HOST,
            starttls_offered=False,
            limits=SmtpLimits(
                body_memory_bytes_max=settings.inline_bytes_max, body_chunk_bytes=512
            ),
        )
        door = self.door = SmtpDoor(
            DoorSettings(smtp, smtp),
            self._recipients,
            Acceptance(commit, mint, process.clock, HOST, Repeats(suspects)),
            Refusals(commit, mint, process.clock),
            commit,
            writer,
            process.worker("spool"),
            process.clock,
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            self.counts,
            self._alarm,
        )
        self._network.listen(MX, process, door.protocol("smtp"))
        process.spawn(self._measure_room)

    def _alarm(self, event: str, detail: str) -> None:
        self.process.machine.scheduler.trace(f"{self.process.label} {event}")
        if event == "log-broken":
            # An operator looks at the disk and starts the process again.
            self.process.loop.call_later(3.0, self._ended, self.process)

    def _measure_room(self) -> None:
        thread, door = SimThread.running, self.door
        assert thread is not None
        assert door is not None
        while True:
            full = self._volume.free_bytes() < ROOM_BYTES_MIN
            self.process.loop.call_soon(lambda full=full: door.set_full(full=full, detail=""))
            thread.park(ROOM_INTERVAL_S)


class DeliverRole:
    """Delivers, as `app.roles.deliver` and `delivery.service` set it up: a thread a cell."""

    def __init__(
        self,
        process: Process,
        storage: Storage,
        recipients: FixedRecipients,
        settings: SystemSettings,
        ended: Callable[[Process], None],
        damages: list[str],
    ) -> None:
        """`damages` gets a line for each damaged mailbox that is met."""
        self.process = process
        self.readers: dict[str, CellReader] = {}
        self.damages = damages
        self.idle = False  # nothing waits and nothing is held, when last looked at
        self._storage = storage
        self._recipients = recipients
        self._settings = settings
        self._ended = ended
        self._log = open_volume(process, storage.log, "log", settings)
        self._checkpoints = open_volume(process, storage.log, "deliver", settings)
        self.volumes = {"log": self._log, "deliver": self._checkpoints}
        for name, disk in storage.cells.items():
            self.volumes[name] = open_volume(process, disk, name, settings)
        process.spawn(self._boot)

    def _boot(self) -> None:
        thread = SimThread.running
        assert thread is not None
        try:
            writer = SqliteLogWriter(self._log, DELIVER_PARTITION, log_settings(self._settings))
        except VolumeFault:
            self.process.loop.call_soon(self._ended, self.process)
            return
        facts, tail = FactsSink(writer), Tail(self._log_reader())
        # The threads of the cells meet here; real locks would stop the simulation.
        facts._lock = SimLock()  # type: ignore[assignment]
        tail._lock = SimLock()  # type: ignore[assignment]
        for number, name in enumerate(self._storage.cells):
            self.process.spawn(
                lambda name=name, lane=number == 0: self._serve(name, tail, facts, lane)  # type: ignore[misc]
            )

        self._watch(thread)

    def _watch(self, thread: SimThread) -> None:
        while True:
            thread.park(WATCH_INTERVAL_S)
            if len(self.readers) < len(self._storage.cells):
                continue
            try:
                states = [reader.state() for reader in self.readers.values()]
            except (VolumeFault, LogDamaged):
                continue
            self.idle = not any(state.waiting or state.held for state in states)

    def _log_reader(self) -> LogReader:
        return SqliteLogReader(self._log, period_h=1)

    def _serve(self, name: str, tail: Tail, facts: FactsSink, lane: bool) -> None:
        """What `delivery.service.CellThread` does."""
        thread = SimThread.running
        assert thread is not None
        back_off_s = BACK_OFF_S[0]
        reader: CellReader | None = None
        while True:
            try:
                reader = reader or self._reader(name, tail, facts, lane)
                busy = reader.step()
            except LogBroken:
                self.process.loop.call_soon(self._ended, self.process)
                thread.park(None)
            except (VolumeFault, LogFull, LogDamaged) as fault:
                self.process.machine.scheduler.trace(f"{self.process.label} {name}: {fault}")
                thread.park(back_off_s)
                back_off_s = min(back_off_s * 2, BACK_OFF_S[1])
            else:
                back_off_s = BACK_OFF_S[0]
                thread.park(GATHER_S if busy else IDLE_S)

    def _reader(self, name: str, tail: Tail, facts: FactsSink, lane: bool) -> CellReader:
        settings = self._settings
        reader = CellReader(
            settings.cell_wrapper(self._open_cell(name)),
            tail,
            self._log_reader(),
            Checkpoints(self._checkpoints, name),
            self._recipients,
            facts,
            self.process.clock,
            ReaderSettings(
                batch_entries=settings.batch_entries,
                batch_bytes_max=settings.batch_bytes_max,
                sync_interval_s=settings.sync_interval_s,
                held_retry_s=settings.held_retry_s,
            ),
            lane=lane,
            damaged=lambda ref, detail: self.damages.append(f"mailbox {ref.mailbox}: {detail}"),
        )
        self.readers[name] = reader
        return reader

    def _open_cell(self, name: str) -> Cell:
        memory = self._storage.memory_cells.get(name)
        if memory is not None:
            return memory
        return open_cell(self.process, self.volumes[name], self._settings)


def open_cell(process: Process, volume: SimVolume, settings: SystemSettings) -> SqliteCell:
    """A cell as one process uses it."""
    files = FileSettings(
        open_files_max=settings.open_files_max, checkpoint_pages=settings.mailbox_checkpoint_pages
    )
    return SqliteCell(volume, process.clock, process.entropy, files)
