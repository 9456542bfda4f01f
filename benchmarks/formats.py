"""What delivery spends on understanding one message: CPU time, no disk.

    python -m benchmarks.formats [--corpus DIR] [--messages N] [--rounds N] [--json]

DIR is searched for files; without it, the SpamAssassin corpus beside the checkout is used, and the
sample mail of the tests where that is absent. Line ends are made CRLF before the clock starts.
Beside our figures stand those of the standard library's two parsers, which stop at the tree.
"""

from __future__ import annotations

import argparse
import email
import email.policy
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from staffetta.formats import imapdata
from staffetta.formats.eml import normalise_line_ends
from staffetta.formats.mime import Part, scan, scan_with_fields
from staffetta.formats.prepared import prepare
from staffetta.formats.text import searchable

CHECKOUT = Path(__file__).resolve().parents[1]
GIVEN = Path(os.environ.get("STAFFETTA_CORPUS", CHECKOUT.parent / "shared/corpora/given"))
SAMPLES = CHECKOUT / "tests/samples"
SCAN_TARGET_US = 40.0
PREPARE_TARGET_US = 100.0


def read_messages(corpus: Path | None, count_max: int) -> list[bytes]:
    """At most that many messages, spread over the corpus."""
    folder = corpus or GIVEN / "real/spamassassin"
    if not folder.is_dir():
        folder = SAMPLES
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    step = max(1, len(paths) // count_max)
    return [normalise_line_ends(path.read_bytes()) for path in paths[::step]][:count_max]


def measure(work: Callable[[int], object], count: int, rounds: int) -> float:
    """Microseconds a message: the median round."""
    figures = []
    for _ in range(rounds):
        started_ns = time.process_time_ns()
        for number in range(count):
            work(number)
        figures.append((time.process_time_ns() - started_ns) / count / 1_000)
    return statistics.median(figures)


def run(messages: Sequence[bytes], rounds: int) -> dict[str, float]:
    """Microseconds a message by what is done to it."""
    roots: list[Part] = [scan(data) for data in messages]
    fields = [scan_with_fields(data)[1] for data in messages]
    modern = email.policy.default
    steps: dict[str, Callable[[int], object]] = {
        "scan": lambda n: scan(messages[n]),
        "envelope": lambda n: imapdata.format_envelope(fields[n]),
        "bodystructure": lambda n: imapdata.bodystructure(messages[n], roots[n]),
        "prepare": lambda n: prepare(messages[n]),
        "searchable": lambda n: searchable(messages[n], roots[n]),
        "stdlib compat32": lambda n: email.message_from_bytes(messages[n]),
        "stdlib default": lambda n: email.message_from_bytes(messages[n], policy=modern),
    }
    return {name: measure(work, len(messages), rounds) for name, work in steps.items()}


def main() -> None:
    """Print the figures, for people or as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--corpus", type=Path)
    options.add_argument("--messages", type=int, default=1_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    every = read_messages(chosen.corpus, chosen.messages)
    typical = [data for data in every if 2_000 <= len(data) <= 8_000] or every
    results = {
        name: {
            "messages": len(messages),
            "mean_bytes": round(statistics.fmean(map(len, messages))),
            "us": run(messages, chosen.rounds),
        }
        for name, messages in (("typical", typical), ("all", every))
    }
    if chosen.json:
        print(json.dumps(results, indent=2))
        return
    for name, result in results.items():
        print(f"{name}: {result['messages']} messages of {result['mean_bytes']} bytes on average")
        figures = result["us"]
        assert isinstance(figures, dict)
        for step, us in figures.items():
            print(f"  {step:16} {us:8.1f} µs")
    print(f"targets at 4 KiB: scan {SCAN_TARGET_US:.0f} µs, prepare {PREPARE_TARGET_US:.0f} µs")


if __name__ == "__main__":
    main()
