"""The numbers that every role has: made from what it says about itself anyway."""

from __future__ import annotations

from collections.abc import Callable

from staffetta.app.roles.contract import CellState, Role
from staffetta.runtime.processes import resident_bytes
from staffetta.runtime.telemetry import Metrics

BADNESS = {"healthy": 0.0, "suspect": 1.0, "down": 2.0}


def describe(
    metrics: Metrics, role: Role, state: Callable[[], str], dropped_lines: Callable[[], int]
) -> None:
    """Add them. They are read when somebody asks, and cost nothing before."""

    def of_cells(number: Callable[[CellState], float | None]) -> Callable[[], dict[str, float]]:
        def read() -> dict[str, float]:
            found = {name: number(cell) for name, cell in role.state().cells.items()}
            return {name: value for name, value in found.items() if value is not None}

        return read

    def is_working() -> float:
        return float(state() == "ready" and role.state().working)

    def directory_version() -> float:
        known = role.state().directory
        return known.version if known else 0

    def directory_fresh() -> float:
        known = role.state().directory
        return float(known is not None and known.fresh)

    metrics.gauge("working", "1 while this process can do its work", is_working)
    metrics.gauge("resident_bytes", "Memory of this process", lambda: float(resident_bytes()))
    metrics.gauge(
        "log_lines_dropped", "Log lines that could not be written", lambda: float(dropped_lines())
    )
    metrics.gauge("directory_version", "Version of the recipient table", directory_version)
    metrics.gauge("directory_fresh", "1 while that table is fresh", directory_fresh)
    metrics.gauges(
        "cell_state",
        "0 healthy, 1 suspect, 2 down",
        "cell",
        of_cells(lambda cell: BADNESS.get(cell.state)),
    )
    metrics.gauges(
        "cell_lag_messages",
        "Accepted, neither delivered nor held",
        "cell",
        of_cells(lambda cell: cell.lag_messages),
    )
    metrics.gauges(
        "cell_oldest_waiting_seconds",
        "Age of the oldest message that waits",
        "cell",
        of_cells(lambda cell: cell.oldest_waiting_s),
    )
