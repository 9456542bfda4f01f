"""What several unit tests hold in their hands: a clock, chance that counts, a worker that waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from staffetta.directory.recipients import Known, NoSuchUser, Resolution, Target
from staffetta.directory.records import MailboxState
from staffetta.log.facts import Accepted, Fact, Recipient
from staffetta.log.port import LogWriter, NewEntry
from staffetta.log.receipts import ReceiptMint, message_key_of
from staffetta.runtime.tasks import Done, Failed, Outcome

T = TypeVar("T")

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
START_US = 20_800 * DAY_US  # the beginning of a day in 2026


class HeldClock:
    """A clock that moves when it is told to."""

    def __init__(self, at_us: int = START_US) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us

    def monotonic_s(self) -> float:
        return self.at_us / 1_000_000

    def utc_offset_s(self, at_us: int) -> int:
        return 0

    def pass_s(self, seconds: float) -> None:
        self.at_us += int(seconds * 1_000_000)


class CountingEntropy:
    """Chance that counts: never the same twice, always the same in every run."""

    def __init__(self) -> None:
        self._next = 0

    def token(self, size_bytes: int) -> bytes:
        self._next += 64  # receipts leave the lowest bits away
        return (self._next.to_bytes(4, "big") * (size_bytes // 4 + 1))[:size_bytes]


class HandWorker:
    """A `runtime.tasks.Worker` whose jobs are run when the test says so."""

    def __init__(self) -> None:
        self.jobs: deque[Callable[[], None]] = deque()

    def submit(self, job: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        def run() -> None:
            outcome: Outcome[T]
            try:
                outcome = Done(job())
            except Exception as error:
                outcome = Failed(error)
            done(outcome)

        self.jobs.append(run)

    def close(self) -> None:
        pass

    def run_one(self) -> None:
        self.jobs.popleft()()

    def run_all(self) -> None:
        while self.jobs:
            self.run_one()


class FixedRecipients:
    """A recipient table that is what the test has put into it."""

    def __init__(self, *targets: Target) -> None:
        self.mailboxes = {target.mailbox: target for target in targets}
        self.answers: dict[str, Resolution] = {}

    def put(self, target: Target) -> None:
        self.mailboxes[target.mailbox] = target

    def resolve(self, local_part: str, domain: str) -> Resolution:
        address = f"{local_part}@{domain}"
        if address in self.answers:
            return self.answers[address]
        found = tuple(t for t in self.mailboxes.values() if t.address == address)
        return Known(address, found) if found else NoSuchUser()

    def by_mailbox(self, mailbox: int) -> Target | None:
        return self.mailboxes.get(mailbox)


def make_target(
    mailbox: int,
    cell: str = "a",
    *,
    quota_bytes: int = 0,
    size_bytes_max: int = 1_000_000,
    state: MailboxState = MailboxState.ACTIVE,
) -> Target:
    """A mailbox with an address that is made of its number."""
    address = f"user{mailbox}@example.org"
    return Target(mailbox, address, "brand", "plan", cell, 77, quota_bytes, size_bytes_max, state)


def make_recipient(mailbox: int) -> Recipient:
    """The recipient that leads to `make_target(mailbox)`."""
    return Recipient(mailbox, "brand", (f"user{mailbox or 9}@example.org",))


def make_accepted(
    mailboxes: tuple[int, ...], message_id: str = "", digest: bytes = b"d" * 16
) -> Accepted:
    """The acceptance of a message for those mailboxes."""
    recipients = tuple(make_recipient(mailbox) for mailbox in mailboxes)
    return Accepted(
        "s@remote.example", recipients, "192.0.2.1", "h", "ESMTP", message_id, digest, 9
    )


class Scribe:
    """Appends to one partition, one entry at a time, each with a receipt of its own."""

    def __init__(self, writer: LogWriter, clock: HeldClock) -> None:
        self.writer = writer
        self.clock = clock
        self.mint = ReceiptMint(writer.partition, CountingEntropy())

    def accept(
        self, *mailboxes: int, body: bytes = b"Subject: x\r\n\r\nhello\r\n", message_id: str = ""
    ) -> bytes:
        """A message for those mailboxes is accepted; returns its receipt."""
        receipt = self.mint.make(self.clock.now_us())
        fact = make_accepted(mailboxes, message_id)
        key = message_key_of(message_id)
        self.writer.append([NewEntry(self.clock.now_us(), receipt, fact, body, mailboxes, key)])
        return receipt

    def note(self, fact: Fact, receipt: bytes, *mailboxes: int, body: bytes | None = None) -> None:
        """Something else happened."""
        self.writer.append([NewEntry(self.clock.now_us(), receipt, fact, body, mailboxes)])
