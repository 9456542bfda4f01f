"""A directory that changes at random, followed by a table that reads at random moments.

Whatever happened, once the table has read to the end it answers as the directory is; and at no
moment does it refuse somebody whom it has told about before.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import apsw
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from staffetta.directory.accounts import NewMailbox
from staffetta.directory.entitlements import EntryKind, NewEntry
from staffetta.directory.recipients import Known, NoSuchUser, NotOurs, Unsure
from staffetta.directory.records import GIB, MailboxState
from staffetta.directory.refusals import DirectoryRefusal
from staffetta.runtime.faults import FaultMode
from tests.directory_world import World, lay_out

names = st.sampled_from(["a", "b", "c", "d", "e", "f", "postmaster", "abuse"])
domains = st.sampled_from(["libero.example", "blu.example", "virgilio.example"])
addresses = st.builds("{}@{}".format, names, domains)
DAMAGES = (
    "DELETE FROM address WHERE mailbox = (SELECT min(mailbox) FROM address)",
    "UPDATE address SET address = address || 'x' WHERE mailbox > 0",
    "UPDATE address SET targets = '[]' WHERE mailbox = 0",
)


class FollowedDirectory(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.place = tempfile.TemporaryDirectory(prefix="staffetta-directory-")
        self.world = World(Path(self.place.name))
        lay_out(self.world.directory)
        self.table = self.world.table(cached_max=3)
        self.states: dict[str, MailboxState] = {}
        self.aliases: dict[str, set[str]] = {}
        self.at_end = False
        self.damaged = False
        self.told: set[str] = set()  # mailboxes, which never go, that the table has known

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.read_to_the_end()
            self.world.close()
            self.place.cleanup()

    @rule(address=addresses)
    def add_mailbox(self, address: str) -> None:
        taken = address in self.states or address in self.aliases
        try:
            self.world.directory.accounts.add(NewMailbox(address))
        except DirectoryRefusal:
            assert taken
        else:
            assert not taken
            self.states[address] = MailboxState.ACTIVE
            self.at_end = False

    @rule(address=addresses, state=st.sampled_from(MailboxState))
    def change_state(self, address: str, state: MailboxState) -> None:
        if address in self.states:
            self.world.directory.accounts.set_state(address, state)
            self.states[address] = state
            self.at_end = False

    @rule(address=addresses, kind=st.sampled_from([EntryKind.BYTES, EntryKind.PERCENT]))
    def grant(self, address: str, kind: EntryKind) -> None:
        if address in self.states:
            self.world.directory.accounts.append_entry(address, NewEntry(kind, 10))
            self.at_end = False

    @rule(address=addresses, leading_to=addresses)
    def add_alias(self, address: str, leading_to: str) -> None:
        try:
            self.world.directory.aliases.add(address, [leading_to])
        except DirectoryRefusal:
            return
        self.aliases.setdefault(address, set()).add(leading_to)
        self.at_end = False

    @rule(address=addresses)
    def remove_alias(self, address: str) -> None:
        try:
            self.world.directory.aliases.remove(address)
        except DirectoryRefusal:
            return
        del self.aliases[address]
        self.at_end = False

    @rule(limit=st.integers(1, 7))
    def read_a_little(self, limit: int) -> None:
        self.at_end = self.table.catch_up(limit) < limit
        self.damaged = False  # found by `verify`, mended by the first reading after it

    @rule()
    def read_to_the_end(self) -> None:
        while self.table.catch_up(5) == 5:
            pass
        self.at_end = True
        self.damaged = False
        for name in ("a", "b", "c", "d", "e", "f", "postmaster", "abuse", "zz"):
            for domain in ("libero.example", "blu.example", "virgilio.example"):
                self.check(name, domain)
        assert self.table.verify()

    @rule()
    def restart_the_table(self) -> None:
        self.table.close()
        self.table = self.world.table(cached_max=3)
        self.at_end = False

    @rule()
    def restart_the_directory(self) -> None:
        self.world.reopen()

    @rule(mode=st.sampled_from(FaultMode).filter(lambda mode: mode is not FaultMode.HANG))
    def meet_a_broken_authority(self, mode: FaultMode) -> None:
        self.world.authority.gate.break_(mode)
        self.table.catch_up(3)
        self.world.authority.gate.mend()
        self.at_end = False  # and a damaged file is kept: nobody can give another

    @rule(damage=st.sampled_from(DAMAGES))
    def damage_the_file(self, damage: str) -> None:
        connection = apsw.Connection(str(self.world.replica.root / "accept-1.db"))
        connection.execute(damage)
        changed = connection.changes()
        connection.close()
        self.damaged = self.damaged or bool(changed)
        assert self.table.verify() is not self.damaged
        self.at_end = False

    @invariant()
    def a_table_at_the_end_answers_as_the_directory_is(self) -> None:
        if getattr(self, "at_end", False):
            self.check("a", "libero.example")
            self.check("postmaster", "virgilio.example")
            self.told = set(self.states)
        for address in getattr(self, "told", ()):
            name, _, domain = address.partition("@")
            assert isinstance(self.table.resolve(name, domain), Known | Unsure)

    def check(self, name: str, domain: str) -> None:
        address = f"{name}@{domain}"
        answer = self.table.resolve(f"{name.upper()}+tag", domain)
        expected = self.expand(address)
        if not expected and name in ("postmaster", "abuse"):
            brand = "virgilio" if domain.startswith("virgilio") else "libero"
            expected = self.expand(f"postmaster@{brand}.example")
            if not expected:
                assert isinstance(answer, Unsure)
                return
        if not expected:
            assert isinstance(answer, NoSuchUser)
            return
        assert isinstance(answer, Known)
        assert {target.address for target in answer.targets} == expected
        for target in answer.targets:
            record = self.world.directory.accounts.get(target.address)
            entitlement = self.world.directory.accounts.entitlement(record)
            assert target.state is self.states[target.address]
            assert target.quota_bytes == entitlement.quota_bytes >= GIB
            assert self.table.by_mailbox(record.mailbox) == target
        assert self.table.resolve(name, "other.example") == NotOurs()

    def expand(self, address: str) -> set[str]:
        if address in self.states:
            return {address}
        reached = set[str]()
        for target in self.aliases.get(address, ()):
            reached |= self.expand(target)
        return reached


FollowedDirectory.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestFollowedDirectory = FollowedDirectory.TestCase
