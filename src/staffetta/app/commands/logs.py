"""`staffetta log show` and `log verify`: what the log holds, and whether it is sound."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from staffetta.app.commands.reading_log import iso, opened_log, time_text
from staffetta.app.invocation import Invocation, service_options


@click.command("show")
@service_options
@click.option("--partition", type=int, default=1, show_default=True)
@click.option("--after", type=int, default=None, help="Position after which to begin.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
def show_log(call: Invocation, partition: int, after: int | None, limit: int) -> None:
    """Print entries of a partition, the newest unless --after is given."""
    with opened_log(call) as log:
        start = max(log.last(partition) - limit, 0) if after is None else after
        entries = log.read(partition, start, limit)
    rows = [
        {
            "position": entry.position,
            "at": iso(entry.at_us),
            "kind": entry.kind.name.lower(),
            "receipt": _text(entry.receipt),
            "size_bytes": entry.size_bytes,
            "fact": _plain(entry.fact),
        }
        for entry in entries
    ]

    def for_people(console: Any) -> None:
        for entry, row in zip(entries, rows, strict=True):
            what = ", ".join(f"{key}={value}" for key, value in _brief(row["fact"]))
            at = time_text(entry.at_us)
            console.print(
                f"{entry.position:>8}  {at}  {row['kind']:<9}  {row['receipt']}  {what}",
                markup=False,
                overflow="ellipsis",
            )

    call.answer({"partition": partition, "entries": rows}, for_people)


@click.command("verify")
@service_options
@click.option("--partition", type=int, multiple=True, help="Only these; all by default.")
def verify_log(call: Invocation, partition: tuple[int, ...]) -> None:
    """Check every entry: checksums, gaps, files, spooled bodies. Exit status 1 on damage."""
    from rich.progress import Progress

    results = []
    with opened_log(call) as log:
        wanted = partition or tuple(log.partitions())
        with Progress(disable=call.as_json, transient=True) as progress:
            for number in wanted:
                total = log.extent(number).entries
                task = progress.add_task(f"{call.texts('log.verifying')} {number}", total=total)
                checked, damage = 0, []
                for checked, found in log.verify(number):
                    damage += found
                    progress.update(task, completed=checked)
                results.append({"partition": number, "entries": checked, "damage": damage})

    def for_people(console: Any) -> None:
        for result in results:
            damage = result["damage"]
            key = "log.damaged" if damage else "log.verified"
            console.print(
                call.texts(
                    key,
                    partition=result["partition"],
                    entries=result["entries"],
                    problems=len(damage),  # type: ignore[arg-type]
                ),
                markup=False,
            )
            for one in damage:  # type: ignore[attr-defined]
                console.print(
                    call.texts("log.damage", file=one.file, position=one.position, what=one.what),
                    markup=False,
                )

    call.answer({"partitions": results}, for_people)
    if any(result["damage"] for result in results):
        raise SystemExit(1)


def _text(receipt: bytes) -> str:
    from staffetta.log.receipts import to_text

    return to_text(receipt)


def _plain(fact: msgspec.Struct) -> dict[str, Any]:
    return {name: _readable(getattr(fact, name)) for name in fact.__struct_fields__}


def _readable(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case msgspec.Struct():
            return _plain(value)
        case tuple():
            return [_readable(one) for one in value]
        case _:
            return value


def _brief(fact: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in fact.items() if value not in ("", 0, [], None)]
