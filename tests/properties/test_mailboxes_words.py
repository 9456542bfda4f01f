"""The word index never misses a text, and where it calls itself exact it never errs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from staffetta.mailboxes.words import (
    WordBook,
    find_lines,
    list_trigrams,
    make_pattern,
    map_trigrams,
    pack_line,
    pack_lines,
)

# Few letters, so that pieces recur; separators of one and of several bytes; long runs.
TEXTS = st.text("ab1é .\n_-🙂", max_size=60) | st.text("ab", min_size=60, max_size=150)
NEEDLES = st.text("ab1é ._🙂", min_size=1, max_size=12) | st.text("ab", min_size=30, max_size=70)


@given(texts=st.lists(TEXTS, min_size=1, max_size=64), needle=NEEDLES, data=st.data())
def test_the_index_agrees_with_reading(texts: list[str], needle: str, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(texts))
    if source and data.draw(st.booleans()):
        start = data.draw(st.integers(0, len(source) - 1))
        needle = source[start : start + data.draw(st.integers(1, 80))]
    book = WordBook()
    for bit, text in enumerate(texts):
        book.add(text, bit)
    words = book.pack()
    pattern = make_pattern(needle)

    candidates = (1 << len(texts)) - 1
    for piece in pattern.pieces:
        candidates &= words.find(piece)
    wanted = sum(1 << bit for bit, text in enumerate(texts) if needle in text)

    assert candidates & wanted == wanted
    if pattern.is_exact:
        assert candidates == wanted
    if wanted:
        bits = map_trigrams(words.words)
        assert all(bits[place] & bit for place, bit in list_trigrams(pattern.pieces))


VALUES = st.lists(st.text("abé .", max_size=12), max_size=3)


@given(messages=st.lists(VALUES, min_size=1, max_size=64), needle=st.text("abé .", max_size=5))
def test_fields_are_found_as_they_stand(messages: list[list[str]], needle: str) -> None:
    packed = pack_lines([pack_line(values) for values in messages])

    wanted = sum(
        1 << bit for bit, values in enumerate(messages) if any(needle in value for value in values)
    )

    assert find_lines(packed, needle) == wanted
