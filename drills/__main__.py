"""`python -m drills [NAME …]`: run drills one after the other; all of them by default."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "tests" / "samples"
CORPUS = Path(__file__).parent.parent.parent / "shared" / "corpora" / "given"

DRILLS: dict[str, list[str]] = {
    "kill": [],
    "cells": [],
    "disk": [],
    "corpus": [str(CORPUS if CORPUS.is_dir() else SAMPLES)],
}


def main(arguments: list[str]) -> int:
    """Names of drills, then options for them all; returns the worst exit status."""
    names = [name for name in arguments if name in DRILLS] or list(DRILLS)
    options = [word for word in arguments if word not in DRILLS]
    worst = 0
    for name in names:
        command = [sys.executable, "-m", f"drills.{name}", *DRILLS[name], *options]
        worst = max(worst, subprocess.run(command, check=False).returncode)
    return worst


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
