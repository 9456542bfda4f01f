"""`staffetta brand`, `plan`, `domain` and `cell list|show|add`: what the service is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from staffetta.app.commands.directory import (
    opened,
    parse_pair,
    parse_size,
    print_fields,
    print_table,
    size_text,
)
from staffetta.app.invocation import Invocation, service_options
from staffetta.app.texts import Texts
from staffetta.directory.placement import Occupancy
from staffetta.directory.records import Brand, CellRecord, CellState, Contact, Domain, Plan
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode

_PLAN_COLUMNS = ("brand", "key", "name", "quota", "message_max", "price", "term")
_CELL_COLUMNS = ("name", "state", "mailboxes", "mailboxes_max", "path")


@click.command("list")
@service_options
def list_brands(call: Invocation) -> None:
    """The brands."""
    with opened(call) as directory:
        brands = list(directory.catalogue.read().brands.values())
    call.answer(
        brands,
        lambda console: print_table(
            console,
            call.texts,
            ("key", "name", "language", "notices"),
            ((brand.key, brand.name, brand.language, brand.notice_address) for brand in brands),
        ),
    )


@click.command("show")
@service_options
@click.argument("key")
def show_brand(call: Invocation, key: str) -> None:
    """Everything about the brand KEY."""
    with opened(call) as directory:
        found = directory.catalogue.read()
        if key not in found.brands:
            raise DirectoryRefusal(RefusalCode.BRAND_UNKNOWN, brand=key)
    brand = found.brands[key]
    domains = [domain.name for domain in found.domains.values() if domain.brand == key]
    plans = [plan for plan in found.plans.values() if plan.brand == key]
    fields = (
        ("key", brand.key),
        ("name", brand.name),
        ("language", brand.language),
        ("domains", ", ".join(domains)),
        ("plans", ", ".join(plan.key for plan in plans)),
        ("notices", brand.notice_address),
        ("role", brand.role_address),
        ("contacts", ", ".join(f"{contact.kind} {contact.value}" for contact in brand.contacts)),
        ("look", ", ".join(f"{name}={value}" for name, value in brand.look.items())),
    )
    call.answer(
        {**asdict(brand), "domains": domains, "plans": plans},
        lambda console: print_fields(console, call.texts, fields),
    )


@click.command("add")
@service_options
@click.argument("key")
@click.argument("name")
@click.option("--language", "spoken", default="it", show_default=True, help="BCP 47.")
@click.option("--notices", default="", help="Address that official notices come from.")
@click.option(
    "--postmaster", default="", help="Gets the mail of postmaster@ and abuse@ of its domains."
)
@click.option(
    "--look",
    multiple=True,
    type=parse_pair,
    metavar="NAME=VALUE",
    help="Design token; may be repeated.",
)
@click.option(
    "--contact",
    multiple=True,
    type=parse_pair,
    metavar="NAME=VALUE",
    help="KIND=VALUE; may be repeated.",
)
def add_brand(
    call: Invocation,
    key: str,
    name: str,
    spoken: str,
    notices: str,
    postmaster: str,
    look: tuple[tuple[str, str], ...],
    contact: tuple[tuple[str, str], ...],
) -> None:
    """Add the brand KEY, shown to people as NAME."""
    contacts = tuple(Contact(kind, value) for kind, value in contact)
    brand = Brand(key, name, spoken, dict(look), contacts, notices, postmaster)
    with opened(call, begin=True) as directory:
        directory.catalogue.add(brand)
    call.answer(brand, lambda console: console.print(call.texts("brand.added", brand=key)))


@click.command("list")
@service_options
@click.option("--brand", default="", help="Of this brand only.")
def list_plans(call: Invocation, brand: str) -> None:
    """The plans and what they give."""
    with opened(call) as directory:
        found = directory.catalogue.read()
        _check_brand(brand, found.brands)
    plans = [plan for plan in found.plans.values() if brand in ("", plan.brand)]
    call.answer(
        plans,
        lambda console: print_table(
            console, call.texts, _PLAN_COLUMNS, (_plan_row(call.texts, plan) for plan in plans)
        ),
    )


@click.command("show")
@service_options
@click.argument("brand")
@click.argument("key")
def show_plan(call: Invocation, brand: str, key: str) -> None:
    """The plan KEY of BRAND."""
    with opened(call) as directory:
        plan = directory.catalogue.read().plans.get((brand, key))
        if plan is None:
            raise DirectoryRefusal(RefusalCode.PLAN_UNKNOWN, brand=brand, plan=key)
    call.answer(
        plan,
        lambda console: print_fields(
            console, call.texts, zip(_PLAN_COLUMNS, _plan_row(call.texts, plan), strict=True)
        ),
    )


@click.command("add")
@service_options
@click.argument("brand")
@click.argument("key")
@click.argument("name")
@click.option(
    "--quota", type=parse_size, metavar="SIZE", required=True, help="E.g. 5G; 0: no limit."
)
@click.option(
    "--message-max",
    type=parse_size,
    metavar="SIZE",
    default="50M",
    show_default=True,
    help="Largest message.",
)
@click.option("--price-cents", type=click.IntRange(min=0), help="For one term.")
@click.option("--term-months", type=click.IntRange(min=1), help="How long it is bought for.")
def add_plan(
    call: Invocation,
    brand: str,
    key: str,
    name: str,
    quota: int,
    message_max: int,
    price_cents: int | None,
    term_months: int | None,
) -> None:
    """Add the plan KEY to BRAND, shown to people as NAME."""
    plan = Plan(brand, key, name, quota, message_max, price_cents, term_months)
    with opened(call) as directory:
        directory.catalogue.add(plan)
    text = call.texts("plan.added", plan=key, brand=brand)
    call.answer(plan, lambda console: console.print(text))


@click.command("list")
@service_options
@click.option("--brand", default="", help="Of this brand only.")
def list_domains(call: Invocation, brand: str) -> None:
    """The mail domains."""
    with opened(call) as directory:
        found = directory.catalogue.read()
        _check_brand(brand, found.brands)
    domains = [domain for domain in found.domains.values() if brand in ("", domain.brand)]
    call.answer(
        domains,
        lambda console: print_table(
            console,
            call.texts,
            ("domain", "brand"),
            ((domain.name, domain.brand) for domain in domains),
        ),
    )


@click.command("add")
@service_options
@click.argument("name")
@click.argument("brand")
def add_domain(call: Invocation, name: str, brand: str) -> None:
    """Add the mail domain NAME to BRAND."""
    with opened(call) as directory:
        domain = directory.catalogue.add(Domain(name, brand))
        role_address = directory.catalogue.read().brands[brand].role_address
        missing = not _has_mailbox(directory.accounts.get, role_address)
    lines = [call.texts("domain.added", domain=domain.name, brand=brand)]
    if missing:
        lines.append(call.texts("domain.role_missing", address=role_address))
    call.answer(
        {**asdict(domain), "role_address": role_address, "role_mailbox": not missing},
        lambda console: console.print("\n".join(lines)),
    )


@click.command("list")
@service_options
def list_cells(call: Invocation) -> None:
    """The cells and how full they are."""
    with opened(call) as directory:
        cells = directory.catalogue.occupancy()
    call.answer(
        [_cell_view(call, cell) for cell in cells],
        lambda console: print_table(
            console, call.texts, _CELL_COLUMNS, (_cell_row(call, cell) for cell in cells)
        ),
    )


@click.command("show")
@service_options
@click.argument("name")
def show_cell(call: Invocation, name: str) -> None:
    """The cell NAME."""
    with opened(call) as directory:
        cells = {found.cell.name: found for found in directory.catalogue.occupancy()}
        if name not in cells:
            raise DirectoryRefusal(RefusalCode.CELL_UNKNOWN, cell=name)
    call.answer(
        _cell_view(call, cells[name]),
        lambda console: print_fields(
            console, call.texts, zip(_CELL_COLUMNS, _cell_row(call, cells[name]), strict=True)
        ),
    )


@click.command("add")
@service_options
@click.argument("name")
@click.option("--mailboxes-max", type=click.IntRange(min=1), default=50_000, show_default=True)
@click.option("--closed", is_flag=True, help="Takes no new mailboxes.")
def add_cell(call: Invocation, name: str, mailboxes_max: int, closed: bool) -> None:
    """Add the cell NAME: a directory of mailboxes that fails alone.

    Its place on disk is `cells/NAME` in the data directory, or what the configuration's
    `[cells.NAME]` says.
    """
    from staffetta.app.volumes import StorageVolumes
    from staffetta.app.wiring import found_cells
    from staffetta.runtime.entropy import SystemEntropy

    state = CellState.CLOSED if closed else CellState.OPEN
    cell = CellRecord(name, f"cells/{name}", mailboxes_max, state)
    with opened(call, begin=True) as directory:
        directory.catalogue.add(cell)
        found_cells(StorageVolumes(call.load()), [name], SystemEntropy())
    call.answer(
        _cell_view(call, Occupancy(cell, 0)),
        lambda console: console.print(call.texts("cell.added", cell=name)),
    )


def _check_brand(brand: str, brands: Iterable[str]) -> None:
    if brand and brand not in brands:
        raise DirectoryRefusal(RefusalCode.BRAND_UNKNOWN, brand=brand)


def _has_mailbox(get: Any, address: str) -> bool:
    try:
        get(address)
    except DirectoryRefusal:
        return False
    return True


def _plan_row(texts: Texts, plan: Plan) -> tuple[object, ...]:
    price = "" if plan.price_cents is None else f"{plan.price_cents / 100:.2f} €"
    return (
        plan.brand,
        plan.key,
        plan.name,
        size_text(texts, plan.quota_bytes),
        size_text(texts, plan.message_bytes_max),
        price,
        plan.term_months or "",
    )


def _cell_view(call: Invocation, found: Occupancy) -> dict[str, object]:
    return {**asdict(found.cell), "path": _place(call, found.cell), "mailboxes": found.mailboxes}


def _cell_row(call: Invocation, found: Occupancy) -> tuple[object, ...]:
    cell = found.cell
    state = call.texts(f"state.{cell.state.value}")
    return (cell.name, state, found.mailboxes, cell.mailboxes_max, _place(call, cell))


def _place(call: Invocation, cell: CellRecord) -> str:
    """Where it is on this machine."""
    config = call.load()
    own = config.cells.get(cell.name)
    return own.directory if own and own.directory else str(config.data.root / cell.path)
