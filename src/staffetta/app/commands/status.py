"""`staffetta status`: what runs where, and how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.table import Table

    from staffetta.app.status import CellReport, ServiceReport

COLOURS = {
    "ready": "green",
    "healthy": "green",
    "suspect": "yellow",
    "starting": "yellow",
    "draining": "yellow",
    "waiting": "red",
    "down": "red",
    "failed": "red",
    "silent": "red",
}


@click.command("status")
@service_options
def status(call: Invocation) -> None:
    """Say what listens where, which processes run, how the cells and the log are."""
    from staffetta.app.control import NoAnswer
    from staffetta.app.status import report_service

    config = call.load()
    try:
        report = report_service(config)
    except NoAnswer:
        call.fail(call.texts("service.none", data=config.data_directory))
    call.answer(report, lambda console: show(call, report, console))


def show(call: Invocation, report: ServiceReport, console: Console) -> None:
    """The report as tables."""
    texts = call.texts
    console.print(
        _table(
            texts("status.listeners"),
            ("door", "address", "port", "tls"),
            ((one.door, one.address, str(one.port), one.tls) for one in report.listeners),
        )
    )
    console.print(
        _table(
            texts("status.processes"),
            ("process", "pid", "state", "restarts", "detail"),
            (
                (one.name, str(one.pid), _coloured(one.state), str(one.restarts), one.detail)
                for one in report.processes
            ),
        )
    )
    console.print(
        _table(
            texts("status.cells"),
            ("cell", "state", "mailboxes", "lag", "oldest waiting", "detail"),
            (_cell_row(one) for one in report.cells),
        )
    )
    console.print(
        _table(
            texts("status.log"),
            ("partition", "writer", "first", "last", "bytes", "files"),
            (
                (
                    str(one.partition),
                    one.writer,
                    str(one.first),
                    str(one.last),
                    f"{one.bytes:,}",
                    str(len(one.files)),
                )
                for one in report.log
            ),
        )
    )
    directory = report.directory
    if directory is None:
        console.print(texts("status.directory_none"))
    else:
        console.print(
            texts(
                "status.directory",
                version=directory.version,
                freshness=texts("status.fresh" if directory.fresh else "status.stale"),
                mailboxes=directory.mailboxes,
            )
        )
    for problem in report.problems:
        console.print(problem, style="red")


def _cell_row(cell: CellReport) -> tuple[str, ...]:
    waiting = "" if cell.oldest_waiting_s is None else f"{cell.oldest_waiting_s:.0f} s"
    detail = f"[{cell.fault}] {cell.detail}" if cell.fault else cell.detail
    return (
        cell.name,
        _coloured(cell.state),
        _number(cell.mailboxes),
        _number(cell.lag_messages),
        waiting,
        detail.replace("[", r"\["),
    )


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _coloured(state: str) -> str:
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else state


def _table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    return table
