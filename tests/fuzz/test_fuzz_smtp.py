"""The kept sessions, and a few hundred damaged ones that are the same on every run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.fuzz_smtp import CORPUS, check_session, damage, read_corpus


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.session")), ids=lambda path: path.stem)
def test_kept_sessions(path: Path) -> None:
    check_session(path.read_bytes())


def test_the_corpus_is_there() -> None:
    assert len(read_corpus()) >= 20


@pytest.mark.parametrize("seed", range(8))
def test_damaged_sessions(seed: int) -> None:
    chance = random.Random(seed)
    corpus = read_corpus()
    for _ in range(60):
        check_session(damage(chance.choice(corpus), corpus, chance))
