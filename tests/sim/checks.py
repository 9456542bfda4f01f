"""What must be true in the end, whatever happened on the way.

The world stands still, its power was cut, and what is left is read by fresh eyes. Each breach is
one line of text; no lines, no breaches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from staffetta.journey.trace import add_up
from staffetta.log.facts import Accepted, Acted, Delivered, Kind, Routed
from staffetta.log.port import Entry, LogDamaged, LogReader
from staffetta.log.receipts import from_text, to_text
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.mailboxes.port import (
    ANSWERED,
    FLAGGED,
    INBOX,
    SEEN,
    Cell,
    Column,
    MailboxDamaged,
    MailboxIncomplete,
    MailboxRef,
)
from staffetta.runtime.faults import VolumeFault
from tests.sim.owners import EVERYTHING, is_for_emergency
from tests.sim.roles import open_cell, open_volume
from tests.sim.senders import Post
from tests.sim.world import World

COLUMNS = (Column.RECEIPT, Column.AT_US, Column.CONTENT)


@dataclass(frozen=True, slots=True)
class Found:
    """A message in a mailbox."""

    mailbox: int
    folder: str
    uid: int
    flags: int
    receipt: bytes
    at_us: int
    content: bytes


@dataclass(slots=True)
class Findings:
    """Everything that is there."""

    accepted: dict[bytes, Entry] = field(default_factory=dict)
    for_mailboxes: dict[bytes, set[int]] = field(default_factory=dict)
    bodies: dict[bytes, bytes] = field(default_factory=dict)
    delivered: list[tuple[bytes, Delivered]] = field(default_factory=list)
    acted: list[tuple[bytes, Acted]] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)

    def of(self, mailbox: int, receipt: bytes) -> list[Found]:
        """The copies of one message in one mailbox."""
        return [f for f in self.found if (f.mailbox, f.receipt) == (mailbox, receipt)]


def check(world: World) -> list[str]:
    """All breaches of a world that has been stopped."""
    process = world.machine.start("audit")
    findings = Findings(breaches=list(world.damages))

    def audit() -> None:
        log = SqliteLogReader(open_volume(process, world.storage.log, "log", world.settings.system))
        _read_log(log, findings)
        for name in world.settings.cells:
            volume = open_volume(process, world.storage.cells[name], name, world.settings.system)
            cell = world.storage.memory_cells.get(name) or open_cell(
                process, volume, world.settings.system
            )
            _read_cell(world, name, cell, findings)
        findings.breaches += _check_sums(log, findings)

    process.spawn(audit)
    world.scheduler.run_for(3_600.0)
    findings.breaches += _check_messages(findings)
    findings.breaches += _check_facts(findings)
    for post in world.posts:
        findings.breaches += _check_post(world, post, findings)
    findings.breaches += _check_owners(world, findings)
    return findings.breaches


def _read_log(log: LogReader, findings: Findings) -> None:
    for partition in log.partitions():
        for _, damages in log.verify(partition):
            findings.breaches += [f"log: {d.file} {d.position}: {d.what}" for d in damages]
        for entry in log.read(partition, 0, 1_000_000):
            match entry.fact:
                case Accepted() as fact:
                    if entry.receipt in findings.accepted:
                        findings.breaches.append(f"receipt {to_text(entry.receipt)} given twice")
                    findings.accepted[entry.receipt] = entry
                    mailboxes = {r.mailbox for r in fact.recipients if r.mailbox}
                    findings.for_mailboxes.setdefault(entry.receipt, set()).update(mailboxes)
                    findings.bodies[entry.receipt] = _read_body(log, entry, findings)
                case Routed() as fact:
                    findings.for_mailboxes.setdefault(entry.receipt, set()).add(fact.mailbox)
                case Delivered() as fact:
                    findings.delivered.append((entry.receipt, fact))
                case Acted() as fact:
                    findings.acted.append((entry.receipt, fact))
                case _:
                    pass


def _read_body(log: LogReader, entry: Entry, findings: Findings) -> bytes:
    try:
        (body,) = log.bodies(entry.partition, [entry.position])
    except (VolumeFault, LogDamaged) as fault:
        findings.breaches.append(f"the body of {to_text(entry.receipt)} is lost: {fault}")
        return b""
    return body


def _read_cell(world: World, name: str, cell: Cell, findings: Findings) -> None:
    for number, target in world.recipients.mailboxes.items():
        if target.cell == name:
            try:
                _read_mailbox(cell, MailboxRef(number, target.uid_validity), findings)
            except (VolumeFault, MailboxDamaged, MailboxIncomplete) as error:
                findings.breaches.append(f"mailbox {number}: {error}")


def _read_mailbox(cell: Cell, ref: MailboxRef, findings: Findings) -> None:
    mailbox = cell.open(ref)
    for problem in cell.check(ref).problems:
        findings.breaches.append(f"mailbox {ref.mailbox}: {problem}")
    for folder in mailbox.overview().folders:
        uids = []
        for chunk in mailbox.fetch(folder.name, EVERYTHING, COLUMNS):
            for uid, flags, _, receipt, at_us, content in chunk:
                uids.append(uid)
                findings.found.append(
                    Found(ref.mailbox, folder.name, uid, flags, receipt, at_us, content)  # type: ignore[arg-type]
                )
        if uids != sorted(set(uids)) or (uids and uids[-1] >= folder.uid_next):  # type: ignore[type-var,operator]
            findings.breaches.append(f"mailbox {ref.mailbox}: UIDs of {folder.name}: {uids}")


def _check_sums(log: LogReader, findings: Findings) -> Iterator[str]:
    sums = add_up(log, 0)
    recipients = sum(len(mailboxes) for mailboxes in findings.for_mailboxes.values())
    if not sums.agree or sums.waiting or sums.held or sums.accepted != recipients:
        yield f"the sums do not agree: {sums}, {recipients} mailboxes"


def _check_messages(findings: Findings) -> Iterator[str]:
    """Each message in a mailbox is one that was accepted for it, as it was accepted, once."""
    replies = {receipt: fact for receipt, fact in findings.acted if fact.verb == "sent"}
    for (mailbox, receipt), copies in Counter(
        (f.mailbox, f.receipt) for f in findings.found
    ).items():
        if copies > 1:
            yield f"mailbox {mailbox}: {to_text(receipt)} is there {copies} times"
    for one in findings.found:
        where = f"mailbox {one.mailbox}: {to_text(one.receipt)}"
        if one.receipt in replies:
            if one.folder != "Sent":
                yield f"{where} is a reply, in {one.folder}"
            continue
        entry = findings.accepted.get(one.receipt)
        if entry is None or one.mailbox not in findings.for_mailboxes[one.receipt]:
            yield f"{where} was not accepted for it"
            continue
        if one.content != findings.bodies[one.receipt]:
            yield f"{where} is not what was accepted"
        if one.at_us != entry.at_us:
            yield f"{where} has INTERNALDATE {one.at_us}, was accepted at {entry.at_us}"


def _check_facts(findings: Findings) -> Iterator[str]:
    """One message has one place in one mailbox, however often that was recorded."""
    places: dict[tuple[bytes, int, int], Delivered] = {}
    for receipt, fact in findings.delivered:
        first = places.setdefault((receipt, fact.ordinal, fact.mailbox), fact)
        if first != fact:
            yield f"{to_text(receipt)}: {fact} after {first}"
    taken: dict[tuple[int, int], bytes] = {}
    for (receipt, _, mailbox), fact in places.items():
        other = taken.setdefault((mailbox, fact.uid), receipt)
        if other != receipt and fact.folder == INBOX:
            yield f"mailbox {mailbox}: UID {fact.uid} for {to_text(receipt)} and {to_text(other)}"
        for copy in findings.of(mailbox, receipt):
            if copy.folder == INBOX and copy.uid != fact.uid:
                yield f"mailbox {mailbox}: {to_text(receipt)} is UID {copy.uid}, not {fact.uid}"


def _check_post(world: World, post: Post, findings: Findings) -> Iterator[str]:
    """What its sender knows is true."""
    marker = post.content
    exact = post.recognisable and len(post.together) <= 1
    gone = world.testimony.expunged | world.testimony.perhaps
    for address in post.addresses:
        answer = post.answers.get(address, "")
        told = not answer[:3].isdigit() or len(answer) == 16
        mailboxes = world.recipients.aliases.get(address.partition("@")[0], ())
        for mailbox in mailboxes:
            copies = [f for f in findings.found if f.mailbox == mailbox and marker in f.content]
            expunged = sum(
                one == mailbox and marker in findings.bodies.get(receipt, b"")
                for one, receipt in gone
            )
            where = f"post {post.number} for mailbox {mailbox}"
            if answer and told and len(copies) + expunged < 1:
                yield f"{where} is lost; it was answered {answer}"
            if len(copies) > 1 and exact:
                yield f"{where} is there {len(copies)} times"
            if len(copies) > post.unanswered + len(post.together):
                yield f"{where} is there {len(copies)} times after {post.tries} tries"
            if any(not f.content.endswith(post.content) for f in copies):
                yield f"{where} has other bytes"
        if answer and told and from_text(answer) not in findings.accepted:
            yield f"post {post.number}: its receipt {answer} is not in the log"
        if not mailboxes and answer[:3] not in ("", "550"):
            yield f"post {post.number}: {address} was answered {answer}"


def _check_owners(world: World, findings: Findings) -> Iterator[str]:
    """What owners were told is true, and what they did in the emergency inbox was replayed."""
    testimony = world.testimony
    yield from testimony.contradictions
    known = {receipt for receipt, _ in findings.acted}
    for action in testimony.acted:
        if action not in known:
            yield f"the action {to_text(action)} is lost"
    for mailbox, receipt in sorted(testimony.expunged):
        if findings.of(mailbox, receipt):
            yield f"mailbox {mailbox}: {to_text(receipt)} is back, after it was deleted for good"
    expected: dict[tuple[int, bytes], tuple[str, int]] = {}
    for action, fact in findings.acted:
        if fact.verb == "sent":
            if len(findings.of(fact.mailbox, action)) != 1:
                yield f"mailbox {fact.mailbox}: the reply {to_text(action)} is not in Sent"
            continue
        for receipt in fact.receipts:
            key = (fact.mailbox, receipt)
            expected[key] = _replay(fact, *expected.get(key, (INBOX, 0)))
    for (mailbox, receipt), (folder, flags) in expected.items():
        assert is_for_emergency(receipt)
        places = [
            (f.folder, f.flags & (SEEN | FLAGGED | ANSWERED)) for f in findings.of(mailbox, receipt)
        ]
        if places != [(folder, flags)]:
            yield f"mailbox {mailbox}: {to_text(receipt)} is {places}, not in {folder} with {flags}"


def _replay(fact: Acted, folder: str, flags: int) -> tuple[str, int]:
    match fact.verb:
        case "read":
            return folder, flags | SEEN
        case "unread":
            return folder, flags & ~SEEN
        case "flag":
            return folder, flags | FLAGGED
        case "unflag":
            return folder, flags & ~FLAGGED
        case "answered":
            return folder, flags | ANSWERED
        case "delete":
            return "Trash", flags
        case _:
            return fact.folder, flags


def read_kinds(log: LogReader, kind: Kind) -> list[Entry]:
    """Every entry of one kind, partition by partition."""
    return [e for p in log.partitions() for e in log.read(p, 0, 1_000_000, frozenset({kind}))]
