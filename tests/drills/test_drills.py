"""The drills, in small: what they assert at length is asserted here at each change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from drills import cells, corpus, disk, kill

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

SAMPLES = Path(__file__).parent.parent / "samples"


def find_corpus() -> Path:
    """The large corpus where it is, else the sample mail of this repository."""
    named = os.environ.get("STAFFETTA_CORPUS")
    beside = Path(__file__).parents[3] / "shared" / "corpora" / "given"
    folder = Path(named) if named else beside
    return folder if folder.is_dir() else SAMPLES


def test_killed_processes_lose_nothing(tmp_path: Path) -> None:
    assert kill.run(tmp_path, 36_000, kills=12, seed=3, output=None) == 0


@pytest.mark.parametrize("mode", ["hang", "gone", "garbage"])
def test_a_broken_cell_costs_nobody_a_message(tmp_path: Path, mode: str) -> None:
    assertions, figures = cells.run_mode(tmp_path, 36_500, mode, 2.0, seed=5)
    # How slow a 250 may be is for the drill on a quiet machine, not for a test.
    failed = [one for one in assertions if not one.passed and not one.id.endswith("-p99")]
    assert not failed, figures


def test_a_corpus_comes_back_byte_for_byte(tmp_path: Path) -> None:
    assert corpus.run(find_corpus(), tmp_path, 37_000, None) == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not here")
@pytest.mark.parametrize("when", [1, 3, 8])
def test_killed_at_a_sync(tmp_path: Path, when: int) -> None:
    assertions, figures = disk.kill_at_sync(tmp_path, 37_500, when, 2.0)
    assert all(one.passed for one in assertions), figures


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not here")
def test_a_failed_sync_stops_acceptance(tmp_path: Path) -> None:
    assertions, figures = disk.failed_sync(tmp_path, 38_000)
    assert all(one.passed for one in assertions), figures


def test_a_full_log_disk_puts_mail_off_and_recovers(tmp_path: Path) -> None:
    assertions, figures = disk.small_log_disk(tmp_path, 38_500)
    if not assertions:
        pytest.skip(str(figures))
    assert all(one.passed for one in assertions), figures


@pytest.mark.skipif(
    not (shutil.which("strace") and shutil.which("eatmydata")), reason="strace or eatmydata missing"
)
def test_the_durability_checks_can_fail(tmp_path: Path) -> None:
    assertions, figures = disk.syncs_count(tmp_path, 39_000)
    assert all(one.passed for one in assertions), figures
