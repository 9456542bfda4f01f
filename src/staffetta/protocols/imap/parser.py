"""From a frame to a command.

    parse_command(CommandFrame(b"a1 UID FETCH 1:* (FLAGS)"))    # commands.Fetch(...)
    parse_command(CommandFrame(b"a1 FROB"))                     # commands.BadCommand(...)

and from a continuation line to what it means: `is_done` after IDLE, `decode_sasl_line` within
AUTHENTICATE.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from types import MappingProxyType

from staffetta.protocols.imap.commands import BadCommand, Command
from staffetta.protocols.imap.frames import CommandFrame
from staffetta.protocols.imap.grammar import (
    anystate,
    auth,
    fetch,
    listing,
    nonauth,
    search,
    selected,
)
from staffetta.protocols.imap.tokens import Scanner, SyntaxFault

_PLAIN: Mapping[bytes, Callable[[Scanner, bytes], Command]] = MappingProxyType(
    {
        b"CAPABILITY": anystate.parse_capability,
        b"NOOP": anystate.parse_noop,
        b"LOGOUT": anystate.parse_logout,
        b"ID": anystate.parse_id,
        b"STARTTLS": nonauth.parse_starttls,
        b"AUTHENTICATE": nonauth.parse_authenticate,
        b"LOGIN": nonauth.parse_login,
        b"ENABLE": auth.parse_enable,
        b"SELECT": auth.parse_select,
        b"EXAMINE": auth.parse_examine,
        b"CREATE": auth.parse_create,
        b"DELETE": auth.parse_delete,
        b"RENAME": auth.parse_rename,
        b"SUBSCRIBE": auth.parse_subscribe,
        b"UNSUBSCRIBE": auth.parse_unsubscribe,
        b"LIST": listing.parse_list,
        b"LSUB": listing.parse_lsub,
        b"STATUS": listing.parse_status,
        b"APPEND": auth.parse_append,
        b"NAMESPACE": auth.parse_namespace,
        b"IDLE": auth.parse_idle,
        b"GETQUOTA": auth.parse_getquota,
        b"GETQUOTAROOT": auth.parse_getquotaroot,
        b"CHECK": selected.parse_check,
        b"CLOSE": selected.parse_close,
        b"UNSELECT": selected.parse_unselect,
        b"EXPUNGE": selected.parse_expunge,
    }
)

_BY_NUMBER_OR_UID: Mapping[bytes, Callable[[Scanner, bytes, bool], Command]] = MappingProxyType(
    {
        b"FETCH": fetch.parse_fetch,
        b"STORE": selected.parse_store,
        b"SEARCH": search.parse_search,
        b"COPY": selected.parse_copy,
        b"MOVE": selected.parse_move,
    }
)


def parse_command(frame: CommandFrame) -> Command | BadCommand:
    """The command in `frame`; whatever the octets, nothing is raised."""
    scanner = Scanner(frame.line, frame.literals)
    tag = b""
    try:
        head = scanner.take_head()
        if head is None:
            tag = scanner.take_tag()
            raise SyntaxFault("Command expected")
        tag, by_uid, name = head
        command = _parse_arguments(scanner, tag, by_uid, name)
        scanner.take_end()
    except SyntaxFault as fault:
        return BadCommand(tag, fault.text, fault.status, fault.code)
    return command


def is_done(line: bytes) -> bool:
    """Whether a line during IDLE is DONE (RFC 2177 §4); anything else is answered BAD."""
    return line.strip().upper() == b"DONE"


def decode_sasl_line(line: bytes) -> bytes | None:
    """The response in a line of AUTHENTICATE; None for `*`, by which the client gives up.

    ValueError where it is not base64, to be answered BAD (RFC 3501 §6.2.2).
    """
    return None if line == b"*" else b64decode(line, validate=True)


def _parse_arguments(scanner: Scanner, tag: bytes, by_uid: bool, name: bytes) -> Command:
    either = _BY_NUMBER_OR_UID.get(name)
    if either is not None:
        return either(scanner, tag, by_uid)
    if by_uid and name == b"EXPUNGE":
        return selected.parse_uid_expunge(scanner, tag)
    plain = _PLAIN.get(name)
    if plain is None or by_uid:
        raise SyntaxFault("Unknown command")
    return plain(scanner, tag)
