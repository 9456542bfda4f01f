"""The emergency inbox: a mailbox's recent mail, read from the log itself.

It needs nothing that can be switched on: the log's index has every message accepted for a
mailbox, before the fault and after it. What the owner does here (read, flag, delete, move,
reply) is a fact in the log, shown here at once and replayed on the mailbox when its cell is
back (`delivery.actions`).

What the mailbox itself knew before the fault (that a message had been read, or moved away) is
not known here; the list says so rather than guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses

from staffetta.formats.encoded import decode_words
from staffetta.formats.headers import find_body, find_values, unfold
from staffetta.journey.states import Journey, State
from staffetta.journey.trace import trace_receipt
from staffetta.log.facts import Acted, Kind
from staffetta.log.port import Entry, LogReader, NewEntry
from staffetta.log.receipts import RECEIPT_BYTES, ReceiptMint
from staffetta.runtime.clock import Clock

HEAD_BYTES = 64 * 1024
DAY_US = 86_400_000_000
ENTRIES_MAX = 10_000
RECEIPTS_PER_ACTION_MAX = 1_000
REPLY_CHARACTERS_MAX = 200_000

FLAG_VERBS = frozenset({"read", "unread", "flag", "unflag"})
VERBS = FLAG_VERBS | {"delete", "move"}


class NotYours(Exception):
    """No message with that receipt was accepted for this mailbox (in the time kept here)."""


class BadAction(ValueError):
    """The action cannot be carried out as asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One line of the list. Flags are those set here since the fault, not the mailbox's own."""

    receipt: bytes
    at_us: int
    sender: str
    subject: str
    size_bytes: int
    read: bool
    flagged: bool
    answered: bool
    folder: str  # INBOX, or where the owner has moved it from here


@dataclass(slots=True)
class _Marks:
    read: bool = False
    flagged: bool = False
    answered: bool = False
    folder: str = "INBOX"


class EmergencyInbox:
    """Reads and acts for the owners of mailboxes. All methods block; one thread at a time."""

    def __init__(self, log: LogReader, clock: Clock, days: int) -> None:
        self._log = log
        self._clock = clock
        self._days = days

    def since_us(self) -> int:
        """How far back it reaches."""
        return self._clock.now_us() - self._days * DAY_US

    def glimpses(self, mailbox: int, limit: int, folder: str = "INBOX") -> list[Glimpse]:
        """The newest messages of a folder, newest first."""
        entries = self._log.of_mailbox(
            mailbox,
            self.since_us(),
            ENTRIES_MAX,
            frozenset({Kind.ACCEPTED, Kind.ROUTED, Kind.ACTED}),
        )
        marks = self._marks(entries)
        shown: dict[bytes, Entry] = {}
        for entry in entries:
            mark = marks.get(entry.receipt)
            if entry.kind is Kind.ACTED or (mark is not None and mark.folder != folder):
                continue
            if mark is None and folder != "INBOX":
                continue
            if entry.kind is Kind.ROUTED:
                found = [e for e in self._log.find(entry.receipt) if e.kind is Kind.ACCEPTED]
                entry = found[0] if found else entry
            shown.setdefault(entry.receipt, entry)
            if len(shown) >= limit:
                break
        heads = self._heads(list(shown.values()))
        return [
            _glimpse(entry, head, marks.get(entry.receipt, _Marks()))
            for entry, head in zip(shown.values(), heads, strict=True)
        ]

    def content(self, mailbox: int, receipt: bytes) -> bytes:
        """The whole message, as accepted. Raises `NotYours`."""
        journey = self._journey(mailbox, receipt)
        return self._log.bodies(journey.partition, [journey.position])[0]

    def state(self, mailbox: int, receipt: bytes) -> State:
        """Is the message in the mailbox already? Raises `NotYours`."""
        journey = self._journey(mailbox, receipt)
        return next(r.state for r in journey.recipients if r.mailbox == mailbox)

    def check(self, mailbox: int, verb: str, receipts: Sequence[bytes], folder: str) -> None:
        """May this be done? Raises `BadAction`, `NotYours`."""
        if verb not in VERBS:
            raise BadAction(f"there is no action {verb!r}; there are {', '.join(sorted(VERBS))}")
        if verb == "move" and not folder:
            raise BadAction("say into which folder")
        if not 0 < len(receipts) <= RECEIPTS_PER_ACTION_MAX:
            raise BadAction(f"between 1 and {RECEIPTS_PER_ACTION_MAX} messages at a time")
        for receipt in receipts:
            self._journey(mailbox, receipt)

    def _journey(self, mailbox: int, receipt: bytes) -> Journey:
        if len(receipt) != RECEIPT_BYTES:
            raise NotYours
        journey = trace_receipt(self._log, receipt)
        if journey is None or all(r.mailbox != mailbox for r in journey.recipients):
            raise NotYours
        if journey.at_us < self.since_us():
            raise NotYours
        return journey

    def _marks(self, entries: Sequence[Entry]) -> dict[bytes, _Marks]:
        marks: dict[bytes, _Marks] = {}
        for entry in reversed(entries):
            fact = entry.fact
            if not isinstance(fact, Acted):
                continue
            for receipt in fact.receipts:
                mark = marks.setdefault(receipt, _Marks())
                match fact.verb:
                    case "read" | "unread":
                        mark.read = fact.verb == "read"
                    case "flag" | "unflag":
                        mark.flagged = fact.verb == "flag"
                    case "answered":
                        mark.answered = True
                    case "delete":
                        mark.folder = "Trash"
                    case "move":
                        mark.folder = fact.folder
                    case _:
                        pass
        return marks

    def _heads(self, entries: Sequence[Entry]) -> list[bytes]:
        heads: dict[bytes, bytes] = {}
        by_partition: dict[int, list[Entry]] = {}
        for entry in entries:
            by_partition.setdefault(entry.partition, []).append(entry)
        for partition, group in by_partition.items():
            positions = [entry.position for entry in group]
            found = self._log.heads(partition, positions, HEAD_BYTES)
            heads.update(zip((entry.receipt for entry in group), found, strict=True))
        return [heads[entry.receipt] for entry in entries]


def _glimpse(entry: Entry, head: bytes, mark: _Marks) -> Glimpse:
    header = head[: find_body(head, 0, len(head))]
    return Glimpse(
        entry.receipt,
        entry.at_us,
        _first(header, b"from"),
        _first(header, b"subject"),
        entry.size_bytes,
        mark.read,
        mark.flagged,
        mark.answered,
        mark.folder,
    )


def _first(header: bytes, name: bytes) -> str:
    values = find_values(header, name)
    return decode_words(unfold(values[0])) if values else ""


class EmergencyActions:
    """Makes entries of what owners do; they go into the log of the process that serves them."""

    def __init__(self, mint: ReceiptMint, clock: Clock) -> None:
        self._mint = mint
        self._clock = clock

    def acted(
        self, mailbox: int, verb: str, receipts: Sequence[bytes], folder: str = ""
    ) -> NewEntry:
        """An action that `EmergencyInbox.check` allows. The entry's receipt is its own id."""
        now_us = self._clock.now_us()
        action = self._mint.make(now_us)
        fact = Acted(action, mailbox, verb, tuple(receipts), folder)
        return NewEntry(now_us, action, fact, None, (mailbox,))

    def sent(self, mailbox: int, original: bytes, content: bytes) -> list[NewEntry]:
        """A reply was sent: its copy for Sent, and the original is answered."""
        now_us = self._clock.now_us()
        action = self._mint.make(now_us)
        fact = Acted(action, mailbox, "sent", (original,))
        copy = NewEntry(now_us, action, fact, content, (mailbox,))
        return [copy, self.acted(mailbox, "answered", (original,))]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply ready to be accepted: to whom, and its bytes."""

    recipient: str
    message_id: str
    content: bytes


def compose_reply(original: bytes, sender: str, text: str, message_id: str, at_us: int) -> Reply:
    """A plain-text reply to the author of a message (RFC 5322 section 3.6.4).

    `message_id` is for the new message, without brackets. Raises `BadAction` where the original
    names nobody to reply to.
    """
    if not text.strip():
        raise BadAction("a reply has some text")
    if len(text) > REPLY_CHARACTERS_MAX:
        raise BadAction(f"a reply has at most {REPLY_CHARACTERS_MAX} characters")
    header = original[: find_body(original, 0, len(original))]
    author = _reply_address(header)
    reply = EmailMessage(policy=SMTP.clone(utf8=not sender.isascii() or not author.isascii()))
    reply["From"] = sender
    reply["To"] = author
    subject = _flat(_first(header, b"subject"))
    reply["Subject"] = subject if subject[:3].casefold() == "re:" else f"Re: {subject}"
    reply["Date"] = datetime.fromtimestamp(at_us / 1_000_000, UTC)
    reply["Message-ID"] = f"<{message_id}>"
    original_id = _flat(_first(header, b"message-id"))
    if original_id:
        reply["In-Reply-To"] = original_id
        references = _flat(_first(header, b"references"))
        reply["References"] = f"{references} {original_id}".strip()
    reply.set_content(text)
    return Reply(author, f"<{message_id}>", reply.as_bytes())


def _reply_address(header: bytes) -> str:
    for name in (b"reply-to", b"from"):
        values = [_flat(decode_words(unfold(value))) for value in find_values(header, name)]
        for _, address in getaddresses(values):
            if "@" in address:
                return address
    raise BadAction("this message names nobody to reply to")


def _flat(text: str) -> str:
    """One line: encoded words may hide line ends, Unicode's among them, which no field may have."""
    return " ".join(text.split())
