"""Receipts: the id in the text of every `250`, by which a message is traced for ever.

Ten bytes: 42 bits of milliseconds since 2020-01-01T00:00:00Z, 8 bits of the partition, 30 bits
of chance. Receipts therefore sort by time (an index on them grows at its end) and say which
files of the log to look into. People see 16 characters of Crockford's base 32.
"""

from __future__ import annotations

import hashlib

from staffetta.runtime.entropy import Entropy

RECEIPT_BYTES = 10
TEXT_CHARACTERS = 16
DRAWN_AT_ONCE = 64  # one system call for so many receipts
EPOCH_MS = 1_577_836_800_000
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_VALUES |= {"O": 0, "I": 1, "L": 1}  # what people type for 0 and 1


class BadReceipt(ValueError):
    """The text is not a receipt."""


class ReceiptMint:
    """Makes receipts for one partition; never the same one twice within a process."""

    __slots__ = ("_chance", "_drawn", "_entropy", "_last_ms", "_partition_bits")

    def __init__(self, partition: int, entropy: Entropy) -> None:
        if not 0 <= partition < 256:
            raise ValueError(f"partition {partition} is not within 0–255")
        self._entropy = entropy
        self._partition_bits = partition << 30
        self._last_ms = -1
        self._chance = 0
        self._drawn = b""

    def make(self, now_us: int) -> bytes:
        """A new receipt for that moment; strictly above every earlier one of this mint."""
        ms = now_us // 1000 - EPOCH_MS
        if ms <= self._last_ms:  # the same millisecond, or a clock that went back
            self._chance += 1
            if self._chance >= 1 << 30:
                self._last_ms += 1
                self._chance = 0
        else:
            self._last_ms = ms
            if not self._drawn:
                self._drawn = self._entropy.token(4 * DRAWN_AT_ONCE)
            # The top bit stays clear, so that counting on within a millisecond has room.
            self._chance = int.from_bytes(self._drawn[:4], "big") >> 3
            self._drawn = self._drawn[4:]
        value = (self._last_ms << 38) | self._partition_bits | self._chance
        return value.to_bytes(RECEIPT_BYTES, "big")


def partition_of(receipt: bytes) -> int:
    """The partition that made the receipt."""
    return (int.from_bytes(receipt, "big") >> 30) & 0xFF


def time_us_of(receipt: bytes) -> int:
    """The moment it was made, in microseconds, to the millisecond."""
    return ((int.from_bytes(receipt, "big") >> 38) + EPOCH_MS) * 1000


def to_text(receipt: bytes) -> str:
    """Sixteen characters for people and for the text of the `250`."""
    value = int.from_bytes(receipt, "big")
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(70, -1, -10)])


def from_text(text: str) -> bytes:
    """Read what a person typed: case, dashes and spaces do not matter. Raises `BadReceipt`."""
    characters = text.strip().upper().replace("-", "").replace(" ", "")
    if len(characters) != TEXT_CHARACTERS:
        raise BadReceipt(f"a receipt has {TEXT_CHARACTERS} characters, not {len(characters)}")
    value = 0
    for character in characters:
        if character not in _VALUES:
            raise BadReceipt(f"{character!r} does not occur in receipts")
        value = value * 32 + _VALUES[character]
    return value.to_bytes(RECEIPT_BYTES, "big")


def message_key_of(message_id: str) -> int:
    """A 63-bit key for looking a Message-ID up; 0 where there is none."""
    if not message_id:
        return 0
    digest = hashlib.blake2b(message_id.encode("utf-8", "replace"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1
