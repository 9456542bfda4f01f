"""FETCH (RFC 3501 §6.4.5; RFC 7162 §3.1.4 and §3.2.6; RFC 8474 §5)."""

from __future__ import annotations

import re

from staffetta.protocols.imap import commands
from staffetta.protocols.imap.attributes import BodySection, FetchItem, SectionText
from staffetta.protocols.imap.quoting import format_astring
from staffetta.protocols.imap.tokens import NUMBER64_MAX, Scanner, SyntaxFault

SECTION_DEPTH_MAX = 128
"""Part numbers in one section."""

_ATTRIBUTE = re.compile(
    rb"BODY(?P<peek>\.PEEK)?\[(?P<part>[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8})*)?"
    rb"(?P<dot>\.?)(?P<text>HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME)?"
    rb"|(?P<name>[A-Z0-9.]+)",
    re.IGNORECASE,
)
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([1-9][0-9]{0,9})>")

_ITEMS: dict[bytes, FetchItem] = {item.value: item for item in FetchItem}
_FAST = frozenset({FetchItem.FLAGS, FetchItem.INTERNALDATE, FetchItem.RFC822_SIZE})
_MACROS = {
    b"FAST": _FAST,
    b"ALL": _FAST | {FetchItem.ENVELOPE},
    b"FULL": _FAST | {FetchItem.ENVELOPE, FetchItem.BODY},
}
_WHOLE_SECTIONS = {
    b"RFC822": BodySection(b"RFC822"),
    b"RFC822.HEADER": BodySection(b"RFC822.HEADER", text=SectionText.HEADER, peek=True),
    b"RFC822.TEXT": BodySection(b"RFC822.TEXT", text=SectionText.TEXT),
}
_SECTION_TEXTS: dict[bytes, SectionText] = {text.value: text for text in SectionText}


def parse_fetch(scanner: Scanner, tag: bytes, by_uid: bool) -> commands.Fetch:
    """A FETCH or UID FETCH."""
    scanner.take_space()
    numbers = scanner.take_sequence_set()
    scanner.take_space()
    items: set[FetchItem] = set()
    sections: dict[BodySection, None] = {}
    if scanner.peek() == b"(":
        _parse_attributes(scanner, items, sections)
    else:
        macro = _MACROS.get(scanner.peek_word())
        if macro is not None:
            scanner.take_word()
            items.update(macro)
        else:
            _parse_attribute(scanner, items, sections)
    changed_since: int | None = None
    vanished = False
    if not scanner.is_at_end():
        changed_since, vanished = _parse_modifiers(scanner)
    if by_uid:
        items.add(FetchItem.UID)
    if changed_since is not None:
        items.add(FetchItem.MODSEQ)
    return commands.Fetch(
        tag, numbers, frozenset(items), tuple(sections), by_uid, changed_since, vanished
    )


def _parse_attributes(
    scanner: Scanner, items: set[FetchItem], sections: dict[BodySection, None]
) -> None:
    words = scanner.take_plain_list()
    if words is None:
        scanner.take_list(lambda: _parse_attribute(scanner, items, sections), may_be_empty=False)
        return
    for word in words:
        _add_named(word.upper(), items, sections)


def _parse_attribute(
    scanner: Scanner, items: set[FetchItem], sections: dict[BodySection, None]
) -> None:
    peek, part, dot, text, name = scanner.take_matching(
        _ATTRIBUTE, "Item of FETCH expected"
    ).groups()
    if name is not None:
        _add_named(name.upper(), items, sections)
    else:
        section = _parse_section(scanner, part or b"", dot, (text or b"").upper(), peek is not None)
        sections[section] = None


def _add_named(name: bytes, items: set[FetchItem], sections: dict[BodySection, None]) -> None:
    if name in _ITEMS:
        items.add(_ITEMS[name])
    elif name in _WHOLE_SECTIONS:
        sections[_WHOLE_SECTIONS[name]] = None
    else:
        raise SyntaxFault("No such item of FETCH")


def _parse_section(
    scanner: Scanner, part_text: bytes, dot: bytes, word: bytes, peek: bool
) -> BodySection:
    """The rest of a section; the scanner is behind its `word`."""
    text = _SECTION_TEXTS[word]
    part = tuple(map(int, part_text.split(b"."))) if part_text else ()
    if bool(dot) != bool(part and word) or (text is SectionText.MIME and not part):
        raise SyntaxFault("No such section")
    if len(part) > SECTION_DEPTH_MAX:
        raise SyntaxFault("Section is nested too deeply")
    fields: tuple[bytes, ...] = ()
    label = b"BODY[%b%b%b" % (part_text, dot, word)
    if text is SectionText.HEADER_FIELDS or text is SectionText.HEADER_FIELDS_NOT:
        scanner.take_space()
        fields, written = _parse_fields(scanner)
        label += b" (%b)" % written
    scanner.take(b"]")
    label += b"]"
    partial: tuple[int, int] | None = None
    if scanner.peek() == b"<":
        found = scanner.take_matching(_PARTIAL, "Partial expected")
        partial = (int(found[1]), int(found[2]))
        # Only the first octet is repeated in the answer (RFC 3501 §7.4.2).
        label += b"<%d>" % partial[0]
    return BodySection(label, part, text, fields, partial, peek)


def _parse_fields(scanner: Scanner) -> tuple[tuple[bytes, ...], bytes]:
    """The header names, and the same as they are written in the answer."""
    plain = scanner.take_plain_list()
    if plain is not None:
        return tuple(plain), b" ".join(plain)
    fields = scanner.take_list(scanner.take_astring, may_be_empty=False)
    return tuple(fields), b" ".join(map(format_astring, fields))


def _parse_modifiers(scanner: Scanner) -> tuple[int | None, bool]:
    scanner.take_space()
    scanner.take(b"(")
    changed_since: int | None = None
    vanished = False
    while True:
        word = scanner.take_word()
        if word == b"CHANGEDSINCE":
            scanner.take_space()
            changed_since = scanner.take_number(most=NUMBER64_MAX)
        elif word == b"VANISHED":
            vanished = True
        else:
            raise SyntaxFault("No such modifier of FETCH")
        if scanner.skip(b")"):
            break
        scanner.take_space()
    if vanished and changed_since is None:
        raise SyntaxFault("VANISHED needs CHANGEDSINCE")
    return changed_since, vanished
