"""What the commands about brands and people share: opening the directory, sizes, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from staffetta.app.invocation import Invocation
from staffetta.directory.refusals import DirectoryRefusal
from staffetta.runtime.faults import VolumeFault

if TYPE_CHECKING:
    from rich.console import Console

    from staffetta.app.texts import Texts
    from staffetta.directory.store import Directory

DRAWN_ROWS_MAX = 500  # longer tables are printed without being drawn
_UNITS = "KMGTP"
_SIZE = re.compile(r"(\d+)\s*(?:([KMGTP])(?:I?B)?|B)?", re.IGNORECASE)


@contextmanager
def opened(call: Invocation, begin: bool = False) -> Iterator[Directory]:
    """The directory of the service that the options name; with `begin`, made if need be.

    Refusals and faults of the block end the run, in the user's language, with status 1.
    """
    from staffetta.directory.authority import DATABASE_PATH
    from staffetta.directory.store import open_directory
    from staffetta.runtime.clock import SystemClock
    from staffetta.runtime.disk import DirectoryVolume
    from staffetta.runtime.entropy import SystemEntropy

    place = call.load().data.directory
    volume = DirectoryVolume("directory", place)
    try:
        if not begin and not volume.exists(DATABASE_PATH):
            call.fail(call.texts("directory.none", place=place))
        directory = open_directory(volume, SystemClock(), SystemEntropy())
        try:
            yield directory
        finally:
            directory.close()
    except DirectoryRefusal as refusal:
        call.fail(reason(call.texts, refusal))
    except VolumeFault as fault:
        call.fail(call.texts("directory.fault", detail=fault, place=place))


def reason(texts: Texts, refusal: DirectoryRefusal) -> str:
    """What was refused and what to do next, for people."""
    return texts(f"refused.{refusal.code.value}", **refusal.values)


def print_table(
    console: Console, texts: Texts, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """A table for people; `columns` are keys of the texts without `column.`."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    heads = [texts(f"column.{column}") for column in columns]
    lines = [tuple(map(str, row)) for row in rows]
    if len(lines) > DRAWN_ROWS_MAX:
        _print_plainly(heads, lines)
        return
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)


def _print_plainly(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    # Drawing measures every cell several times: a minute for a hundred thousand rows.
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, *lines):
        click.echo("  ".join(map(str.ljust, line, widths)).rstrip())


def print_fields(console: Console, texts: Texts, fields: Iterable[tuple[str, object]]) -> None:
    """One record for people, a line for each field that is not empty."""
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for key, value in fields:
        if value != "":
            table.add_row(texts(f"column.{key}"), escape(str(value)))
    console.print(table)


def size_text(texts: Texts, size_bytes: int) -> str:
    """A size as people read it, exact where the unit divides it; 0 means no limit."""
    if size_bytes == 0:
        return texts("quota.none")
    value, unit = float(size_bytes), "B"
    for letter in _UNITS:
        if value < 1024:
            break
        value, unit = value / 1024, f"{letter}iB"
    return f"{value:g} {unit}" if value == round(value, 1) else f"{value:.1f} {unit}"


def moment_text(at_us: int) -> str:
    """A moment in UTC, to the second."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def parse_size(text: str) -> int:
    """A size on the command line: bytes, or with K, M, G, T (powers of 1024)."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is not a size such as 500M or 5G")
    number, unit = found.groups()
    return int(number) * int(1024 ** (_UNITS.index(unit.upper()) + 1 if unit else 0))


def parse_pair(text: str) -> tuple[str, str]:
    """NAME=VALUE on the command line."""
    name, equals, content = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, content
