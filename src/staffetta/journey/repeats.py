"""Recognising a message that is sent again because our `250` did not arrive.

RFC 1047's problem: the connection dies after the final dot; the message is ours, the sender
does not know, and comes back with it. A receipt counts as *unconfirmed* from its `250` until the
sender's next command shows that the answer arrived. While it is unconfirmed, the very same
message from the same reverse-path to the same mailboxes is answered with the receipt that it
already has, instead of being kept twice. Only messages with a Message-ID are recognised: two
identical mails without one may well be two mails.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from staffetta.log.facts import Accepted, Kind
from staffetta.log.port import LogReader

DIGEST_BYTES = 16
UNCONFIRMED_MAX = 100_000
# After a crash every `250` of this last while before it may have been lost on the way: perhaps by
# a cut some time before the crash, whose sender has not come back yet (RFC 5321 §4.5.4.1 has it
# wait for half an hour).
SUSPECT_S = 3_600
SUSPECTS_MAX = 20_000

# hashlib lets go of the interpreter lock for more than 2,047 bytes at once; getting it back from
# the log's thread takes longer than hashing an ordinary message does.
HASHED_AT_ONCE_BYTES = 2_047
HASHED_SMALL_BYTES_MAX = 32_768


class TransactionDigest:
    """The identity of a transaction: envelope and content, as the peer sent them."""

    __slots__ = ("_hash",)

    def __init__(self, reverse_path: str, forward_paths: Iterable[str]) -> None:
        """`forward_paths` as the peer gave them: where they lead may change between two tries."""
        envelope = "\0".join([reverse_path, *sorted(set(forward_paths)), ""])
        self._hash = hashlib.blake2b(envelope.encode("utf-8", "replace"), digest_size=DIGEST_BYTES)

    def update(self, chunk: bytes) -> None:
        """Add content."""
        if len(chunk) > HASHED_SMALL_BYTES_MAX:
            self._hash.update(chunk)
            return
        view = memoryview(chunk)
        for start in range(0, len(chunk), HASHED_AT_ONCE_BYTES):
            self._hash.update(view[start : start + HASHED_AT_ONCE_BYTES])

    def value(self) -> bytes:
        """The digest so far."""
        return self._hash.digest()


class Repeats:
    """The unconfirmed receipts of one accepting process, oldest forgotten first."""

    def __init__(self, suspects: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """`suspects`: (digest, receipt) of what was accepted just before the last end."""
        self._unconfirmed: OrderedDict[bytes, bytes] = OrderedDict(suspects)

    def find(self, digest: bytes) -> bytes | None:
        """The receipt that this very message already has, if its `250` may be lost."""
        return self._unconfirmed.get(digest)

    def remember(self, digest: bytes, receipt: bytes) -> None:
        """The `250` is about to be sent."""
        self._unconfirmed[digest] = receipt
        if len(self._unconfirmed) > UNCONFIRMED_MAX:
            self._unconfirmed.popitem(last=False)

    def confirm(self, digest: bytes) -> None:
        """The sender went on: it has our answer."""
        self._unconfirmed.pop(digest, None)

    def __len__(self) -> int:
        return len(self._unconfirmed)


def find_suspects(log: LogReader, partition: int) -> list[tuple[bytes, bytes]]:
    """(digest, receipt) of what was accepted just before the last process of that partition
    ended: its `250` may not have arrived. Raises `VolumeFault`, `LogDamaged`."""
    last = log.last(partition)
    kinds = frozenset({Kind.ACCEPTED})
    entries = log.read(partition, max(last - SUSPECTS_MAX, 0), SUSPECTS_MAX, kinds)
    if not entries:
        return []
    since_us = entries[-1].at_us - SUSPECT_S * 1_000_000
    return [
        (entry.fact.digest, entry.receipt)
        for entry in entries
        if entry.at_us >= since_us and isinstance(entry.fact, Accepted) and entry.fact.message_id
    ]
