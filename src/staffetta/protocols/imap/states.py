"""Which command is allowed in which state (RFC 3501 §3), as a table.

A command that is not `is_allowed` is answered BAD with the words of `explain_refusal`; where
`may_announce_expunge` says so, untagged EXPUNGE may go out before the tagged answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from staffetta.protocols.imap import commands
from staffetta.protocols.imap.commands import Command


class SessionState(Enum):
    """The four states of a session."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


_BEFORE_LOGIN = frozenset({SessionState.NOT_AUTHENTICATED})
_AFTER_LOGIN = frozenset({SessionState.AUTHENTICATED, SessionState.SELECTED})
_SELECTED = frozenset({SessionState.SELECTED})
_UNTIL_LOGOUT = _BEFORE_LOGIN | _AFTER_LOGIN

ALLOWED: Mapping[type[Command], frozenset[SessionState]] = MappingProxyType(
    {
        commands.Capability: _UNTIL_LOGOUT,
        commands.Noop: _UNTIL_LOGOUT,
        commands.Logout: _UNTIL_LOGOUT,
        commands.Id: _UNTIL_LOGOUT,
        commands.StartTls: _BEFORE_LOGIN,
        commands.Authenticate: _BEFORE_LOGIN,
        commands.Login: _BEFORE_LOGIN,
        commands.Enable: _AFTER_LOGIN,
        commands.Select: _AFTER_LOGIN,
        commands.Create: _AFTER_LOGIN,
        commands.Delete: _AFTER_LOGIN,
        commands.Rename: _AFTER_LOGIN,
        commands.Subscribe: _AFTER_LOGIN,
        commands.Unsubscribe: _AFTER_LOGIN,
        commands.List: _AFTER_LOGIN,
        commands.Lsub: _AFTER_LOGIN,
        commands.Status: _AFTER_LOGIN,
        commands.Append: _AFTER_LOGIN,
        commands.Namespace: _AFTER_LOGIN,
        commands.Idle: _AFTER_LOGIN,
        commands.GetQuota: _AFTER_LOGIN,
        commands.GetQuotaRoot: _AFTER_LOGIN,
        commands.Check: _SELECTED,
        commands.Close: _SELECTED,
        commands.Unselect: _SELECTED,
        commands.Expunge: _SELECTED,
        commands.Search: _SELECTED,
        commands.Fetch: _SELECTED,
        commands.Store: _SELECTED,
        commands.Copy: _SELECTED,
        commands.Move: _SELECTED,
    }
)
"""For each command, the states it is allowed in.

RFC 5161 §3.1 allows ENABLE only before SELECT; clients send it after, and no harm is done.
"""


def is_allowed(command: Command, state: SessionState) -> bool:
    """Whether `command` may be obeyed in `state`."""
    return state in ALLOWED[type(command)]


def explain_refusal(command: Command, state: SessionState) -> str:
    """Why `command` is not allowed in `state`, in words for the text of a BAD."""
    allowed = ALLOWED[type(command)]
    if state is SessionState.LOGOUT:
        return "The session is over"
    if state is SessionState.NOT_AUTHENTICATED:
        return "Please sign in first"
    if allowed == _BEFORE_LOGIN:
        return "Already signed in"
    return "No mailbox is selected"


def may_announce_expunge(command: Command) -> bool:
    """Whether message numbers may change in the answer to `command`.

    Not while FETCH, STORE or SEARCH run by number, since the client's numbers would be ambiguous
    (RFC 3501 §7.4.1); their UID forms, and everything else, may.
    """
    match command:
        case commands.Fetch() | commands.Store() | commands.Search():
            return command.by_uid
        case _:
            return True
