"""A fixed handful of stories, and that a story is told again the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.scenarios import run_seed

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 17)


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_was_told_the_truth(seed: int) -> None:
    outcome = run_seed(seed)
    assert outcome.breaches == []
    assert outcome.posts > 0


def test_the_stories_are_about_something() -> None:
    """The seeds above would prove little if no mail came in or nothing was done to a disk."""
    outcomes = [run_seed(seed) for seed in (3, 5)]
    assert all(outcome.accepted > 5 for outcome in outcomes)
    assert all(outcome.operations > 300 for outcome in outcomes)
    assert outcomes[0].trace_hash != outcomes[1].trace_hash


def test_a_seed_is_told_the_same_in_every_process() -> None:
    told = run_seed(7)
    again = [_tell_elsewhere(7, hash_seed) for hash_seed in ("0", "4711")]
    assert [f"trace {told.trace_hash}" in line for line in again] == [True, True]


def _tell_elsewhere(seed: int, hash_seed: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "tests.sim", "--seed", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout
