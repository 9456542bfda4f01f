"""From the keys of SEARCH to a mailbox's `Query`.

Message numbers and \\Recent are the session's business: they become UIDs here. So do YOUNGER and
OLDER, whose seconds the mailbox does not search by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from staffetta.doors.imap.flags import split_names
from staffetta.doors.imap.looking import read_rows
from staffetta.doors.imap.view import View, join_positions
from staffetta.mailboxes.port import Column, Mailbox, Query
from staffetta.protocols.imap import criteria
from staffetta.protocols.imap.criteria import DateRelation, SearchKey

US = 1_000_000
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
ALL = Query("ALL")
NONE = Query("NOT", queries=(ALL,))

_INTERNAL = {DateRelation.BEFORE: "BEFORE", DateRelation.ON: "ON", DateRelation.SINCE: "SINCE"}


class QueryWriter:
    """Writes the query for one SEARCH; may look into the mailbox for it."""

    def __init__(self, mailbox: Mailbox, view: View, now_us: int) -> None:
        self._mailbox = mailbox
        self._view = view
        self._now_us = now_us

    def write(self, key: SearchKey) -> Query:
        """The query for a key and what is below it."""
        match key:
            case criteria.AllOf(keys):
                return Query("AND", queries=tuple(map(self.write, keys)))
            case criteria.AnyOf(keys):
                return Query("OR", queries=tuple(map(self.write, keys)))
            case criteria.Not(inner):
                return Query("NOT", queries=(self.write(inner),))
            case criteria.FlagIs(flag, is_set):
                return self._write_flag(flag, is_set)
            case criteria.NumberIn(numbers):
                return self._of_positions(numbers.locate_numbers(self._view.count))
            case criteria.UidIn(uids):
                return self._of_positions(uids.locate_uids(self._view.image.uids))
            case criteria.YoungerThan(interval_s):
                since_us = self._now_us - interval_s * US
                return self._by_time(lambda at_us: at_us >= since_us)
            case criteria.OlderThan(interval_s):
                before_us = self._now_us - interval_s * US
                return self._by_time(lambda at_us: at_us < before_us)
            case _:
                return _write_plain(key)

    def _write_flag(self, flag: str, is_set: bool) -> Query:
        bits, keywords = split_names((flag,))
        if bits:
            return Query("HAS" if is_set else "LACKS", flags=bits)
        if flag == r"\Recent":
            recent = Query("UID", ranges=self._view.recent)
            return recent if is_set else Query("NOT", queries=(recent,))
        return Query("KEYWORD" if is_set else "UNKEYWORD", text=keywords[0])

    def _of_positions(self, positions: Sequence[range]) -> Query:
        return Query("UID", ranges=tuple(self._view.spans(positions)))

    def _by_time(self, is_wanted: Callable[[int], bool]) -> Query:
        view = self._view
        rows = read_rows(self._mailbox, view.name, ((1, view.uid_last),), (Column.AT_US,))
        positions = [view.image.find(row[0]) for row in rows if is_wanted(row[3])]
        return self._of_positions(join_positions([p for p in positions if p >= 0]))


def _write_plain(key: SearchKey) -> Query:
    match key:
        case criteria.HeaderContains(field, text):
            return Query("HEADER", text=text, name=field)
        case criteria.BodyContains(text):
            return Query("BODY", text=text)
        case criteria.TextContains(text):
            return Query("TEXT", text=text)
        case criteria.InternalDateIs(relation, day):
            return Query(_INTERNAL[relation], number=_days(day))
        case criteria.SentDateIs(relation, day):
            return Query("SENT" + _INTERNAL[relation], number=_days(day))
        case criteria.LargerThan(size_bytes):
            return Query("LARGER", number=size_bytes)
        case criteria.SmallerThan(size_bytes):
            return Query("SMALLER", number=size_bytes)
        case criteria.ModseqAtLeast(modseq):
            return Query("MODSEQ", number=modseq)
        case criteria.EmailIdIs(email_id):
            return Query("EMAILID", text=email_id)
        case criteria.ThreadIdIs():
            return NONE  # no message has one (RFC 8474 §5.2)
        case _:
            return ALL


def _days(day: date) -> int:
    return day.toordinal() - EPOCH_ORDINAL
