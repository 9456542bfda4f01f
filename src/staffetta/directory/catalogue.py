"""Brands, domains, plans and cells: few records, changed rarely, known whole by every replica."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from staffetta.directory.addresses import fold_domain
from staffetta.directory.authority import Authority, ChangeKind
from staffetta.directory.placement import Occupancy, Placement
from staffetta.directory.records import Brand, CatalogueRecord, CellRecord, Domain, Plan
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode

R = TypeVar("R", Brand, Domain, Plan, CellRecord)

_TYPES: dict[ChangeKind, type[CatalogueRecord]] = {
    ChangeKind.BRAND: Brand,
    ChangeKind.DOMAIN: Domain,
    ChangeKind.PLAN: Plan,
    ChangeKind.CELL: CellRecord,
}
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}
# Keys become file names, URLs and labels of metrics.
_KEY = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All brands, domains, plans and cells at one moment. Plans by (brand, key)."""

    brands: Mapping[str, Brand] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    plans: Mapping[tuple[str, str], Plan] = field(default_factory=dict)
    cells: Mapping[str, CellRecord] = field(default_factory=dict)


def key_of(record: CatalogueRecord) -> str:
    """The key under which a record is stored and replicated."""
    match record:
        case Brand(key=key):
            return key
        case Domain(name=name) | CellRecord(name=name):
            return name
        case Plan(brand=brand, key=key):
            return f"{brand}/{key}"


def kind_of(record: CatalogueRecord) -> ChangeKind:
    """The kind under which a record is stored and replicated."""
    return _KINDS[type(record)]


def decode(rows: Iterable[tuple[int, bytes]]) -> Catalogue:
    """The catalogue from its stored rows (kind, body). Raises `msgspec.DecodeError`."""
    brands: dict[str, Brand] = {}
    domains: dict[str, Domain] = {}
    plans: dict[tuple[str, str], Plan] = {}
    cells: dict[str, CellRecord] = {}
    for kind, body in rows:
        record = msgspec.json.decode(body, type=_TYPES[ChangeKind(kind)])
        match record:
            case Brand():
                brands[record.key] = record
            case Domain():
                domains[record.name] = record
            case Plan():
                plans[record.brand, record.key] = record
            case CellRecord():
                cells[record.name] = record
    return Catalogue(brands, domains, plans, cells)


class CatalogueStore:
    """Reads and changes the catalogue in the authority. Refusals are `DirectoryRefusal`."""

    __slots__ = ("_authority",)

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def read(self) -> Catalogue:
        """Everything, sorted by key."""
        rows = self._authority.database.rows("SELECT kind, body FROM catalogue ORDER BY kind, key")
        return decode(rows)

    def add(self, record: R) -> R:
        """Put in a new record, checked and normalised; returns it as stored.

        The first domain of a brand without `role_address` makes it `postmaster@` that domain.
        """
        with self._authority.database.transaction():
            found = self.read()
            match record:
                case Brand():
                    self._add_brand(record, found)
                case Domain():
                    return self._add_domain(record, found)
                case Plan():
                    self._add_plan(record, found)
                case CellRecord():
                    self._add_cell(record, found)
            return record

    def change(self, record: CatalogueRecord) -> None:
        """Put a record in the place of the one of the same key, which must exist."""
        with self._authority.database.transaction():
            found = self.read()
            match record:
                case Brand(key=key) if key not in found.brands:
                    raise DirectoryRefusal(RefusalCode.BRAND_UNKNOWN, brand=key)
                case Domain(name=name) if name not in found.domains:
                    raise DirectoryRefusal(RefusalCode.DOMAIN_UNKNOWN, domain=name)
                case Domain(brand=brand) | Plan(brand=brand) if brand not in found.brands:
                    raise DirectoryRefusal(RefusalCode.BRAND_UNKNOWN, brand=brand)
                case Plan(brand=brand, key=key) if (brand, key) not in found.plans:
                    raise DirectoryRefusal(RefusalCode.PLAN_UNKNOWN, plan=key, brand=brand)
                case CellRecord(name=name) if name not in found.cells:
                    raise DirectoryRefusal(RefusalCode.CELL_UNKNOWN, cell=name)
            self._write(record)

    def occupancy(self) -> list[Occupancy]:
        """Every cell and how many mailboxes it has, by name."""
        counts = dict(self._authority.database.rows("SELECT cell, mailboxes FROM occupancy"))
        cells = self.read().cells.values()
        return [Occupancy(cell, counts.get(cell.name, 0)) for cell in cells]

    def placement(self) -> Placement:
        """A placement over the cells as they are now."""
        return Placement(self.occupancy())

    def _add_brand(self, brand: Brand, found: Catalogue) -> None:
        _check_key(brand.key)
        if brand.key in found.brands:
            raise DirectoryRefusal(RefusalCode.BRAND_EXISTS, brand=brand.key)
        self._write(brand)

    def _add_domain(self, domain: Domain, found: Catalogue) -> Domain:
        name = fold_domain(domain.name)
        if name is None:
            raise DirectoryRefusal(RefusalCode.DOMAIN_INVALID, domain=domain.name)
        if name in found.domains:
            brand_key = found.domains[name].brand
            raise DirectoryRefusal(RefusalCode.DOMAIN_EXISTS, domain=name, brand=brand_key)
        brand = found.brands.get(domain.brand)
        if brand is None:
            raise DirectoryRefusal(RefusalCode.BRAND_UNKNOWN, brand=domain.brand)
        if not brand.role_address:
            role_address = f"postmaster@{name}"
            self._write(replace(brand, role_address=role_address))
        stored = Domain(name, domain.brand)
        self._write(stored)
        return stored

    def _add_plan(self, plan: Plan, found: Catalogue) -> None:
        _check_key(plan.key)
        if plan.brand not in found.brands:
            raise DirectoryRefusal(RefusalCode.BRAND_UNKNOWN, brand=plan.brand)
        if (plan.brand, plan.key) in found.plans:
            raise DirectoryRefusal(RefusalCode.PLAN_EXISTS, plan=plan.key, brand=plan.brand)
        self._write(plan)

    def _add_cell(self, cell: CellRecord, found: Catalogue) -> None:
        _check_key(cell.name)
        if cell.name in found.cells:
            raise DirectoryRefusal(RefusalCode.CELL_EXISTS, cell=cell.name)
        self._write(cell)

    def _write(self, record: CatalogueRecord) -> None:
        kind, key = kind_of(record), key_of(record)
        self._authority.database.run(
            "INSERT OR REPLACE INTO catalogue (kind, key, body) VALUES (?, ?, ?)",
            (kind, key, msgspec.json.encode(record)),
        )
        self._authority.record_change(kind, key)


def _check_key(key: str) -> None:
    if _KEY.fullmatch(key) is None:
        raise DirectoryRefusal(RefusalCode.KEY_INVALID, key=key)
