"""What has happened to the selected folder, in the protocol's words (RFC 3501 §7.3, §7.4)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from staffetta.doors.imap.flags import RECENT, FlagTables
from staffetta.doors.imap.view import News, Row, View
from staffetta.mailboxes.port import SYSTEM_FLAGS
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.attributes import FetchItem
from staffetta.protocols.imap.fetch_lines import FetchLayout

_FLAGS = FetchLayout.of([FetchItem.FLAGS])
_UID_FLAGS = FetchLayout.of([FetchItem.UID, FetchItem.FLAGS])
_UID_FLAGS_MODSEQ = FetchLayout.of([FetchItem.UID, FetchItem.FLAGS, FetchItem.MODSEQ])
_UID_MODSEQ = FetchLayout.of([FetchItem.UID, FetchItem.MODSEQ])


@dataclass(frozen=True, slots=True)
class Telling:
    """How a session wants to hear of changes.

    `by_uid`: a UID command runs, so FETCH names UIDs (RFC 3501 §6.4.8). `modseq`: CONDSTORE is
    on, so it names modseqs, and UIDs with them (RFC 7162 §3.2.4 advises so).
    """

    tables: FlagTables
    by_uid: bool = False
    modseq: bool = False


def announce(news: News, view: View, telling: Telling) -> bytes:
    """The untagged responses for `news`, where `view` is the view after it."""
    if not news:
        return b""
    parts = []
    if news.expunged:
        parts.append(responses.expunges(news.expunged))
    if news.keywords:
        parts.append(announce_flags(view))
    if news.count is not None:
        parts.append(responses.exists(news.count))
        parts.append(responses.recent(news.recent or 0))
    if news.updates:
        numbers, rows = zip(*news.updates, strict=True)
        parts.append(announce_updates(numbers, rows, view, telling))
    return b"".join(parts)


def announce_updates(
    numbers: Sequence[int], rows: Sequence[Row], view: View, telling: Telling
) -> bytes:
    """FETCH lines with the flags of rows."""
    uids, flags, modseqs = zip(*rows, strict=True)
    shown = show_flags(view, telling.tables, uids, flags)
    if telling.modseq:
        return write_lines(_UID_FLAGS_MODSEQ, numbers, uids, shown, modseqs)
    if telling.by_uid:
        return write_lines(_UID_FLAGS, numbers, uids, shown)
    return write_lines(_FLAGS, numbers, shown)


def announce_modseqs(numbers: Sequence[int], rows: Sequence[Row]) -> bytes:
    """FETCH lines with the modseqs alone, after a silent STORE (RFC 7162 §3.1.3)."""
    uids, _, modseqs = zip(*rows, strict=True)
    return write_lines(_UID_MODSEQ, numbers, uids, modseqs)


def write_lines(layout: FetchLayout, *columns: Iterable[object]) -> bytes:
    """A line for each message: its number, then what the layout names."""
    return b"".join(map(layout.template.__mod__, zip(*columns, strict=True)))


def announce_flags(view: View) -> bytes:
    """FLAGS and PERMANENTFLAGS of the folder (RFC 3501 §7.2.6)."""
    names = (*SYSTEM_FLAGS, *view.keywords)
    permanent = () if view.read_only else (*names, r"\*")
    text = "No flag can be changed" if view.read_only else "These flags last"
    return responses.flags(names) + responses.untagged_ok(text, codes.permanent_flags(permanent))


def show_flags(
    view: View, tables: FlagTables, uids: Sequence[int], flags: Sequence[int]
) -> Iterable[bytes]:
    """The flags of messages, sorted by UID, as the session sees them: with \\Recent."""
    keys = list(flags)
    for low, high in view.recent:
        start, stop = bisect_left(uids, low), bisect_right(uids, high)
        keys[start:stop] = [key | RECENT for key in keys[start:stop]]
    return map(tables.of(view.keywords).__getitem__, keys)
