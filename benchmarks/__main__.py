"""``python -m benchmarks``: measure Staffetta beside Postfix, Dovecot and a sink."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from benchmarks.bench import FULL_RUNS, QUICK_RUNS, Bench, finish, open_progress
from benchmarks.measures import accept, end_to_end, flat, idle, imap
from benchmarks.peers.debian import install_peers
from benchmarks.peers.port import PeerFault
from benchmarks.peers.processes import Workplace
from benchmarks.report import RESULTS, Report

MEASURES: dict[str, Callable[[Bench], Report]] = {
    accept.NAME: accept.measure,
    end_to_end.NAME: end_to_end.measure,
    imap.NAME: imap.measure,
    idle.NAME: idle.measure,
    flat.NAME: flat.measure,
}
# What stands beside itself needs no peers, and no root.
ALONE = frozenset({flat.NAME})


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice([*MEASURES]))
@click.option("--quick", is_flag=True, help="Small amounts: to see that it works, not how fast.")
@click.option("--runs", type=click.IntRange(1), help=f"Rounds [{FULL_RUNS}; quick {QUICK_RUNS}].")
@click.option("--peers-only", is_flag=True, help="Leave Staffetta out.")
@click.option(
    "--work",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the servers' directories are made; must be on a disk [the temporary directory].",
)
@click.option(
    "--nice",
    type=click.IntRange(-20, 19),
    default=0,
    help="Niceness of everything that is started, the same for all [0]; below 0 where others work.",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    help="Where the JSON files go [benchmarks/results].",
)
def main(
    names: tuple[str, ...],
    quick: bool,
    runs: int | None,
    peers_only: bool,
    work: Path | None,
    nice: int,
    results: Path,
) -> None:
    """Entry point."""
    console = Console()
    # So that servers are stopped and their directories removed however this ends.
    signal.signal(signal.SIGTERM, _end)
    try:
        # Inherited by every server and generator alike.
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        if not ALONE.issuperset(names) or not names:
            install_peers(console)
        workplace = Workplace(work)
    except (PeerFault, PermissionError) as fault:
        console.print(f"[red]{fault}[/]")
        sys.exit(1)
    failed = False
    try:
        with open_progress(console) as progress:
            count = runs or (QUICK_RUNS if quick else FULL_RUNS)
            bench = Bench(console, workplace, quick, count, not peers_only, progress)
            for name in names or MEASURES:
                failed |= not _run(bench, name, results)
                gc.collect()
    finally:
        workplace.remove()
    sys.exit(failed)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _run(bench: Bench, name: str, results: Path) -> bool:
    """One measure; a server that fails ends this measure and not the others."""
    try:
        report = MEASURES[name](bench)
    except PeerFault as fault:
        bench.console.print(f"[red]{name}: {fault}[/]", highlight=False)
        return False
    finish(bench, report, results)
    return True


if __name__ == "__main__":
    main()
