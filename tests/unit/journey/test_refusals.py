"""A flood of refusals costs the log little and loses no count."""

from __future__ import annotations

import pytest

from staffetta.journey import refusals
from staffetta.journey.refusals import SINGLE_PER_SECOND_MAX, TEXT_CHARACTERS_MAX, Refusals
from staffetta.journey.trace import add_up
from staffetta.log.commit import GroupCommit
from staffetta.log.facts import Refused
from staffetta.log.memory import MemoryLog
from staffetta.log.receipts import ReceiptMint
from tests.joints import CountingEntropy, HandWorker, HeldClock


class Register:
    """Refusals that go into a log."""

    def __init__(self) -> None:
        self.clock = HeldClock()
        self.log = MemoryLog()
        self.worker = HandWorker()
        commit = GroupCommit(self.log.writer(1), self.worker)
        self.refusals = Refusals(commit, ReceiptMint(1, CountingEntropy()), self.clock)

    def record(
        self,
        times: int = 1,
        *,
        peer: str = "192.0.2.1",
        recipient: str = "a@y",
        reply: str = "550 5.1.1 No",
        recipients: int = 0,
        mailbox: int = 0,
    ) -> None:
        for _ in range(times):
            self.refusals.record(
                Refused(
                    peer,
                    "helo",
                    "s@x",
                    recipient,
                    "RCPT",
                    reply,
                    recipients=recipients,
                    mailbox=mailbox,
                )
            )

    def facts(self) -> list[Refused]:
        self.worker.run_all()
        found = [entry.fact for entry in self.log.read(1, 0, 100_000)]
        assert all(isinstance(fact, Refused) for fact in found)
        return found  # type: ignore[return-value]


@pytest.fixture
def register() -> Register:
    return Register()


def test_each_refusal_of_a_quiet_day_is_recorded_as_it_was(register: Register) -> None:
    register.record(mailbox=7)
    (fact,) = register.facts()
    assert (fact.recipient, fact.times, fact.mailbox) == ("a@y", 1, 7)
    assert len(register.log.of_mailbox(7, 0, 10)) == 1


def test_a_flood_is_summed_up_and_no_count_is_lost(register: Register) -> None:
    register.record(5_000)
    assert len(register.facts()) == SINGLE_PER_SECOND_MAX
    register.clock.pass_s(1)
    register.record()
    found = register.facts()
    assert len(found) == SINGLE_PER_SECOND_MAX + 2
    assert sum(fact.times for fact in found) == 5_001
    summed = found[SINGLE_PER_SECOND_MAX]
    assert (summed.times, summed.recipient) == (5_000 - SINGLE_PER_SECOND_MAX, "")
    assert add_up(register.log, 0).refused == 5_001


def test_sums_are_kept_apart_by_peer_and_reply(register: Register) -> None:
    register.record(SINGLE_PER_SECOND_MAX)
    register.record(3, peer="192.0.2.2")
    register.record(4, peer="192.0.2.2", reply="451 4.3.0 Later")
    register.record(1, peer="192.0.2.3", recipient="only@y")
    register.refusals.flush()
    found = register.facts()[SINGLE_PER_SECOND_MAX:]
    assert [(fact.peer, fact.reply[:3], fact.times, fact.recipient) for fact in found] == [
        ("192.0.2.2", "550", 3, ""),
        ("192.0.2.2", "451", 4, ""),
        ("192.0.2.3", "550", 1, "only@y"),
    ]


def test_the_recipients_that_refusals_cost_are_summed_up_too(register: Register) -> None:
    register.record(SINGLE_PER_SECOND_MAX)
    register.record(3, recipients=2)
    register.refusals.flush()
    summed = register.facts()[-1]
    assert (summed.times, summed.recipients) == (3, 6)


def test_a_flood_from_ever_new_peers_is_bounded_and_still_counted(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "SUMS_MAX", 10)
    for number in range(SINGLE_PER_SECOND_MAX + 500):
        register.record(peer=f"198.51.100.{number}")
    register.refusals.flush()
    found = register.facts()
    assert len(found) == SINGLE_PER_SECOND_MAX + 11
    assert sum(fact.times for fact in found) == SINGLE_PER_SECOND_MAX + 500


def test_a_flush_without_a_flood_writes_nothing(register: Register) -> None:
    register.record()
    register.refusals.flush()
    register.refusals.flush()
    assert len(register.facts()) == 1


def test_what_a_peer_chose_is_cut(register: Register) -> None:
    register.record(recipient="a" * 100_000)
    (fact,) = register.facts()
    assert len(fact.recipient) == TEXT_CHARACTERS_MAX
