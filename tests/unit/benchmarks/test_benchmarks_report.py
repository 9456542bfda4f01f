"""The figures that benchmarks print: medians, ratios, verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.loads.mail import ABSENT_WORD, RARE_WORD, write_letters
from benchmarks.machine import TICKS_PER_SECOND, CpuSnapshot, compare_cpu
from benchmarks.peers.syncs import COUNT_LINE
from benchmarks.report import Report, Run, Unit


def report_of(unit: Unit, ours: list[float], theirs: list[float]) -> Report:
    report = Report("one", {"cores": 2})
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        report.runs.append(Run("ours", "case", number, mine, unit))
        report.runs.append(Run("theirs", "case", number, other, unit))
    return report


def test_more_messages_a_second_is_faster() -> None:
    report = report_of(Unit.PER_SECOND, [600, 500, 400], [100, 250, 50])
    report.compare("case", "ours", "theirs", 5)
    (ratio,) = report.ratios
    assert (ratio.speed, ratio.least, ratio.most) == (5.0, 2.0, 8.0)
    assert ratio.reached


def test_fewer_milliseconds_is_faster() -> None:
    report = report_of(Unit.MILLISECONDS, [10, 20, 40], [40, 30, 20])
    report.compare("case", "ours", "theirs", 2)
    (ratio,) = report.ratios
    assert (ratio.speed, ratio.least, ratio.most) == (1.5, 0.5, 4.0)
    assert ratio.reached is False


def test_who_did_not_run_is_not_compared() -> None:
    report = report_of(Unit.PER_SECOND, [1], [1])
    report.compare("case", "ours", "absent")
    report.compare("another case", "ours", "theirs")
    report.limit("case", "absent", 1)
    assert report.ratios == []
    assert report.ceilings == []


def test_the_file_holds_every_run_and_the_verdicts(tmp_path: Path) -> None:
    report = report_of(Unit.BYTES, [9000, 11000, 10000], [1, 1, 1])
    report.limit("case", "ours", 10240)
    written = json.loads(report.write(tmp_path).read_text())
    assert written["ceilings"][0]["value"] == 10000
    assert written["ceilings"][0]["reached"] is True
    assert len(written["runs"]) == 6
    assert written["medians"][0]["median"] == 10000


def test_strangers_get_what_neither_we_nor_the_kernel_used() -> None:
    use = compare_cpu(CpuSnapshot(0, 0, 0, 0, 0, 0), CpuSnapshot(200, 150, 80, 20, 50, 10))
    assert use.stolen_share == 0.05
    assert use.server_s == pytest.approx(50 / TICKS_PER_SECOND)
    assert (use.busy_share, use.ours_share, use.foreign_share) == (0.75, 0.4, 0.25)


def test_letters_are_the_same_each_time_and_one_holds_the_rare_word() -> None:
    letters = write_letters(60, "reader@bench.example")
    assert letters == write_letters(60, "reader@bench.example")
    assert len({letter.content for letter in letters}) == 60
    contents = [letter.content for letter in letters]
    assert sum(RARE_WORD.encode() in content for content in contents) == 1
    assert not any(ABSENT_WORD.encode() in content for content in contents)
    assert all(4000 < len(content) < 5500 for content in contents)
    assert all(b"\n" not in content.replace(b"\r\n", b"") for content in contents)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("100.00    0.036282         120       300           fsync", ("300", "fsync")),
        (" 12.50    0.000100          50         2         1 fdatasync", ("2", "fdatasync")),
    ],
)
def test_counts_of_strace_are_read(line: str, expected: tuple[str, str]) -> None:
    assert COUNT_LINE.findall(line) == [expected]
