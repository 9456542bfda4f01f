"""Every accepted recipient has exactly one fate, and a log that says otherwise is found out."""

from __future__ import annotations

import pytest

from staffetta.journey.refusals import SINGLE_PER_SECOND_MAX, Refusals
from staffetta.journey.states import State
from staffetta.journey.trace import (
    Sums,
    add_up,
    trace_mailbox,
    trace_message_id,
    trace_receipt,
    trace_refused,
)
from staffetta.log.commit import GroupCommit
from staffetta.log.facts import Acted, Delivered, Held, Refused, Routed
from staffetta.log.memory import MemoryLog
from staffetta.log.receipts import ReceiptMint
from tests.joints import CountingEntropy, HandWorker, HeldClock, Scribe


class Past:
    """A log, and what happens in it a second after the other."""

    def __init__(self) -> None:
        self.clock = HeldClock()
        self.log = MemoryLog()
        self.scribe = Scribe(self.log.writer(1), self.clock)
        self.facts = Scribe(self.log.writer(64), self.clock)

    def accept(self, *mailboxes: int, message_id: str = "") -> bytes:
        self.clock.pass_s(1)
        return self.scribe.accept(*mailboxes, message_id=message_id)

    def deliver(self, receipt: bytes, ordinal: int = 0, mailbox: int = 7) -> None:
        self.clock.pass_s(1)
        fact = Delivered(ordinal, mailbox, "a", "INBOX", 1, 77, 1, 1)
        self.facts.note(fact, receipt, mailbox)

    def hold(self, receipt: bytes, ordinal: int = 0, mailbox: int = 7) -> None:
        self.clock.pass_s(1)
        self.facts.note(Held(ordinal, mailbox, "over-quota", 1, 1), receipt, mailbox)

    def route(self, receipt: bytes, ordinal: int = 0, mailbox: int = 7) -> None:
        self.clock.pass_s(1)
        fact = Routed(ordinal, mailbox, "brand", "a@example.org", 1, 1, self.clock.now_us())
        self.facts.note(fact, receipt, mailbox)

    def refuse(self, recipient: str, times: int = 1, recipients: int = 0) -> None:
        self.clock.pass_s(1)
        receipt = self.scribe.mint.make(self.clock.now_us())
        fact = Refused("p", "h", "s@x", recipient, "RCPT", "550 5.1.1 No", times)
        if recipients:
            fact = Refused("p", "h", "s@x", "", "DATA", "452 4.3.1 No", times, 0, recipients)
        self.scribe.note(fact, receipt)

    def sums(self, since_us: int = 0) -> Sums:
        return add_up(self.log, since_us)


@pytest.fixture
def past() -> Past:
    return Past()


def test_the_sums_of_an_empty_log_agree(past: Past) -> None:
    assert past.sums() == Sums(0, 0, 0, 0, 0, 0, 0)
    assert past.sums().agree


def test_every_recipient_is_counted_in_one_place(past: Past) -> None:
    delivered, held, _ = past.accept(7, 8), past.accept(7), past.accept(7)
    past.deliver(delivered, 0, 7)
    past.deliver(delivered, 1, 8)
    past.hold(held)
    assert past.sums() == Sums(4, 2, 1, 1, 0, 3, 0)
    assert past.sums().agree


def test_repetitions_do_not_count_twice(past: Past) -> None:
    receipt = past.accept(7)
    past.hold(receipt)
    past.hold(receipt)
    past.deliver(receipt)
    past.deliver(receipt)
    past.hold(receipt)
    assert past.sums() == Sums(1, 1, 0, 0, 0, 1, 0)


def test_one_message_for_two_mailboxes_is_not_one_fate(past: Past) -> None:
    receipt = past.accept(7, 8)
    past.deliver(receipt, 0, 7)
    assert (past.sums().delivered, past.sums().waiting) == (1, 1)


def test_an_unverified_recipient_counts_once_for_each_mailbox_it_turned_out_to_be(
    past: Past,
) -> None:
    receipt = past.accept(0)
    past.hold(receipt, 0, 0)
    assert past.sums() == Sums(1, 0, 1, 0, 0, 1, 0)
    past.route(receipt, 0, 7)
    past.route(receipt, 0, 8)
    past.hold(receipt, 0, 0)  # told again after a crash
    past.deliver(receipt, 0, 8)
    assert past.sums() == Sums(2, 1, 0, 1, 0, 1, 0)
    assert past.sums().agree


def test_a_fate_without_an_acceptance_is_a_disagreement(past: Past) -> None:
    past.accept(7)
    past.deliver(b"never seen")
    assert past.sums().disagreements == 1
    assert not past.sums().agree


def test_a_fate_of_a_recipient_that_was_not_accepted_is_a_disagreement(past: Past) -> None:
    receipt = past.accept(7)
    past.deliver(receipt, 3, 9)
    assert not past.sums().agree


def test_a_fate_of_what_was_accepted_before_the_asked_moment_is_none(past: Past) -> None:
    old = past.accept(7)
    past.clock.pass_s(10)
    since_us = past.clock.now_us()
    past.deliver(old)
    past.accept(7)
    assert past.sums(since_us) == Sums(1, 0, 0, 1, 0, 1, 0)
    assert past.sums(since_us).agree


def test_refusals_are_counted_with_their_numbers(past: Past) -> None:
    past.refuse("a@y")
    past.refuse("a@y", times=40)
    past.refuse("", recipients=3)
    assert past.sums().refused == 44


def test_a_sum_of_refusals_counts_as_much_as_its_parts(past: Past) -> None:
    worker = HandWorker()
    commit = GroupCommit(past.scribe.writer, worker)
    refusals = Refusals(commit, ReceiptMint(1, CountingEntropy()), past.clock)
    for _ in range(SINGLE_PER_SECOND_MAX + 5):
        refusals.record(Refused("p", "h", "s@x", "", "DATA", "452 4.3.1 No", recipients=2))
    refusals.flush()
    worker.run_all()
    assert past.sums().refused == 2 * (SINGLE_PER_SECOND_MAX + 5)


def test_a_receipt_tells_the_whole_way(past: Past) -> None:
    receipt = past.accept(7)
    past.hold(receipt)
    past.clock.pass_s(1)
    past.facts.note(Acted(b"a" * 10, 7, "read", (receipt,)), b"a" * 10, 7)
    past.deliver(receipt)
    journey = trace_receipt(past.log, receipt)
    assert journey is not None
    (one,) = journey.recipients
    assert [step.what for step in one.steps] == ["accepted", "held", "read", "delivered"]
    assert (journey.partition, journey.position) == (1, 1)


def test_a_receipt_that_was_never_given_has_no_journey(past: Past) -> None:
    assert trace_receipt(past.log, b"r" * 10) is None
    past.refuse("a@y")
    (attempt,) = trace_refused(past.log, 0)
    assert trace_receipt(past.log, attempt.receipt) is None


def test_a_message_id_finds_every_message_that_has_it(past: Past) -> None:
    receipts = [past.accept(7, message_id="<a@x>"), past.accept(8, message_id="<a@x>")]
    past.accept(7, message_id="<b@x>")
    for typed in ("<a@x>", "a@x"):
        assert [one.receipt for one in trace_message_id(past.log, typed, 0)] == receipts
    assert trace_message_id(past.log, "c@x", 0) == []


def test_a_mailbox_lists_what_was_accepted_for_it_newest_first_and_once(past: Past) -> None:
    first, lane, last = past.accept(7), past.accept(0), past.accept(7, 8)
    past.accept(8)
    past.deliver(first)
    past.route(lane, 0, 7)
    past.route(first, 0, 7)  # it had moved meanwhile
    found = trace_mailbox(past.log, 7, 0, 10)
    assert {one.receipt for one in found} == {first, lane, last}
    assert len(found) == 3
    assert [one.receipt for one in trace_mailbox(past.log, 8, 0, 1)] != [last]


def test_refused_attempts_are_found_by_recipient_in_any_case(past: Past) -> None:
    for recipient in ("A@Y", "b@y", "a@y c@y"):
        past.refuse(recipient)
    assert [one.fact.recipient for one in trace_refused(past.log, 0, "a@y")] == ["A@Y", "a@y c@y"]
    assert len(trace_refused(past.log, 0)) == 3
    assert len(trace_refused(past.log, past.clock.now_us())) == 1
    assert trace_refused(past.log, 0, "y") == []


def test_a_journey_and_the_sums_tell_the_same(past: Past) -> None:
    receipts = [past.accept(7, 8), past.accept(0), past.accept(7)]
    past.deliver(receipts[0], 1, 8)
    past.hold(receipts[0], 0, 7)
    past.route(receipts[1], 0, 7)
    past.route(receipts[1], 0, 8)
    past.deliver(receipts[1], 0, 7)
    states = [
        one.state
        for receipt in receipts
        for journey in [trace_receipt(past.log, receipt)]
        if journey is not None
        for one in journey.recipients
    ]
    sums = past.sums()
    assert sums.agree
    assert (sums.delivered, sums.held, sums.waiting) == tuple(
        states.count(state) for state in (State.DELIVERED, State.HELD, State.WAITING)
    )
