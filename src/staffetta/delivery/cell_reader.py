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

from staffetta.delivery.checkpoints import (
    ACTION,
    MAILBOX_DAMAGED,
    MAILBOX_GONE,
    NO_SUCH_USER,
    OVER_QUOTA,
    UNVERIFIED,
    Checkpoints,
    HeldItem,
    Item,
)
from staffetta.delivery.facts_sink import FactsSink
from staffetta.delivery.replaying import Action, Replay
from staffetta.delivery.tail import Tail
from staffetta.directory.recipients import Known, NoSuchUser, NotOurs, Recipients, Target
from staffetta.log.facts import Accepted, Acted, Delivered, Held, MailboxChanged, Routed
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

HELD_PER_MAILBOX_MAX = 1_000_000


# Waiting entries that a status counts one by one; beyond, it reckons.
COUNTED_ENTRIES_MAX = 1_000
# Messages made ready for SEARCH before new mail is looked for again.
INDEXED_AT_ONCE = 200


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

    waiting: int  # messages and actions for this cell that are not durably dealt with
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
        self._replay = Replay(cell, bodies, damaged)
        self._touched = False  # the cell has been written to since it was last synced
        self._reached = checkpoints.positions()
        self._durable = dict(self._reached)
        self._actions: list[Action] = []  # read and not yet due; the checkpoint waits for them
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
        actions = list(self._actions)
        # People act on what was accepted before. Their partitions come after the accepting ones:
        # with the ends read from the last partition to the first, all that an action within
        # its end can be about is within the ends of the others.
        ends = {p: self._tail.last(p) for p in reversed(self._tail.partitions())}
        for partition in sorted(ends):
            after = reached.get(partition, 0)
            entries, reach = self._tail.read(partition, after, self._settings.batch_entries)
            reached[partition] = reach
            for entry in entries:
                match entry.fact:
                    case Accepted() as fact:
                        self._add_accepted(entry, fact, items)
                    case Routed() as fact:
                        self._add_routed(entry, fact, items)
                    case Acted() as fact if self._is_here(fact.mailbox):
                        actions.append(Action(entry, fact))
                    case MailboxChanged(what="damaged") as fact:
                        self._note_reported(fact)
                    case _:
                        pass
        # While a backlog is still being read, actions wait.
        caught_up = all(reached[partition] >= end for partition, end in ends.items())
        due: list[Action] = []
        waiting: list[Action] = []
        for action in actions:
            entry = action.entry
            is_due = caught_up and entry.position <= ends[entry.partition]
            (due if is_due else waiting).append(action)
        self._carry_out(items, due)
        moved = reached != self._reached
        self._reached, self._actions = reached, waiting
        retried = self._retry_held()
        self._make_final_if_due(idle=not items)
        return moved or bool(items) or retried

    def tidy(self) -> bool:
        """Something useful for idle time; True if there may be more. Raises `VolumeFault`."""
        return self.cell.index_pending(INDEXED_AT_ONCE) >= INDEXED_AT_ONCE

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
            after, last = reached.get(partition, 0), self._tail.last(partition)
            if last <= after:
                continue
            entries, reach = self._tail.read(partition, after, COUNTED_ENTRIES_MAX)
            mine = [entry for entry in entries if self._concerns(entry)]
            # Beyond what is counted one by one, this cell's share is taken to go on.
            counted = max(reach - after, 1)
            waiting += round(len(mine) * (last - after) / counted)
            if mine:
                oldest_us = min(oldest_us or mine[0].at_us, mine[0].at_us)
        oldest_s = None if oldest_us is None else (self._clock.now_us() - oldest_us) / 1_000_000
        return ReaderState(waiting, self._held_count, self._delivered, oldest_s)

    def durable_positions(self) -> dict[int, int]:
        """Partition → up to where it is dealt with, power cut or not. For any thread."""
        return dict(self._durable)

    # -- which entries concern this cell -------------------------------------------------

    def _is_here(self, mailbox: int) -> Target | None:
        target = self._recipients.by_mailbox(mailbox)
        return target if target is not None and target.cell == self.cell.name else None

    def _concerns(self, entry: Entry) -> bool:
        """Has this cell anything to do with the entry? For any thread."""
        match entry.fact:
            case Accepted() as fact:
                items: list[Item] = []
                self._add_accepted(entry, fact, items)
                return bool(items)
            case Routed(mailbox=mailbox) | Acted(mailbox=mailbox):
                return self._is_here(mailbox) is not None
            case _:
                return False

    def _note_reported(self, fact: MailboxChanged) -> None:
        """Another process has met a damaged mailbox."""
        target = self._is_here(fact.mailbox)
        if target is not None:
            self._damaged(_ref(target), fact.detail)

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

    def _carry_out(self, items: Sequence[Item], actions: Sequence[Action]) -> None:
        """Deliver and replay; where that fails, all of it will be done again, and what is
        remembered of this time is forgotten: a long fault must not fill the memory."""
        delivered, outcomes = self._delivered, len(self._outcomes)
        held, released = len(self._held), len(self._released)
        try:
            self._deliver(items)
            self._act(actions)
        except BaseException:
            self._delivered = delivered
            del self._outcomes[outcomes:], self._held[held:], self._released[released:]
            raise

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
            if target is not None and target.cell != self.cell.name:
                self._pass_on(target, waiting, held_before)
            elif target is not None:
                targets.append((target, waiting))
            elif not held_before:
                self._hold(waiting, MAILBOX_GONE if mailbox else UNVERIFIED)
        contents = self._contents(item for _, waiting in targets for item in waiting)
        batches = [_batch(target, waiting, contents) for target, waiting in targets]
        if not batches:
            return 0
        placed = 0
        changed: list[int] = []
        self._touched = True
        for (target, waiting), outcomes in zip(targets, self.cell.deliver(batches), strict=True):
            fresh = self._note(target, waiting, outcomes, held_before)
            placed += sum(isinstance(outcome, Placed) for outcome in outcomes)
            if fresh:
                changed.append(target.mailbox)
        self._delivered += placed
        if changed:
            self._changed(changed)
        return placed

    def _pass_on(self, target: Target, items: Sequence[Item], held_before: bool) -> None:
        """The mailbox has moved to another cell meanwhile: its reader delivers these."""
        now_us = self._clock.now_us()
        for item in items:
            fact = Routed(
                item.ordinal,
                target.mailbox,
                target.brand,
                item.address,
                item.partition,
                item.position,
                item.at_us,
            )
            self._outcomes.append(NewEntry(now_us, item.receipt, fact, None, (target.mailbox,)))
        if held_before:
            self._released.extend(items)

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
                case Damaged(detail):
                    # Also where it is only incomplete: its rebuild may have died with its process.
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
            messages = [one for one in held if one.item.ordinal != ACTION]
            if mailbox == 0:
                placed += self._route(messages)
            elif messages:
                placed += self._deliver_chunk([one.item for one in messages], held_before=True)
            if len(messages) < len(held):
                placed += self._act_again(mailbox)
        if placed:
            # Before anything newer: the order in which held messages came in is nowhere else.
            self._make_final()
        return placed > 0

    def _route(self, held: Sequence[HeldItem]) -> int:
        """Ask again whose the unverified messages are; those that are known now go there."""
        routed = 0
        for one in held:
            item = one.item
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
                case NoSuchUser() | NotOurs() if one.reason != NO_SUCH_USER:
                    # The table is sound and has no such user: an operator decides. The message
                    # stays; nobody is told a lie about it.
                    self._held.append(HeldItem(item, NO_SUCH_USER))
                case _:
                    pass
        return routed

    def _act(self, actions: Sequence[Action]) -> None:
        changed = []
        for action in actions:
            mailbox = action.fact.mailbox
            target = self._is_here(mailbox)
            if target is None:
                continue
            waiting = self._replay.waiting(self._held_now(mailbox))
            self._touched = True
            reason = self._replay.carry_out(action, _ref(target), waiting)
            if reason:
                self._held.append(HeldItem(action.item, reason))
            else:
                changed.append(mailbox)
        if changed:
            self._changed(changed)

    def _act_again(self, mailbox: int) -> int:
        """Try a mailbox's held actions in the order in which they were done; how many went."""
        target = self._is_here(mailbox)
        if target is None:
            return 0
        done = 0
        held = self._held_now(mailbox)
        waiting = {one.item.receipt for one in held if one.item.ordinal != ACTION}
        for one in held:
            if one.item.ordinal != ACTION:
                continue
            action = self._replay.read(one)
            self._touched = True
            if self._replay.carry_out(action, _ref(target), waiting):
                waiting.update(action.fact.receipts)
            else:
                self._released.append(one.item)
                done += 1
        if done:
            self._changed([mailbox])
        return done

    def _held_now(self, mailbox: int) -> list[HeldItem]:
        """What is held of a mailbox, oldest first, with what is not on disk yet."""
        kept = self._checkpoints.held(HELD_PER_MAILBOX_MAX, mailbox) if self._held_count else []
        held = kept + [one for one in self._held if one.item.mailbox == mailbox]
        released = set(self._released)
        return [one for one in held if one.item not in released]

    # -- making it final -----------------------------------------------------------------

    def _make_final_if_due(self, *, idle: bool) -> None:
        since_s = self._clock.monotonic_s() - self._synced_s
        many = len(self._outcomes) >= self._settings.unsynced_items_max
        if many or since_s >= self._settings.sync_interval_s or (idle and self._outcomes):
            self._make_final()

    def _make_final(self) -> None:
        self._synced_s = self._clock.monotonic_s()
        dealt_with = dict(self._reached)
        for action in self._actions:
            entry = action.entry
            dealt_with[entry.partition] = min(dealt_with[entry.partition], entry.position - 1)
        progress = dealt_with != self._durable
        if not (progress or self._outcomes or self._held or self._released):
            return
        if self._touched:
            self.cell.sync()
            self._touched = False
        self._facts.append(self._outcomes)
        self._outcomes = []
        self._checkpoints.move(dealt_with, self._held, self._released)
        if self._held or self._released:
            self._held_count = sum(self._checkpoints.held_mailboxes().values())
        self._held, self._released = [], []
        self._durable = dealt_with


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
