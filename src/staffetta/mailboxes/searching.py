"""SEARCH: a tree of keys as one SQL expression, with the text keys looked up first.

A text key becomes a set of contents: the index (`words.py`) gives those that have the string
for certain and those that may have it, and the latter are read, but only within what the other
keys leave.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from staffetta.mailboxes.counters import FolderRow, find_folder
from staffetta.mailboxes.files import MailboxFile
from staffetta.mailboxes.indexing import FIELDS, index_pending, list_contents, list_pending
from staffetta.mailboxes.keys import APPENDED_ORDINAL, parse_email_id
from staffetta.mailboxes.keywords import find_keywords
from staffetta.mailboxes.matching import field_contains, fold_needle, text_contains
from staffetta.mailboxes.port import Query
from staffetta.mailboxes.words import (
    BLOCK_MESSAGES,
    HEADER_BITS,
    Pattern,
    WordList,
    find_lines,
    list_trigrams,
    make_pattern,
    make_word_patterns,
)
from staffetta.runtime.disk import Database
from staffetta.runtime.faults import FaultMode, VolumeFault

RANGES_MAX = 100
"""Beyond so many ranges of UIDs, the UIDs themselves are listed."""

INDEXED_AT_ONCE = 4_096

_DAY_US = 86_400_000_000
_TEXT_KEYS = frozenset({"TEXT", "BODY", "HEADER"})

Ranges = Sequence[tuple[int, int]]
Condition = tuple[str, tuple[Any, ...]]
"""A piece of SQL about the message `m`, and its values."""

_ALL: Condition = ("1", ())
_NONE: Condition = ("0", ())


def search(file: MailboxFile, folder: str, uids: Ranges, query: Query) -> list[int]:
    """The UIDs within `uids` that match. Raises `NoSuchFolder`, `VolumeFault`."""
    if _mentions_text(query):
        _index_all(file)
    with file.database.reading():
        return _Search(file.database, find_folder(file.database, folder), uids).run(query)


def _index_all(file: MailboxFile) -> None:
    try:
        while not index_pending(file, INDEXED_AT_ONCE)[1]:
            pass
    except VolumeFault as fault:
        # A cell that can only be read is searched all the same, message by message.
        if fault.mode not in (FaultMode.FULL, FaultMode.READONLY):
            raise


def _mentions_text(query: Query) -> bool:
    return query.key in _TEXT_KEYS or any(map(_mentions_text, query.queries))


class _Search:
    """One search in one folder, within a read transaction."""

    def __init__(self, database: Database, folder: FolderRow, uids: Ranges) -> None:
        self._database = database
        self._folder = folder
        self._pending: list[int] | None = None
        self._found: dict[tuple[str, str, str], Condition] = {}
        self._scope: list[Condition] = [("m.folder=?", (folder.id,))]
        self._scope.append(self._within(uids))

    def run(self, query: Query) -> list[int]:
        keys = sorted(_flatten(query), key=_mentions_text)  # what is cheap narrows what is not
        for key in keys:
            self._scope.append(self._compile(key))
        return self._select("m.uid", self._scope)

    def _select(self, what: str, conditions: Sequence[Condition]) -> list[int]:
        condition, values = _join("AND", conditions)
        sql = f"SELECT {what} FROM message m WHERE {condition} ORDER BY m.uid"
        rows = self._database.rows(sql, values)
        return [row[0] for row in rows]

    def _compile(self, query: Query) -> Condition:
        match query.key:
            case "ALL":
                return _ALL
            case "AND" | "OR":
                return _join(query.key, [self._compile(part) for part in query.queries])
            case "NOT":
                condition, values = self._compile(query.queries[0])
                return f"NOT ({condition})", values
            case "UID":
                return self._within(query.ranges)
            case "TEXT" | "BODY" | "HEADER":
                return self._compile_text(query)
            case "KEYWORD" | "UNKEYWORD":
                bits = find_keywords(self._database, [query.text])
                return f"(m.flags&?){'<>' if query.key == 'KEYWORD' else '='}0", (bits,)
            case "EMAILID":
                return self._compile_email_id(query.text)
            case _:
                return _compile_simple(query)

    def _within(self, ranges: Ranges) -> Condition:
        if not ranges:
            return _NONE
        if len(ranges) <= RANGES_MAX:
            return _join("OR", [("m.uid BETWEEN ? AND ?", ends) for ends in ranges])
        uids: list[int] = []
        for start in range(0, len(ranges), RANGES_MAX):
            some = self._within(ranges[start : start + RANGES_MAX])
            uids += self._select("m.uid", [self._scope[0], some])
        return _in("m.uid", uids)

    def _compile_email_id(self, text: str) -> Condition:
        parsed = parse_email_id(text)
        if parsed is None:
            return _NONE
        key, is_appended = parsed
        sign = "=" if is_appended else "<>"
        return (
            f"m.content IN (SELECT content FROM arrival WHERE receipt=? AND ordinal{sign}?)",
            (key, APPENDED_ORDINAL),
        )

    # -- text ----------------------------------------------------------------------------

    def _compile_text(self, query: Query) -> Condition:
        key = query.key, query.name.lower(), fold_needle(query.text)
        found = self._found.get(key)
        if found is None:
            sure, maybe = self._look_up(*key)
            contents = sure + self._verify(maybe, *key)
            found = self._found[key] = _in("m.content", contents)
        return found

    def _look_up(self, key: str, name: str, needle: str) -> tuple[list[int], list[int]]:
        """Contents that have the string for certain, and those that have to be read."""
        if self._pending is None:
            self._pending = list_pending(self._database)
        column = FIELDS.get(name) if key == "HEADER" else None
        if column is not None:
            return self._look_up_values(column, needle), list(self._pending)
        if key != "HEADER" and not needle:
            return self._all_contents(), []
        pattern = make_pattern(needle) if needle else Pattern((), False)
        if key == "HEADER":
            pattern = Pattern((*make_word_patterns(name), *pattern.pieces), False)
        sure, maybe = self._look_up_words(pattern, key)
        return sure, maybe + self._pending

    def _look_up_values(self, column: str, needle: str) -> list[int]:
        found: list[int] = []
        for stored, packed in self._database.each(f"SELECT contents,{column} FROM word_block"):
            mask = find_lines(packed, needle)
            if mask:
                found += _pick(list_contents(stored), mask)
        return found

    def _look_up_words(self, pattern: Pattern, key: str) -> tuple[list[int], list[int]]:
        sure: list[int] = []
        maybe: list[int] = []
        trigrams = list_trigrams(pattern.pieces)
        blocks: list[tuple[int, bytes, int]] = []
        for block, stored, rough, bits in self._database.each(
            "SELECT id,contents,rough,trigrams FROM word_block"
        ):
            roughly = int.from_bytes(rough, "little")
            if all(bits[place] & bit for place, bit in trigrams):
                blocks.append((block, stored, roughly))
            elif roughly:
                maybe += _pick(list_contents(stored), roughly)
        for block, stored, roughly in blocks:
            mask = self._find_in_block(block, pattern, key)
            exact = mask & ~roughly if pattern.is_exact else 0
            contents = list_contents(stored)
            sure += _pick(contents, exact)
            maybe += _pick(contents, (mask | roughly) & ~exact)
        return sure, maybe

    def _find_in_block(self, block: int, pattern: Pattern, key: str) -> int:
        row = self._database.row("SELECT words,owners,masks FROM word_list WHERE block=?", (block,))
        assert row is not None
        words = WordList(*row)
        mask = -1
        for piece in pattern.pieces:
            mask &= words.find(piece)
            if not mask:
                return 0
        header, body = mask & HEADER_BITS, mask >> BLOCK_MESSAGES & HEADER_BITS
        match key:
            case "TEXT":
                return header | body
            case "BODY":
                return body
        return header

    def _verify(self, maybe: Sequence[int], key: str, name: str, needle: str) -> list[int]:
        """Those of the contents, within what the other keys leave, that really match."""
        if not maybe:
            return []
        contents = self._select("m.content", [*self._scope, _in("m.content", maybe)])
        found = []
        for content in dict.fromkeys(contents):
            row = self._database.row("SELECT header,text FROM body WHERE id=?", (content,))
            if row is not None and _matches(row[0], row[1], key, name, needle):
                found.append(content)
        return found

    def _all_contents(self) -> list[int]:
        return self._select("m.content", self._scope)


def _matches(header: bytes, text: bytes, key: str, name: str, needle: str) -> bool:
    if key == "HEADER":
        return field_contains(header, name, needle)
    return text_contains(header + text, needle, body_only=key == "BODY")


def _compile_simple(query: Query) -> Condition:
    match query.key:
        case "HAS":
            return "(m.flags&?)=?", (query.flags, query.flags)
        case "LACKS":
            return "(m.flags&?)=0", (query.flags,)
        case "BEFORE":
            return "m.at_us<?", (query.number * _DAY_US,)
        case "ON":
            start_us = query.number * _DAY_US
            return "(m.at_us>=? AND m.at_us<?)", (start_us, start_us + _DAY_US)
        case "SINCE":
            return "m.at_us>=?", (query.number * _DAY_US,)
        case "SENTBEFORE":
            return "ifnull(m.sent_day<?,0)", (query.number,)
        case "SENTON":
            return "ifnull(m.sent_day=?,0)", (query.number,)
        case "SENTSINCE":
            return "ifnull(m.sent_day>=?,0)", (query.number,)
        case "LARGER":
            return "m.size_bytes>?", (query.number,)
        case "SMALLER":
            return "m.size_bytes<?", (query.number,)
        case "MODSEQ":
            return "m.modseq>=?", (query.number,)
        case key:
            raise AssertionError(f"no such search key: {key}")


def _flatten(query: Query) -> Iterable[Query]:
    if query.key == "AND":
        for part in query.queries:
            yield from _flatten(part)
    else:
        yield query


def _pick(contents: Sequence[int], mask: int) -> list[int]:
    return [content for place, content in enumerate(contents) if mask >> place & 1]


def _in(column: str, numbers: Sequence[int]) -> Condition:
    if not numbers:
        return _NONE
    return f"{column} IN carray(?)", (apsw.carray(array("q", numbers)),)


def _join(operator: str, conditions: Sequence[Condition]) -> Condition:
    """All of the conditions, or any; a balanced tree, because SQLite bounds its depth."""
    if not conditions:
        return _ALL if operator == "AND" else _NONE
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    left, left_values = _join(operator, conditions[:middle])
    right, right_values = _join(operator, conditions[middle:])
    return f"({left} {operator} {right})", (*left_values, *right_values)
