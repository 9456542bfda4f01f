"""`staffetta account` and `staffetta alias`: mailboxes, passwords, other addresses."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from staffetta.app.commands.directory import (
    moment_text,
    opened,
    print_fields,
    print_table,
    reason,
    size_text,
)
from staffetta.app.invocation import Invocation, service_options
from staffetta.directory.accounts import DEFAULT_PLAN, NewMailbox
from staffetta.directory.entitlements import EntryKind, NewEntry
from staffetta.directory.intake import Chunk, RefusedRow, Row, read_rows, take_in
from staffetta.directory.passwords import HashParameters, PasswordHasher, check_acceptable
from staffetta.directory.records import Alias, MailboxRecord, MailboxState
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.entropy import SystemEntropy

if TYPE_CHECKING:
    from rich.console import Console

    from staffetta.directory.store import Directory

GENERATED_PASSWORD_BYTES = 15
REFUSED_ROWS_SHOWN_MAX = 20
REFUSED_ROWS_KEPT_MAX = 10_000

_LIST_COLUMNS = ("mailbox", "address", "brand", "plan", "cell", "state")
_LEDGER_COLUMNS = ("entry", "at", "kind", "plan", "reason")


@click.command("add")
@service_options
@click.argument("address")
@click.option("--plan", default=DEFAULT_PLAN, show_default=True, help="Key of a plan.")
@click.option("--cell", default="", help="Cell to put it in; chosen if left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--password", help="The password. Other users of the machine may see it.")
def add_account(
    call: Invocation,
    address: str,
    plan: str,
    cell: str,
    password_stdin: bool,
    password: str | None,
) -> None:
    """Make a mailbox for ADDRESS. Without a password one is generated and printed."""
    chosen, generated = _choose_password(password_stdin, password)
    with opened(call) as directory:
        check_acceptable(chosen)
        password_hash = _hasher(call).make(chosen)
        record = directory.accounts.add(NewMailbox(address, plan, password_hash, cell))
    lines = [call.texts("account.added", address=record.address, cell=record.cell)]
    _answer_with_password(call, record, lines, generated)


@click.command("passwd")
@service_options
@click.argument("address")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--password", help="The password. Other users of the machine may see it.")
def change_password(
    call: Invocation, address: str, password_stdin: bool, password: str | None
) -> None:
    """Give ADDRESS a new password. Without one, one is generated and printed."""
    chosen, generated = _choose_password(password_stdin, password)
    with opened(call) as directory:
        check_acceptable(chosen)
        directory.accounts.get(address)
        record = directory.accounts.set_password_hash(address, _hasher(call).make(chosen))
    lines = [call.texts("account.password_changed", address=record.address)]
    _answer_with_password(call, record, lines, generated)


@click.command("show")
@service_options
@click.argument("address")
def show_account(call: Invocation, address: str) -> None:
    """Everything about the mailbox ADDRESS."""
    with opened(call) as directory:
        record = directory.accounts.get(address)
        entitlement = directory.accounts.entitlement(record)
        ledger = directory.accounts.ledger(record.mailbox)
        aliases = directory.aliases.leading_to(record.address)
    state = call.texts(f"state.{record.state.value}")
    fields = (
        ("address", record.address),
        ("mailbox", record.mailbox),
        ("state", state),
        ("brand", record.brand),
        ("plan", entitlement.plan),
        ("quota", size_text(call.texts, entitlement.quota_bytes)),
        ("cell", record.cell),
        ("uid_validity", record.uid_validity),
        ("created", moment_text(record.created_us)),
        ("aliases", ", ".join(aliases)),
    )
    rows = [
        (entry.entry, moment_text(entry.at_us), entry.kind.value, entry.plan, entry.reason)
        for entry in ledger
    ]

    def show(console: Console) -> None:
        print_fields(console, call.texts, fields)
        if len(rows) > 1:
            print_table(console, call.texts, _LEDGER_COLUMNS, rows)

    view = {**asdict(record), "plan": entitlement.plan, "quota_bytes": entitlement.quota_bytes}
    call.answer({**view, "aliases": aliases, "ledger": ledger}, show)


@click.command("list")
@service_options
@click.option("--brand", default="", help="Of this brand only.")
@click.option("--cell", default="", help="In this cell only.")
def list_accounts(call: Invocation, brand: str, cell: str) -> None:
    """The mailboxes, by number."""
    with opened(call) as directory:
        found = directory.catalogue.read()
        if brand and brand not in found.brands:
            raise DirectoryRefusal(RefusalCode.BRAND_UNKNOWN, brand=brand)
        if cell and cell not in found.cells:
            raise DirectoryRefusal(RefusalCode.CELL_UNKNOWN, cell=cell)
        records = list(directory.accounts.each(brand, cell))
    rows = (
        (one.mailbox, one.address, one.brand, one.plan, one.cell, _state(call, one))
        for one in records
    )
    call.answer(records, lambda console: print_table(console, call.texts, _LIST_COLUMNS, rows))


@click.command("suspend")
@service_options
@click.argument("address")
def suspend_account(call: Invocation, address: str) -> None:
    """Keep the owner of ADDRESS out; mail still comes in."""
    _set_state(call, address, MailboxState.SUSPENDED)


@click.command("resume")
@service_options
@click.argument("address")
def resume_account(call: Invocation, address: str) -> None:
    """Put a suspended or closed mailbox back in use."""
    _set_state(call, address, MailboxState.ACTIVE)


@click.command("close")
@service_options
@click.argument("address")
def close_account(call: Invocation, address: str) -> None:
    """Take ADDRESS out of use: no mail in, no sign-in. Nothing is deleted."""
    _set_state(call, address, MailboxState.CLOSED)


@click.command("plan")
@service_options
@click.argument("address")
@click.argument("plan")
@click.option("--reason", "why", default="", help="For the ledger.")
def change_plan(call: Invocation, address: str, plan: str, why: str) -> None:
    """Put ADDRESS on another PLAN of its brand, from now on."""
    with opened(call) as directory:
        entry = NewEntry(EntryKind.PLAN, plan=plan, reason=why)
        directory.accounts.append_entry(address, entry)
        record = directory.accounts.get(address)
    text = call.texts("account.plan", address=record.address, plan=plan)
    call.answer(record, lambda console: console.print(text))


@click.command("import")
@service_options
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def import_accounts(call: Invocation, file: Path) -> None:
    """Make the accounts of the CSV FILE.

    Its first line names the columns: address, and as needed password or password_hash
    (Argon2id), plan, cell. Rows that are refused do not keep the others out; after an
    interruption the same file can be imported again.
    """
    clock = SystemClock()
    begun_s = clock.monotonic_s()
    added, refused, kept = 0, 0, list[RefusedRow]()
    with opened(call) as directory, _readable(call, file) as text:
        rows = read_rows(text, _hasher(call))
        for chunk in _with_progress(call, file, directory, rows):
            added += chunk.added
            refused += len(chunk.refused)
            kept += chunk.refused[: REFUSED_ROWS_KEPT_MAX - len(kept)]
    seconds = clock.monotonic_s() - begun_s
    rows_refused = [
        {"line": row.line, "address": row.address, "reason": reason(call.texts, row.refusal)}
        for row in kept
    ]

    def show(console: Console) -> None:
        for row in rows_refused[:REFUSED_ROWS_SHOWN_MAX]:
            text = call.texts("account.refused_row", line=row["line"], reason=row["reason"])
            console.print(text, markup=False)
        if refused > REFUSED_ROWS_SHOWN_MAX:
            more = refused - REFUSED_ROWS_SHOWN_MAX
            console.print(call.texts("account.more_refused", count=more))
        console.print(call.texts("account.imported", added=added, refused=refused, seconds=seconds))

    call.answer(
        {"added": added, "refused": refused, "seconds": seconds, "refused_rows": rows_refused},
        show,
    )
    if refused:
        raise SystemExit(1)


@click.command("add")
@service_options
@click.argument("address")
@click.argument("targets", nargs=-1, required=True)
def add_alias(call: Invocation, address: str, targets: tuple[str, ...]) -> None:
    """Have mail for ADDRESS go to each of TARGETS, too if it is an alias already."""
    with opened(call) as directory:
        alias = directory.aliases.add(address, targets)
    _answer_with_alias(call, alias)


@click.command("list")
@service_options
@click.argument("address", default="")
def list_aliases(call: Invocation, address: str) -> None:
    """The aliases, or the one of ADDRESS."""
    with opened(call) as directory:
        aliases = directory.aliases.entries(address)
        if address and not aliases:
            raise DirectoryRefusal(RefusalCode.ALIAS_UNKNOWN, address=address)
    rows = ((alias.address, ", ".join(alias.targets)) for alias in aliases)
    call.answer(
        aliases, lambda console: print_table(console, call.texts, ("address", "targets"), rows)
    )


@click.command("remove")
@service_options
@click.argument("address")
@click.argument("target", default="")
def remove_alias(call: Invocation, address: str, target: str) -> None:
    """Remove the alias ADDRESS, or only one TARGET of it."""
    with opened(call) as directory:
        alias = directory.aliases.remove(address, target)
    _answer_with_alias(call, alias)


def _answer_with_alias(call: Invocation, alias: Alias) -> None:
    if alias.targets:
        targets = ", ".join(alias.targets)
        text = call.texts("alias.stored", address=alias.address, targets=targets)
    else:
        text = call.texts("alias.removed", address=alias.address)
    call.answer(alias, lambda console: console.print(text, markup=False))


def _answer_with_password(
    call: Invocation, record: MailboxRecord, lines: list[str], generated: str
) -> None:
    if generated:
        lines.append(call.texts("account.password", password=generated))
    shown = {"password": generated} if generated else {}
    call.answer(
        {**asdict(record), **shown},
        lambda console: console.print("\n".join(lines), markup=False),
    )


def _set_state(call: Invocation, address: str, state: MailboxState) -> None:
    with opened(call) as directory:
        record = directory.accounts.set_state(address, state)
    text = call.texts("account.state", address=record.address, state=_state(call, record))
    call.answer(record, lambda console: console.print(text, markup=False))


def _state(call: Invocation, record: MailboxRecord) -> str:
    return call.texts(f"state.{record.state.value}")


def _hasher(call: Invocation) -> PasswordHasher:
    wanted = call.load().argon2
    return PasswordHasher(HashParameters(wanted.rounds, wanted.memory_kib, wanted.lanes))


def _choose_password(from_stdin: bool, password: str | None) -> tuple[str, str]:
    """(the password, the same if it was generated here and has to be shown)."""
    if from_stdin and password is not None:
        raise click.UsageError("give --password-stdin or --password, not both")
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), ""
    if password is not None:
        return password, ""
    letters = base64.b32encode(SystemEntropy().token(GENERATED_PASSWORD_BYTES)).decode().lower()
    made = "-".join(letters[at : at + 6] for at in range(0, len(letters), 6))
    return made, made


@contextmanager
def _readable(call: Invocation, file: Path) -> Iterator[IO[str]]:
    """The file as text; ends the run where it is none."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            yield text
    except (OSError, UnicodeDecodeError) as error:
        call.fail(call.texts("directory.file", file=file, detail=error))


def _with_progress(
    call: Invocation, file: Path, directory: Directory, rows: Iterator[Row]
) -> Iterator[Chunk]:
    """The chunks as they are made; on a terminal, with a bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    with file.open("rb") as content:
        lines = sum(block.count(b"\n") for block in iter(lambda: content.read(1 << 20), b""))
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(call.texts("account.importing"), total=max(lines - 1, 1))
        for chunk in take_in(directory, rows):
            progress.advance(task, chunk.rows)
            yield chunk
