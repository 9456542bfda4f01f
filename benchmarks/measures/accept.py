"""Durable acceptance: how many messages a second are answered 250, from 16 sessions at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.bench import Bench, Sample
from benchmarks.loads.smtp_source import SmtpLoad, send
from benchmarks.peers.port import Door, Peer
from benchmarks.peers.postfix import DOMAIN, Fate, Postfix, await_drained
from benchmarks.peers.sink import Sink
from benchmarks.peers.syncs import count_syncs
from benchmarks.report import Report, Unit
from benchmarks.staffetta_peer import Roles, Staffetta

NAME = "accept"
MAILBOXES = 4000
SESSIONS = 16
SIZE_BYTES = 4096
SYNC_PROBE_MESSAGES = 300
DRAIN_TIMEOUT_S = 120.0
CASES = {"sessions reused": True, "one connection each": False}
POSTFIX_TIMES_MIN = 5.0
SINK_TIMES_MIN = 0.3


class Accepting(Peer, Protocol):
    """A server that takes mail."""

    @property
    def smtp(self) -> Door:
        """Where."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server, how many messages make a run of a few seconds, and what it needs afterwards."""

    peer: Accepting
    passes: int
    clean_up: Callable[[], None]


def measure(bench: Bench) -> Report:
    """Run it and return what was found."""
    report = bench.open_report(NAME)
    report.settings["load"] = {
        "generator": "smtp-source, no pipelining",
        "sessions": str(SESSIONS),
        "message": f"{SIZE_BYTES} bytes and headers",
        "mailboxes": str(MAILBOXES),
    }
    contenders = _line_up(bench)
    with bench.running(report, *(contender.peer for contender in contenders)):
        per_pass = bench.choose(MAILBOXES, 1000)
        for contender in contenders:
            _send_passes(contender.peer, True, 1, per_pass // 4)
            contender.clean_up()
        _alternate(bench, report, contenders, per_pass)
        _probe_syncs(report, contenders)
    _compare(report)
    return report


def _line_up(bench: Bench) -> list[Contender]:
    recipients = [f"{number}u@{DOMAIN}" for number in range(1, MAILBOXES + 1)]
    sink = Sink(bench.workplace)
    contenders = [Contender(sink, 4, lambda: None)]
    for fate in (Fate.HOLD, Fate.DISCARD):
        postfix = Postfix(bench.workplace, fate, recipients)
        contenders.append(Contender(postfix, 1, _make_clean_up(postfix)))
    if bench.with_staffetta:
        for roles, passes in ((Roles.ACCEPT, 4), (Roles.ALL, 2)):
            staffetta = Staffetta(bench.workplace, recipients, roles)
            contenders.append(Contender(staffetta, passes, staffetta.await_drained))
    return contenders


def _make_clean_up(postfix: Postfix) -> Callable[[], None]:
    def clean_up() -> None:
        await_drained(postfix, DRAIN_TIMEOUT_S, poll_s=0.1)
        postfix.clear()

    return clean_up


def _alternate(bench: Bench, report: Report, contenders: list[Contender], per_pass: int) -> None:
    total = bench.runs * len(CASES) * len(contenders)
    with bench.step("accepting", total) as advance:
        for number in range(bench.runs):
            for case, reuse in CASES.items():
                for contender in contenders:
                    _record(bench, report, contender, case, number, reuse, per_pass)
                    contender.clean_up()
                    advance(1)


def _record(
    bench: Bench,
    report: Report,
    contender: Contender,
    case: str,
    number: int,
    reuse: bool,
    per_pass: int,
) -> None:
    def run() -> Sample:
        elapsed_s = _send_passes(contender.peer, reuse, contender.passes, per_pass)
        messages = contender.passes * per_pass
        detail: dict[str, float | int | str] = {"messages": messages, "seconds": elapsed_s}
        return Sample(messages / elapsed_s, Unit.PER_SECOND, messages, detail)

    bench.record(report, contender.peer, case, number, run)


def _send_passes(peer: Accepting, reuse: bool, passes: int, messages: int) -> float:
    load = SmtpLoad(
        messages=messages,
        recipient=f"u@{DOMAIN}",
        sessions=SESSIONS,
        reuse_sessions=reuse,
        size_bytes=SIZE_BYTES,
    )
    return sum(send(load, peer.smtp) for _ in range(passes))


def _probe_syncs(report: Report, contenders: list[Contender]) -> None:
    for contender in contenders:
        peer = contender.peer

        def work(peer: Accepting = peer) -> None:
            _send_passes(peer, True, 1, SYNC_PROBE_MESSAGES)

        counts = count_syncs(peer.list_roots(), work)
        contender.clean_up()
        found = "not counted (strace absent)" if counts is None else str(counts or "none")
        report.settings[peer.name][f"syncs for {SYNC_PROBE_MESSAGES} messages"] = found


def _compare(report: Report) -> None:
    for case in CASES:
        for roles in Roles:
            for fate in (Fate.HOLD, Fate.DISCARD):
                report.compare(case, roles.label, f"postfix ({fate.value})", POSTFIX_TIMES_MIN)
            report.compare(case, roles.label, "smtp-sink", SINK_TIMES_MIN)
    report.remarks += [
        "postfix (hold) stops after acceptance; postfix (discard) also runs its queue manager and "
        "throws each message away. staffetta (accept) stops after acceptance; staffetta (all) "
        "also delivers into mailboxes meanwhile.",
    ]
