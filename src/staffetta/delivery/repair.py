"""Mailboxes that are damaged: set aside, made again from the old file and the log, and back.

Only the mailbox concerned is kept from its owner meanwhile; its new mail is held and delivered
when the rebuild is through.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from staffetta.log.facts import Accepted, Acted, Delivered, Kind, Routed
from staffetta.log.port import Entry, LogReader
from staffetta.mailboxes.port import SEEN, Delivery, MailboxRef
from staffetta.mailboxes.progress import Progress

ENTRIES_MAX = 1_000_000
BODIES_PER_READ = 64
SENT = "Sent"
STATES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    """A delivery that the log knows of, without its bytes."""

    partition: int
    position: int
    receipt: bytes
    ordinal: int
    at_us: int
    folder: str
    uid: int
    flags: int = 0


def find_deliveries(log: LogReader, mailbox: int) -> list[_Known]:
    """What the log knows to be, or to have been, in the mailbox; in the order of its delivery."""
    kinds = frozenset({Kind.ACCEPTED, Kind.ROUTED, Kind.DELIVERED, Kind.ACTED})
    entries = log.of_mailbox(mailbox, 0, ENTRIES_MAX, kinds)
    delivered: dict[tuple[bytes, int], tuple[Delivered, int]] = {}
    accepted_us: dict[bytes, int] = {}
    sent: list[Entry] = []
    for entry in reversed(entries):
        match entry.fact:
            case Accepted():
                accepted_us[entry.receipt] = entry.at_us
            case Routed() as fact:
                accepted_us[entry.receipt] = fact.at_us
            case Delivered() as fact:
                delivered.setdefault((entry.receipt, fact.ordinal), (fact, entry.at_us))
            case Acted(verb="sent"):
                sent.append(entry)
            case _:
                pass
    known = [
        _Known(
            fact.partition,
            fact.position,
            receipt,
            ordinal,
            accepted_us.get(receipt, at_us),
            fact.folder,
            fact.uid,
        )
        for (receipt, ordinal), (fact, at_us) in delivered.items()
    ]
    known += [_Known(e.partition, e.position, e.receipt, 0, e.at_us, SENT, 0, SEEN) for e in sent]
    return sorted(known, key=lambda one: (one.folder, one.uid, one.at_us))


def read_deliveries(log: LogReader, known: Sequence[_Known]) -> Iterator[Delivery]:
    """The same with their bytes, some at a time."""
    for start in range(0, len(known), BODIES_PER_READ):
        step = known[start : start + BODIES_PER_READ]
        by_partition: dict[int, list[int]] = {}
        for one in step:
            by_partition.setdefault(one.partition, []).append(one.position)
        contents: dict[tuple[int, int], bytes] = {}
        for partition, positions in by_partition.items():
            wanted = sorted(set(positions))
            for position, body in zip(wanted, log.bodies(partition, wanted), strict=True):
                contents[partition, position] = body
        for one in step:
            yield Delivery(
                one.receipt,
                one.ordinal,
                one.at_us,
                contents[one.partition, one.position],
                one.folder,
                one.flags,
                one.uid,
            )


# Sets the mailbox aside and makes it again: (cell, mailbox) → progress.
Rebuild = Callable[[str, MailboxRef], Iterator[Progress]]


@dataclass(frozen=True, slots=True)
class RepairState:
    """How far the repair of a mailbox is. `what`: none, waiting, rebuilding, rebuilt, sound,
    rebuild-failed."""

    what: str = "none"
    done: int = 0
    total: int = 0
    detail: str = ""


class Repairer:
    """Rebuilds damaged mailboxes, one after the other, on a thread of its own."""

    def __init__(
        self,
        is_damaged: Callable[[str, MailboxRef], bool],
        rebuild: Rebuild,
        report: Callable[[MailboxRef, str, str], None],
    ) -> None:
        """`is_damaged` looks again before anything is set aside; `report(ref, what, detail)`
        hears `rebuilding`, `rebuilt` and `rebuild-failed`."""
        self._is_damaged = is_damaged
        self._rebuild = rebuild
        self._report = report
        self._waiting: queue.SimpleQueue[tuple[str, MailboxRef, str, bool]] = queue.SimpleQueue()
        self._known: set[int] = set()
        self._states: OrderedDict[int, RepairState] = OrderedDict()
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="repair", daemon=True).start()

    def note(self, cell: str, ref: MailboxRef, detail: str, *, force: bool = False) -> None:
        """A mailbox was found damaged; may be called from any thread, again and again.

        With `force` it is made again even if nothing is found wrong with it.
        """
        with self._lock:
            if ref.mailbox in self._known:
                return
            self._known.add(ref.mailbox)
        self._remember(ref, RepairState("waiting", detail=detail))
        self._waiting.put((cell, ref, detail, force))

    def state(self, mailbox: int) -> RepairState:
        """How far a repair is, or how the last one ended."""
        with self._lock:
            return self._states.get(mailbox, RepairState())

    def _remember(self, ref: MailboxRef, state: RepairState) -> None:
        with self._lock:
            self._states[ref.mailbox] = state
            self._states.move_to_end(ref.mailbox)
            if len(self._states) > STATES_MAX:
                self._states.popitem(last=False)

    def _run(self) -> None:
        while True:
            cell, ref, detail, force = self._waiting.get()
            try:
                self._repair(cell, ref, detail, force)
            except Exception as error:  # said aloud; the next mailbox must not wait for this one
                reason = f"{type(error).__name__}: {error}"
                self._remember(ref, RepairState("rebuild-failed", detail=reason))
                self._report(ref, "rebuild-failed", reason)
            with self._lock:
                self._known.discard(ref.mailbox)

    def _repair(self, cell: str, ref: MailboxRef, detail: str, force: bool) -> None:
        if not force and not self._is_damaged(cell, ref):
            self._remember(ref, RepairState("sound", detail=detail))
            return
        self._report(ref, "rebuilding", detail)
        done = total = 0
        for progress in self._rebuild(cell, ref):
            done, total = progress.done, progress.total
            self._remember(ref, RepairState("rebuilding", done, total, progress.what))
        self._remember(ref, RepairState("rebuilt", done, total))
        self._report(ref, "rebuilt", detail)
