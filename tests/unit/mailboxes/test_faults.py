"""A broken volume costs an honest fault, never mail, and nothing is done late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staffetta.mailboxes.port import (
    INBOX,
    SEEN,
    Arrange,
    Column,
    Damaged,
    FlagChange,
    Mailbox,
    MailboxBatch,
    MailboxDamaged,
    MailboxRef,
    Placed,
    Query,
    SetFlags,
)
from staffetta.mailboxes.roster import path_of
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.faults import Abandoned, FaultMode, Gate, Operation, VolumeFault
from tests.mailbox_rig import (
    EVERYTHING,
    NOON_US,
    REF,
    contents,
    deliver,
    delivery,
    fill,
    flags,
    mail,
    make_sqlite_cell,
)

READS: list[Callable[[Mailbox], Any]] = [
    lambda mailbox: mailbox.overview(),
    lambda mailbox: mailbox.snapshot(INBOX),
    lambda mailbox: mailbox.snapshot(INBOX, claim_recent=True),
    lambda mailbox: list(mailbox.fetch(INBOX, EVERYTHING, [Column.CONTENT])),
    lambda mailbox: mailbox.search(INBOX, EVERYTHING, Query("TEXT", text="two")),
    lambda mailbox: mailbox.search(INBOX, EVERYTHING, Query("HEADER", text="two", name="subject")),
    lambda mailbox: mailbox.locate([b"0123456789"]),
]
WRITES: list[Callable[[Mailbox], Any]] = [
    lambda mailbox: mailbox.change(INBOX, EVERYTHING, SetFlags(FlagChange.ADD, SEEN)),
    lambda mailbox: mailbox.append(INBOX, mail("four"), 0, (), NOON_US),
    lambda mailbox: mailbox.arrange(Arrange("create", "a")),
]
OF_WRITING = (FaultMode.FULL, FaultMode.READONLY)
FAILING = [mode for mode in FaultMode if mode is not FaultMode.HANG]


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[SqliteCell]:
    made = make_sqlite_cell(tmp_path)
    fill(made, [mail("one"), mail("two"), mail("three")])
    yield made
    made.volume.gate.mend()
    assert made.check(REF).problems == []
    made.close()


@pytest.mark.parametrize("mode", FAILING)
def test_a_broken_cell_takes_no_mail_and_later_takes_all(cell: SqliteCell, mode: FaultMode) -> None:
    cell.volume.gate.break_(mode)

    for job in (lambda: deliver(cell, [delivery(9)]), cell.probe):
        with pytest.raises(VolumeFault) as caught:
            job()
        assert caught.value.mode is mode
    cell.volume.gate.mend()

    cell.probe()
    (placed,) = deliver(cell, [delivery(9)])
    assert isinstance(placed, Placed)
    assert placed.uid == 4


@pytest.mark.parametrize("mode", FAILING)
@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_broken_cell_refuses_changes_whole(
    cell: SqliteCell, mode: FaultMode, number: int
) -> None:
    mailbox = cell.open(REF)
    before = mailbox.overview()
    cell.volume.gate.break_(mode)

    with pytest.raises(VolumeFault) as caught:
        WRITES[number](mailbox)
    cell.volume.gate.mend()

    assert caught.value.mode is mode
    assert mailbox.overview() == before
    WRITES[number](mailbox)


@pytest.mark.parametrize("mode", FAILING)
@pytest.mark.parametrize("number", range(len(READS)))
def test_a_cell_that_refuses_writes_is_read(cell: SqliteCell, mode: FaultMode, number: int) -> None:
    mailbox = cell.open(REF)
    wanted = READS[number](cell.open(REF)) if number != 2 else mailbox.snapshot(INBOX)
    fill(cell, [], first=50)
    cell.volume.gate.break_(mode)

    if mode in OF_WRITING:
        assert READS[number](mailbox) == wanted
        cell.files.close()
        assert READS[number](mailbox) == wanted
    else:
        with pytest.raises(VolumeFault) as caught:
            READS[number](mailbox)
        assert caught.value.mode is mode


def test_a_read_only_cell_is_searched_without_its_index(cell: SqliteCell) -> None:
    mailbox = cell.open(REF)
    cell.volume.gate.break_(FaultMode.READONLY)

    assert mailbox.search(INBOX, EVERYTHING, Query("TEXT", text="hree")) == [3]
    assert mailbox.search(INBOX, EVERYTHING, Query("HEADER", "tw", "subject")) == [2]
    assert mailbox.search(INBOX, [(1, 2)], Query("HEADER", "", "subject")) == [1, 2]
    cell.volume.gate.mend()
    assert mailbox.search(INBOX, EVERYTHING, Query("TEXT", text="hree")) == [3]


def test_a_corrupt_volume_damages_no_mailbox(cell: SqliteCell) -> None:
    mailbox = cell.open(REF)
    cell.volume.gate.break_(FaultMode.CORRUPT)

    with pytest.raises(VolumeFault):
        mailbox.overview()
    with pytest.raises(VolumeFault):
        deliver(cell, [delivery(9)])
    cell.volume.gate.mend()

    assert mailbox.overview().messages == 3


def test_a_damaged_file_concerns_its_mailbox_alone(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail("one")])
    other = MailboxRef(REF.mailbox + 1, 8)
    cell.files.close()
    path = tmp_path / "one" / path_of(REF.mailbox)
    path.with_name(path.name + "-wal").unlink()
    path.write_bytes(b"\xa5" * 50_000)

    damaged, placed = cell.deliver(
        [MailboxBatch(REF, [delivery(9), delivery(10)]), MailboxBatch(other, [delivery(9)])]
    )
    cell.sync()

    assert [type(outcome) for outcome in damaged] == [Damaged, Damaged]
    assert not damaged[0].incomplete  # type: ignore[union-attr]
    assert isinstance(placed[0], Placed)
    with pytest.raises(MailboxDamaged):
        cell.open(REF)
    assert cell.open(other).overview().messages == 1
    assert cell.check(REF).problems


class TestHanging:
    """Jobs on threads, as the pool runs them."""

    def start(self, job: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.append(job())
            except VolumeFault as fault:
                outcome.append(fault)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread, outcome

    @pytest.mark.parametrize("number", range(len(WRITES)))
    def test_a_change_that_was_given_up_is_not_made_late(
        self, cell: SqliteCell, number: int
    ) -> None:
        mailbox = cell.open(REF)
        before = mailbox.overview()
        mailbox.abandoned = threading.Event()
        cell.volume.gate.break_(FaultMode.HANG)
        thread, outcome = self.start(lambda: WRITES[number](mailbox))

        mailbox.abandoned.set()
        assert thread.is_alive()
        cell.volume.gate.mend()
        thread.join(10)

        assert isinstance(outcome[0], Abandoned)
        assert cell.open(REF).overview() == before

    def test_a_change_that_somebody_waits_for_is_made_after_mending(self, cell: SqliteCell) -> None:
        mailbox = cell.open(REF)
        mailbox.abandoned = threading.Event()
        cell.volume.gate.break_(FaultMode.HANG)
        thread, _ = self.start(lambda: WRITES[0](mailbox))

        cell.volume.gate.mend()
        thread.join(10)

        assert flags(mailbox) == {1: SEEN, 2: SEEN, 3: SEEN}

    def test_who_waits_behind_a_hanging_job_is_not_served_late_either(
        self, cell: SqliteCell
    ) -> None:
        first, second = cell.open(REF), cell.open(REF)
        second.abandoned = threading.Event()
        cell.volume.gate.break_(FaultMode.HANG)
        hanging, _ = self.start(lambda: first.overview())
        waiting, outcome = self.start(lambda: WRITES[1](second))

        second.abandoned.set()
        cell.volume.gate.mend()
        hanging.join(10)
        waiting.join(10)

        assert isinstance(outcome[0], Abandoned)
        assert len(contents(first)) == 3

    def test_delivery_goes_on_after_mending(self, cell: SqliteCell) -> None:
        cell.volume.gate.break_(FaultMode.HANG)
        thread, outcome = self.start(lambda: deliver(cell, [delivery(9)]))

        assert thread.is_alive()
        cell.volume.gate.mend()
        thread.join(10)

        assert isinstance(outcome[0][0], Placed)

    def test_other_mailboxes_are_served_while_one_is_in_use(self, cell: SqliteCell) -> None:
        other = MailboxRef(REF.mailbox + 1, 8)
        with cell.files.borrow(REF):
            thread, outcome = self.start(lambda: deliver(cell, [delivery(9)], other))
            thread.join(10)
            assert isinstance(outcome[0][0], Placed)


class TestEveryOperation:
    """SQLite's own habit: let the first operation fail, then the second, and so on."""

    @pytest.mark.parametrize("mode", [FaultMode.ERROR, FaultMode.FULL])
    def test_delivery_is_whole_or_not_at_all(self, tmp_path: Path, mode: FaultMode) -> None:
        for countdown in range(1, 200):
            root = tmp_path / str(countdown)
            root.mkdir()
            cell = make_sqlite_cell(root)
            fill(cell, [mail("one")])
            cell.files.close()
            gate = _CountingGate("one", countdown, mode)
            cell.volume.gate = gate  # type: ignore[assignment]
            wanted = [delivery(n) for n in range(10, 14)]
            try:
                cell.deliver([MailboxBatch(REF, wanted)])
                cell.sync()
                survived = True
            except VolumeFault:
                survived = False
            cell.volume.gate = Gate("one")
            cell.files.close()

            outcomes = deliver(cell, wanted)

            assert [o.uid for o in outcomes if isinstance(o, Placed)] == [2, 3, 4, 5]
            assert cell.check(REF).problems == []
            cell.close()
            if survived and gate.left > 0:
                return
        raise AssertionError("the countdown never ran out")

    def test_a_change_is_whole_or_not_at_all(self, tmp_path: Path) -> None:
        for number, write in enumerate(WRITES):
            for countdown in range(1, 200):
                root = tmp_path / f"{number}-{countdown}"
                root.mkdir()
                cell = make_sqlite_cell(root)
                fill(cell, [mail("one"), mail("two")])
                mailbox = cell.open(REF)
                before = mailbox.overview()
                gate = _CountingGate("one", countdown, FaultMode.ERROR)
                cell.volume.gate = gate  # type: ignore[assignment]
                cell.files.close()
                try:
                    write(mailbox)
                    survived = True
                except VolumeFault:
                    survived = False
                cell.volume.gate = Gate("one")
                cell.files.close()

                assert (mailbox.overview() != before) is survived
                assert cell.check(REF).problems == []
                cell.close()
                if survived and gate.left > 0:
                    break
            else:
                raise AssertionError("the countdown never ran out")


class _CountingGate:
    """A gate that breaks after so many operations, and stays broken."""

    def __init__(self, volume: str, left: int, broken: FaultMode) -> None:
        self.volume = volume
        self.left = left
        self.mode = broken  # not None, so that every operation asks

    def pass_(self, operation: Operation, abandoned: threading.Event | None = None) -> None:
        self.left -= 1
        if self.left <= 0 and not (self.mode is FaultMode.FULL and operation is Operation.READ):
            raise VolumeFault(self.volume, self.mode, "as counted")


def test_closing_does_not_wait_for_who_hangs(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail("one")])
    mailbox = cell.open(REF)
    cell.volume.gate.break_(FaultMode.HANG)
    thread = threading.Thread(target=mailbox.overview, daemon=True)
    thread.start()

    cell.files.close()

    cell.volume.gate.mend()
    thread.join(10)
    assert not thread.is_alive()
