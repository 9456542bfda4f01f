"""The words of a block of messages, packed so that a search reads little and stays in C.

SEARCH looks for any piece of a word, which an index by whole words (FTS5) can only answer by
reading all its words: 50 ms and more in a mailbox of a few thousand messages. So the words of
up to 64 messages stand in one run of bytes, each once, between line feeds, where `bytes.find`
finds pieces; beside them stands which messages have each. A word in one message only, as most
are, takes one byte more, any other sixteen. A bit map of the three-byte sequences in a block
tells at once that a block does not have what is looked for.

A word is a longest run of letters and digits of ASCII and of all bytes beyond it, in the UTF-8
of folded text. Longer ones than `WORD_BYTES_MAX` are kept as overlapping windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

BLOCK_MESSAGES = 64
WORD_BYTES_MAX = 64
PIECE_BYTES_MAX = WORD_BYTES_MAX // 2
"""Any piece of a longer word up to this size lies whole within one of its windows."""

TRIGRAM_BITS = 15
TRIGRAM_BYTES = (1 << TRIGRAM_BITS) // 8
_TRIGRAM_MASK = (1 << TRIGRAM_BITS) - 1
TRIGRAMS_ASKED_MAX = 24
ANY_TRIGRAMS = b"\xff" * TRIGRAM_BYTES
"""The map of a block that is still growing: everything may be in it."""


HEADER_BITS = (1 << BLOCK_MESSAGES) - 1
MASK_BYTES = 2 * BLOCK_MESSAGES // 8

ABSENT = b"\x01"
"""Stands for a field that a message does not have."""
VALUE_END = "\0"
"""Between the values of a field that a message has more than once."""

_SEPARATORS = bytes(byte if byte >= 128 or chr(byte).isalnum() else 32 for byte in range(256))


@dataclass(frozen=True, slots=True)
class WordList:
    """The words of a block.

    `words`: all of them, each between line feeds; first those that one message has, for which
    `owners` has a byte each, then the others, for which `masks` has `MASK_BYTES` each. Bits 0
    to 63 are headers, 64 to 127 bodies.
    """

    words: bytes
    owners: bytes
    masks: bytes

    def find(self, pattern: bytes) -> int:
        """The mask of the texts that have a word with that pattern in it.

        A line feed in the pattern stands for the beginning or the end of a word.
        """
        words, owners, masks = self.words, self.owners, self.masks
        shift = pattern.startswith(b"\n")
        found = 0
        index = -1
        counted = 0
        at = words.find(pattern)
        while at >= 0:
            start = at + shift
            index += words.count(b"\n", counted, start)
            counted = start
            if index < len(owners):
                found |= 1 << owners[index]
            else:
                offset = (index - len(owners)) * MASK_BYTES
                found |= int.from_bytes(masks[offset : offset + MASK_BYTES], "little")
            at = words.find(pattern, words.find(b"\n", start))
        return found

    def unpack(self) -> WordBook:
        """The words, ready to take in those of further messages."""
        words = self.words[1:-1].split(b"\n") if len(self.words) > 2 else []
        masks = [1 << owner for owner in self.owners]
        masks += [
            int.from_bytes(self.masks[offset : offset + MASK_BYTES], "little")
            for offset in range(0, len(self.masks), MASK_BYTES)
        ]
        return WordBook(dict(zip(words, masks, strict=True)))


@dataclass(slots=True)
class WordBook:
    """The words of a block on its way, each with the mask of the texts that have it."""

    masks: dict[bytes, int] = field(default_factory=dict)

    def add(self, text: str, bit: int) -> None:
        """Note the words of the folded text number `bit`."""
        mask = 1 << bit
        masks = self.masks
        get = masks.get
        # Measured against set operations on keys, which take twice as long.
        for word in split_words(text):
            masks[word] = get(word, 0) | mask

    def pack(self) -> WordList:
        """The words and where they are, as they are stored."""
        once = {word: mask for word, mask in self.masks.items() if not mask & (mask - 1)}
        often = {word: mask for word, mask in self.masks.items() if mask & (mask - 1)}
        words = b"\n" + b"\n".join([*once, *often]) + b"\n"
        owners = bytes([mask.bit_length() - 1 for mask in once.values()])
        masks = b"".join([mask.to_bytes(MASK_BYTES, "little") for mask in often.values()])
        return WordList(words, owners, masks)


def split_words(text: str) -> set[bytes]:
    """The words of a folded text, long ones in windows."""
    words = set(_encode(text).translate(_SEPARATORS).split())
    if max(map(len, words), default=0) <= WORD_BYTES_MAX:
        return words
    for word in [word for word in words if len(word) > WORD_BYTES_MAX]:
        words.discard(word)
        last = len(word) - WORD_BYTES_MAX
        for start in range(0, last, PIECE_BYTES_MAX):
            words.add(word[start : start + WORD_BYTES_MAX])
        words.add(word[last:])
    return words


@dataclass(frozen=True, slots=True)
class Pattern:
    """What to look for in word lists: all of `pieces`.

    `is_exact`: a text that has them has the string looked for, and no other has. Without, the
    candidates have to be read.
    """

    pieces: tuple[bytes, ...]
    is_exact: bool


def make_pattern(needle: str) -> Pattern:
    """What a folded string leaves in a word list."""
    raw = _encode(needle)
    spaced = raw.translate(_SEPARATORS)
    runs = spaced.split()
    if len(runs) == 1 and len(runs[0]) == len(raw):
        return Pattern((raw[:PIECE_BYTES_MAX],), len(raw) <= PIECE_BYTES_MAX)
    pieces = []
    for number, run in enumerate(runs):
        begins = number > 0 or spaced.startswith(b" ")
        ends = number < len(runs) - 1 or spaced.endswith(b" ")
        pieces.append(_make_piece(run, begins, ends))
    return Pattern(tuple(pieces), False)


def make_word_patterns(text: str) -> tuple[bytes, ...]:
    """What a text of whole words leaves in a word list."""
    runs = _encode(text).translate(_SEPARATORS).split()
    return tuple(_make_piece(run, True, True) for run in runs)


def _make_piece(run: bytes, begins: bool, ends: bool) -> bytes:
    if len(run) <= PIECE_BYTES_MAX:
        return b"\n" * begins + run + b"\n" * ends
    if begins:
        return b"\n" + run[:PIECE_BYTES_MAX]
    if ends:
        return run[-PIECE_BYTES_MAX:] + b"\n"
    return run[:PIECE_BYTES_MAX]


def map_trigrams(words: bytes) -> bytes:
    """The bit map of the three-byte sequences in a word list."""
    bits = bytearray(TRIGRAM_BYTES)
    for a, b, c in set(zip(words, words[1:], words[2:], strict=False)):
        place = (a << 10 ^ b << 5 ^ c) & _TRIGRAM_MASK
        bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


def list_trigrams(pieces: Iterable[bytes]) -> list[tuple[int, int]]:
    """(byte, bit) of the bit map that must be set where all these pieces are to be found."""
    places = {
        (a << 10 ^ b << 5 ^ c) & _TRIGRAM_MASK
        for piece in pieces
        for a, b, c in zip(piece, piece[1:], piece[2:], strict=False)
    }
    return [(place >> 3, 1 << (place & 7)) for place in list(places)[:TRIGRAMS_ASKED_MAX]]


def pack_line(values: Sequence[str]) -> bytes:
    """The folded values of one field of one message."""
    return _encode(VALUE_END.join(values)) if values else ABSENT


def pack_lines(lines: Sequence[bytes]) -> bytes:
    """One field of all messages of a block, a line for each."""
    return b"\n" + b"\n".join(lines) + b"\n"


def unpack_lines(packed: bytes) -> list[bytes]:
    """The lines of a block."""
    return packed[1:-1].split(b"\n")


def find_lines(packed: bytes, needle: str) -> int:
    """The mask of the messages of a block that have the folded string in that field.

    The empty string asks only for the field.
    """
    raw = _encode(needle)
    if b"\n" in raw or b"\0" in raw or b"\x01" in raw:
        return 0
    if not raw:
        lines = unpack_lines(packed)
        return sum(1 << place for place, line in enumerate(lines) if line != ABSENT)
    found = 0
    index = -1
    counted = 0
    at = packed.find(raw)
    while at >= 0:
        index += packed.count(b"\n", counted, at)
        counted = at
        found |= 1 << index
        at = packed.find(raw, packed.find(b"\n", at))
    return found


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
