"""Which command is allowed when."""

from __future__ import annotations

from typing import get_args

import pytest

from staffetta.protocols.imap.commands import BadCommand, Command
from staffetta.protocols.imap.frames import CommandFrame
from staffetta.protocols.imap.parser import parse_command
from staffetta.protocols.imap.states import (
    ALLOWED,
    SessionState,
    explain_refusal,
    is_allowed,
    may_announce_expunge,
)

NOT_AUTHENTICATED, AUTHENTICATED, SELECTED, LOGOUT = SessionState


def parse(line: bytes) -> Command:
    command = parse_command(CommandFrame(line))
    assert not isinstance(command, BadCommand)
    return command


def test_the_table_has_every_command() -> None:
    assert set(ALLOWED) == set(get_args(Command))


@pytest.mark.parametrize(
    ("line", "states"),
    [
        (b"a NOOP", {NOT_AUTHENTICATED, AUTHENTICATED, SELECTED}),
        (b"a LOGIN a b", {NOT_AUTHENTICATED}),
        (b"a SELECT x", {AUTHENTICATED, SELECTED}),
        (b"a IDLE", {AUTHENTICATED, SELECTED}),
        (b"a FETCH 1 FLAGS", {SELECTED}),
        (b"a UID EXPUNGE 1", {SELECTED}),
    ],
)
def test_commands_are_allowed_in_their_states(line: bytes, states: set[SessionState]) -> None:
    assert {state for state in SessionState if is_allowed(parse(line), state)} == states


def test_refusals_say_what_is_missing() -> None:
    assert explain_refusal(parse(b"a NOOP"), LOGOUT) == "The session is over"
    assert explain_refusal(parse(b"a FETCH 1 FLAGS"), NOT_AUTHENTICATED) == "Please sign in first"
    assert explain_refusal(parse(b"a FETCH 1 FLAGS"), AUTHENTICATED) == "No mailbox is selected"
    assert explain_refusal(parse(b"a LOGIN a b"), SELECTED) == "Already signed in"


@pytest.mark.parametrize(
    ("line", "may"),
    [
        (b"a FETCH 1 FLAGS", False),
        (b"a STORE 1 FLAGS ()", False),
        (b"a SEARCH ALL", False),
        (b"a UID FETCH 1 FLAGS", True),
        (b"a UID SEARCH ALL", True),
        (b"a COPY 1 x", True),
        (b"a NOOP", True),
    ],
)
def test_numbers_stand_still_where_the_client_uses_them(line: bytes, may: bool) -> None:
    assert may_announce_expunge(parse(line)) is may
