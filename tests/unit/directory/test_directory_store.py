from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import pytest

from staffetta.directory.accounts import NewMailbox
from staffetta.directory.authority import DatabaseFeed
from staffetta.directory.entitlements import EntryKind, NewEntry
from staffetta.directory.passwords import HashParameters, PasswordHasher
from staffetta.directory.records import (
    GIB,
    Brand,
    CatalogueRecord,
    CellRecord,
    CellState,
    Domain,
    MailboxRecord,
    MailboxState,
    Plan,
)
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode
from staffetta.runtime.faults import VolumeFault
from tests.directory_world import World

HASH = PasswordHasher(HashParameters(1, 8, 1)).make("a long password")
OTHER_HASH = PasswordHasher(HashParameters(1, 8, 1)).make("another password")


def refused(code: RefusalCode, act: Callable[..., Any], *values: Any) -> DirectoryRefusal:
    with pytest.raises(DirectoryRefusal) as caught:
        act(*values)
    assert caught.value.code is code
    return caught.value


def test_a_mailbox_gets_a_number_a_cell_and_a_uid_validity(world: World) -> None:
    record = world.directory.accounts.add(NewMailbox("Anna@Libero.Example"))
    assert record == MailboxRecord(
        mailbox=1,
        address="anna@libero.example",
        brand="libero",
        plan="free",
        cell="c1",
        uid_validity=1_700_000_000,
        state=MailboxState.ACTIVE,
        created_us=1_700_000_000_000_000,
    )
    assert world.directory.accounts.get("ANNA@libero.example") == record
    assert world.directory.accounts.get(1) == record


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (NewMailbox("anna"), RefusalCode.ADDRESS_INVALID),
        (NewMailbox("anna+x@libero.example"), RefusalCode.ADDRESS_INVALID),
        (NewMailbox("anna@other.example"), RefusalCode.DOMAIN_UNKNOWN),
        (NewMailbox("anna@virgilio.example", plan="plus"), RefusalCode.PLAN_UNKNOWN),
        (NewMailbox("taken@libero.example"), RefusalCode.ADDRESS_TAKEN),
        (NewMailbox("alias@libero.example"), RefusalCode.ADDRESS_TAKEN),
        (NewMailbox("anna@libero.example", cell="c9"), RefusalCode.CELL_UNKNOWN),
        (NewMailbox("anna@libero.example", cell="shut"), RefusalCode.CELL_CLOSED),
        (NewMailbox("anna@libero.example", cell="tiny"), RefusalCode.CELL_FULL),
        (NewMailbox("anna@libero.example", password_hash="$1$x"), RefusalCode.HASH_INVALID),
    ],
)
def test_a_refused_mailbox_changes_nothing(
    world: World, add: Callable[..., int], new: NewMailbox, code: RefusalCode
) -> None:
    directory = world.directory
    directory.catalogue.add(CellRecord("shut", "cells/shut", 10, CellState.CLOSED))
    directory.catalogue.add(CellRecord("tiny", "cells/tiny", 1))
    add("taken@libero.example", cell="tiny")
    directory.aliases.add("alias@libero.example", ["taken@libero.example"])
    before = (directory.version(), directory.catalogue.occupancy())
    refused(code, directory.accounts.add, new)
    assert (directory.version(), directory.catalogue.occupancy()) == before


def test_when_all_cells_are_full_there_is_no_place(world: World) -> None:
    for cell in ("c1", "c2"):
        world.directory.catalogue.change(CellRecord(cell, f"cells/{cell}", state=CellState.CLOSED))
    add = world.directory.accounts.add
    refused(RefusalCode.CELLS_FULL, add, NewMailbox("anna@libero.example"))


def test_of_many_the_refused_do_not_keep_the_others_out(world: World) -> None:
    outcomes = world.directory.accounts.add_many(
        [
            NewMailbox("a@libero.example"),
            NewMailbox("a@libero.example"),
            NewMailbox("b@libero.example"),
        ]
    )
    assert [type(outcome) for outcome in outcomes] == [
        MailboxRecord,
        DirectoryRefusal,
        MailboxRecord,
    ]
    assert [one.mailboxes for one in world.directory.catalogue.occupancy()] == [1, 1]


def test_uid_validity_never_goes_back_with_the_clock(world: World, add: Callable[..., int]) -> None:
    add("a@libero.example")
    world.clock.us -= 5_000_000_000
    first, second = (world.directory.accounts.get(add(f"{x}@libero.example")) for x in "bc")
    assert first.uid_validity == second.uid_validity == 1_700_000_000


def test_a_closed_mailbox_keeps_its_address_and_can_come_back(
    world: World, add: Callable[..., int]
) -> None:
    accounts = world.directory.accounts
    add("anna@libero.example", password_hash=HASH)
    assert accounts.set_state("anna@libero.example", MailboxState.CLOSED).state == "closed"
    refused(RefusalCode.ADDRESS_TAKEN, accounts.add, NewMailbox("anna@libero.example"))
    refused(
        RefusalCode.MAILBOX_CLOSED, accounts.set_password_hash, "anna@libero.example", OTHER_HASH
    )
    assert accounts.set_state("anna@libero.example", MailboxState.ACTIVE).state == "active"


def test_unknown_mailboxes_are_refused(world: World) -> None:
    accounts = world.directory.accounts
    refused(RefusalCode.MAILBOX_UNKNOWN, accounts.get, "nobody@libero.example")
    refused(RefusalCode.MAILBOX_UNKNOWN, accounts.get, 77)
    refused(RefusalCode.MAILBOX_UNKNOWN, accounts.set_state, 77, MailboxState.CLOSED)


def test_pages_go_by_number_and_filter(world: World, add: Callable[..., int]) -> None:
    for name in "abcd":
        add(f"{name}@libero.example")
        add(f"{name}@virgilio.example")
    accounts = world.directory.accounts
    assert [one.mailbox for one in accounts.page(after=2, limit=3)] == [3, 4, 5]
    assert {one.brand for one in accounts.each(brand="virgilio")} == {"virgilio"}
    assert len(list(accounts.each(cell="c1"))) == 4
    assert len(list(accounts.each())) == 8


def test_moving_says_where_and_keeps_the_counts(world: World, add: Callable[..., int]) -> None:
    mailbox = add("anna@libero.example", cell="c1")
    assert world.directory.accounts.move(mailbox, "c2").cell == "c2"
    assert [one.mailboxes for one in world.directory.catalogue.occupancy()] == [0, 1]


def test_a_renewed_hash_replaces_only_the_one_it_was_made_for(
    world: World, add: Callable[..., int]
) -> None:
    accounts = world.directory.accounts
    mailbox = add("anna@libero.example", password_hash=HASH)
    accounts.set_password_hash(mailbox, OTHER_HASH)
    version = world.directory.version()
    assert not accounts.renew_password_hash(mailbox, HASH, HASH)
    assert world.directory.version() == version
    assert accounts.renew_password_hash(mailbox, OTHER_HASH, HASH)
    assert world.directory.version() == version + 1


def test_the_quota_comes_from_the_ledger(world: World, add: Callable[..., int]) -> None:
    accounts = world.directory.accounts
    record = accounts.get(add("anna@libero.example"))
    world.clock.advance(10)
    grant = accounts.append_entry("anna@libero.example", NewEntry(EntryKind.PERCENT, 20))
    assert accounts.entitlement(record).quota_bytes == GIB * 120 // 100
    assert accounts.entitlement(record, record.created_us).quota_bytes == GIB
    accounts.append_entry(record.mailbox, NewEntry(EntryKind.PLAN, plan="plus", reason="bought"))
    assert accounts.get(record.mailbox).plan == "plus"
    assert accounts.entitlement(record).quota_bytes == 6 * GIB
    world.clock.advance(10)
    accounts.append_entry(record.mailbox, NewEntry(EntryKind.REVOKE, revokes=grant.entry))
    assert accounts.entitlement(record).quota_bytes == 5 * GIB
    kinds = [entry.kind.value for entry in accounts.ledger(record.mailbox)]
    assert kinds == ["plan", "percent", "plan", "revoke"]


def test_an_upgrade_for_a_time_leaves_the_plan_alone(world: World, add: Callable[..., int]) -> None:
    accounts = world.directory.accounts
    record = accounts.get(add("anna@libero.example"))
    until_us = world.clock.us + 1_000_000
    accounts.append_entry(record.mailbox, NewEntry(EntryKind.PLAN, plan="plus", until_us=until_us))
    assert accounts.get(record.mailbox).plan == "free"
    assert accounts.entitlement(record).plan == "plus"
    assert accounts.entitlement(record, until_us).plan == "free"


def test_what_a_ledger_does_not_take(world: World, add: Callable[..., int]) -> None:
    accounts = world.directory.accounts
    mailbox = add("anna@libero.example")
    other = accounts.append_entry(add("bruno@libero.example"), NewEntry(EntryKind.BYTES, 5))
    append = accounts.append_entry
    refused(RefusalCode.PLAN_UNKNOWN, append, mailbox, NewEntry(EntryKind.PLAN, plan="gold"))
    first = accounts.ledger(mailbox)[0].entry
    for entry in (first, other.entry, 99):
        refused(
            RefusalCode.LEDGER_ENTRY_INVALID,
            append,
            mailbox,
            NewEntry(EntryKind.REVOKE, revokes=entry),
        )
    assert len(accounts.ledger(mailbox)) == 1


@pytest.mark.parametrize("statement", ["DELETE FROM ledger", "UPDATE ledger SET amount = 9"])
def test_the_ledger_only_grows(world: World, add: Callable[..., int], statement: str) -> None:
    add("anna@libero.example")
    with pytest.raises(apsw.ConstraintError, match="only grows"):
        world.directory.authority.database.run(statement)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (Brand("libero", "Twice"), RefusalCode.BRAND_EXISTS),
        (Brand("Li bero", "Spaced"), RefusalCode.KEY_INVALID),
        (Brand("../x", "Path"), RefusalCode.KEY_INVALID),
        (Domain("libero.example", "virgilio"), RefusalCode.DOMAIN_EXISTS),
        (Domain("LIBERO.example", "libero"), RefusalCode.DOMAIN_EXISTS),
        (Domain("x", "libero"), RefusalCode.DOMAIN_INVALID),
        (Domain("new.example", "none"), RefusalCode.BRAND_UNKNOWN),
        (Plan("libero", "free", "Twice", 1), RefusalCode.PLAN_EXISTS),
        (Plan("none", "free", "x", 1), RefusalCode.BRAND_UNKNOWN),
        (CellRecord("c1", "x"), RefusalCode.CELL_EXISTS),
        (CellRecord("C 1", "x"), RefusalCode.KEY_INVALID),
    ],
)
def test_what_the_catalogue_refuses(
    world: World, record: CatalogueRecord, code: RefusalCode
) -> None:
    refused(code, world.directory.catalogue.add, record)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (Brand("none", "x"), RefusalCode.BRAND_UNKNOWN),
        (Domain("none.example", "libero"), RefusalCode.DOMAIN_UNKNOWN),
        (Domain("libero.example", "none"), RefusalCode.BRAND_UNKNOWN),
        (Plan("libero", "none", "x", 1), RefusalCode.PLAN_UNKNOWN),
        (CellRecord("none", "x"), RefusalCode.CELL_UNKNOWN),
    ],
)
def test_only_what_exists_can_be_changed(
    world: World, record: CatalogueRecord, code: RefusalCode
) -> None:
    refused(code, world.directory.catalogue.change, record)


def test_the_first_domain_of_a_brand_gives_its_postmaster(world: World) -> None:
    brands = world.directory.catalogue.read().brands
    assert brands["libero"].role_address == "postmaster@libero.example"
    world.directory.catalogue.add(Brand("own", "Own", role_address="desk@libero.example"))
    world.directory.catalogue.add(Domain("own.example", "own"))
    assert world.directory.catalogue.read().brands["own"].role_address == "desk@libero.example"


class TestAliases:
    def test_they_grow_and_shrink(self, world: World, add: Callable[..., int]) -> None:
        add("anna@libero.example")
        add("bruno@libero.example")
        aliases = world.directory.aliases
        aliases.add("Info@Libero.example", ["anna@libero.example"])
        found = aliases.add("info@libero.example", ["BRUNO@libero.example"])
        assert found.targets == ("anna@libero.example", "bruno@libero.example")
        assert aliases.entries() == [found]
        assert aliases.leading_to("anna@libero.example") == ["info@libero.example"]
        left = aliases.remove("info@libero.example", "anna@libero.example")
        assert left.targets == ("bruno@libero.example",)
        assert aliases.remove("info@libero.example").targets == ()
        assert aliases.entries() == []
        add("info@libero.example")

    def test_loops_are_refused(self, world: World, add: Callable[..., int]) -> None:
        add("anna@libero.example")
        aliases = world.directory.aliases
        aliases.add("a@libero.example", ["anna@libero.example"])
        aliases.add("b@libero.example", ["a@libero.example"])
        for source, target in (("a", "b"), ("a", "a"), ("new", "new")):
            refused(
                RefusalCode.ALIAS_LOOP,
                aliases.add,
                f"{source}@libero.example",
                [f"{target}@libero.example"],
            )

    def test_depth_is_bounded_from_both_ends(self, world: World, add: Callable[..., int]) -> None:
        add("end@libero.example")
        aliases = world.directory.aliases
        aliases.add("a1@libero.example", ["end@libero.example"])
        for depth in range(2, 9):
            aliases.add(f"a{depth}@libero.example", [f"a{depth - 1}@libero.example"])
        too_deep = ("a9@libero.example", ["a8@libero.example"])
        refused(RefusalCode.ALIAS_TOO_LARGE, aliases.add, *too_deep)
        aliases.add("b1@libero.example", ["end@libero.example"])
        aliases.add("b2@libero.example", ["b1@libero.example"])
        # Deepening the far end would make a8 too deep, though not a1.
        refused(
            RefusalCode.ALIAS_TOO_LARGE, aliases.add, "a1@libero.example", ["b2@libero.example"]
        )

    def test_the_number_of_targets_is_bounded(self, world: World) -> None:
        addresses = [f"p{number}@libero.example" for number in range(1_001)]
        world.directory.accounts.add_many([NewMailbox(address) for address in addresses])
        aliases = world.directory.aliases
        refused(RefusalCode.ALIAS_TOO_LARGE, aliases.add, "all@libero.example", addresses)
        aliases.add("all@libero.example", addresses[:999])

    def test_other_refusals(self, world: World, add: Callable[..., int]) -> None:
        add("anna@libero.example")
        aliases = world.directory.aliases
        aliases.add("a@libero.example", ["anna@libero.example"])
        aliases.add("b@libero.example", ["a@libero.example"])
        anna = ["anna@libero.example"]
        refused(RefusalCode.ADDRESS_TAKEN, aliases.add, "anna@libero.example", anna)
        refused(RefusalCode.DOMAIN_UNKNOWN, aliases.add, "a@other.example", anna)
        refused(
            RefusalCode.ALIAS_TARGET_UNKNOWN, aliases.add, "c@libero.example", ["x@libero.example"]
        )
        refused(
            RefusalCode.ALIAS_TARGET_UNKNOWN, aliases.add, "c@libero.example", ["x@gmail.example"]
        )
        refused(RefusalCode.ALIAS_UNKNOWN, aliases.remove, "x@libero.example")
        refused(RefusalCode.ALIAS_UNKNOWN, aliases.remove, "a@libero.example", "x@libero.example")
        refused(RefusalCode.ALIAS_IN_USE, aliases.remove, "a@libero.example")


class TestFeed:
    def test_every_key_comes_once_as_it_is_now(self, world: World, add: Callable[..., int]) -> None:
        mailbox = add("anna@libero.example")
        feed = DatabaseFeed(world.authority)
        before = feed.read(0, 1_000, False)
        for state in (MailboxState.SUSPENDED, MailboxState.ACTIVE, MailboxState.CLOSED):
            world.directory.accounts.set_state(mailbox, state)
        page = feed.read(before.head, 1_000, False)
        assert [(row[1], row[2], row[10]) for row in page.rows] == [(1, mailbox, "closed")]
        whole = feed.read(0, 1_000, False)
        assert len({(row[1], row[2]) for row in whole.rows}) == len(whole.rows) == len(before.rows)

    def test_hashes_go_only_where_they_are_asked_for(
        self, world: World, add: Callable[..., int]
    ) -> None:
        add("anna@libero.example", password_hash=HASH)
        feed = DatabaseFeed(world.authority)
        assert HASH not in str(feed.read(0, 1_000, False).rows)
        assert HASH in str(feed.read(0, 1_000, True).rows)

    def test_versions_survive_a_restart_and_only_grow(
        self, world: World, add: Callable[..., int]
    ) -> None:
        add("anna@libero.example")
        before = world.directory.version()
        directory = world.reopen()
        assert directory.version() == before
        directory.accounts.add(NewMailbox("bruno@libero.example"))
        assert directory.version() == before + 1

    def test_without_an_authority_there_is_a_fault(self, world: World) -> None:
        world.authority.root = world.root / "elsewhere"
        with pytest.raises(VolumeFault):
            DatabaseFeed(world.authority).read(0, 10, False)
