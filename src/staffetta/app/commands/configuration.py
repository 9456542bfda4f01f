"""`staffetta config`: is a file right, and what may be in one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from staffetta.app.invocation import Invocation, service_options


@click.command("check")
@service_options
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def check(call: Invocation, file: Path | None) -> None:
    """Is this configuration FILE right? Every problem is named with its line and key."""
    from staffetta.app.config_file import ConfigRefused, count_settings, load

    target = file or call.config_file
    if target is None:
        raise click.UsageError("name a FILE, or give --config")
    try:
        load(target, call.data, call.port_base)
    except ConfigRefused as refusal:
        problems = refusal.problems
        if call.as_json:
            call.answer({"file": str(target), "fine": False, "problems": problems}, print)
        else:
            for problem in problems:
                click.echo(str(problem), err=True)
        raise SystemExit(2) from None
    settings = count_settings(tomllib.loads(target.read_text("utf-8")))
    call.answer(
        {"file": str(target), "fine": True, "problems": []},
        lambda console: console.print(call.texts("config.fine", file=target, settings=settings)),
    )


@click.command("reference")
@service_options
@click.option(
    "--write",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of printing it.",
)
def reference(call: Invocation, write: Path | None) -> None:
    """Every setting there is, in Markdown: the source of docs/configuration.md."""
    from staffetta.app import config_reference

    page = config_reference.reference()
    if write is None:
        click.echo(page, nl=False)
        return
    write.write_text(page, "utf-8")
    click.echo(call.texts("config.written", file=write))
