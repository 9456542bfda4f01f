"""Flags between the wire's names and the mailbox's bits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from staffetta.mailboxes.port import SYSTEM_FLAGS
from staffetta.protocols.imap.fetch_lines import FlagTable

RECENT = 1 << 62
"""\\Recent is a session's business and no flag of a message; in the tables it is this bit."""

TABLES_MAX = 512
"""Sets of keywords whose tables are kept."""

_BITS = {name: 1 << place for place, name in enumerate(SYSTEM_FLAGS)}
_FIRST_KEYWORD = len(SYSTEM_FLAGS)


def split_names(names: Iterable[str]) -> tuple[int, tuple[str, ...]]:
    """The system flags among `names` as bits, and the keywords."""
    bits = 0
    keywords = []
    for name in names:
        bit = _BITS.get(name)
        if bit is None:
            keywords.append(name)
        else:
            bits |= bit
    return bits, tuple(keywords)


def spell_flags(flags: int, keywords: tuple[str, ...]) -> list[str]:
    """The names of the bits, where `keywords` are the mailbox's own in their order."""
    names = [name for name, bit in _BITS.items() if flags & bit]
    rest = flags >> _FIRST_KEYWORD
    names += [keyword for place, keyword in enumerate(keywords) if rest >> place & 1]
    if flags & RECENT:
        names.append(r"\Recent")
    return names


class FlagTables:
    """The wire forms of flags by the mailbox's keywords, shared by all sessions."""

    def __init__(self) -> None:
        self._tables: OrderedDict[tuple[str, ...], FlagTable[int]] = OrderedDict()

    def of(self, keywords: tuple[str, ...]) -> FlagTable[int]:
        """The table for a mailbox with these keywords."""
        table = self._tables.get(keywords)
        if table is None:
            table = FlagTable(lambda flags: spell_flags(flags, keywords))
            self._tables[keywords] = table
            if len(self._tables) > TABLES_MAX:
                self._tables.popitem(last=False)
        return table
