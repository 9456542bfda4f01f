"""Log lines never block and never tell a secret; numbers come out in Prometheus' format."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from staffetta.runtime import telemetry
from staffetta.runtime.telemetry import (
    BufferedLines,
    DirectLines,
    Durations,
    Metrics,
    SilentLogger,
    open_logger,
)

FLUSH_S = 5.0


def lines_of(path: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_a_line_carries_its_fields_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "lines.log"
    sink = BufferedLines(file)
    logger = open_logger(sink, "info", process="accept-0").bind(session=7)
    logger.debug("unheard")
    logger.info("signed-in", password="rosebud", peer="::1")
    logger.warning("odd", detail=b"\xff")
    sink.flush(FLUSH_S)
    first, second = lines_of(file)
    assert first | {"at": ""} == {
        "at": "",
        "level": "info",
        "process": "accept-0",
        "session": 7,
        "password": "…",
        "peer": "::1",
        "event": "signed-in",
    }
    assert str(first["at"]).endswith("Z")
    assert len(str(first["at"])) == len("2026-11-22T05:10:00.142767Z")
    assert second["level"] == "warning"
    assert b"rosebud" not in file.read_bytes()


def test_lines_keep_their_order_and_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "lines.log"
    sink = BufferedLines(file)
    for number in range(5_000):
        sink.write(b'{"n":%d}' % number, urgent=False)
    sink.flush(FLUSH_S)
    assert [line["n"] for line in lines_of(file)] == list(range(5_000))


@pytest.mark.parametrize("make", [BufferedLines, DirectLines])
def test_after_the_file_was_moved_away_lines_go_to_a_new_one(
    tmp_path: Path, make: type[BufferedLines | DirectLines]
) -> None:
    file = tmp_path / "lines.log"
    sink = make(file)
    sink.write(b"1", urgent=True)
    sink.flush(FLUSH_S)
    file.rename(tmp_path / "old.log")
    sink.reopen()
    sink.write(b"2", urgent=True)
    sink.flush(FLUSH_S)
    assert file.read_bytes() == b"2\n"
    assert (tmp_path / "old.log").read_bytes() == b"1\n"


def test_a_stalled_reader_costs_lines_and_not_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(telemetry, "_open_target", lambda path: writer)
    monkeypatch.setattr(telemetry, "PENDING_BYTES_MAX", 200_000)
    line = b"x" * 1_000
    buffered = BufferedLines(None)
    for _ in range(1_000):
        buffered.write(line, urgent=False)
    assert buffered.dropped_lines > 500
    direct = DirectLines(None)
    for _ in range(100):
        direct.write(line, urgent=True)
    assert direct.dropped_lines > 0
    os.close(reader)


def test_metrics_are_what_prometheus_reads() -> None:
    metrics = Metrics(role="accept", index="0")
    accepted = metrics.tally("accepted_messages", "Messages answered 250")
    accepted.value += 3
    metrics.tally("refusals", "By stage", stage="RCPT").value += 2
    metrics.tally("refusals", "By stage", stage="MAIL").value += 1
    metrics.gauge("free_bytes", "Room", lambda: 12.5)
    metrics.gauges("cell_lag", "Waiting", "cell", lambda: {"c1": 4, "c2": 0})
    durations = metrics.durations("commit_seconds", "How long")
    durations.add(0.004, times=2)
    durations.add(99.0)
    families = {one.name: one for one in text_string_to_metric_families(metrics.render().decode())}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    own = (("index", "0"), ("role", "accept"))
    assert samples["staffetta_accepted_messages_total", *own] == 3
    assert samples["staffetta_refusals_total", *own, ("stage", "RCPT")] == 2
    assert samples["staffetta_free_bytes", *own] == 12.5
    assert samples["staffetta_cell_lag", ("cell", "c1"), *own] == 4
    assert samples["staffetta_cell_lag", ("cell", "c2"), *own] == 0
    assert samples["staffetta_commit_seconds_bucket", own[0], ("le", "0.005"), own[1]] == 2
    assert samples["staffetta_commit_seconds_bucket", own[0], ("le", "+Inf"), own[1]] == 3
    assert samples["staffetta_commit_seconds_count", *own] == 3
    assert samples["staffetta_commit_seconds_sum", *own] == pytest.approx(99.008)
    assert metrics.values() == {
        "accepted_messages": 3.0,
        "refusals{stage=RCPT}": 2.0,
        "refusals{stage=MAIL}": 1.0,
        "free_bytes": 12.5,
    }


def test_the_same_name_is_the_same_number() -> None:
    metrics = Metrics()
    metrics.tally("a", "").value += 1
    assert metrics.tally("a", "").value == 1
    assert metrics.durations("d", "") is metrics.durations("d", "")
    assert metrics.tally("a", "", x="1") is not metrics.tally("a", "", x="2")


def test_a_duration_on_the_bound_is_within_it() -> None:
    durations = Durations((1.0, 2.0))
    for duration_s in (1.0, 1.5, 2.0, 2.5):
        durations.add(duration_s)
    assert durations.counts == [1, 2, 1]


def test_silence() -> None:
    logger = SilentLogger()
    logger.bind(a=1).error("nothing", b=2)
