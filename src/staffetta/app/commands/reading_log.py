"""What the commands about mail share: opening the log, times as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from staffetta.app.invocation import Invocation
from staffetta.log.port import LogDamaged
from staffetta.runtime.faults import VolumeFault

if TYPE_CHECKING:
    from staffetta.log.port import LogReader

ZONE = ZoneInfo("Europe/Rome")
_AGO = re.compile(r"(\d{1,6})\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

since_option = click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="2026-11-22, 2026-11-22T08:30 (Europe/Rome), or so long ago: 90m, 12h, 7d.",
)


@contextmanager
def opened_log(call: Invocation) -> Iterator[LogReader]:
    """The log of the service that the options name; faults of the block end the run."""
    from staffetta.app.volumes import StorageVolumes
    from staffetta.app.wiring import open_log_reader

    config = call.load()
    volumes = StorageVolumes(config)
    reader = open_log_reader(config, volumes)
    try:
        if not reader.partitions():
            call.fail(call.texts("log.none", place=volumes.log.root))
        yield reader
    except (VolumeFault, LogDamaged) as fault:
        call.fail(call.texts("log.unreadable", detail=fault))
    finally:
        reader.close()


def since_us(call: Invocation, text: str) -> int:
    """The moment that `--since` names; ends the run where it names none."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        then = datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        return int(then.timestamp() * 1_000_000)
    try:
        then = datetime.fromisoformat(text.strip())
    except ValueError:
        call.fail(call.texts("journey.bad_since", text=text), code=2)
    if then.tzinfo is None:
        then = then.replace(tzinfo=ZONE)
    return int(then.timestamp() * 1_000_000)


def time_text(at_us: int) -> str:
    """A moment for people, with its zone."""
    return datetime.fromtimestamp(at_us / 1_000_000, ZONE).strftime("%Y-%m-%d %H:%M:%S %Z")


def iso(at_us: int) -> str:
    """A moment for machines, UTC."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
