"""`staffetta serve` and `staffetta reload`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from staffetta.app.config import Config
    from staffetta.app.texts import Texts
    from staffetta.runtime.net import Listening, PortRefused, PortTaken

ROLES = ("accept", "deliver", "access")
PORT_BASE_MAX = 64_000
PORT_BASE_STEP = 1_000
ASK_TIMEOUT_S = 5.0

port_base_option = click.option(
    "--port-base",
    type=click.IntRange(0, PORT_BASE_MAX),
    metavar="N",
    help="Shift all ports together: SMTP at N+25, IMAP at N+143 … (default 8000).",
)


@click.command("serve")
@service_options
@port_base_option
@click.option(
    "--roles",
    metavar="LIST",
    help="Only these roles, e.g. accept,deliver (of: accept, deliver, access).",
)
def serve(call: Invocation, port_base: int | None, roles: str | None) -> None:
    """Run the service in the foreground, until SIGTERM or Ctrl-C.

    SIGHUP has it read its configuration and certificates again.
    """
    call = replace(call, port_base=port_base)
    run_in_foreground(
        call, _chosen_roles(roles), lambda listeners, seconds: say_ready(call, listeners, seconds)
    )


@click.command("reload")
@service_options
def reload(call: Invocation) -> None:
    """Have the running service read its configuration and certificates again."""
    from staffetta.app.control import SUPERVISOR_SOCKET, NoAnswer, ask

    config = call.load()
    try:
        answer = ask(config.data.run / SUPERVISOR_SOCKET, {"do": "reload"}, ASK_TIMEOUT_S)
    except NoAnswer:
        call.fail(call.texts("service.none", data=config.data_directory))
    if "error" in answer:
        call.fail(str(answer["error"]))
    call.answer(answer, lambda console: console.print(call.texts("service.reloaded")))


def run_in_foreground(
    call: Invocation,
    roles: tuple[str, ...] | None,
    ready: Callable[[Sequence[Listening], float], None],
    before: Callable[[Config], None] = lambda config: None,
    amend: Callable[[Config], Config] = lambda config: config,
) -> None:
    """Run the service with these options; ends the run with the reason where it cannot start.

    `before` is called with the configuration once the data directory is ours; `amend` may
    change what was read.
    """
    from staffetta.app.config_file import ConfigRefused
    from staffetta.app.service import run_service
    from staffetta.runtime.faults import VolumeFault
    from staffetta.runtime.net import PortRefused, PortTaken
    from staffetta.runtime.processes import FileLocked

    texts = call.texts

    def load() -> Config:
        return amend(load_for_serving(call, roles))

    def say_trouble(process: str, detail: str) -> None:
        said = texts("service.never_ready", process=process, detail=detail)
        click.echo(f"staffetta: {said}", err=True)

    try:
        config = load()
        run_service(config, load, ready, before, say_trouble)
    except ConfigRefused as refusal:
        call.fail("\n".join(str(problem) for problem in refusal.problems), code=2)
    except FileLocked as locked:
        call.fail(texts("service.in_use", data=config.data_directory, pid=locked.pid or "?"))
    except (PortTaken, PortRefused) as refused:
        call.fail(_port_words(texts, config.port_base, refused))
    except (OSError, VolumeFault) as error:
        call.fail(str(error))


def _port_words(texts: Texts, base: int, refused: PortTaken | PortRefused) -> str:
    from staffetta.runtime.net import PortTaken

    place = refused.listening
    named = {"port": place.port, "address": place.address, "door": place.door}
    if isinstance(refused, PortTaken):
        other = base + PORT_BASE_STEP if base + PORT_BASE_STEP <= PORT_BASE_MAX else PORT_BASE_STEP
        return texts("service.port_taken", **named, base=base, other=other)
    return texts("service.port_refused", **named, detail=refused.detail)


def load_for_serving(call: Invocation, roles: tuple[str, ...] | None) -> Config:
    """The configuration to start with: never what an earlier service was given.

    Raises `ConfigRefused`.
    """
    import msgspec

    from staffetta.app.config_file import load

    config = load(call.config_file, call.data, call.port_base)
    config = msgspec.structs.replace(
        config, data_directory=str(Path(config.data_directory).absolute())
    )
    if roles is not None:
        config = msgspec.structs.replace(
            config, roles=msgspec.structs.replace(config.roles, run=roles)
        )
    return config


def say_ready(call: Invocation, listeners: Sequence[Listening], seconds: float) -> None:
    """One line, once everything serves."""
    places = ", ".join(f"{one.door} {one.address}:{one.port}" for one in listeners)
    click.echo(call.texts("service.ready", seconds=seconds, listeners=places))


def _chosen_roles(roles: str | None) -> tuple[str, ...] | None:
    if roles is None:
        return None
    chosen = tuple(name.strip() for name in roles.split(",") if name.strip())
    for name in chosen:
        if name not in ROLES:
            hint = f"{name!r} is not one of {', '.join(ROLES)}"
            raise click.BadParameter(hint, param_hint="--roles")
    return tuple(dict.fromkeys(chosen))
