"""From the log into the mailboxes: once, in order, or held with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from staffetta.delivery.cell_reader import CellReader, ReaderSettings
from staffetta.delivery.checkpoints import (
    MAILBOX_DAMAGED,
    MAILBOX_GONE,
    NO_SUCH_USER,
    OVER_QUOTA,
    UNVERIFIED,
    Checkpoints,
)
from staffetta.delivery.facts_sink import FactsSink
from staffetta.delivery.tail import Tail
from staffetta.directory.recipients import Doubt, Unsure
from staffetta.journey.states import State
from staffetta.journey.trace import Sums, add_up, trace_receipt
from staffetta.log.facts import Acted, Kind, MailboxChanged
from staffetta.log.memory import MemoryLog
from staffetta.log.port import LogFull
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.mailboxes.memory import MemoryCell
from staffetta.mailboxes.port import ANSWERED, FLAGGED, SEEN, Arrange, Column, MailboxRef
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.faults import FaultMode, VolumeFault
from tests.joints import CountingEntropy, FixedRecipients, HeldClock, Scribe, make_target

BODY = b"Subject: x\r\n\r\nhello\r\n"
EVERYTHING = [(1, 1 << 31)]


class World:
    """One log, the recipient table, and cells with their readers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = HeldClock()
        self.log = MemoryLog()
        self.table = FixedRecipients()
        self.accept = Scribe(self.log.writer(1), self.clock)
        self.people = Scribe(self.log.writer(128), self.clock)
        self.sink = FactsSink(self.log.writer(64))
        self.cells = {name: MemoryCell(name, CountingEntropy()) for name in "ab"}
        self.volumes = {name: DirectoryVolume("log", root / "deliver") for name in "ab"}
        self.changed: list[int] = []
        self.damaged: list[int] = []
        self._open: list[CellReader] = []

    def reader(
        self, cell: str = "a", *, checkpoints: str = "", settings: ReaderSettings | None = None
    ) -> CellReader:
        volume = self.volumes[cell]
        if checkpoints:
            volume = DirectoryVolume("log", self.root / checkpoints)
        made = CellReader(
            self.cells[cell],
            Tail(self.log),
            self.log,
            Checkpoints(volume, cell),
            self.table,
            self.sink,
            self.clock,
            settings or ReaderSettings(sync_interval_s=3_600.0),
            lane=cell == "a",
            changed=self.changed.extend,
            damaged=lambda ref, detail: self.damaged.append(ref.mailbox),
        )
        self._open.append(made)
        return made

    def run(self, *readers: CellReader) -> None:
        """Step until nobody has anything left to do, and make it final."""
        for _ in range(50):
            busy = [reader.step() for reader in readers]
            if not any(busy):
                break
        else:
            raise AssertionError("the readers never come to rest")
        for reader in readers:
            reader.finish()

    def act(self, verb: str, *receipts: bytes, folder: str = "", body: bytes | None = None) -> None:
        action = self.people.mint.make(self.clock.now_us())
        fact = Acted(action, 7, verb, receipts, folder)
        self.people.note(fact, action, 7, body=body)

    def messages(
        self, mailbox: int = 7, cell: str = "a", folder: str = "INBOX"
    ) -> list[tuple[object, ...]]:
        """(flags, receipt, content) in the order of their uids."""
        opened = self.cells[cell].open(self.ref(mailbox))
        columns = [Column.RECEIPT, Column.CONTENT]
        rows = [row for rows in opened.fetch(folder, EVERYTHING, columns) for row in rows]
        return [(row[1], row[3], row[4]) for row in rows]

    def ref(self, mailbox: int) -> MailboxRef:
        return MailboxRef(mailbox, 77)

    def state(self, receipt: bytes) -> tuple[State, str]:
        journey = trace_receipt(self.log, receipt)
        assert journey is not None
        (one,) = journey.recipients
        return one.state, one.reason

    def sums(self) -> Sums:
        sums = add_up(self.log, 0)
        assert sums.agree
        return sums

    def close(self) -> None:
        for reader in self._open:
            reader.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.table.put(make_target(7))
    yield made
    made.close()


def test_a_message_is_delivered_once_and_the_log_knows_where(world: World) -> None:
    receipt = world.accept.accept(7, body=BODY)
    reader = world.reader()
    world.run(reader)
    assert world.messages() == [(0, receipt, BODY)]
    assert world.state(receipt) == (State.DELIVERED, "")
    assert world.changed == [7]
    assert reader.durable_positions()[1] == 1
    world.run(reader)  # its own facts are entries that it looks at, too
    assert (reader.state().waiting, reader.state().delivered) == (0, 1)
    assert world.sums().delivered == 1


def test_messages_come_in_the_order_in_which_they_were_accepted(world: World) -> None:
    receipts = [world.accept.accept(7, body=b"X: %d\r\n\r\n" % n) for n in range(30)]
    world.run(world.reader(settings=ReaderSettings(batch_entries=7, batch_bytes_max=20)))
    assert [row[1] for row in world.messages()] == receipts


def test_a_message_for_several_mailboxes_has_a_fate_for_each(world: World) -> None:
    world.table.put(make_target(8))
    world.table.put(make_target(9, cell="b"))
    receipt = world.accept.accept(7, 8, 9)
    world.run(world.reader("a"), world.reader("b"))
    assert [len(world.messages(n, c)) for n, c in ((7, "a"), (8, "a"), (9, "b"))] == [1, 1, 1]
    journey = trace_receipt(world.log, receipt)
    assert journey is not None
    assert [(one.mailbox, one.cell) for one in journey.recipients] == [(7, "a"), (8, "a"), (9, "b")]
    assert world.sums().delivered == 3


def test_from_an_old_checkpoint_nothing_is_delivered_twice(world: World) -> None:
    receipts = [world.accept.accept(7) for _ in range(3)]
    world.run(world.reader())
    world.changed.clear()
    world.run(world.reader(checkpoints="lost"))
    assert [row[1] for row in world.messages()] == receipts
    assert world.changed == []
    assert world.sums().delivered == 3
    assert [world.state(one) for one in receipts] == [(State.DELIVERED, "")] * 3


def test_a_reader_that_is_opened_again_begins_where_the_last_one_ended(world: World) -> None:
    world.accept.accept(7)
    world.run(world.reader())
    delivered = len(world.log.read(64, 0, 100, frozenset({Kind.DELIVERED})))
    world.accept.accept(7)
    again = world.reader()
    world.run(again)
    assert again.state().delivered == 1
    assert len(world.log.read(64, 0, 100, frozenset({Kind.DELIVERED}))) == delivered + 1


def test_death_between_the_facts_and_the_checkpoint_changes_nothing(world: World) -> None:
    receipt = world.accept.accept(7)
    reader = world.reader()
    reader.step()
    world.volumes["a"].gate.break_(FaultMode.ERROR)
    with pytest.raises(VolumeFault):
        reader.finish()
    assert reader.durable_positions().get(1, 0) == 0
    world.volumes["a"].gate.mend()
    world.run(world.reader())
    assert [row[1] for row in world.messages()] == [receipt]
    assert world.sums().delivered == 1


def test_nothing_is_called_delivered_before_the_cell_is_synced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise VolumeFault("a", FaultMode.ERROR)

    receipt = world.accept.accept(7)
    reader = world.reader()
    reader.step()
    with monkeypatch.context() as patch:
        patch.setattr(world.cells["a"], "sync", fail)
        with pytest.raises(VolumeFault):
            reader.finish()
        assert world.state(receipt) == (State.WAITING, "")
        assert reader.durable_positions().get(1, 0) == 0
    world.run(reader)
    assert world.state(receipt) == (State.DELIVERED, "")
    assert reader.durable_positions()[1] == 1


def test_the_checkpoint_does_not_move_before_the_facts_are_in_the_log(world: World) -> None:
    volume = DirectoryVolume("log", world.root / "facts")
    writer = SqliteLogWriter(volume, 64, LogSettings())
    world.sink = FactsSink(writer)
    world.accept.accept(7)
    reader = world.reader()
    reader.step()
    volume.gate.break_(FaultMode.FULL)
    with pytest.raises(LogFull):
        reader.finish()
    kept = Checkpoints(world.volumes["a"], "a")
    assert kept.positions() == {}
    volume.gate.mend()
    reader.finish()
    assert kept.positions()[1] == 1
    kept.close()
    facts = SqliteLogReader(volume)
    assert [entry.kind for entry in facts.read(64, 0, 10)] == [Kind.DELIVERED]
    facts.close()
    writer.close()


def test_what_waits_is_counted_with_its_age(world: World) -> None:
    reader = world.reader()
    world.accept.accept(7)
    world.clock.pass_s(90)
    world.accept.accept(7)
    state = reader.state()
    assert (state.waiting, state.oldest_waiting_s) == (2, 90)


def test_over_quota_is_held_and_delivered_when_there_is_room(world: World) -> None:
    world.table.put(make_target(7, quota_bytes=5))
    first, second = world.accept.accept(7), world.accept.accept(7)
    reader = world.reader()
    world.run(reader)
    assert world.messages() == []
    assert world.state(first) == (State.HELD, OVER_QUOTA)
    assert (world.sums().held, reader.state().held) == (2, 2)
    world.table.put(make_target(7))
    world.run(reader)
    assert world.messages() == []  # not asked again at every step
    world.clock.pass_s(5)
    world.run(reader)
    assert [row[1] for row in world.messages()] == [first, second]
    assert world.state(second) == (State.DELIVERED, "")
    assert (world.sums().held, reader.state().held) == (0, 0)


def test_what_is_held_is_still_held_after_a_restart(world: World) -> None:
    world.table.put(make_target(7, quota_bytes=5))
    receipt = world.accept.accept(7)
    world.run(world.reader())
    world.table.put(make_target(7))
    again = world.reader()
    assert again.state().held == 1
    world.clock.pass_s(5)
    world.run(again)
    assert [row[1] for row in world.messages()] == [receipt]
    assert world.sums().held == 0


def test_an_unverified_recipient_is_held_then_routed_to_whose_it_is(world: World) -> None:
    world.table.answers["user9@example.org"] = Unsure(Doubt.STALE)
    receipt = world.accept.accept(0)
    one, two = world.reader("a"), world.reader("b")
    world.run(one, two)
    assert world.state(receipt) == (State.HELD, UNVERIFIED)
    world.clock.pass_s(5)
    world.run(one, two)
    assert world.state(receipt) == (State.HELD, UNVERIFIED)
    del world.table.answers["user9@example.org"]
    world.table.put(make_target(9, cell="b"))
    world.clock.pass_s(5)
    world.run(one, two)
    world.run(one, two)
    assert [row[1] for row in world.messages(9, "b")] == [receipt]
    assert world.state(receipt) == (State.DELIVERED, "")
    assert (one.state().held, world.sums().delivered) == (0, 1)


def test_an_unverified_recipient_that_nobody_is_stays_for_an_operator(world: World) -> None:
    receipt = world.accept.accept(0)
    reader = world.reader()
    world.run(reader)
    world.clock.pass_s(5)
    world.run(reader)
    (held,) = Checkpoints(world.volumes["a"], "a").held(10)
    assert (held.item.receipt, held.reason) == (receipt, NO_SUCH_USER)
    assert world.sums().held == 1


def test_only_the_reader_of_the_lane_holds_what_is_nobodys(world: World) -> None:
    world.accept.accept(0)
    other = world.reader("b")
    world.run(other)
    assert other.state().held == 0


def test_mail_for_a_mailbox_that_is_gone_is_held_until_it_is_back(world: World) -> None:
    target = world.table.mailboxes.pop(7)
    receipt = world.accept.accept(7)
    reader = world.reader()
    world.run(reader)
    assert world.state(receipt) == (State.HELD, MAILBOX_GONE)
    world.table.put(target)
    world.clock.pass_s(5)
    world.run(reader)
    assert [row[1] for row in world.messages()] == [receipt]


def test_a_damaged_mailbox_is_reported_and_the_others_are_served(world: World) -> None:
    world.table.put(make_target(8))
    world.cells["a"].quarantine(world.ref(7))
    receipt = world.accept.accept(7)
    world.accept.accept(8)
    world.run(world.reader())
    assert world.state(receipt) == (State.HELD, MAILBOX_DAMAGED)
    assert world.damaged == [7]
    assert len(world.messages(8)) == 1


def test_a_damage_that_another_process_met_is_heard_of(world: World) -> None:
    world.table.put(make_target(9, cell="b"))
    for mailbox in (7, 9):
        receipt = world.people.mint.make(world.clock.now_us())
        world.people.note(MailboxChanged(mailbox, "damaged", "x"), receipt, mailbox)
    world.run(world.reader())
    assert world.damaged == [7]


def test_held_mail_is_passed_on_when_its_mailbox_has_moved(world: World) -> None:
    world.table.put(make_target(7, quota_bytes=5))
    receipt = world.accept.accept(7)
    one, two = world.reader("a"), world.reader("b")
    world.run(one, two)
    assert world.state(receipt) == (State.HELD, OVER_QUOTA)
    world.table.put(make_target(7, cell="b"))
    world.clock.pass_s(5)
    world.run(one, two)
    world.run(one, two)
    assert [row[1] for row in world.messages(7, "b")] == [receipt]
    assert world.messages(7, "a") == []
    assert one.state().held == 0
    assert world.sums().delivered == 1


def test_mail_that_both_cells_saw_as_theirs_is_there_once(world: World) -> None:
    world.table.put(make_target(7, quota_bytes=5))
    receipt = world.accept.accept(7)
    one = world.reader("a")
    world.run(one)
    world.table.put(make_target(7, cell="b"))
    two = world.reader("b")  # reads the acceptance only now, as its own
    world.run(two)
    world.clock.pass_s(5)
    world.run(one, two)
    world.run(one, two)
    assert [row[1] for row in world.messages(7, "b")] == [receipt]
    assert world.sums().delivered == 1


@pytest.mark.parametrize(
    ("verbs", "flags"),
    [
        (["read"], SEEN),
        (["read", "unread"], 0),
        (["flag", "answered"], FLAGGED | ANSWERED),
        (["flag", "unflag"], 0),
    ],
)
def test_flags_set_in_the_emergency_inbox_are_set_here(
    world: World, verbs: list[str], flags: int
) -> None:
    receipt = world.accept.accept(7)
    for verb in verbs:
        world.act(verb, receipt)
    world.run(world.reader())
    assert [row[:2] for row in world.messages()] == [(flags, receipt)]


def test_deletions_and_moves_are_replayed_and_twice_is_as_once(world: World) -> None:
    receipts = [world.accept.accept(7) for _ in range(3)]
    world.act("delete", receipts[0])
    world.act("move", receipts[1], folder="Projects")
    for checkpoints in ("one", "two"):
        world.run(world.reader(checkpoints=checkpoints))
        assert [row[1] for row in world.messages(folder="Trash")] == [receipts[0]]
        assert [row[1] for row in world.messages(folder="Projects")] == [receipts[1]]
        assert [row[1] for row in world.messages()] == [receipts[2]]


def test_a_move_into_a_folder_that_cannot_be_leaves_the_message_where_it_is(world: World) -> None:
    receipt = world.accept.accept(7)
    world.act("move", receipt, folder="x" * 2_000)
    world.run(world.reader())
    assert [row[1] for row in world.messages()] == [receipt]


def test_the_copy_of_a_reply_is_put_into_sent_once(world: World) -> None:
    receipt = world.accept.accept(7)
    world.act("sent", receipt, body=b"Subject: Re: x\r\n\r\nyes\r\n")
    for checkpoints in ("one", "two"):
        world.run(world.reader(checkpoints=checkpoints))
    ((flags, _, content),) = world.messages(folder="Sent")
    assert (flags, content) == (SEEN, b"Subject: Re: x\r\n\r\nyes\r\n")


def test_an_action_on_a_held_message_waits_for_it(world: World) -> None:
    world.table.put(make_target(7, quota_bytes=5))
    receipt = world.accept.accept(7)
    world.act("read", receipt)
    reader = world.reader()
    world.run(reader)
    assert reader.state().held == 2
    world.act("delete", receipt)
    world.run(reader)
    assert reader.state().held == 3
    world.table.put(make_target(7))
    world.clock.pass_s(5)
    world.run(reader)
    assert [row[:2] for row in world.messages(folder="Trash")] == [(SEEN, receipt)]
    assert reader.state().held == 0


def test_an_action_is_for_the_cell_where_the_mailbox_is_now(world: World) -> None:
    receipt = world.accept.accept(7)
    world.run(world.reader("a"))
    world.act("read", receipt)
    other = world.reader("b")
    world.run(other)
    assert other.state().held == 0
    world.run(world.reader("a"))
    assert [row[0] for row in world.messages()] == [SEEN]


@pytest.mark.parametrize("change", [Arrange("create", "Kept"), Arrange("create", "Kept/Deep")])
def test_a_folder_that_is_there_already_is_used(world: World, change: Arrange) -> None:
    world.cells["a"].open(world.ref(7)).arrange(change)
    receipt = world.accept.accept(7)
    world.act("move", receipt, folder=change.name)
    world.run(world.reader())
    assert [row[1] for row in world.messages(folder=change.name)] == [receipt]


def test_mail_accepted_before_a_mailbox_changed_its_plan_is_delivered(world: World) -> None:
    receipt = world.accept.accept(7, body=b"x" * 5_000)
    world.table.put(replace(make_target(7), size_bytes_max=10))
    world.run(world.reader())
    assert [row[1] for row in world.messages()] == [receipt]
