"""LIST, LSUB, STATUS (RFC 3501 §6.3.8 to §6.3.10; RFC 5258, 5819, 6154)."""

from __future__ import annotations

from dataclasses import dataclass

from staffetta.protocols.imap import codes, commands
from staffetta.protocols.imap.commands import StatusItem
from staffetta.protocols.imap.tokens import Scanner, SyntaxFault

PATTERNS_MAX = 64
"""Patterns in one extended LIST."""

_STATUS_ITEMS: dict[bytes, StatusItem] = {item.value: item for item in StatusItem}


def parse_list(scanner: Scanner, tag: bytes) -> commands.List:
    """RFC 3501 §6.3.8, extended as in RFC 5258 §6."""
    scanner.take_space()
    selected: set[bytes] = set()
    is_extended = scanner.peek() == b"("
    if is_extended:
        selected.update(scanner.take_list(lambda: _parse_selection(scanner), may_be_empty=True))
        scanner.take_space()
    reference = scanner.take_mailbox()
    scanner.take_space()
    if scanner.peek() == b"(":
        is_extended = True
        patterns = scanner.take_list(scanner.take_list_mailbox, may_be_empty=False)
        if len(patterns) > PATTERNS_MAX:
            raise SyntaxFault("Too many patterns", "NO", codes.LIMIT)
    else:
        patterns = [scanner.take_list_mailbox()]
    wanted = _ReturnOptions(set())
    if not scanner.is_at_end():
        is_extended = True
        wanted = _parse_return(scanner)
    # RECURSIVEMATCH alone selects nothing that it could recurse on (RFC 5258 §3.1).
    if b"RECURSIVEMATCH" in selected and not selected & {b"SUBSCRIBED", b"SPECIAL-USE"}:
        raise SyntaxFault("RECURSIVEMATCH needs another selection option")
    return commands.List(
        tag,
        reference,
        tuple(patterns),
        select_subscribed=b"SUBSCRIBED" in selected,
        select_remote=b"REMOTE" in selected,
        select_special_use=b"SPECIAL-USE" in selected,
        recursive_match=b"RECURSIVEMATCH" in selected,
        # What is selected by is returned too (RFC 5258 §3.1, RFC 6154 §2).
        return_subscribed=b"SUBSCRIBED" in wanted.words | selected,
        return_children=b"CHILDREN" in wanted.words,
        return_special_use=b"SPECIAL-USE" in wanted.words | selected,
        return_status=wanted.status,
        is_extended=is_extended,
    )


def parse_lsub(scanner: Scanner, tag: bytes) -> commands.Lsub:
    """RFC 3501 §6.3.9."""
    scanner.take_space()
    reference = scanner.take_mailbox()
    scanner.take_space()
    return commands.Lsub(tag, reference, scanner.take_list_mailbox())


def parse_status(scanner: Scanner, tag: bytes) -> commands.Status:
    """RFC 3501 §6.3.10."""
    scanner.take_space()
    mailbox = scanner.take_mailbox()
    scanner.take_space()
    return commands.Status(tag, mailbox, _parse_status_items(scanner))


@dataclass(frozen=True, slots=True)
class _ReturnOptions:
    words: set[bytes]
    status: tuple[StatusItem, ...] = ()


def _parse_selection(scanner: Scanner) -> bytes:
    word = scanner.take_word()
    if word not in (b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"):
        raise SyntaxFault("No such selection option of LIST")
    return word


def _parse_return(scanner: Scanner) -> _ReturnOptions:
    scanner.take_space()
    if scanner.take_word() != b"RETURN":
        raise SyntaxFault("RETURN expected")
    scanner.take_space()
    status: tuple[StatusItem, ...] = ()
    words: set[bytes] = set()
    scanner.take(b"(")
    while not scanner.skip(b")"):
        if words:
            scanner.take_space()
        word = scanner.take_word()
        if word == b"STATUS":
            # RFC 5819 §2
            scanner.take_space()
            status = _parse_status_items(scanner)
        elif word not in (b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE"):
            raise SyntaxFault("No such return option of LIST")
        words.add(word)
    return _ReturnOptions(words, status)


def _parse_status_items(scanner: Scanner) -> tuple[StatusItem, ...]:
    words = scanner.take_plain_list()
    if words is None:
        raise SyntaxFault("Items of STATUS expected")
    try:
        return tuple(dict.fromkeys([_STATUS_ITEMS[word.upper()] for word in words]))
    except KeyError:
        raise SyntaxFault("No such item of STATUS") from None
