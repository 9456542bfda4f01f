"""From the log into the mailboxes of one cell: a checkpointed reader.

One `step` reads what is new, puts it into mailboxes, and now and then makes it final: the cell
is synced, then the facts (Delivered, Held) are appended to the log, and only then does the
checkpoint move. Whatever dies in between is done again, and `Cell.deliver` finds what is there
already. There is no timer on a message and no bounce: it is delivered, or it is held and says
what for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from staffetta.delivery.actions import apply_action
from staffetta.delivery.checkpoints import Checkpoints, HeldItem, Item
from staffetta.delivery.facts_sink import FactsSink
from staffetta.delivery.tail import Tail
from staffetta.directory.recipients import Known, NoSuchUser, NotOurs, Recipients, Target
from staffetta.log.facts import Accepted, Acted, Delivered, Held, Routed
from staffetta.log.port import Entry, LogReader, NewEntry
from staffetta.mailboxes.port import (
    Cell,
    Damaged,
    Delivery,
    MailboxBatch,
    MailboxRef,
    Outcome,
    Overfull,
    Placed,
)
from staffetta.runtime.clock import Clock

OVER_QUOTA = "over-quota"
UNVERIFIED = "unverified"
NO_SUCH_USER = "no-such-user"
MAILBOX_GONE = "mailbox-gone"
MAILBOX_DAMAGED = "mailbox-damaged"


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """How much at once, and how often it is made final."""

    batch_entries: int = 4_000
    batch_bytes_max: int = 32 * 1024 * 1024
    sync_interval_s: float = 1.0
    unsynced_items_max: int = 20_000
    held_retry_s: float = 5.0
    held_mailboxes_per_round: int = 200
    held_items_per_mailbox: int = 100


@dataclass(frozen=True, slots=True)
class ReaderState:
    """For status pages: what waits for this cell."""

    waiting: int  # entries of the log not yet looked at; an upper bound of waiting messages
    held: int
    delivered: int
    oldest_waiting_s: float | None


class CellReader:
    """Delivers to one cell. All methods but `state` are called on one thread."""

    def __init__(
        self,
        cell: Cell,
        tail: Tail,
        bodies: LogReader,
        checkpoints: Checkpoints,
        recipients: Recipients,
        facts: FactsSink,
        clock: Clock,
        settings: ReaderSettings,
        *,
        lane: bool = False,
        changed: Callable[[Sequence[int]], None] = lambda mailboxes: None,
        damaged: Callable[[MailboxRef, str], None] = lambda ref, detail: None,
    ) -> None:
        """`lane`: this reader also looks after recipients that could not be verified.

        `changed` hears of mailboxes with new mail, `damaged` of mailboxes to be rebuilt.
        """
        self.cell = cell
        self._tail = tail
        self._bodies = bodies
        self._checkpoints = checkpoints
        self._recipients = recipients
        self._facts = facts
        self._clock = clock
        self._settings = settings
        self._lane = lane
        self._changed = changed
        self._damaged = damaged
        self._reached = checkpoints.positions()
        self._durable = dict(self._reached)
        self._outcomes: list[NewEntry] = []
        self._held: list[HeldItem] = []
        self._released: list[Item] = []
        self._held_count = sum(checkpoints.held_mailboxes().values())
        self._synced_s = clock.monotonic_s()
        self._retried_s = clock.monotonic_s()
        self._delivered = 0

    def step(self) -> bool:
        """One round; True if there was anything to do. Raises `VolumeFault`, `LogFull`,
        `LogBroken`: nothing is lost by that, the next step begins where this one could not
        end."""
        reached = dict(self._reached)
        items: list[Item] = []
        actions: list[Entry] = []
        exhausted = True
        for partition in self._tail.partitions():
            after = reached.get(partition, 0)
            entries, reach = self._tail.read(partition, after, self._settings.batch_entries)
            reached[partition] = reach
            exhausted = exhausted and len(entries) < self._settings.batch_entries
            for entry in entries:
                match entry.fact:
                    case Accepted() as fact:
                        self._add_accepted(entry, fact, items)
                    case Routed() as fact:
                        self._add_routed(entry, fact, items)
                    case Acted() as fact if self._is_here(fact.mailbox):
                        actions.append(entry)
                    case _:
                        pass
        if items:
            self._deliver(items)
        # What a person did is about messages accepted before; those are in by now, unless a
        # backlog is still being read: then the actions wait, and so does their checkpoint.
        if actions and not exhausted:
            for entry in actions:
                reached[entry.partition] = min(reached[entry.partition], entry.position - 1)
        elif actions:
            self._act(actions)
        moved = reached != self._reached
        self._reached = reached
        retried = self._retry_held()
        self._make_final_if_due(idle=not items)
        return moved or bool(items) or retried

    def finish(self) -> None:
        """Make everything final; called before the thread ends."""
        self._make_final()

    def close(self) -> None:
        """Let go of the checkpoint file."""
        self._checkpoints.close()

    def state(self) -> ReaderState:
        """A snapshot for status; may be called from any thread. Raises `VolumeFault`."""
        reached = self._durable
        waiting = 0
        oldest_us: int | None = None
        for partition in self._tail.partitions():
            behind = self._tail.last(partition) - reached.get(partition, 0)
            if behind > 0:
                waiting += behind
                entries, _ = self._tail.read(partition, reached.get(partition, 0), 1)
                for entry in entries:
                    oldest_us = min(oldest_us or entry.at_us, entry.at_us)
        oldest_s = None if oldest_us is None else (self._clock.now_us() - oldest_us) / 1_000_000
        return ReaderState(waiting, self._held_count, self._delivered, oldest_s)

    # -- which entries concern this cell -------------------------------------------------

    def _is_here(self, mailbox: int) -> Target | None:
        target = self._recipients.by_mailbox(mailbox)
        return target if target is not None and target.cell == self.cell.name else None

    def _add_accepted(self, entry: Entry, fact: Accepted, into: list[Item]) -> None:
        for ordinal, recipient in enumerate(fact.recipients):
            if recipient.mailbox == 0:
                mine: object = self._lane
            else:
                target = self._recipients.by_mailbox(recipient.mailbox)
                # A mailbox that is no more has no cell: the lane's reader holds its mail.
                mine = self._lane if target is None else target.cell == self.cell.name
            if mine:
                into.append(
                    Item(
                        entry.partition,
                        entry.position,
                        ordinal,
                        entry.receipt,
                        entry.at_us,
                        recipient.mailbox,
                        recipient.addresses[0],
                        entry.size_bytes,
                    )
                )

    def _add_routed(self, entry: Entry, fact: Routed, into: list[Item]) -> None:
        if self._is_here(fact.mailbox):
            into.append(
                Item(
                    fact.partition,
                    fact.position,
                    fact.ordinal,
                    entry.receipt,
                    fact.at_us,
                    fact.mailbox,
                    fact.address,
                    0,
                )
            )

    # -- putting messages in -------------------------------------------------------------

    def _deliver(self, items: Sequence[Item]) -> None:
        chunk: list[Item] = []
        size_bytes = 0
        for item in items:
            chunk.append(item)
            size_bytes += item.size_bytes
            if size_bytes >= self._settings.batch_bytes_max:
                self._deliver_chunk(chunk)
                chunk, size_bytes = [], 0
        if chunk:
            self._deliver_chunk(chunk)

    def _deliver_chunk(self, items: Sequence[Item], held_before: bool = False) -> int:
        """Deliver items that fit in memory together; returns how many are in now."""
        by_mailbox: dict[int, list[Item]] = {}
        for item in items:
            by_mailbox.setdefault(item.mailbox, []).append(item)
        targets: list[tuple[Target, list[Item]]] = []
        for mailbox in sorted(by_mailbox):
            waiting = by_mailbox[mailbox]
            target = self._recipients.by_mailbox(mailbox) if mailbox else None
            if target is not None:
                targets.append((target, waiting))
            elif not held_before:
                self._hold(waiting, MAILBOX_GONE if mailbox else UNVERIFIED)
        contents = self._contents(item for _, waiting in targets for item in waiting)
        batches = [_batch(target, waiting, contents) for target, waiting in targets]
        if not batches:
            return 0
        placed = 0
        changed: list[int] = []
        for (target, waiting), outcomes in zip(targets, self.cell.deliver(batches), strict=True):
            fresh = self._note(target, waiting, outcomes, held_before)
            placed += sum(isinstance(outcome, Placed) for outcome in outcomes)
            if fresh:
                changed.append(target.mailbox)
        self._delivered += placed
        if changed:
            self._changed(changed)
        return placed

    def _contents(self, items: Iterable[Item]) -> dict[tuple[int, int], bytes]:
        positions: dict[int, list[int]] = {}
        for item in items:
            positions.setdefault(item.partition, []).append(item.position)
        contents: dict[tuple[int, int], bytes] = {}
        for partition, wanted in positions.items():
            ordered = sorted(set(wanted))
            for position, body in zip(
                ordered, self._bodies.bodies(partition, ordered), strict=True
            ):
                contents[partition, position] = body
        return contents

    def _note(
        self,
        target: Target,
        items: Sequence[Item],
        outcomes: Sequence[Outcome],
        held_before: bool,
    ) -> bool:
        """Remember what became of one mailbox's items; True if any of it is new there."""
        now_us = self._clock.now_us()
        fresh = False
        for item, outcome in zip(items, outcomes, strict=True):
            match outcome:
                case Placed():
                    fresh = fresh or outcome.fresh
                    fact = Delivered(
                        item.ordinal,
                        item.mailbox,
                        self.cell.name,
                        outcome.folder,
                        outcome.uid,
                        outcome.uid_validity,
                        item.partition,
                        item.position,
                    )
                    self._outcomes.append(
                        NewEntry(now_us, item.receipt, fact, None, (item.mailbox,))
                    )
                    if held_before:
                        self._released.append(item)
                case Overfull():
                    if not held_before:
                        self._hold([item], OVER_QUOTA)
                case Damaged(detail, incomplete):
                    if not incomplete:
                        self._damaged(_ref(target), detail)
                    if not held_before:
                        self._hold([item], MAILBOX_DAMAGED)
        return fresh

    def _hold(self, items: Sequence[Item], reason: str) -> None:
        now_us = self._clock.now_us()
        for item in items:
            self._held.append(HeldItem(item, reason))
            fact = Held(item.ordinal, item.mailbox, reason, item.partition, item.position)
            self._outcomes.append(NewEntry(now_us, item.receipt, fact, None, (item.mailbox,)))

    # -- what waits ----------------------------------------------------------------------

    def _retry_held(self) -> bool:
        now_s = self._clock.monotonic_s()
        if self._held_count == 0 or now_s - self._retried_s < self._settings.held_retry_s:
            return False
        self._make_final()
        self._retried_s = self._clock.monotonic_s()
        placed = 0
        mailboxes = list(self._checkpoints.held_mailboxes())
        for mailbox in mailboxes[: self._settings.held_mailboxes_per_round]:
            held = self._checkpoints.held(self._settings.held_items_per_mailbox, mailbox)
            items = [waiting.item for waiting in held]
            if mailbox == 0:
                placed += self._route(items)
            else:
                placed += self._deliver_chunk(items, held_before=True)
        return placed > 0

    def _route(self, items: Sequence[Item]) -> int:
        """Ask again whose the unverified messages are; those that are known now go there."""
        routed = 0
        for item in items:
            local_part, _, domain = item.address.rpartition("@")
            match self._recipients.resolve(local_part, domain):
                case Known(targets=targets):
                    now_us = self._clock.now_us()
                    for target in targets:
                        fact = Routed(
                            item.ordinal,
                            target.mailbox,
                            target.brand,
                            item.address,
                            item.partition,
                            item.position,
                            item.at_us,
                        )
                        entry = NewEntry(now_us, item.receipt, fact, None, (target.mailbox,))
                        self._outcomes.append(entry)
                    self._released.append(item)
                    routed += 1
                case NoSuchUser() | NotOurs():
                    # The table is sound and has no such user: an operator decides. The message
                    # stays; nobody is told a lie about it.
                    self._held.append(HeldItem(item, NO_SUCH_USER))
                case _:
                    pass
        return routed

    def _act(self, actions: Sequence[Entry]) -> None:
        changed = []
        for entry in actions:
            fact = entry.fact
            assert isinstance(fact, Acted)
            target = self._is_here(fact.mailbox)
            if target is not None:
                content = b""
                if entry.size_bytes:
                    content = self._bodies.bodies(entry.partition, [entry.position])[0]
                apply_action(self.cell, _ref(target), entry, fact, content)
                changed.append(fact.mailbox)
        self._changed(changed)

    # -- making it final -----------------------------------------------------------------

    def _make_final_if_due(self, *, idle: bool) -> None:
        since_s = self._clock.monotonic_s() - self._synced_s
        many = len(self._outcomes) >= self._settings.unsynced_items_max
        if many or since_s >= self._settings.sync_interval_s or (idle and self._outcomes):
            self._make_final()

    def _make_final(self) -> None:
        self._synced_s = self._clock.monotonic_s()
        if not self._outcomes and self._reached == self._durable:
            return
        if self._outcomes:
            self.cell.sync()
            self._facts.append(self._outcomes)
            self._outcomes = []
        self._checkpoints.move(self._reached, self._held, self._released)
        if self._held or self._released:
            self._held_count = sum(self._checkpoints.held_mailboxes().values())
        self._held, self._released = [], []
        self._durable = dict(self._reached)


def _ref(target: Target) -> MailboxRef:
    return MailboxRef(target.mailbox, target.uid_validity, target.quota_bytes)


def _batch(
    target: Target, items: Sequence[Item], contents: dict[tuple[int, int], bytes]
) -> MailboxBatch:
    deliveries = [
        Delivery(item.receipt, item.ordinal, item.at_us, contents[item.partition, item.position])
        for item in items
    ]
    return MailboxBatch(_ref(target), deliveries)
