from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from staffetta.directory.entitlements import EntryKind, NewEntry
from staffetta.directory.recipients import Doubt, Known, NoSuchUser, NotOurs, Unsure
from staffetta.directory.records import GIB, MIB, Domain, MailboxState, Plan
from staffetta.directory.replica import RecipientTable
from staffetta.directory.store import open_directory
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.faults import FaultMode, VolumeFault
from tests.directory_world import NOBODYS_HASH as HASH
from tests.directory_world import World

Add = Callable[..., int]


def targets(table: RecipientTable, local_part: str, domain: str = "libero.example") -> list[int]:
    answer = table.resolve(local_part, domain)
    assert isinstance(answer, Known), answer
    return [target.mailbox for target in answer.targets]


def caught_up(table: RecipientTable, limit: int = 1_000) -> RecipientTable:
    while table.catch_up(limit) == limit:
        pass
    return table


class TestResolving:
    def test_a_mailbox_with_all_that_delivery_needs(self, world: World, add: Add) -> None:
        mailbox = add("anna@libero.example")
        table = caught_up(world.table())
        answer = table.resolve("Anna", "LIBERO.Example")
        assert isinstance(answer, Known)
        assert answer.address == "anna@libero.example"
        (target,) = answer.targets
        assert (target.mailbox, target.brand, target.plan) == (mailbox, "libero", "free")
        assert (target.cell, target.uid_validity) == ("c1", 1_700_000_000)
        assert (target.quota_bytes, target.size_bytes_max) == (GIB, 10 * MIB)
        assert target.state is MailboxState.ACTIVE
        assert table.by_mailbox(mailbox) == target
        assert table.by_mailbox(mailbox + 1) is None

    @pytest.mark.parametrize(
        "local_part", ["anna+shop", "ANNA+Shop+2", '"anna"', '"Anna+x"', "anna+", "anna+è"]
    )
    def test_spellings_of_one_address(self, world: World, add: Add, local_part: str) -> None:
        mailbox = add("anna@libero.example")
        assert targets(caught_up(world.table()), local_part) == [mailbox]

    def test_international_names(self, world: World, add: Add) -> None:
        world.directory.catalogue.add(Domain("müller.example", "libero"))
        mailbox = add("nicolò@müller.example")
        table = caught_up(world.table())
        for domain in ("müller.example", "MÜLLER.example", "xn--mller-kva.example"):
            assert targets(table, "NICOLO\N{COMBINING GRAVE ACCENT}", domain) == [mailbox]

    @pytest.mark.parametrize(
        "domain", ["other.example", "[127.0.0.1]", "", "example", "\udce9.example", "ö" * 300]
    )
    def test_not_ours(self, world: World, domain: str) -> None:
        assert caught_up(world.table()).resolve("anna", domain) == NotOurs()

    @pytest.mark.parametrize(
        "local_part", ["nobody", "", "+x", "a\0b", "\udce9", "x" * 5_000, "nobody'--", "%"]
    )
    def test_no_such_user(self, world: World, add: Add, local_part: str) -> None:
        add("anna@libero.example")
        assert caught_up(world.table()).resolve(local_part, "libero.example") == NoSuchUser()

    def test_the_same_name_in_another_domain_is_somebody_else(self, world: World, add: Add) -> None:
        here, there = add("anna@libero.example"), add("anna@virgilio.example")
        table = caught_up(world.table())
        assert targets(table, "anna") == [here]
        assert targets(table, "anna", "virgilio.example") == [there]
        assert table.resolve("anna", "blu.example") == NoSuchUser()

    def test_aliases_expand_each_mailbox_once(self, world: World, add: Add) -> None:
        anna, bruno = add("anna@libero.example"), add("bruno@virgilio.example")
        aliases = world.directory.aliases
        aliases.add("team@libero.example", ["anna@libero.example", "bruno@virgilio.example"])
        aliases.add("all@libero.example", ["team@libero.example", "anna@libero.example"])
        table = caught_up(world.table())
        assert sorted(targets(table, "all+tag")) == [anna, bruno]
        answer = table.resolve("all", "libero.example")
        assert isinstance(answer, Known)
        assert {target.brand for target in answer.targets} == {"libero", "virgilio"}
        aliases.remove("all@libero.example", "team@libero.example")
        assert targets(caught_up(table), "all") == [anna]
        aliases.remove("all@libero.example")
        assert caught_up(table).resolve("all", "libero.example") == NoSuchUser()

    def test_a_loop_that_should_not_be_there_ends(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        database = world.directory.authority.database
        world.directory.aliases.add("a@libero.example", ["anna@libero.example"])
        world.directory.aliases.add("b@libero.example", ["a@libero.example"])
        database.run("INSERT INTO alias VALUES ('a@libero.example', 'b@libero.example')")
        assert targets(caught_up(world.table()), "b") == [anna]

    @pytest.mark.parametrize("role", ["postmaster", "abuse", "Postmaster", "ABUSE+x"])
    def test_roles_of_every_domain_lead_to_the_brands_mailbox(
        self, world: World, add: Add, role: str
    ) -> None:
        libero = add("postmaster@libero.example")
        virgilio = add("postmaster@virgilio.example")
        table = caught_up(world.table())
        assert targets(table, role, "libero.example") == [libero]
        assert targets(table, role, "blu.example") == [libero]
        assert targets(table, role, "virgilio.example") == [virgilio]

    def test_a_role_without_mailbox_is_never_refused(self, world: World) -> None:
        table = caught_up(world.table())
        assert table.resolve("postmaster", "libero.example") == Unsure(Doubt.DANGLING)

    def test_a_role_may_have_a_mailbox_or_alias_of_its_own(self, world: World, add: Add) -> None:
        add("postmaster@libero.example")
        table = caught_up(world.table())
        assert targets(table, "abuse", "blu.example") == [1]
        own = add("abuse@blu.example")
        assert targets(caught_up(table), "abuse", "blu.example") == [own]

    def test_postmaster_without_domain(self, world: World, add: Add) -> None:
        add("postmaster@libero.example")
        table = caught_up(world.table())
        assert isinstance(table.resolve("Postmaster", ""), Known)  # RFC 5321 4.5.1
        assert table.resolve("anna", "") == NotOurs()


class TestFollowing:
    def test_changes_arrive_and_what_was_remembered_is_forgotten(
        self, world: World, add: Add
    ) -> None:
        anna, bruno = add("anna@libero.example"), add("bruno@libero.example")
        table = caught_up(world.table())
        targets(table, "anna"), targets(table, "bruno")
        world.directory.accounts.set_state(anna, MailboxState.SUSPENDED)
        world.directory.accounts.move(bruno, "c1")
        assert table.catch_up() == 2
        answer = table.resolve("anna", "libero.example")
        assert isinstance(answer, Known)
        assert answer.targets[0].state is MailboxState.SUSPENDED
        target = table.by_mailbox(bruno)
        assert target is not None
        assert target.cell == "c1"

    def test_a_changed_plan_concerns_everybody_on_it(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        table = caught_up(world.table())
        targets(table, "anna")
        world.directory.catalogue.change(Plan("libero", "free", "Free", 7 * GIB, 9 * MIB))
        caught_up(table)
        target = table.by_mailbox(anna)
        assert target is not None
        assert (target.quota_bytes, target.size_bytes_max) == (7 * GIB, 9 * MIB)

    def test_grants_count_and_end_by_themselves(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        until_us = world.clock.us + 60_000_000
        grant = NewEntry(EntryKind.PLAN, plan="plus", until_us=until_us)
        world.directory.accounts.append_entry(anna, grant)
        table = caught_up(world.table())
        target = table.by_mailbox(anna)
        assert target is not None
        assert (target.plan, target.quota_bytes, target.size_bytes_max) == (
            "plus",
            5 * GIB,
            50 * MIB,
        )
        world.clock.advance(60)
        assert table.catch_up() == 0
        target = table.by_mailbox(anna)
        assert target is not None
        assert (target.plan, target.quota_bytes) == ("free", GIB)
        assert targets(table, "anna") == [anna]

    def test_small_pages_lead_to_the_same_place(self, world: World, add: Add) -> None:
        for number in range(25):
            add(f"p{number}@libero.example")
        table = world.table()
        pages = 0
        while table.catch_up(3) == 3:
            pages += 1
            assert table.resolve("nobody", "libero.example") == Unsure(Doubt.LOADING)
        assert pages >= 10
        assert targets(table, "p24") == [25]
        assert table.resolve("nobody", "libero.example") == NoSuchUser()
        assert table.verify()

    def test_nothing_new_writes_nothing(self, world: World, add: Add) -> None:
        add("anna@libero.example")
        table = caught_up(world.table())
        file = world.replica.root / "accept-1.db-wal"
        before = file.stat().st_mtime_ns, file.stat().st_size
        assert table.catch_up() == 0
        assert (file.stat().st_mtime_ns, file.stat().st_size) == before

    def test_a_restart_goes_on_where_it_was(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        caught_up(world.table()).close()
        world.authority.gate.break_(FaultMode.ERROR)
        table = world.table()
        assert targets(table, "anna") == [anna]
        assert table.resolve("x", "other.example") == NotOurs()
        assert table.resolve("nobody", "libero.example") == Unsure(Doubt.LOADING)
        assert table.catch_up() == 0
        world.authority.gate.mend()
        assert table.catch_up() == 0
        assert table.resolve("nobody", "libero.example") == NoSuchUser()

    def test_an_answer_read_before_a_change_is_not_remembered_after_it(
        self, world: World, add: Add, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        anna = add("anna@libero.example")
        table = caught_up(world.table())
        find, by_number = table._file.find, table._file.mailbox

        def change(state: MailboxState) -> None:
            world.directory.accounts.set_state(anna, state)
            assert table.catch_up() == 1

        def find_late(address: str) -> Any:
            row = find(address)
            change(MailboxState.SUSPENDED)
            return row

        def find_number_late(mailbox: int) -> Any:
            row = by_number(mailbox)
            change(MailboxState.CLOSED)
            return row

        with monkeypatch.context() as patch:
            patch.setattr(table._file, "find", find_late)
            table.resolve("anna", "libero.example")
        answer = table.resolve("anna", "libero.example")
        assert isinstance(answer, Known)
        assert answer.targets[0].state is MailboxState.SUSPENDED
        with monkeypatch.context() as patch:
            patch.setattr(table._file, "mailbox", find_number_late)
            table.by_mailbox(anna)
        target = table.by_mailbox(anna)
        assert target is not None
        assert target.state is MailboxState.CLOSED

    def test_threads_may_resolve_while_another_copies(self, world: World, add: Add) -> None:
        add("anna@libero.example")
        table = caught_up(world.table(cached_max=4))
        wrong: list[object] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                for local_part in ("anna", "p3", "p7", "p11"):
                    answer = table.resolve(local_part, "libero.example")
                    if local_part == "anna" and not isinstance(answer, Known):
                        wrong.append(answer)
                if table.by_mailbox(1) is None:
                    wrong.append("by_mailbox")

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(40):
            add(f"p{number}@libero.example")
            table.catch_up(5)
        done.set()
        for thread in threads:
            thread.join(10)
        assert wrong == []


class TestDoubt:
    """The directory must not be the bouncer: a table that is not fit never says no."""

    def test_before_the_first_copy(self, world: World, add: Add) -> None:
        add("anna@libero.example")
        table = world.table()
        for domain in ("libero.example", "other.example"):
            assert table.resolve("anna", domain) == Unsure(Doubt.LOADING)
        assert table.health().doubt is Doubt.LOADING

    def test_stale_after_five_minutes_without_the_authority(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        table = caught_up(world.table())
        world.authority.gate.break_(FaultMode.ERROR)
        world.clock.advance(300)
        assert table.catch_up() == 0
        assert table.resolve("nobody", "libero.example") == NoSuchUser()
        world.clock.advance(0.1)
        assert table.resolve("nobody", "libero.example") == Unsure(Doubt.STALE)
        assert table.health().doubt is Doubt.STALE
        assert table.health().age_s == pytest.approx(300.1)
        assert "directory" in table.health().detail
        assert targets(table, "anna") == [anna]
        assert table.resolve("x", "other.example") == NotOurs()
        world.authority.gate.mend()
        table.catch_up()
        assert table.resolve("nobody", "libero.example") == NoSuchUser()
        assert table.health().doubt is None

    def test_an_address_lost_in_the_file_is_not_refused(self, world: World, add: Add) -> None:
        anna, bruno = add("anna@libero.example"), add("bruno@libero.example")
        table = caught_up(world.table())
        targets(table, "bruno")
        with_file(world, "DELETE FROM address WHERE address = 'anna@libero.example'")
        assert not table.verify()
        assert table.resolve("anna", "libero.example") == Unsure(Doubt.DAMAGED)
        assert targets(table, "bruno") == [bruno]
        caught_up(table)
        assert targets(table, "anna") == [anna]
        assert table.verify()
        assert table.resolve("nobody", "libero.example") == NoSuchUser()

    def test_while_a_file_is_made_again_nobody_is_refused(self, world: World, add: Add) -> None:
        for number in range(10):
            add(f"p{number}@libero.example")
        table = caught_up(world.table())
        targets(table, "p9")
        with_file(world, "DELETE FROM address WHERE mailbox = 3")
        assert not table.verify()
        while table.catch_up(2) == 2:
            assert table.resolve("p2", "libero.example") != NoSuchUser()
            assert table.resolve("nobody", "libero.example") == Unsure(Doubt.LOADING)
            assert table.resolve("x", "other.example") == NotOurs()
            assert targets(table, "p9") == [10]
        assert targets(table, "p2") == [3]

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE address SET address = 'anma@libero.example' WHERE mailbox = 1",
            "UPDATE address SET mailbox = 2 WHERE mailbox = 1",
            "UPDATE condition SET addresses = addresses + 1",
            "DELETE FROM condition",
        ],
    )
    def test_damage_done_while_the_process_was_away(
        self, world: World, add: Add, damage: str
    ) -> None:
        anna = add("anna@libero.example")
        add("bruno@libero.example")
        caught_up(world.table()).close()
        with_file(world, damage)
        table = world.table()
        assert table.resolve("nobody", "libero.example") == Unsure(Doubt.LOADING)
        caught_up(table)
        assert targets(table, "anna") == [anna]
        assert table.verify()

    def test_a_damaged_file_is_kept_until_there_is_another(self, world: World, add: Add) -> None:
        anna, bruno = add("anna@libero.example"), add("bruno@libero.example")
        table = caught_up(world.table())
        with_file(world, "DELETE FROM address WHERE mailbox = 1")
        assert not table.verify()
        world.authority.gate.break_(FaultMode.ERROR)
        assert table.catch_up() == 0
        assert targets(table, "bruno") == [bruno]
        assert table.resolve("anna", "libero.example") == Unsure(Doubt.DAMAGED)
        world.authority.gate.mend()
        assert targets(caught_up(table), "anna") == [anna]

    def test_a_file_that_cannot_be_read_now_is_not_thrown_away(
        self, world: World, add: Add
    ) -> None:
        anna = add("anna@libero.example")
        caught_up(world.table()).close()
        table = world.table()
        world.replica.gate.break_(FaultMode.ERROR)
        assert table.catch_up() == 0
        with pytest.raises(VolumeFault):
            table.verify()
        assert table.health().doubt is Doubt.LOADING
        world.replica.gate.mend()
        assert targets(table, "anna") == [anna]
        assert table.catch_up() == 0
        assert table.health().doubt is None

    def test_a_file_that_is_no_database_is_made_again(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        caught_up(world.table()).close()
        (world.replica.root / "accept-1.db").write_bytes(b"garbage" * 5_000)
        assert targets(caught_up(world.table()), "anna") == [anna]

    def test_pages_of_garbage_are_noticed(self, world: World, add: Add) -> None:
        for number in range(2_000):
            add(f"p{number}@libero.example")
        caught_up(world.table()).close()
        with (world.replica.root / "accept-1.db").open("r+b") as file:
            file.seek(4_096 * 8)
            file.write(b"\xa5" * 4_096 * 12)
        table = world.table()
        answers = {type(table.resolve(f"p{n}", "libero.example")) for n in range(2_000)}
        assert NoSuchUser not in answers
        caught_up(table)
        assert targets(table, "p77") == [78]
        assert table.verify()

    def test_known_people_resolve_from_memory_while_the_file_is_gone(
        self, world: World, add: Add
    ) -> None:
        anna = add("anna@libero.example")
        add("bruno@libero.example")
        table = caught_up(world.table())
        targets(table, "anna")
        table.by_mailbox(anna)
        world.replica.gate.break_(FaultMode.ERROR)
        assert targets(table, "anna") == [anna]
        assert table.by_mailbox(anna) is not None
        assert table.resolve("bruno", "libero.example") == Unsure(Doubt.UNREADABLE)
        with pytest.raises(VolumeFault):
            table.by_mailbox(2)
        world.replica.gate.mend()
        assert targets(table, "bruno") == [2]

    def test_an_authority_that_lost_its_memory_is_not_followed(
        self, world: World, add: Add
    ) -> None:
        anna = add("anna@libero.example")
        table = caught_up(world.table())
        fresh = DirectoryVolume("directory", world.root / "fresh")
        open_directory(fresh, world.clock, world.entropy).close()
        world.authority.root = fresh.root
        assert table.catch_up() == 0
        assert targets(table, "anna") == [anna]
        assert table.resolve("nobody", "libero.example") == Unsure(Doubt.DIVERGED)
        world.authority.root = world.root / "directory"
        caught_up(table)
        assert table.resolve("nobody", "libero.example") == NoSuchUser()

    def test_an_older_copy_of_the_authority_is_not_followed(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        world.directory.close()
        file = world.root / "directory" / "directory.db"
        backup = file.read_bytes()
        world.reopen()
        bruno = add("bruno@libero.example")
        table = caught_up(world.table())
        world.directory.close()
        file.write_bytes(backup)
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        world.reopen()
        table.catch_up()
        assert targets(table, "bruno") == [bruno]
        assert targets(table, "anna") == [anna]
        assert table.resolve("nobody", "libero.example") == Unsure(Doubt.DIVERGED)

    def test_a_full_disk_makes_it_stale_and_no_more(self, world: World, add: Add) -> None:
        anna = add("anna@libero.example")
        table = caught_up(world.table())
        add("bruno@libero.example")
        world.replica.gate.break_(FaultMode.FULL)
        world.clock.advance(301)
        assert table.catch_up() == 0
        assert targets(table, "anna") == [anna]
        assert table.resolve("bruno", "libero.example") == Unsure(Doubt.STALE)
        world.replica.gate.mend()
        caught_up(table)
        assert targets(table, "bruno") == [2]


class TestCredentials:
    def test_only_with_leave_and_only_primary_addresses(self, world: World, add: Add) -> None:
        add("anna@libero.example", password_hash=HASH)
        add("bruno@libero.example")
        world.directory.aliases.add("info@libero.example", ["anna@libero.example"])
        plain = caught_up(world.table())
        found = plain.credential("anna@libero.example")
        assert not isinstance(found, NoSuchUser | Unsure)
        assert found.password_hash == ""
        table = caught_up(world.table("access-1.db", with_credentials=True))
        found = table.credential(" Anna@LIBERO.example ")
        assert not isinstance(found, NoSuchUser | Unsure)
        assert (found.password_hash, found.target.mailbox) == (HASH, 1)
        for address in (
            "info@libero.example",
            "anna+x@libero.example",
            "postmaster@libero.example",
            "anna",
            "",
            "\udce9@libero.example",
        ):
            assert table.credential(address) == NoSuchUser()

    def test_turning_them_on_later_copies_again(self, world: World, add: Add) -> None:
        add("anna@libero.example", password_hash=HASH)
        caught_up(world.table()).close()
        table = caught_up(world.table(with_credentials=True))
        found = table.credential("anna@libero.example")
        assert not isinstance(found, NoSuchUser | Unsure)
        assert found.password_hash == HASH


def with_file(world: World, statement: str) -> None:
    connection = apsw.Connection(str(world.replica.root / "accept-1.db"))
    connection.execute(statement)
    connection.close()
