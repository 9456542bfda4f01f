"""What every measure is given: a place to work, how much to do, and where to show progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from benchmarks.machine import compare_cpu, describe_machine, take_cpu_snapshot
from benchmarks.peers.port import Peer
from benchmarks.peers.processes import Workplace
from benchmarks.report import Report, Run, Unit

# Time for write-back and for processes that wind up after a run.
SETTLE_S = 0.5
FULL_RUNS = 5
QUICK_RUNS = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run gives back: its value, and whatever else is worth keeping.

    ``operations`` is how many messages or commands the server dealt with; 0 where that says
    nothing.
    """

    value: float
    unit: Unit
    operations: int = 0
    detail: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bench:
    """One use of the tool."""

    console: Console
    workplace: Workplace
    quick: bool
    runs: int
    with_staffetta: bool
    progress: Progress

    def choose(self, full: int, quick: int) -> int:
        """The amount for this use."""
        return quick if self.quick else full

    def open_report(self, name: str) -> Report:
        """An empty report that knows the machine."""
        return Report(name, describe_machine(self.workplace.directory))

    @contextmanager
    def step(self, text: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """A line of progress; the function it gives advances it."""
        task: TaskID = self.progress.add_task(text, total=total)
        try:
            yield lambda amount: self.progress.advance(task, amount)
        finally:
            self.progress.remove_task(task)

    @contextmanager
    def running(self, report: Report, *peers: Peer) -> Iterator[None]:
        """Peers started in order and stopped in reverse; their settings noted."""
        with ExitStack() as stack, self.step("starting", len(peers)) as advance:
            for peer in peers:
                # Registered first: one that starts half must be stopped as well.
                stack.callback(peer.stop)
                peer.start()
                report.settings[peer.name] = self._describe(peer)
                advance(1)
            yield

    def _describe(self, peer: Peer) -> dict[str, str]:
        """Its settings, with the passing directory of this use called DIR."""
        here = str(self.workplace.directory)
        return {name: value.replace(here, "DIR") for name, value in peer.describe().items()}

    def record(
        self, report: Report, peer: Peer, case: str, number: int, measure: Callable[[], Sample]
    ) -> Sample:
        """One run: settle, measure, note who else used the machine."""
        # From before the pause: a run of a few milliseconds alone has too few ticks to tell.
        before = take_cpu_snapshot(peer.list_roots())
        os.sync()
        time.sleep(SETTLE_S)
        sample = measure()
        use = compare_cpu(before, take_cpu_snapshot(peer.list_roots()))
        cpu_us = use.server_s / sample.operations * 1e6 if sample.operations else None
        report.runs.append(
            Run(
                contender=peer.name,
                case=case,
                round=number,
                value=sample.value,
                unit=sample.unit,
                foreign_share=round(use.foreign_share, 4),
                stolen_share=round(use.stolen_share, 4),
                server_cpu_us=None if cpu_us is None else round(cpu_us, 1),
                detail={
                    **sample.detail,
                    "machine_busy_share": round(use.busy_share, 3),
                    "servers_and_load_share": round(use.ours_share, 3),
                },
            )
        )
        return sample


def open_progress(console: Console) -> Progress:
    """The progress display."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def finish(bench: Bench, report: Report, directory: Path) -> Path:
    """Print and write a report."""
    report.print(bench.console)
    path = report.write(directory)
    bench.console.print(f"written: {path}", highlight=False)
    return path
