"""The states of a message on its way to one recipient.

| state    | facts present             | who moves it on       | after a crash                     |
|----------|---------------------------|-----------------------|-----------------------------------|
| refused  | Refused                   | nobody; it is not ours| nothing                           |
| waiting  | Accepted                  | the cell's reader     | read again from the checkpoint    |
| held     | Accepted, Held(reason)    | the reader, when the  | still held: it is in the          |
|          |                           | reason is gone        | checkpoint's own transaction      |
| delivered| Accepted, …, Delivered    | nobody                | nothing                           |

A message that is waiting or held is readable in the emergency inbox. There is no state in which
an accepted message is thrown away or sent back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from staffetta.log.facts import Accepted, Acted, Delivered, Held, Recipient, Routed
from staffetta.log.port import Entry


class State(StrEnum):
    """Where a message is on its way to one recipient."""

    WAITING = "waiting"
    HELD = "held"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened on the way, in the log's own order."""

    at_us: int
    what: str  # accepted, held, routed, delivered, or a verb of the emergency inbox
    detail: str = ""


@dataclass(slots=True)
class RecipientJourney:
    """How far the message got for one recipient."""

    ordinal: int
    mailbox: int
    brand: str
    addresses: tuple[str, ...]
    state: State
    since_us: int
    reason: str = ""  # why it is held
    cell: str = ""
    folder: str = ""
    uid: int = 0
    uid_validity: int = 0
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Journey:
    """One accepted message and what became of it."""

    receipt: bytes
    at_us: int
    fact: Accepted
    partition: int
    position: int
    recipients: list[RecipientJourney]


def fold(entries: Iterable[Entry]) -> Journey | None:
    """The journey that the entries about one receipt tell, in time order; None without an
    acceptance among them."""
    journey: Journey | None = None
    for entry in entries:
        match entry.fact:
            case Accepted() as fact if journey is None:
                journey = _begin(entry, fact)
            case Delivered() | Held() | Routed() as fact if journey is not None:
                recipient = _find(journey, fact)
                if recipient is not None:
                    _move(recipient, entry.at_us, fact)
            case _:
                pass
    return journey


def add_actions(journey: Journey, actions: Iterable[Entry]) -> None:
    """Put what a person did in the emergency inbox among the steps."""
    for entry in actions:
        fact = entry.fact
        if isinstance(fact, Acted) and journey.receipt in fact.receipts:
            for recipient in journey.recipients:
                if recipient.mailbox == fact.mailbox:
                    recipient.steps.append(Step(entry.at_us, fact.verb, fact.folder))
    for recipient in journey.recipients:
        recipient.steps.sort(key=lambda step: step.at_us)


def _begin(entry: Entry, fact: Accepted) -> Journey:
    recipients = [
        _waiting(ordinal, recipient, entry.at_us)
        for ordinal, recipient in enumerate(fact.recipients)
    ]
    return Journey(entry.receipt, entry.at_us, fact, entry.partition, entry.position, recipients)


def _waiting(ordinal: int, recipient: Recipient, at_us: int) -> RecipientJourney:
    return RecipientJourney(
        ordinal,
        recipient.mailbox,
        recipient.brand,
        recipient.addresses,
        State.WAITING,
        at_us,
        steps=[Step(at_us, "accepted")],
    )


def _find(journey: Journey, fact: Delivered | Held | Routed) -> RecipientJourney | None:
    """Whom a fact is about: a forward-path that could not be verified at first may turn out to
    lead to several mailboxes, each with a journey of its own from there on."""
    found = [one for one in journey.recipients if one.ordinal == fact.ordinal]
    for one in found:
        if one.mailbox in (0, fact.mailbox):
            return one
    if not found or not isinstance(fact, Routed):
        return found[0] if found else None
    first = found[0]
    sibling = RecipientJourney(
        first.ordinal,
        fact.mailbox,
        fact.brand,
        first.addresses,
        State.WAITING,
        first.steps[0].at_us,
        steps=[first.steps[0]],
    )
    journey.recipients.append(sibling)
    return sibling


def _move(recipient: RecipientJourney, at_us: int, fact: Delivered | Held | Routed) -> None:
    if recipient.state is State.DELIVERED:
        return  # a repetition after a crash: the first account stands
    match fact:
        case Delivered():
            recipient.state = State.DELIVERED
            recipient.reason = ""
            recipient.cell, recipient.folder = fact.cell, fact.folder
            recipient.uid, recipient.uid_validity = fact.uid, fact.uid_validity
            step = Step(at_us, "delivered", f"{fact.folder} UID {fact.uid}")
        case Held():
            if recipient.state is State.HELD and recipient.reason == fact.reason:
                return
            recipient.state, recipient.reason = State.HELD, fact.reason
            step = Step(at_us, "held", fact.reason)
        case Routed():
            recipient.mailbox, recipient.brand = fact.mailbox, fact.brand
            recipient.state, recipient.reason = State.WAITING, ""
            step = Step(at_us, "routed", fact.address)
    recipient.since_us = at_us
    recipient.steps.append(step)
