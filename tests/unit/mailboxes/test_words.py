"""The words of a block: what is found is what is there."""

from __future__ import annotations

import pytest

from staffetta.mailboxes.words import (
    ANY_TRIGRAMS,
    BLOCK_MESSAGES,
    PIECE_BYTES_MAX,
    WORD_BYTES_MAX,
    WordBook,
    WordList,
    find_lines,
    list_trigrams,
    make_pattern,
    map_trigrams,
    pack_line,
    pack_lines,
    split_words,
    unpack_lines,
)


def book(*texts: str) -> WordBook:
    made = WordBook()
    for bit, text in enumerate(texts):
        made.add(text, bit)
    return made


def test_words_are_split_at_what_is_no_letter_and_no_digit() -> None:
    assert split_words("due parole, snake_case a1-b2\n") == {
        b"due", b"parole", b"snake", b"case", b"a1", b"b2",
    }  # fmt: skip
    assert split_words(" \n.,") == set()


def test_long_words_are_kept_as_windows_that_overlap() -> None:
    word = "".join(chr(97 + n % 26) for n in range(200))

    windows = split_words(word)

    assert all(len(window) == WORD_BYTES_MAX for window in windows)
    for start in range(len(word) - PIECE_BYTES_MAX + 1):
        piece = word[start : start + PIECE_BYTES_MAX].encode()
        assert any(piece in window for window in windows)


def test_a_piece_is_found_in_the_texts_that_have_it() -> None:
    words = book("alfa beta", "alfabeta", "gamma alfa").pack()

    assert words.find(b"alfa") == 0b111
    assert words.find(b"\nalfa\n") == 0b101
    assert words.find(b"\nalfab") == 0b010
    assert words.find(b"beta\n") == 0b011
    assert words.find(b"gam") == 0b100
    assert words.find(b"delta") == 0


def test_bits_of_bodies_lie_above_those_of_headers() -> None:
    made = WordBook()
    made.add("parola", 0)
    made.add("parola", BLOCK_MESSAGES + 63)
    made.add("sola", BLOCK_MESSAGES + 63)
    words = made.pack()

    assert words.find(b"parola") == 1 | 1 << 127
    assert words.find(b"sola") == 1 << 127


def test_what_was_packed_is_unpacked() -> None:
    made = book("uno due", "due tre", "")

    assert made.pack().unpack().masks == made.masks
    assert WordBook().pack().unpack().masks == {}
    assert WordBook().pack() == WordList(b"\n\n", b"", b"")


@pytest.mark.parametrize(
    ("needle", "pieces", "is_exact"),
    [
        ("parola", (b"parola",), True),
        ("due parole", (b"due\n", b"\nparole"), False),
        ("a@b.it", (b"a\n", b"\nb\n", b"\nit"), False),
        (" tre ", (b"\ntre\n",), False),
        ("--", (), False),
        ("x" * 40, (b"x" * 32,), False),
        ("a " + "x" * 40, (b"a\n", b"\n" + b"x" * 32), False),
        ("x" * 40 + " a", (b"x" * 32 + b"\n", b"\na"), False),
        (". " + "x" * 40 + " .", (b"\n" + b"x" * 32,), False),
        ("perché", ("perché".encode(),), True),
    ],
)
def test_patterns(needle: str, pieces: tuple[bytes, ...], is_exact: bool) -> None:
    pattern = make_pattern(needle)

    assert pattern.pieces == pieces
    assert pattern.is_exact is is_exact


def test_the_map_has_every_trigram_of_every_piece() -> None:
    words = book("quattro stagioni", "perché").pack().words
    bits = map_trigrams(words)

    for piece in (b"quattro", b"\nstag", b"ioni\n", "ché".encode(), b"ab", b""):
        assert all(bits[place] & bit for place, bit in list_trigrams([piece]))
    assert not all(bits[place] & bit for place, bit in list_trigrams([b"zzqxjw"]))
    assert len(ANY_TRIGRAMS) == len(bits)


def test_lines_of_a_field() -> None:
    lines = [pack_line(values) for values in ([], [""], ["mario rossi"], ["anna", "mario"])]
    packed = pack_lines(lines)

    assert unpack_lines(packed) == lines
    assert find_lines(packed, "mario") == 0b1100
    assert find_lines(packed, "rossi") == 0b0100
    assert find_lines(packed, "") == 0b1110
    assert find_lines(packed, "anna\0mario") == 0
    assert find_lines(packed, "\n") == 0
