"""The parent with roles that do nothing but what `BEHAVIOUR` in the data directory says.

Run by the tests of the supervisor: `python parent_alone.py --data DIR --port-base N`.
Behaviours: nothing (serve until SIGTERM), `deaf` (ignore SIGTERM), `stillborn` (die before being
ready), `failing` (say why, and die after being ready).
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import msgspec

from staffetta.app.config_file import load
from staffetta.app.supervisor import Assignment, Supervisor
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.telemetry import DirectLines, open_logger


def say(assignment: Assignment, state: str, detail: str = "") -> None:
    assignment.news.sendall(msgspec.json.encode({"state": state, "detail": detail}) + b"\n")


def play(assignment: Assignment) -> int:
    behaviour = Path(assignment.config.data_directory, f"BEHAVIOUR.{assignment.role}")
    wanted = behaviour.read_text() if behaviour.exists() else ""
    if wanted == "stillborn":
        return 9
    signals = {signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    say(assignment, "ready")
    if wanted == "failing":
        say(assignment, "failed", "the log is broken")
        return 3
    while True:
        number = signal.sigwait(signals)
        if number == signal.SIGHUP:
            say(assignment, "ready", "reloaded")
        elif wanted != "deaf":
            return 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port-base", type=int, required=True)
    options = parser.parse_args()
    file = options.data / "staffetta.toml"

    Supervisor(
        config=load(file if file.exists() else None, options.data, options.port_base),
        clock=SystemClock(),
        logger=open_logger(DirectLines(None), "info"),
        load=lambda: load(file if file.exists() else None, options.data, options.port_base),
        run_role=play,  # type: ignore[arg-type]
        ready=lambda listeners: print("ready", len(listeners), flush=True),
    ).run(lambda: None)


if __name__ == "__main__":
    sys.exit(main())
