"""`staffetta mailbox rebuild` and `mailbox move`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from staffetta.app.config import Config
    from staffetta.directory.records import MailboxRecord

POLL_S = 0.1
ASK_TIMEOUT_S = 30.0
CATCH_UP_TIMEOUT_S = 120.0
# Every process reads the directory at least this often: a move waits so long before it goes on.
DIRECTORY_READ_S = 1.5


@click.command("rebuild")
@service_options
@click.argument("address")
def rebuild_mailbox(call: Invocation, address: str) -> None:
    """Make the mailbox of ADDRESS again, from its own file and the log.

    The service sets the old file aside (it stays in `quarantine` of its cell), keeps new mail
    waiting meanwhile, and gives every message the UID that it had.
    """
    from rich.progress import Progress

    config = call.load()
    owner = _owner(call, address)
    request = {"mailbox": owner.mailbox}
    _ask(call, config, owner, {"do": "rebuild", **request})
    with Progress(disable=call.as_json, transient=True) as progress:
        task = progress.add_task(call.texts("rebuild.running", address=address), total=None)
        while True:
            state = _ask(call, config, owner, {"do": "rebuild-state", **request})
            if state["state"] not in ("waiting", "rebuilding"):
                break
            progress.update(task, completed=state["done"], total=state["total"] or None)
            time.sleep(POLL_S)
    if state["state"] != "rebuilt":
        call.fail(call.texts("rebuild.failed", address=address, reason=state["detail"]))
    words = call.texts("rebuild.done", address=address)
    call.answer({"address": address, **state}, lambda console: console.print(words, markup=False))


@click.command("move")
@service_options
@click.argument("address")
@click.argument("cell")
def move_mailbox(call: Invocation, address: str, cell: str) -> None:
    """Move the mailbox of ADDRESS to CELL: copied, compared, switched; the old copy is kept.

    Mail for both cells waits in the log for some seconds.
    """
    from rich.progress import Progress

    from staffetta.app.wiring import MailboxMove
    from staffetta.directory.refusals import DirectoryRefusal
    from staffetta.mailboxes.moving import MoveRefused

    config = call.load()
    owner = _owner(call, address)
    if owner.cell == cell:
        call.fail(call.texts("move.there", address=address, cell=cell))
    with Progress(disable=call.as_json, transient=True) as progress:
        task = progress.add_task(call.texts("move.running", address=address), total=4)
        try:
            with _deliveries_paused(call, config, owner, cell):
                progress.advance(task)
                move = MailboxMove(config, owner, cell)
                digest = move.copy()
                progress.advance(task)
                old = move.switch()
                progress.advance(task)
                time.sleep(DIRECTORY_READ_S)
        except (MoveRefused, DirectoryRefusal) as refusal:
            call.fail(call.texts("move.refused", address=address, reason=refusal))
        progress.advance(task)
    content = {"address": address, "from": owner.cell, "to": cell, "sha256": digest, "old": old}
    words = call.texts("move.done", address=address, source=owner.cell, cell=cell, old=old)
    call.answer(content, lambda console: console.print(words, markup=False))


def _owner(call: Invocation, address: str) -> MailboxRecord:
    from staffetta.app.commands.directory import opened

    with opened(call) as directory:
        return directory.accounts.get(address)


def _ask(
    call: Invocation, config: Config, owner: MailboxRecord, request: dict[str, Any]
) -> dict[str, Any]:
    """The answer of the delivering process that has the mailbox's cell."""
    from staffetta.app.control import NoAnswer, ask, socket_path

    answer: dict[str, Any] = {}
    problem = call.texts("rebuild.needs_service")
    for index in range(config.processes("deliver")):
        path = socket_path(config.data.run, "deliver", index)
        try:
            if owner.cell in ask(path, {"do": "positions"}, ASK_TIMEOUT_S):
                answer = ask(path, request, ASK_TIMEOUT_S)
        except NoAnswer as error:
            problem = f"{problem} ({error})"
    if not answer and request["do"] != "go-on":
        call.fail(problem)
    return answer


@contextmanager
def _deliveries_paused(
    call: Invocation, config: Config, owner: MailboxRecord, target: str
) -> Iterator[None]:
    """Neither cell takes anything, and the old one has read at least as far as the new one.

    So what was accepted before the switch is in the old copy (or held there and passed on), and
    what the new cell's reader has passed already is not missed by anybody.
    """
    source = owner.cell
    try:
        _pause(call, config, owner, target)
        until_s = time.monotonic() + CATCH_UP_TIMEOUT_S
        while not _is_ahead(_ask(call, config, owner, {"do": "positions"}), source, target):
            if time.monotonic() > until_s:
                call.fail(call.texts("move.behind", cell=source))
            time.sleep(POLL_S)
        _pause(call, config, owner, source)
        yield
    finally:
        _ask(call, config, owner, {"do": "go-on", "cells": [source, target]})


def _pause(call: Invocation, config: Config, owner: MailboxRecord, cell: str) -> None:
    answer = _ask(call, config, owner, {"do": "pause", "cells": [cell]})
    if cell not in answer.get("paused", ()):
        call.fail(call.texts("move.busy", cell=cell))


def _is_ahead(positions: dict[str, Any], source: str, target: str) -> bool:
    old, new = positions.get(source, {}), positions.get(target, {})
    return all(old.get(partition, 0) >= position for partition, position in new.items())
