"""`staffetta demo`: a two-brand service to try things on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from staffetta.app.commands.service import port_base_option, run_in_foreground
from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from rich.console import Console

    from staffetta.app.config import Config
    from staffetta.app.texts import Texts
    from staffetta.directory.records import MailboxRecord
    from staffetta.runtime.net import Listening

DATA = Path("var/demo")
PASSWORD = "staffetta-demo"  # noqa: S105 - for a service on loopback, printed at its start
LINES_FILE = Path("telemetry") / "staffetta.log"


@dataclass(slots=True)
class _Demo:
    """What the preparations leave for the words at the end."""

    people: list[MailboxRecord] = field(default_factory=list)


@click.command("demo")
@service_options
@port_base_option
def demo(call: Invocation, port_base: int | None) -> None:
    """Run a service with two brands on this machine, to try things on.

    Everything is kept in var/demo (or --data DIR), also from one start to the next. Ctrl-C ends
    it.
    """
    call = replace(call, port_base=port_base)
    if call.data is None and call.config_file is None:
        call = replace(call, data=DATA)
    prepared = _Demo()
    run_in_foreground(
        call,
        None,
        lambda listeners, seconds: _introduce(call, prepared, listeners, seconds),
        lambda config: _furnish(config, prepared),
        _with_lines_in_a_file,
    )
    click.echo(call.texts("demo.ended"))


def _with_lines_in_a_file(config: Config) -> Config:
    if config.telemetry.file:
        return config
    file = str(Path(config.data_directory) / LINES_FILE)
    return msgspec.structs.replace(
        config, telemetry=msgspec.structs.replace(config.telemetry, file=file)
    )


def _furnish(config: Config, prepared: _Demo) -> None:
    from staffetta.app.volumes import StorageVolumes
    from staffetta.app.wiring import found_cells
    from staffetta.directory.demo import furnish
    from staffetta.directory.passwords import HashParameters, PasswordHasher
    from staffetta.directory.store import open_directory
    from staffetta.runtime.clock import SystemClock
    from staffetta.runtime.disk import DirectoryVolume
    from staffetta.runtime.entropy import SystemEntropy

    cost = config.argon2
    hasher = PasswordHasher(HashParameters(cost.rounds, cost.memory_kib, cost.lanes))
    volume = DirectoryVolume("directory", config.data.directory)
    directory = open_directory(volume, SystemClock(), SystemEntropy())
    try:
        prepared.people = furnish(directory, lambda: hasher.make(PASSWORD))
        found_cells(StorageVolumes(config), directory.catalogue.read().cells, SystemEntropy())
    finally:
        directory.close()


def _introduce(
    call: Invocation, prepared: _Demo, listeners: Sequence[Listening], seconds: float
) -> None:
    texts = call.texts
    console = call.console()
    ports = {one.door: one for one in reversed(listeners)}
    config = call.load()
    console.print(texts("demo.ready", seconds=seconds), style="bold green")
    console.print()
    console.print(texts("demo.where"), style="bold")
    for one in listeners:
        address = f"[{one.address}]" if ":" in one.address else one.address
        tls = "" if one.tls == "none" else f"  ({one.tls})"
        console.print(f"  {one.door:<15} {address}:{one.port}{tls}", markup=False)
    console.print(texts("demo.files", data=_shown(Path(config.data_directory))), markup=False)
    console.print()
    console.print(texts("demo.who", password=PASSWORD), style="bold", markup=False)
    _show_people(console, prepared.people)
    console.print()
    _show_things(console, texts, call, prepared, ports)
    sys.stdout.flush()


def _show_people(console: Console, people: Sequence[MailboxRecord]) -> None:
    for brand in dict.fromkeys(one.brand for one in people):
        console.print(f"  {brand}", markup=False)
        for one in (one for one in people if one.brand == brand):
            console.print(f"    {one.address:<28} {one.plan:<10} {one.cell}", markup=False)


def _show_things(
    console: Console,
    texts: Texts,
    call: Invocation,
    prepared: _Demo,
    ports: dict[str, Listening],
) -> None:
    """Three things to try; each line can be pasted into another terminal as it is."""
    who = prepared.people[0]
    smtp, imap = ports["smtp"], ports["imap"]
    data = _shown(call.data or DATA)
    program = _shown(Path(sys.argv[0]))
    send = (
        f'python3 -c "import smtplib; s = smtplib.SMTP({smtp.address!r}, {smtp.port}); s.ehlo();'
        f" s.mail('you@elsewhere.example'); s.rcpt('{who.address}');"
        " print(s.data('Subject: Ciao\\r\\n\\r\\nPrimo messaggio.\\r\\n'))\""
    )
    read = (
        f'python3 -c "import imaplib; i = imaplib.IMAP4({imap.address!r}, {imap.port});'
        f" i.login('{who.address}', '{PASSWORD}'); i.select();"
        " print(i.fetch('1:*', '(UID BODY.PEEK[])'))\""
    )
    console.print(texts("demo.things"), style="bold")
    for number, (key, commands) in enumerate(
        (
            ("demo.send", (send,)),
            ("demo.read", (read,)),
            (
                "demo.break",
                (
                    f"{program} cell break {who.cell} --mode hang --data {data}",
                    f"{program} status --data {data}",
                    f"{program} emergency {who.address} --data {data}",
                    f"{program} cell mend {who.cell} --data {data}",
                ),
            ),
        ),
        1,
    ):
        console.print(f"{number}. {texts(key, address=who.address, cell=who.cell)}", markup=False)
        for command in commands:
            click.echo(f"     {command}")
    console.print()
    console.print(texts("demo.end"))


def _shown(path: Path) -> Path:
    """Relative to where we are, where that is shorter to type."""
    absolute = path.absolute()
    here = Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
