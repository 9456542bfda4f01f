"""The people whose mail it is: they look, they tidy up, they use the emergency inbox.

One process serves them, with a partition of the log of its own, as the access role does. What
they were told is written down here, to be held against what is there in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from staffetta.journey.emergency import EmergencyActions, EmergencyInbox
from staffetta.log.port import LogBroken, LogDamaged, LogFull, LogWriter, NewEntry
from staffetta.log.receipts import ReceiptMint, partition_of
from staffetta.log.sqlite import SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.mailboxes.port import (
    DELETED,
    INBOX,
    Cell,
    Column,
    Expunge,
    FlagChange,
    MailboxRef,
    SetFlags,
)
from staffetta.runtime.faults import VolumeFault
from tests.sim.directory import FixedRecipients
from tests.sim.machine import Process
from tests.sim.roles import (
    ACCESS_PARTITION,
    Storage,
    SystemSettings,
    log_settings,
    open_cell,
    open_volume,
)
from tests.sim.threads import SimThread

EVERYTHING = [(1, 0xFFFFFFFF)]
FOLDERS = ("Lavoro", "Trash", "Archive")
PAUSE_S = 1.5


@dataclass(slots=True)
class Testimony:
    """What owners did and saw, over all lives of the process that serves them."""

    acted: list[bytes] = field(default_factory=list)  # actions of which they were told: done
    expunged: set[tuple[int, bytes]] = field(default_factory=set)  # told: gone for good
    perhaps: set[tuple[int, bytes]] = field(default_factory=set)  # asked, and never heard
    seen: dict[tuple[int, int], bytes] = field(default_factory=dict)  # (mailbox, UID) of INBOX
    contradictions: list[str] = field(default_factory=list)


def is_for_emergency(receipt: bytes) -> bool:
    """Half of the messages are touched in the emergency inbox only, the other half by clients."""
    return receipt[-1] % 2 == 0


class AccessRole:
    """Serves owners until it is stopped."""

    def __init__(
        self,
        process: Process,
        storage: Storage,
        recipients: FixedRecipients,
        settings: SystemSettings,
        testimony: Testimony,
        ended: Callable[[Process], None],
        mailboxes: Sequence[int],
    ) -> None:
        self.process = process
        self.stopped = False
        self._storage = storage
        self._recipients = recipients
        self._settings = settings
        self._testimony = testimony
        self._ended = ended
        self._mailboxes = list(mailboxes)
        self._chance = process.machine.scheduler.stream(f"owners {process.label}")
        self._log = open_volume(process, storage.log, "log", settings)
        self.volumes = {"log": self._log}
        for name, disk in storage.cells.items():
            self.volumes[name] = open_volume(process, disk, name, settings)
        process.spawn(self._serve)

    def _serve(self) -> None:
        thread = SimThread.running
        assert thread is not None
        try:
            writer = SqliteLogWriter(self._log, ACCESS_PARTITION, log_settings(self._settings))
            inbox = EmergencyInbox(SqliteLogReader(self._log, 1), self.process.clock, 30)
        except VolumeFault:
            self.process.loop.call_soon(self._ended, self.process)
            return
        actions = EmergencyActions(
            ReceiptMint(ACCESS_PARTITION, self.process.entropy), self.process.clock
        )
        cells: dict[str, Cell] = {}
        while not self.stopped:
            thread.park(self._chance.random() * PAUSE_S)
            try:
                self._do_something(inbox, actions, writer, cells)
            except LogBroken:
                self.process.loop.call_soon(self._ended, self.process)
                return
            except (VolumeFault, LogFull, LogDamaged):
                continue

    def _do_something(
        self,
        inbox: EmergencyInbox,
        actions: EmergencyActions,
        writer: LogWriter,
        cells: dict[str, Cell],
    ) -> None:
        mailbox = self._chance.choice(self._mailboxes)
        if self._chance.random() < 0.5:
            self._act(inbox, actions, writer, mailbox)
            return
        cell_name = self._recipients.mailboxes[mailbox].cell
        if cell_name in self._storage.memory_cells:
            return
        if cell_name not in cells:
            cells[cell_name] = open_cell(self.process, self.volumes[cell_name], self._settings)
        self._use(cells[cell_name], mailbox)

    def _act(
        self, inbox: EmergencyInbox, actions: EmergencyActions, writer: LogWriter, mailbox: int
    ) -> None:
        glimpses = [g for g in inbox.glimpses(mailbox, 20) if is_for_emergency(g.receipt)]
        if not glimpses:
            return
        receipt = self._chance.choice(glimpses).receipt
        verb = self._chance.choice(("read", "unread", "flag", "unflag", "delete", "move", "reply"))
        entries: list[NewEntry]
        if verb == "reply":
            reply = b"Subject: Re\r\n\r\n%s\r\n" % self._chance.randbytes(8).hex().encode()
            entries = actions.sent(mailbox, receipt, reply)
        else:
            folder = self._chance.choice(FOLDERS) if verb == "move" else ""
            inbox.check(mailbox, verb, [receipt], folder)
            entries = [actions.acted(mailbox, verb, [receipt], folder)]
        writer.append(entries)
        self._testimony.acted += [entry.receipt for entry in entries]

    def _use(self, cell: Cell, mailbox: int) -> None:
        """As a mail client does: look at INBOX, flag something, or delete it for good."""
        target = self._recipients.mailboxes[mailbox]
        opened = cell.open(MailboxRef(mailbox, target.uid_validity, target.quota_bytes))
        mine: list[tuple[int, bytes]] = []
        for chunk in opened.fetch(INBOX, EVERYTHING, [Column.RECEIPT]):
            for uid, _, _, receipt in chunk:
                assert isinstance(uid, int)
                assert isinstance(receipt, bytes)
                self._see(mailbox, uid, receipt)
                if partition_of(receipt) != ACCESS_PARTITION and not is_for_emergency(receipt):
                    mine.append((uid, receipt))
        if not mine:
            return
        uid, receipt = self._chance.choice(mine)
        if self._chance.random() < 0.6:
            opened.change(INBOX, [(uid, uid)], SetFlags(FlagChange.ADD, DELETED))
            return
        key = (mailbox, receipt)
        self._testimony.perhaps.add(key)
        if opened.change(INBOX, [(uid, uid)], Expunge(whatever_flags=True)).vanished:
            self._testimony.expunged.add(key)
        self._testimony.perhaps.discard(key)

    def _see(self, mailbox: int, uid: int, receipt: bytes) -> None:
        before = self._testimony.seen.setdefault((mailbox, uid), receipt)
        if before != receipt:
            self._testimony.contradictions.append(
                f"mailbox {mailbox}: UID {uid} was {before.hex()} and is now {receipt.hex()}"
            )
