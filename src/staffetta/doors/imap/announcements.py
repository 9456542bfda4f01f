"""What has happened to the selected folder, in the protocol's words (RFC 3501 §7.3, §7.4)."""

from __future__ import annotations

from dataclasses import dataclass

from staffetta.doors.imap.flags import RECENT, FlagTables
from staffetta.doors.imap.view import News, View
from staffetta.mailboxes.port import SYSTEM_FLAGS
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.attributes import FetchItem
from staffetta.protocols.imap.fetch_lines import FetchLayout, fetch_lines

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
        parts.append(announce_updates(news.updates, view, telling))
    return b"".join(parts)


def announce_updates(
    updates: list[tuple[int, tuple[int, int, int]]], view: View, telling: Telling
) -> bytes:
    """FETCH lines with the flags of these (message number, row)."""
    table = telling.tables.of(view.keywords)
    numbers = [number for number, _ in updates]
    uids = [row[0] for _, row in updates]
    flags = [table[shown_flags(view, row[0], row[1])] for _, row in updates]
    if telling.modseq:
        modseqs = [row[2] for _, row in updates]
        return fetch_lines(_UID_FLAGS_MODSEQ, numbers, uids, flags, modseqs)
    if telling.by_uid:
        return fetch_lines(_UID_FLAGS, numbers, uids, flags)
    return fetch_lines(_FLAGS, numbers, flags)


def announce_modseqs(updates: list[tuple[int, tuple[int, int, int]]]) -> bytes:
    """FETCH lines with the modseqs alone, after a silent STORE (RFC 7162 §3.1.3)."""
    numbers = [number for number, _ in updates]
    uids = [row[0] for _, row in updates]
    return fetch_lines(_UID_MODSEQ, numbers, uids, [row[2] for _, row in updates])


def announce_flags(view: View) -> bytes:
    """FLAGS and PERMANENTFLAGS of the folder (RFC 3501 §7.2.6)."""
    names = (*SYSTEM_FLAGS, *view.keywords)
    permanent = () if view.read_only else (*names, r"\*")
    text = "No flag can be changed" if view.read_only else "These flags last"
    return responses.flags(names) + responses.untagged_ok(text, codes.permanent_flags(permanent))


def shown_flags(view: View, uid: int, flags: int) -> int:
    """The flags as the session sees them: with \\Recent where it is."""
    return flags | RECENT if view.recent and view.is_recent(uid) else flags
