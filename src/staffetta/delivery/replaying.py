"""Which of the things that people did in the emergency inbox can be done to a mailbox now.

An action on a message that is still held (the mailbox is full, or damaged) waits for it, and
behind it every later action on the same message, so that a mailbox ends up as its owner left
it. What waits is kept beside the held messages, and survives as they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from staffetta.delivery.actions import apply_action
from staffetta.delivery.checkpoints import ACTION, MAILBOX_DAMAGED, OVER_QUOTA, HeldItem, Item
from staffetta.log.facts import Acted
from staffetta.log.port import Entry, LogReader
from staffetta.mailboxes.port import (
    Cell,
    Damaged,
    MailboxDamaged,
    MailboxIncomplete,
    MailboxRef,
    Overfull,
)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a person did, with the entry that says so."""

    entry: Entry
    fact: Acted

    @property
    def item(self) -> Item:
        """As it is held."""
        entry = self.entry
        return Item(
            entry.partition,
            entry.position,
            ACTION,
            entry.receipt,
            entry.at_us,
            self.fact.mailbox,
            "",
            entry.size_bytes,
        )


class Replay:
    """Carries out actions on one cell."""

    def __init__(
        self, cell: Cell, log: LogReader, damaged: Callable[[MailboxRef, str], None]
    ) -> None:
        """`damaged` hears of mailboxes to be rebuilt."""
        self._cell = cell
        self._log = log
        self._damaged = damaged

    def read(self, held: HeldItem) -> Action:
        """A held action, from the log. Raises `VolumeFault`, `LogDamaged`."""
        item = held.item
        (entry,) = self._log.read(item.partition, item.position - 1, 1)
        assert isinstance(entry.fact, Acted)
        return Action(entry, entry.fact)

    def waiting(self, held: Sequence[HeldItem]) -> set[bytes]:
        """The receipts that these held messages and actions are about."""
        receipts: set[bytes] = set()
        for one in held:
            if one.item.ordinal == ACTION:
                receipts.update(self.read(one).fact.receipts)
            else:
                receipts.add(one.item.receipt)
        return receipts

    def carry_out(self, action: Action, ref: MailboxRef, waiting: set[bytes]) -> str:
        """Do it, unless it is about one of `waiting`; returns why it has to wait, empty when it
        is done. Raises `VolumeFault`, `LogDamaged`."""
        entry, fact = action.entry, action.fact
        if fact.verb != "sent" and not waiting.isdisjoint(fact.receipts):
            return OVER_QUOTA
        content = b""
        if entry.size_bytes:
            content = self._log.bodies(entry.partition, [entry.position])[0]
        try:
            outcome = apply_action(self._cell, ref, entry, fact, content)
        except MailboxDamaged as damage:
            self._damaged(ref, damage.detail)
            return MAILBOX_DAMAGED
        except MailboxIncomplete as error:
            self._damaged(ref, str(error))
            return MAILBOX_DAMAGED
        match outcome:
            case Overfull():
                return OVER_QUOTA
            case Damaged(detail):
                self._damaged(ref, detail)
                return MAILBOX_DAMAGED
            case _:
                return ""
