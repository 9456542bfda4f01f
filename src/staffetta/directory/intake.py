"""Many accounts at once, from a table such as another provider's export."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from staffetta.directory.accounts import DEFAULT_PLAN, NewMailbox
from staffetta.directory.passwords import PasswordHasher, check_acceptable
from staffetta.directory.records import MailboxRecord
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode
from staffetta.directory.store import Directory

CHUNK_ROWS = 2_000  # accounts in one transaction
COLUMNS = frozenset({"address", "password", "password_hash", "plan", "cell"})


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that made no account. `line` counts from 1, the heading included."""

    line: int
    address: str
    refusal: DirectoryRefusal


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one transaction did; its accounts are durable."""

    rows: int
    added: int
    refused: tuple[RefusedRow, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One account to be, or why it cannot be one."""

    line: int
    address: str
    outcome: NewMailbox | DirectoryRefusal


def read_rows(lines: Iterable[str], hasher: PasswordHasher) -> Iterator[Row]:
    """The accounts of a CSV text with a heading: address, password or password_hash, plan, cell.

    Only `address` is needed. Passwords are hashed here, one after the other: for many accounts
    give hashes. Raises `DirectoryRefusal` where the heading is not understood.
    """
    reader = csv.DictReader(lines, strict=True)
    columns = set(reader.fieldnames or ())
    if "address" not in columns or not columns <= COLUMNS:
        raise DirectoryRefusal(RefusalCode.HEADING_INVALID, found=",".join(sorted(columns)))
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DirectoryRefusal(
                RefusalCode.ROW_INVALID, line=reader.line_num, detail=str(error)
            ) from error
        yield _read_row(reader.line_num, values, hasher)


def take_in(directory: Directory, rows: Iterable[Row]) -> Iterator[Chunk]:
    """Make the accounts, `CHUNK_ROWS` in a transaction. Raises `VolumeFault`.

    After an interruption the same table may be taken in again: accounts that were made are
    refused as taken, the others are made.
    """
    rows = iter(rows)
    while chunk := list(islice(rows, CHUNK_ROWS)):
        new = [row.outcome for row in chunk if isinstance(row.outcome, NewMailbox)]
        made = iter(directory.accounts.add_many(new))
        refused: list[RefusedRow] = []
        for row in chunk:
            outcome = next(made) if isinstance(row.outcome, NewMailbox) else row.outcome
            if not isinstance(outcome, MailboxRecord):
                refused.append(RefusedRow(row.line, row.address, outcome))
        yield Chunk(len(chunk), len(chunk) - len(refused), tuple(refused))


def _read_row(line: int, values: Mapping[str | None, object], hasher: PasswordHasher) -> Row:
    # DictReader puts surplus fields under None, and None where fields are missing.
    cells = {key: value for key, value in values.items() if isinstance(value, str) and key}
    address = cells.get("address", "").strip()
    if None in values:
        detail = f"more than {len(values) - 1} fields"
        refusal = DirectoryRefusal(RefusalCode.ROW_INVALID, line=line, detail=detail)
        return Row(line, address, refusal)
    password_hash = cells.get("password_hash", "").strip()
    password = cells.get("password", "")
    if password and not password_hash:
        try:
            check_acceptable(password)
        except DirectoryRefusal as refusal:
            return Row(line, address, refusal)
        password_hash = hasher.make(password)
    plan = cells.get("plan", "").strip() or DEFAULT_PLAN
    return Row(
        line, address, NewMailbox(address, plan, password_hash, cells.get("cell", "").strip())
    )
