"""What a drill says at its end: a table for people, JSON for machines, and an exit status."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Assertion:
    """One thing that must be true, and what was measured."""

    id: str
    text: str
    passed: bool
    measured: Any


def report(
    name: str, assertions: list[Assertion], figures: Mapping[str, Any], path: Path | None
) -> int:
    """Print, write where a path is given, and return the exit status."""
    console = Console(highlight=False)
    table = Table("", "what must be true", "measured", title=f"Drill: {name}")
    for one in assertions:
        table.add_row("yes" if one.passed else "NO", one.text, str(one.measured))
    console.print(table)
    for key, value in figures.items():
        console.print(f"  {key}: {value}", markup=False)
    if path is not None:
        content = {
            "drill": name,
            "python": platform.python_version(),
            "assertions": [
                {"id": one.id, "text": one.text, "passed": one.passed, "measured": one.measured}
                for one in assertions
            ],
            "figures": dict(figures),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, default=str) + "\n")
    return 0 if all(one.passed for one in assertions) else 1
