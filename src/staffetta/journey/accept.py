"""The only place that may cause a `250` for a message.

A message is answered `250` after `log.commit` has said DURABLE, and for no other reason (or
with the receipt of the very same message, durable before: see `journey.repeats`). What this
needs is the log and nothing else: no mailbox store, no directory, no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from staffetta.formats.trace import Hop, format_received, format_return_path
from staffetta.journey.repeats import Repeats, TransactionDigest
from staffetta.log.commit import CommitResult, GroupCommit
from staffetta.log.facts import Accepted, Recipient
from staffetta.log.port import NewEntry, SpooledBody
from staffetta.log.receipts import ReceiptMint, message_key_of, to_text
from staffetta.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Transaction:
    """An envelope whose recipients have all been answered yes."""

    peer: str
    helo: str
    protocol: str
    reverse_path: str
    recipients: tuple[Recipient, ...]
    ret: str = ""
    envid: str = ""
    tls: str | None = None  # version and cipher


@dataclass(frozen=True, slots=True)
class Safe:
    """It is on disk. `digest` is for `confirm`, once the sender is seen to know."""

    receipt: str
    digest: bytes
    repeated: bool  # the message had this receipt before


@dataclass(frozen=True, slots=True)
class NotNow:
    """It was not kept; the sender keeps it and tries again."""

    result: CommitResult


Answer = Safe | NotNow


@dataclass(frozen=True, slots=True)
class Opening:
    """A message being received: its receipt and trace header are fixed before its content."""

    receipt: bytes
    at_us: int
    trace: bytes


class Acceptance:
    """Takes responsibility for messages on behalf of one accepting process."""

    def __init__(
        self, commit: GroupCommit, mint: ReceiptMint, clock: Clock, host_name: str, repeats: Repeats
    ) -> None:
        self._commit = commit
        self._mint = mint
        self._clock = clock
        self._host_name = host_name
        self._repeats = repeats
        # What waits for the log, by digest, and who else has come with the very same message.
        self._under_way: dict[bytes, list[Callable[[Answer], None]]] = {}

    def open(self, transaction: Transaction) -> Opening:
        """Give a message its receipt and trace header; nothing is promised by that."""
        at_us = self._clock.now_us()
        receipt = self._mint.make(at_us)
        recipients = transaction.recipients
        hop = Hop(
            helo=transaction.helo,
            peer_name=None,
            peer_address=transaction.peer,
            by=self._host_name,
            protocol=transaction.protocol,
            receipt=to_text(receipt),
            # Only where there is a single one: nobody learns of the others from the header.
            recipient=recipients[0].addresses[0] if len(recipients) == 1 else None,
            tls=transaction.tls,
        )
        offset_minutes = self._clock.utc_offset_s(at_us) // 60
        received = format_received(hop, at_us // 1_000_000, offset_minutes)
        return Opening(receipt, at_us, format_return_path(transaction.reverse_path) + received)

    def accept(
        self,
        transaction: Transaction,
        content: bytes,
        message_id: str,
        done: Callable[[Answer], None],
    ) -> None:
        """Keep a message that is in memory; `done` gets the answer when it is known."""
        digest = self.digest(transaction)
        digest.update(content)
        opening = self.open(transaction)
        self.accept_opened(transaction, opening, opening.trace + content, digest, message_id, done)

    def accept_opened(
        self,
        transaction: Transaction,
        opening: Opening,
        body: bytes | SpooledBody,
        digest: TransactionDigest,
        message_id: str,
        done: Callable[[Answer], None],
    ) -> None:
        """Keep a message whose body (trace header first) is complete, spooled or not."""
        identity = digest.value()
        if message_id:
            if (known := self._repeats.find(identity)) is not None:
                done(Safe(to_text(known), identity, repeated=True))
                return
            if (joined := self._under_way.get(identity)) is not None:
                joined.append(done)  # its sender lost patience while the log was slow
                return
            self._under_way[identity] = []
        fact = Accepted(
            transaction.reverse_path,
            transaction.recipients,
            transaction.peer,
            transaction.helo,
            transaction.protocol,
            message_id,
            identity,
            body.size_bytes if isinstance(body, SpooledBody) else len(body),
            transaction.ret,
            transaction.envid,
        )
        mailboxes = tuple(recipient.mailbox for recipient in transaction.recipients)
        entry = NewEntry(
            opening.at_us, opening.receipt, fact, body, mailboxes, message_key_of(message_id)
        )

        def finish(result: CommitResult) -> None:
            joined = self._under_way.pop(identity, []) if message_id else []
            if result is not CommitResult.DURABLE:
                for each in (done, *joined):
                    each(NotNow(result))
                return
            self._repeats.remember(identity, opening.receipt)
            receipt = to_text(opening.receipt)
            done(Safe(receipt, identity, repeated=False))
            for each in joined:
                each(Safe(receipt, identity, repeated=True))

        self._commit.submit(entry, finish)

    def digest(self, transaction: Transaction) -> TransactionDigest:
        """The digest of a transaction, to be fed with its content as it arrives."""
        recipients = transaction.recipients
        return TransactionDigest(
            transaction.reverse_path, [path for one in recipients for path in one.addresses]
        )

    def confirm(self, digest: bytes) -> None:
        """The sender has been seen to know of its `250`."""
        self._repeats.confirm(digest)
