from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from staffetta.directory.credentials import (
    CannotSay,
    Credentials,
    Denial,
    Denied,
    SignedIn,
    SignInSettings,
)
from staffetta.directory.passwords import (
    PASSWORD_BYTES_MAX,
    HashParameters,
    PasswordHasher,
    check_acceptable,
    is_password_hash,
    password_bytes,
)
from staffetta.directory.records import MailboxState
from staffetta.directory.refusals import DirectoryRefusal
from staffetta.directory.replica import RecipientTable
from staffetta.runtime.faults import FaultMode, VolumeFault
from tests.directory_world import World

CHEAP = HashParameters(1, 8, 1)
PASSWORD = "corretta cavalla"
HASH = PasswordHasher(CHEAP).make(PASSWORD)
NEW_HASH = PasswordHasher(CHEAP).make("altra parola")
ANNA = "anna@libero.example"


class Counted:
    """Counts how often Argon2id really runs."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self.checked = 0

    def matches(self, password_hash: str, password: str) -> bool:
        self.checked += 1
        return self._hasher.matches(password_hash, password)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hasher, name)


class Desk:
    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        self.table: RecipientTable = world.table("access-1.db", with_credentials=True)
        self.table.catch_up()
        self.credentials = Credentials(
            self.table,
            world.clock,
            world.entropy,
            SignInSettings(**{"parameters": CHEAP, **settings}),
            world.directory.accounts.renew_password_hash,
        )
        self.counted = Counted(self.credentials._hasher)
        self.credentials._hasher = self.counted  # type: ignore[assignment]

    def verify(self, address: str = ANNA, password: str = PASSWORD) -> object:
        return self.credentials.verify(address, password)


@pytest.fixture
def desk(world: World, add: Callable[..., int]) -> Desk:
    add(ANNA, password_hash=HASH)
    add("nopassword@libero.example")
    return Desk(world)


def test_the_right_password_signs_in(desk: Desk) -> None:
    answer = desk.verify("Anna@Libero.Example")
    assert isinstance(answer, SignedIn)
    assert (answer.target.mailbox, answer.target.brand) == (1, "libero")


@pytest.mark.parametrize(
    ("address", "password"),
    [
        (ANNA, "corretta cavallo"),
        (ANNA, ""),
        (ANNA, "\ud800"),
        ("nobody@libero.example", PASSWORD),
        ("nopassword@libero.example", PASSWORD),
        ("nopassword@libero.example", ""),
        ("anna+x@libero.example", PASSWORD),
        ("", ""),
        ("\udce9@libero.example", PASSWORD),
    ],
)
def test_everything_else_is_wrong_and_costs_one_guess(
    desk: Desk, address: str, password: str
) -> None:
    assert desk.verify(address, password) == Denied(Denial.WRONG)
    assert desk.counted.checked == 1


def test_an_endless_password_costs_nothing(desk: Desk) -> None:
    too_long = "x" * (PASSWORD_BYTES_MAX + 1)
    assert desk.verify(ANNA, too_long) == Denied(Denial.WRONG)
    assert desk.verify("nobody@libero.example", too_long) == Denied(Denial.WRONG)
    assert desk.counted.checked == 0


@pytest.mark.parametrize(
    ("state", "denial"),
    [(MailboxState.SUSPENDED, Denial.SUSPENDED), (MailboxState.CLOSED, Denial.CLOSED)],
)
def test_the_state_is_told_only_to_who_knows_the_password(
    desk: Desk, state: MailboxState, denial: Denial
) -> None:
    desk.verify()
    desk.world.directory.accounts.set_state(ANNA, state)
    desk.table.catch_up()
    assert desk.verify() == Denied(denial)
    assert desk.verify(password="something else") == Denied(Denial.WRONG)


def test_a_password_is_remembered_for_a_while(desk: Desk) -> None:
    for _ in range(5):
        assert isinstance(desk.verify(), SignedIn)
    assert desk.counted.checked == 1
    assert desk.verify(password="something else") == Denied(Denial.WRONG)
    assert desk.counted.checked == 2
    desk.world.clock.advance(300)
    assert isinstance(desk.verify(), SignedIn)
    assert desk.counted.checked == 3


def test_a_changed_password_counts_at_once(desk: Desk) -> None:
    desk.verify()
    desk.world.directory.accounts.set_password_hash(ANNA, NEW_HASH)
    desk.table.catch_up()
    assert desk.verify() == Denied(Denial.WRONG)
    assert isinstance(desk.verify(password="altra parola"), SignedIn)


def test_what_is_remembered_is_bounded(world: World, add: Callable[..., int]) -> None:
    for number in range(10):
        add(f"p{number}@libero.example", password_hash=HASH)
    desk = Desk(world, remembered_max=2)
    for number in range(10):
        desk.verify(f"p{number}@libero.example")
    assert len(desk.credentials._proofs) <= 4


def test_valid_credentials_are_never_called_wrong_because_something_is_down(desk: Desk) -> None:
    desk.world.authority.gate.break_(FaultMode.ERROR)
    desk.world.clock.advance(301)
    assert isinstance(desk.verify(), SignedIn)
    # The password may have been changed, and the address made, since the table was fresh.
    assert desk.verify(password="altra parola") == CannotSay("stale")
    assert desk.verify("new@libero.example") == CannotSay("stale")
    desk.world.replica.gate.break_(FaultMode.ERROR)
    assert desk.verify() == CannotSay("unreadable")
    desk.world.replica.gate.mend()
    desk.world.authority.gate.mend()
    desk.table.catch_up()
    assert desk.verify(password="altra parola") == Denied(Denial.WRONG)


def test_a_hash_with_other_parameters_is_renewed(world: World, add: Callable[..., int]) -> None:
    add(ANNA, password_hash=HASH)
    desk = Desk(world, parameters=HashParameters(2, 16, 1))
    assert isinstance(desk.verify(), SignedIn)
    desk.table.catch_up()
    found = desk.table.credential(ANNA)
    assert "m=16,t=2" in getattr(found, "password_hash", "")
    assert isinstance(desk.verify(), SignedIn)


def test_a_renewal_that_fails_keeps_nobody_out(world: World, add: Callable[..., int]) -> None:
    add(ANNA, password_hash=HASH)
    desk = Desk(world, parameters=HashParameters(2, 16, 1))

    def fail(mailbox: int, old: str, new: str) -> None:
        raise VolumeFault("directory", FaultMode.FULL)

    desk.credentials._renew = fail
    assert isinstance(desk.verify(), SignedIn)


def test_passwords_are_composed_and_keep_foreign_bytes() -> None:
    assert password_bytes("e\N{COMBINING GRAVE ACCENT}") == "è".encode()
    assert password_bytes(b"\xe8x".decode("utf-8", "surrogateescape")) == b"\xe8x"


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1_025])
def test_lengths_that_are_refused(password: str) -> None:
    with pytest.raises(DirectoryRefusal):
        check_acceptable(password)
    check_acceptable("12345678")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "$1$abc$def",
        HASH.replace("argon2id", "argon2i"),
        HASH.replace("m=8", "m=9999999"),
        HASH.replace("t=1", "t=1000"),
        HASH + "è",
        "$argon2id$" + "x" * 300,
    ],
    # HASH is another one in each process: names of its own keep parallel runs alike.
    ids=["empty", "plain", "md5", "argon2i", "memory", "rounds", "tail", "long"],
)
def test_hashes_that_are_refused(text: str) -> None:
    assert not is_password_hash(text)
    assert is_password_hash(HASH)
