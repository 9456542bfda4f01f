"""Commands of the selected state; SEARCH is in `search`, FETCH in `fetch`."""

from __future__ import annotations

from staffetta.protocols.imap import commands
from staffetta.protocols.imap.commands import StoreMode
from staffetta.protocols.imap.tokens import NUMBER64_MAX, Scanner, SyntaxFault

_STORE_MODES: dict[bytes, StoreMode] = {mode.value: mode for mode in StoreMode}


def parse_check(scanner: Scanner, tag: bytes) -> commands.Check:
    """RFC 3501 §6.4.1."""
    return commands.Check(tag)


def parse_close(scanner: Scanner, tag: bytes) -> commands.Close:
    """RFC 3501 §6.4.2."""
    return commands.Close(tag)


def parse_unselect(scanner: Scanner, tag: bytes) -> commands.Unselect:
    """RFC 3691 §2."""
    return commands.Unselect(tag)


def parse_expunge(scanner: Scanner, tag: bytes) -> commands.Expunge:
    """RFC 3501 §6.4.3."""
    return commands.Expunge(tag)


def parse_uid_expunge(scanner: Scanner, tag: bytes) -> commands.Expunge:
    """RFC 4315 §2.1."""
    scanner.take_space()
    return commands.Expunge(tag, scanner.take_sequence_set())


def parse_store(scanner: Scanner, tag: bytes, by_uid: bool) -> commands.Store:
    """RFC 3501 §6.4.6, with UNCHANGEDSINCE (RFC 7162 §3.1.3)."""
    scanner.take_space()
    numbers = scanner.take_sequence_set()
    scanner.take_space()
    unchanged_since: int | None = None
    if scanner.skip(b"("):
        if scanner.take_word() != b"UNCHANGEDSINCE":
            raise SyntaxFault("No such modifier of STORE")
        scanner.take_space()
        unchanged_since = scanner.take_number(most=NUMBER64_MAX)
        scanner.take(b")")
        scanner.take_space()
    word = scanner.take_word()
    mode = _STORE_MODES.get(word.removesuffix(b".SILENT"))
    if mode is None:
        raise SyntaxFault("FLAGS, +FLAGS or -FLAGS expected")
    scanner.take_space()
    return commands.Store(
        tag,
        numbers,
        mode,
        scanner.take_flags(),
        silent=word.endswith(b".SILENT"),
        by_uid=by_uid,
        unchanged_since=unchanged_since,
    )


def parse_copy(scanner: Scanner, tag: bytes, by_uid: bool) -> commands.Copy:
    """RFC 3501 §6.4.7."""
    scanner.take_space()
    numbers = scanner.take_sequence_set()
    scanner.take_space()
    return commands.Copy(tag, numbers, scanner.take_mailbox(), by_uid)


def parse_move(scanner: Scanner, tag: bytes, by_uid: bool) -> commands.Move:
    """RFC 6851 §3.1."""
    scanner.take_space()
    numbers = scanner.take_sequence_set()
    scanner.take_space()
    return commands.Move(tag, numbers, scanner.take_mailbox(), by_uid)
