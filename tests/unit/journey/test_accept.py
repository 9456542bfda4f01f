"""A `250` is for what is on disk, and for nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from staffetta.journey.accept import Acceptance, Answer, NotNow, Safe, Transaction
from staffetta.journey.repeats import Repeats, find_suspects
from staffetta.log.commit import CommitLimits, CommitResult, GroupCommit
from staffetta.log.facts import Accepted
from staffetta.log.port import Entry
from staffetta.log.receipts import ReceiptMint, from_text, message_key_of
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.faults import FaultMode
from tests.joints import CountingEntropy, HandWorker, HeldClock, make_recipient

CONTENT = b"Message-ID: <m@x>\r\nSubject: s\r\n\r\nhello\r\n"
ID = "<m@x>"


def to(*mailboxes: int, sender: str = "s@remote.example", tls: str | None = None) -> Transaction:
    recipients = tuple(make_recipient(mailbox) for mailbox in mailboxes)
    return Transaction("192.0.2.1", "client.example", "ESMTPS", sender, recipients, tls=tls)


class Door:
    """An accepting process on a real log, whose disk writes when the test says so."""

    def __init__(self, volume: DirectoryVolume, limits: CommitLimits | None = None) -> None:
        self.clock = HeldClock()
        self.worker = HandWorker()
        self.writer = SqliteLogWriter(volume, 1, LogSettings())
        self.reader = SqliteLogReader(volume)
        self.repeats = Repeats(find_suspects(self.reader, 1))
        commit = GroupCommit(self.writer, self.worker, limits)
        mint = ReceiptMint(1, CountingEntropy())
        self.acceptance = Acceptance(commit, mint, self.clock, "mx.example.org", self.repeats)
        self.answers: list[Answer] = []

    def send(
        self, transaction: Transaction, content: bytes = CONTENT, message_id: str = ID
    ) -> Answer:
        """Send a message and let the disk write; the answer."""
        self.acceptance.accept(transaction, content, message_id, self.answers.append)
        self.worker.run_all()
        return self.answers[-1]

    def safe(
        self, transaction: Transaction, content: bytes = CONTENT, message_id: str = ID
    ) -> Safe:
        answer = self.send(transaction, content, message_id)
        assert isinstance(answer, Safe)
        return answer

    def kept(self) -> list[Entry]:
        return self.reader.read(1, 0, 1_000)

    def close(self) -> None:
        self.writer.close()
        self.reader.close()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[DirectoryVolume]:
    made = DirectoryVolume("log", tmp_path)
    yield made
    made.gate.mend()


@pytest.fixture
def door(volume: DirectoryVolume) -> Iterator[Door]:
    made = Door(volume)
    yield made
    volume.gate.mend()
    made.close()


def test_there_is_no_answer_before_the_message_is_durable(door: Door) -> None:
    door.acceptance.accept(to(7), CONTENT, ID, door.answers.append)
    assert door.answers == []
    assert door.kept() == []
    door.worker.run_one()
    (answer,) = door.answers
    assert isinstance(answer, Safe)
    assert [one.receipt for one in door.kept()] == [from_text(answer.receipt)]


def test_what_is_kept_is_the_message_below_a_trace_header_with_the_receipt(door: Door) -> None:
    answer = door.safe(to(7, tls="TLSv1.3 with cipher X"))
    (body,) = door.reader.bodies(1, [1])
    trace = body.removesuffix(CONTENT)
    assert trace + CONTENT == body
    assert trace.startswith(b"Return-Path: <s@remote.example>\r\nReceived: from client.example ")
    assert answer.receipt.encode() in trace
    assert b"user7@example.org" in trace
    assert all(len(line) < 998 for line in trace.split(b"\r\n"))
    assert re.search(rb"with\s+ESMTPS", trace)


def test_of_several_recipients_none_is_in_the_header(door: Door) -> None:
    door.safe(to(7, 8))
    (body,) = door.reader.bodies(1, [1])
    assert b"user7" not in body
    assert b"user8" not in body


def test_the_fact_has_the_whole_envelope_and_the_index_all_mailboxes(door: Door) -> None:
    door.safe(to(7, 8))
    (entry,) = door.kept()
    fact = entry.fact
    assert isinstance(fact, Accepted)
    assert fact.recipients == (make_recipient(7), make_recipient(8))
    assert (fact.reverse_path, fact.peer, fact.helo) == (
        "s@remote.example",
        "192.0.2.1",
        "client.example",
    )
    assert (fact.message_id, fact.protocol) == (ID, "ESMTPS")
    assert fact.size_bytes == entry.size_bytes == len(door.reader.bodies(1, [1])[0])
    for mailbox in (7, 8):
        assert door.reader.of_mailbox(mailbox, 0, 10) == [entry]
    assert door.reader.by_message_key(message_key_of(ID), 0) == [entry]


@pytest.mark.parametrize(
    ("mode", "result"),
    [
        (FaultMode.FULL, CommitResult.FULL),
        (FaultMode.ERROR, CommitResult.BROKEN),
        (FaultMode.READONLY, CommitResult.BROKEN),
    ],
)
def test_a_disk_that_fails_means_not_now_and_nothing_is_kept(
    door: Door, volume: DirectoryVolume, mode: FaultMode, result: CommitResult
) -> None:
    volume.gate.break_(mode)
    assert door.send(to(7)) == NotNow(result)
    volume.gate.mend()
    assert door.kept() == []
    assert len(door.repeats) == 0


def test_after_a_full_disk_the_same_message_is_kept(door: Door, volume: DirectoryVolume) -> None:
    volume.gate.break_(FaultMode.FULL)
    door.send(to(7))
    volume.gate.mend()
    assert not door.safe(to(7)).repeated
    assert len(door.kept()) == 1


def test_too_much_at_once_means_not_now(volume: DirectoryVolume) -> None:
    door = Door(volume, CommitLimits(waiting_entries_max=0))
    assert door.send(to(7)) == NotNow(CommitResult.BUSY)
    door.close()


def test_a_repetition_has_the_same_receipt_and_is_kept_once(door: Door) -> None:
    first = door.safe(to(7))
    door.clock.pass_s(60)
    for _ in range(3):
        again = door.safe(to(7))
        assert (again.receipt, again.repeated) == (first.receipt, True)
    assert len(door.kept()) == 1


def test_a_repetition_after_the_sender_went_on_is_a_new_message(door: Door) -> None:
    first = door.safe(to(7))
    door.acceptance.confirm(first.digest)
    again = door.safe(to(7))
    assert not again.repeated
    assert again.receipt != first.receipt
    assert len(door.kept()) == 2


def test_without_a_message_id_each_one_is_a_message_of_its_own(door: Door) -> None:
    receipts = {door.safe(to(7), message_id="").receipt for _ in range(2)}
    assert len(receipts) == 2
    assert len(door.kept()) == 2


@pytest.mark.parametrize(
    ("transaction", "content"),
    [
        (to(8), CONTENT),
        (to(7, 8), CONTENT),
        (to(7, sender="other@remote.example"), CONTENT),
        (to(7), CONTENT + b"more\r\n"),
    ],
)
def test_whatever_is_not_the_very_same_is_kept(
    door: Door, transaction: Transaction, content: bytes
) -> None:
    door.safe(to(7))
    assert not door.safe(transaction, content).repeated
    assert len(door.kept()) == 2


def test_a_repetition_after_a_crash_is_recognised(volume: DirectoryVolume) -> None:
    before = Door(volume)
    first = before.safe(to(7))
    before.close()
    after = Door(volume)
    again = after.safe(to(7))
    assert (again.receipt, again.repeated) == (first.receipt, True)
    after.close()


def test_a_message_that_was_spooled_is_answered_like_any_other(door: Door) -> None:
    transaction = to(7)
    opening = door.acceptance.open(transaction)
    spool = door.writer.spool(opening.receipt)
    digest = door.acceptance.digest(transaction)
    spool.write(opening.trace)
    for piece in (CONTENT[:10], CONTENT[10:]):
        spool.write(piece)
        digest.update(piece)
    door.acceptance.accept_opened(
        transaction, opening, spool.finish(), digest, ID, door.answers.append
    )
    door.worker.run_all()
    (answer,) = door.answers
    assert isinstance(answer, Safe)
    assert door.reader.bodies(1, [1]) == [opening.trace + CONTENT]
    assert door.safe(to(7)).receipt == answer.receipt  # whole or in pieces, it is the same
