"""Runs, medians, ratios and targets of one benchmark; as tables and as a JSON file."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
LOST_SHARE_NOTED = 0.05


class Unit(Enum):
    """What a value counts, and with it whether more is better."""

    PER_SECOND = "/s"
    MILLISECONDS = "ms"
    BYTES = "bytes"

    @property
    def more_is_better(self) -> bool:
        """Whether the larger of two values is the better one."""
        return self is Unit.PER_SECOND


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run of one contender in one case.

    ``foreign_share`` is the part of the machine (0 to 1) that processes of strangers used
    meanwhile, ``stolen_share`` the part that a virtual machine did not get: a run beside which
    others worked says less. ``server_cpu_us`` is the processor time
    of the server's processes for one message or command, which depends on others much less.
    """

    contender: str
    case: str
    round: int
    value: float
    unit: Unit
    foreign_share: float = 0.0
    stolen_share: float = 0.0
    server_cpu_us: float | None = None
    detail: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How often one contender is as good as another in one case, and how often it should be.

    ``speed`` is the ratio of the medians; ``least`` and ``most`` are those of single rounds, in
    which both ran one after the other.
    """

    case: str
    ours: str
    theirs: str
    speed: float
    speed_min: float | None
    least: float
    most: float

    @property
    def reached(self) -> bool | None:
        """Whether the target is met; ``None`` where there is none."""
        return None if self.speed_min is None else self.speed >= self.speed_min


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A value that should not be above a limit."""

    case: str
    contender: str
    value: float
    value_max: float

    @property
    def reached(self) -> bool:
        """Whether the value is within its limit."""
        return self.value <= self.value_max


class Report:
    """Everything one benchmark found."""

    def __init__(self, name: str, machine: dict[str, str | int | float]) -> None:
        self.name = name
        self.machine = machine
        self.settings: dict[str, dict[str, str]] = {}
        self.runs: list[Run] = []
        self.ratios: list[Ratio] = []
        self.ceilings: list[Ceiling] = []
        self.remarks: list[str] = []

    def compare(self, case: str, ours: str, theirs: str, speed_min: float | None = None) -> None:
        """Add the ratio of two medians, as a speed: 2 means twice as good."""
        mine, other = self._list_rounds(ours, case), self._list_rounds(theirs, case)
        if not mine or not other:
            return
        unit = next(run.unit for run in self.runs if run.case == case)

        def divide(value: float, beside: float) -> float:
            return value / beside if unit.more_is_better else beside / value

        rounds = [divide(mine[number], other[number]) for number in mine.keys() & other.keys()]
        speed = divide(statistics.median(mine.values()), statistics.median(other.values()))
        least, most = min(rounds, default=speed), max(rounds, default=speed)
        self.ratios.append(Ratio(case, ours, theirs, speed, speed_min, least, most))

    def limit(self, case: str, contender: str, value_max: float) -> None:
        """Add a limit for a median."""
        values = self._list_rounds(contender, case).values()
        if values:
            self.ceilings.append(Ceiling(case, contender, statistics.median(values), value_max))

    def write(self, directory: Path = RESULTS) -> Path:
        """Write all of it as JSON and return where."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.json"
        document = {
            "name": self.name,
            "machine": self.machine,
            "settings": self.settings,
            "medians": [self._summarise(*key) for key in self._list_keys()],
            "ratios": [{**asdict(ratio), "reached": ratio.reached} for ratio in self.ratios],
            "ceilings": [{**asdict(limit), "reached": limit.reached} for limit in self.ceilings],
            "remarks": self.remarks,
            "runs": [{**asdict(run), "unit": run.unit.value} for run in self.runs],
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path

    def print(self, console: Console) -> None:
        """Print settings, medians and ratios."""
        console.print(f"\n[bold]{self.name}[/]  ({_join(self.machine)})")
        for contender, settings in self.settings.items():
            console.print(f"[bold]{contender}[/]: {_join(settings)}", highlight=False, style="dim")
        console.print(self._draw_medians())
        if self.ratios or self.ceilings:
            console.print(self._draw_verdicts())
        for remark in self.remarks:
            console.print(f"• {remark}", highlight=False)

    def _list_rounds(self, contender: str, case: str) -> dict[int, float]:
        return {
            run.round: run.value
            for run in self.runs
            if (run.contender, run.case) == (contender, case)
        }

    def _list_keys(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((run.case, run.contender) for run in self.runs))

    def _summarise(self, case: str, contender: str) -> dict[str, str | int | float]:
        runs = [run for run in self.runs if (run.case, run.contender) == (case, contender)]
        values = [run.value for run in runs]
        costs = [run.server_cpu_us for run in runs if run.server_cpu_us is not None]
        return {
            "case": case,
            "contender": contender,
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
            "unit": runs[0].unit.value,
            "runs": len(runs),
            "foreign_share": round(max(run.foreign_share for run in runs), 3),
            "stolen_share": round(max(run.stolen_share for run in runs), 3),
            "server_cpu_us": round(statistics.median(costs), 1) if costs else 0,
        }

    def _draw_medians(self) -> Table:
        table = Table("case", "contender", title="medians", box=SIMPLE)
        for heading in (
            "median",
            "least",
            "most",
            "unit",
            "runs",
            "CPU µs each",
            "others",
            "stolen",
        ):
            table.add_column(heading, justify="right")
        for case, contender in self._list_keys():
            row = self._summarise(case, contender)
            losses = [float(row[key]) for key in ("foreign_share", "stolen_share")]
            notes = [f"{share:.0%}" if share >= LOST_SHARE_NOTED else "" for share in losses]
            figures = (format_figure(float(row[key])) for key in ("median", "min", "max"))
            cost = format_figure(float(row["server_cpu_us"])) if row["server_cpu_us"] else ""
            counts = (str(row["unit"]), str(row["runs"]))
            table.add_row(case, contender, *figures, *counts, cost, *notes)
        return table

    def _draw_verdicts(self) -> Table:
        table = Table(
            "case", "ours", "beside", title="ratios (as speed: 2 is twice as good)", box=SIMPLE
        )
        for heading in ("ratio", "by round", "target", ""):
            table.add_column(heading, justify="right")
        for ratio in self.ratios:
            target = "" if ratio.speed_min is None else f"≥ {ratio.speed_min:g}"
            figure, spread = f"{ratio.speed:.2f}", f"{ratio.least:.2f}–{ratio.most:.2f}"
            table.add_row(
                ratio.case, ratio.ours, ratio.theirs, figure, spread, target, _mark(ratio.reached)
            )
        for limit in self.ceilings:
            figure, target = format_figure(limit.value), f"≤ {format_figure(limit.value_max)}"
            table.add_row(limit.case, limit.contender, "", figure, "", target, _mark(limit.reached))
        return table


def format_figure(value: float) -> str:
    """A figure with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _mark(reached: bool | None) -> str:
    match reached:
        case None:
            return ""
        case True:
            return "[green]reached[/]"
        case _:
            return "[red]missed[/]"


def _join(facts: dict[str, str] | dict[str, str | int | float]) -> str:
    return " · ".join(f"{name} {value}" for name, value in facts.items())
