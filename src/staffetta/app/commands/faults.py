"""`staffetta cell break` and `cell mend`: what a broken disk does, on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from staffetta.runtime.faults import FaultMode

MODES = ("hang", "error", "full", "readonly", "corrupt", "gone")
ROLES_WITH_CELLS = ("deliver", "access")


class FaultAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a command here did: `confirmed` and `unconfirmed` name processes."""

    cell: str
    mode: str | None
    serial: int
    running: bool
    confirmed: list[str]
    unconfirmed: list[str]


@click.command("break")
@service_options
@click.argument("cell")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    required=True,
    help="hang: never answers; error: EIO; full: ENOSPC; readonly: EROFS; corrupt: no "
    "database; gone: ENOENT.",
)
def break_cell(call: Invocation, cell: str, mode: str) -> None:
    """Break CELL, in every process that uses it, until it is mended."""
    from staffetta.runtime.faults import FaultMode

    _order(call, cell, FaultMode(mode))


@click.command("mend")
@service_options
@click.argument("cell")
def mend_cell(call: Invocation, cell: str) -> None:
    """Mend CELL; what hung in it goes on."""
    _order(call, cell, None)


def _order(call: Invocation, cell: str, mode: FaultMode | None) -> None:
    from staffetta.app.control import NoAnswer
    from staffetta.app.status import ask_each, ask_parent, known_cells
    from staffetta.app.volumes import order

    config = call.load()
    known = known_cells(config)
    if cell not in known:
        call.fail(call.texts("cell.unknown", cell=cell, known=", ".join(known) or "-"))
    orders = order(config.data.run, cell, mode)
    try:
        _, processes = ask_parent(config)
        running = True
    except NoAnswer:
        processes, running = [], False
    concerned = [one for one in processes if one.pid and one.role in ROLES_WITH_CELLS]
    answers = ask_each(config, concerned, {"do": "faults"})
    confirmed = [name for name, one in answers.items() if _serial(one) >= orders.serial]
    answer = FaultAnswer(
        cell=cell,
        mode=mode.value if mode else None,
        serial=orders.serial,
        running=running,
        confirmed=confirmed,
        unconfirmed=[name for name in answers if name not in confirmed],
    )
    call.answer(answer, lambda console: console.print(_words(call, answer), markup=False))
    if answer.unconfirmed:
        raise SystemExit(1)


def _serial(answer: dict[str, Any] | Exception) -> int:
    return int(answer.get("serial", -1)) if isinstance(answer, dict) else -1


def _words(call: Invocation, answer: FaultAnswer) -> str:
    texts = call.texts
    if not answer.running:
        return texts("cell.offline", cell=answer.cell)
    said: list[str] = []
    if answer.confirmed:
        processes = ", ".join(answer.confirmed)
        if answer.mode is None:
            said.append(texts("cell.mended", cell=answer.cell, processes=processes))
        else:
            said.append(
                texts("cell.broken", cell=answer.cell, mode=answer.mode, processes=processes)
            )
    if answer.unconfirmed:
        said.append(texts("cell.unconfirmed", processes=", ".join(answer.unconfirmed)))
    return "\n".join(said)
