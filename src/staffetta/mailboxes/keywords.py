"""Keywords: the flags that people and their programs invent (RFC 3501 section 2.3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from staffetta.mailboxes.counters import Writing
from staffetta.mailboxes.port import KEYWORDS_MAX, SYSTEM_FLAGS, TooManyKeywords
from staffetta.runtime.disk import Database

FIRST_BIT = len(SYSTEM_FLAGS)


def list_keywords(database: Database) -> tuple[str, ...]:
    """The keywords of the mailbox, in the order of their bits."""
    return tuple(row[0] for row in database.rows("SELECT name FROM keyword ORDER BY bit"))


def find_keywords(database: Database, names: Sequence[str]) -> int:
    """The bits of those keywords that the mailbox has."""
    if not names:
        return 0
    known = {name.lower(): bit for bit, name in _read(database)}
    mask = 0
    for name in names:
        bit = known.get(name.lower())
        if bit is not None:
            mask |= 1 << bit
    return mask


def take_keywords(change: Writing, names: Sequence[str]) -> int:
    """The bits of these keywords, new ones added. Raises `TooManyKeywords`."""
    if not names:
        return 0
    known = {name.lower(): bit for bit, name in _read(change.database)}
    mask = 0
    for name in names:
        bit = known.get(name.lower())
        if bit is None:
            if len(known) >= KEYWORDS_MAX:
                raise TooManyKeywords(f"a mailbox has at most {KEYWORDS_MAX} keywords")
            bit = known[name.lower()] = FIRST_BIT + len(known)
            change.database.run("INSERT INTO keyword VALUES(?,?)", (bit, name))
            change.is_changed = True
        mask |= 1 << bit
    return mask


def _read(database: Database) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in database.rows("SELECT bit,name FROM keyword")]
