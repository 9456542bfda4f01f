"""Where is my message? Answers from the log: every accepted message, every refused attempt."""

from __future__ import annotations

from dataclasses import dataclass

from staffetta.journey.states import Journey, State, add_actions, fold
from staffetta.log.facts import Accepted, Delivered, Held, Kind, Refused, Routed
from staffetta.log.port import LogReader
from staffetta.log.receipts import message_key_of

JOURNEYS_MAX = 1_000
REFUSALS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """A refused attempt, and when."""

    at_us: int
    receipt: bytes
    fact: Refused


@dataclass(frozen=True, slots=True)
class Sums:
    """Recipients counted, from a moment on: one fate each.

    accepted = delivered + held + waiting, or the log is not telling the truth. A recipient that
    could not be verified counts once for each mailbox it turned out to be. `refused` counts
    attempts; `disagreements` are fates without an acceptance (there must be none).
    """

    accepted: int
    delivered: int
    held: int
    waiting: int
    refused: int
    messages: int
    disagreements: int

    @property
    def agree(self) -> bool:
        """Does every accepted recipient have exactly one fate?"""
        return self.accepted == self.delivered + self.held + self.waiting and not self.disagreements


def trace_receipt(log: LogReader, receipt: bytes) -> Journey | None:
    """The journey of one message; None where no such receipt was given."""
    journey = fold(log.find(receipt))
    if journey is not None:
        for mailbox in {r.mailbox for r in journey.recipients if r.mailbox}:
            actions = log.of_mailbox(mailbox, journey.at_us, JOURNEYS_MAX, frozenset({Kind.ACTED}))
            add_actions(journey, reversed(actions))
    return journey


def trace_message_id(log: LogReader, message_id: str, since_us: int) -> list[Journey]:
    """All accepted messages with that Message-ID (with or without its angle brackets)."""
    wanted = message_id if message_id.startswith("<") else f"<{message_id}>"
    journeys = []
    for entry in log.by_message_key(message_key_of(wanted), since_us):
        if isinstance(entry.fact, Accepted) and entry.fact.message_id == wanted:
            journey = trace_receipt(log, entry.receipt)
            if journey is not None:
                journeys.append(journey)
    return journeys


def trace_mailbox(log: LogReader, mailbox: int, since_us: int, limit: int) -> list[Journey]:
    """What was accepted for a mailbox, newest first."""
    entries = log.of_mailbox(
        mailbox, since_us, min(limit, JOURNEYS_MAX), frozenset({Kind.ACCEPTED, Kind.ROUTED})
    )
    journeys = []
    for receipt in dict.fromkeys(entry.receipt for entry in entries):
        journey = trace_receipt(log, receipt)
        if journey is not None:
            journeys.append(journey)
    return journeys


def trace_refused(log: LogReader, since_us: int, recipient: str = "") -> list[Attempt]:
    """Refused attempts from a moment on, of one recipient or of all, newest last.

    An attempt at DATA or CONTENT names no single recipient: it is found by none.
    """
    wanted = recipient.casefold()
    found = []
    for entry in log.since(since_us, frozenset({Kind.REFUSED})):
        fact = entry.fact
        assert isinstance(fact, Refused)
        if not wanted or wanted in fact.recipient.casefold().split(" "):
            found.append(Attempt(entry.at_us, entry.receipt, fact))
            if len(found) >= REFUSALS_MAX:
                break
    return sorted(found, key=lambda attempt: attempt.at_us)


def add_up(log: LogReader, since_us: int) -> Sums:
    """Count every fate since a moment, from the facts themselves."""
    states: dict[tuple[bytes, int, int], State] = {}  # by receipt, ordinal and mailbox
    messages = refused = disagreements = 0
    fates: list[tuple[bytes, Delivered | Held | Routed]] = []
    kinds = frozenset({Kind.ACCEPTED, Kind.REFUSED, Kind.DELIVERED, Kind.HELD, Kind.ROUTED})
    for entry in log.since(since_us, kinds):
        match entry.fact:
            case Accepted() as fact:
                messages += 1
                for ordinal, recipient in enumerate(fact.recipients):
                    states[entry.receipt, ordinal, recipient.mailbox] = State.WAITING
            case Refused() as fact:
                refused += max(fact.times, fact.recipients)  # both are sums already
            case Delivered() | Held() | Routed() as fact:
                fates.append((entry.receipt, fact))
            case _:
                pass
    routed: set[tuple[bytes, int]] = set()
    for receipt, fate in fates:
        key = (receipt, fate.ordinal, fate.mailbox)
        if isinstance(fate, Routed) and key not in states:
            # It is accepted once for each mailbox that its unverified recipient leads to.
            unverified = states.pop((receipt, fate.ordinal, 0), None)
            if unverified is not None or key[:2] in routed:
                routed.add(key[:2])
                states[key] = State.WAITING
        state = states.get(key)
        if state is None and key[:2] in routed:
            continue  # told again that it was held before it was known whose it is
        if state is None:
            disagreements += _accepted_before(log, receipt, since_us)
        elif state is not State.DELIVERED:
            match fate:
                case Delivered():
                    states[key] = State.DELIVERED
                case Held():
                    states[key] = State.HELD
                case Routed():
                    states[key] = State.WAITING
    counted = [list(states.values()).count(state) for state in State]
    waiting, held, delivered = counted
    return Sums(len(states), delivered, held, waiting, refused, messages, disagreements)


def _accepted_before(log: LogReader, receipt: bytes, since_us: int) -> int:
    """1 where a fate has no acceptance at all; 0 where it was just before the asked moment."""
    return (
        0 if any(e.at_us < since_us and e.kind is Kind.ACCEPTED for e in log.find(receipt)) else 1
    )
