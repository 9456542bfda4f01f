"""The kept messages, and a few hundred damaged ones that are the same on every run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.fuzz_mime import CORPUS, check_message, damage, read_corpus


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.eml")), ids=lambda path: path.stem)
def test_kept_messages(path: Path) -> None:
    check_message(path.read_bytes())


def test_the_corpus_is_there() -> None:
    assert len(read_corpus()) >= 40


@pytest.mark.parametrize("seed", range(8))
def test_damaged_messages(seed: int) -> None:
    chance = random.Random(seed)
    messages = read_corpus()
    for _ in range(40):
        check_message(damage(messages, chance))
