"""What a new service starts with: two brands, four cells, some people to sign in as.

Furnishing again adds what is missing and changes nothing that is there, so that a second start
keeps passwords, plans and whatever else was done meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from staffetta.directory.accounts import NewMailbox
from staffetta.directory.catalogue import Catalogue
from staffetta.directory.records import (
    GIB,
    TIB,
    Brand,
    CellRecord,
    CellState,
    Contact,
    Domain,
    MailboxRecord,
    Plan,
)
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode
from staffetta.directory.store import Directory

BRANDS = (
    Brand(
        key="libero",
        name="Libero Mail",
        language="it",
        look={"accent": "#0a5cd6", "accent-text": "#ffffff", "surface": "#f4f7fc"},
        contacts=(
            Contact("web", "https://assistenza.libero.example", "Assistenza Libero Mail"),
            Contact("mail", "assistenza@libero.example", "Assistenza Libero Mail"),
        ),
        notice_address="comunicazioni@libero.example",
        role_address="postmaster@libero.example",
    ),
    Brand(
        key="virgilio",
        name="Virgilio Mail",
        language="it",
        look={"accent": "#c8102e", "accent-text": "#ffffff", "surface": "#fcf5f4"},
        contacts=(
            Contact("web", "https://assistenza.virgilio.example", "Assistenza Virgilio Mail"),
            Contact("mail", "assistenza@virgilio.example", "Assistenza Virgilio Mail"),
        ),
        notice_address="comunicazioni@virgilio.example",
        role_address="postmaster@virgilio.example",
    ),
)
DOMAINS = (Domain("libero.example", "libero"), Domain("virgilio.example", "virgilio"))
PLANS = (
    Plan("libero", "free", "Libero Mail Free", 1 * GIB),
    Plan("libero", "plus", "Libero Mail Plus", 5 * GIB, price_cents=1_499, term_months=12),
    Plan("libero", "plus-1tb", "Libero Mail Plus 1 TB", TIB, price_cents=8_999, term_months=12),
    Plan("virgilio", "free", "Virgilio Mail Free", 3 * GIB),
    Plan("virgilio", "plus", "Virgilio Mail Plus", 100 * GIB, price_cents=1_999, term_months=12),
)
CELLS = tuple(CellRecord(name, f"cells/{name}") for name in ("c1", "c2", "c3", "c4"))
PEOPLE = (
    NewMailbox("anna@libero.example"),
    NewMailbox("bruno@libero.example", "plus"),
    NewMailbox("carla@libero.example"),
    NewMailbox("davide@libero.example", "plus-1tb"),
    NewMailbox("elena@libero.example"),
    NewMailbox("fabio@libero.example"),
    NewMailbox("giulia@libero.example", "plus"),
    NewMailbox("luca@libero.example"),
    NewMailbox("marta@virgilio.example"),
    NewMailbox("nicola@virgilio.example", "plus"),
    NewMailbox("olga@virgilio.example"),
    NewMailbox("paolo@virgilio.example"),
    NewMailbox("rita@virgilio.example", "plus"),
    NewMailbox("sergio@virgilio.example"),
    NewMailbox("teresa@virgilio.example"),
    NewMailbox("ugo@virgilio.example"),
)
STAFF = (
    NewMailbox("postmaster@libero.example"),
    NewMailbox("assistenza@libero.example"),
    NewMailbox("comunicazioni@libero.example"),
    NewMailbox("postmaster@virgilio.example"),
    NewMailbox("assistenza@virgilio.example"),
    NewMailbox("comunicazioni@virgilio.example"),
)
ALIASES = (
    ("anna.bianchi@libero.example", ("anna@libero.example",)),
    ("gruppo@libero.example", ("anna@libero.example", "bruno@libero.example")),
    ("tutti@virgilio.example", ("gruppo@libero.example", "marta@virgilio.example")),
)


def furnish(directory: Directory, make_hash: Callable[[], str]) -> list[MailboxRecord]:
    """Put in what is missing; returns the people one can sign in as, in a fixed order.

    `make_hash` gives the password hash of new people and is called only if there are any; the
    staff's mailboxes have no password. Raises `VolumeFault`.
    """
    _add_catalogue(directory)
    missing = [one for one in (*PEOPLE, *STAFF) if not _exists(directory, one.address)]
    if missing:
        password_hash = make_hash() if any(one in PEOPLE for one in missing) else ""
        directory.accounts.add_many(_place(missing, directory.catalogue.read(), password_hash))
    for address, targets in ALIASES:
        if not directory.aliases.entries(address):
            _add_alias(directory, address, targets)
    return [
        directory.accounts.get(one.address) for one in PEOPLE if _exists(directory, one.address)
    ]


def _add_catalogue(directory: Directory) -> None:
    found = directory.catalogue.read()
    for brand in BRANDS:
        if brand.key not in found.brands:
            directory.catalogue.add(brand)
    for domain in DOMAINS:
        if domain.name not in found.domains:
            directory.catalogue.add(domain)
    for plan in PLANS:
        if (plan.brand, plan.key) not in found.plans:
            directory.catalogue.add(plan)
    for cell in CELLS:
        if cell.name not in found.cells:
            directory.catalogue.add(cell)


def _place(
    people: Sequence[NewMailbox], catalogue: Catalogue, password_hash: str
) -> list[NewMailbox]:
    """Each brand's people over all open cells in turn: a broken cell concerns every brand."""
    cells = [cell.name for cell in catalogue.cells.values() if cell.state is CellState.OPEN]
    turns = {domain.name: count() for domain in DOMAINS}
    placed = []
    for one in people:
        turn = next(turns[one.address.partition("@")[2]])
        cell = cells[turn % len(cells)] if cells else ""
        hash_ = password_hash if one in PEOPLE else ""
        placed.append(NewMailbox(one.address, one.plan, hash_, cell))
    return placed


def _add_alias(directory: Directory, address: str, targets: Sequence[str]) -> None:
    try:
        directory.aliases.add(address, targets)
    except DirectoryRefusal as refusal:
        # Somebody has the address, or a target is gone: theirs counts, the demo's does not.
        if refusal.code not in (RefusalCode.ADDRESS_TAKEN, RefusalCode.ALIAS_TARGET_UNKNOWN):
            raise


def _exists(directory: Directory, address: str) -> bool:
    try:
        directory.accounts.get(address)
    except DirectoryRefusal:
        return False
    return True
