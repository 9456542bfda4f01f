"""FETCH (RFC 3501 §6.4.5): looked up and written in bulk on the cell's thread, sent in chunks.

A chunk is one visit to the cell, so that a client that reads slowly holds nothing there. The
next chunk is made while the last one is being sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from staffetta.doors.imap.fetch_plan import FetchPlan
from staffetta.doors.imap.flags import FlagTables
from staffetta.doors.imap.looking import Looker
from staffetta.doors.imap.session import Session
from staffetta.doors.imap.settings import CHUNK_BYTES, CHUNK_MESSAGES
from staffetta.doors.imap.view import Row, View, join_positions, note_changes, number_rows
from staffetta.mailboxes.port import SEEN, FlagChange, Mailbox, SetFlags
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.attributes import FetchItem
from staffetta.protocols.imap.commands import Fetch
from staffetta.protocols.imap.sequence import count_in


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What one visit made: bytes to send, what is left to do, how many messages were there."""

    octets: bytes
    rest: list[range]
    found: int


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What the first visit found: the view, the news, what is wanted, the first chunk."""

    view: View
    news: bytes
    wanted: int
    chunk: _Chunk
    has_set_seen: bool


async def fetch(session: Session, command: Fetch) -> bytes:
    """FETCH and UID FETCH."""
    view = session.selected
    if not command.by_uid and not command.numbers.is_within(view.count):
        return responses.bad(command.tag, "No such message number")
    if FetchItem.MODSEQ in command.items:
        session.condstore = True  # RFC 7162 §3.1
    work = _Work(command, FetchPlan.of(command), session.looker(command), session.hall.tables)
    sets_seen = command.sets_seen and not view.read_only and not session.cell.refuses_writes
    begun = await session.visit(lambda mailbox: work.begin(mailbox, view, sets_seen), sets_seen)
    view = begun.view
    session.adopt(view)
    if begun.has_set_seen:
        session.note_change()
    chunk, found = begun.chunk, begun.chunk.found
    session.send(begun.news)
    while chunk.rest:
        rest = chunk.rest
        following = asyncio.ensure_future(
            session.visit(lambda mailbox, rest=rest: work.go_on(mailbox, view, rest))  # type: ignore[misc]
        )
        session.send(chunk.octets)
        try:
            await session.output.drain()
        except ConnectionError:
            following.cancel()
            raise
        chunk = await following
        found += chunk.found
    session.send(chunk.octets)
    await session.output.drain()
    if found < begun.wanted and not command.by_uid:
        # RFC 2180 §4.1.2: those that are there were answered; the client learns of the others.
        text = "Some of the messages are gone"
        return responses.no(command.tag, text, codes.EXPUNGEISSUED)
    return responses.ok(command.tag, "FETCH completed")


@dataclass(frozen=True, slots=True)
class _Work:
    """The part of a FETCH that is done on the cell's thread."""

    command: Fetch
    plan: FetchPlan
    looker: Looker
    tables: FlagTables

    def begin(self, mailbox: Mailbox, view: View, sets_seen: bool) -> _Beginning:
        """Look, find what is wanted, set \\Seen on it, make the first chunk."""
        command = self.command
        view, news = self.looker.look(mailbox, view)
        if command.by_uid:
            positions = command.numbers.locate_uids(view.image.uids)
        else:
            positions = command.numbers.locate_numbers(view.count)
        if command.changed_since:
            changed = mailbox.snapshot(view.name, command.changed_since).rows
            positions = _keep(view, positions, changed)
        has_set_seen = False
        if sets_seen:
            unseen = _keep_unseen(view, positions)
            if unseen:
                change = SetFlags(FlagChange.ADD, SEEN)
                rows = mailbox.change(view.name, view.spans(unseen), change).rows
                view = note_changes(view, rows)
                has_set_seen = bool(rows)
        chunk = self.go_on(mailbox, view, positions)
        return _Beginning(view, news, count_in(positions), chunk, has_set_seen)

    def go_on(self, mailbox: Mailbox, view: View, positions: Sequence[range]) -> _Chunk:
        """Make the next chunk of what is wanted."""
        plan = self.plan
        if plan.is_of_view:
            now, rest = _split(positions, CHUNK_MESSAGES)
            return _Chunk(plan.write_view(view, self.tables, now), rest, count_in(now))
        pieces: list[bytes] = []
        size_bytes = found = 0
        for rows in mailbox.fetch(view.name, view.spans(positions), plan.columns):
            numbers = number_rows(view, cast("list[Row]", rows))
            found += len(rows)
            new = plan.write(view, self.tables, numbers, rows)
            pieces += new
            size_bytes += sum(map(len, new))
            if size_bytes >= CHUNK_BYTES:
                return _Chunk(b"".join(pieces), _beyond(positions, numbers[-1]), found)
        return _Chunk(b"".join(pieces), [], found)


def _beyond(positions: Sequence[range], position: int) -> list[range]:
    """What of `positions` is at `position` or behind it."""
    return [
        range(max(span.start, position), span.stop) for span in positions if span.stop > position
    ]


def _split(positions: Sequence[range], count: int) -> tuple[list[range], list[range]]:
    """The first `count` positions, and the others."""
    now: list[range] = []
    for place, span in enumerate(positions):
        if len(span) > count:
            middle = span.start + count
            rest = [range(middle, span.stop), *positions[place + 1 :]]
            return [*now, range(span.start, middle)], rest
        now.append(span)
        count -= len(span)
    return now, []


def _keep(view: View, positions: Sequence[range], rows: Sequence[Row]) -> list[range]:
    """Those of `positions` whose messages are among the rows."""
    wanted = {position for span in positions for position in span}
    found = (view.image.find(row[0]) for row in rows)
    return join_positions(sorted(position for position in found if position in wanted))


def _keep_unseen(view: View, positions: Sequence[range]) -> list[range]:
    flags = view.image.flags
    return join_positions(
        [position for span in positions for position in span if not flags[position] & SEEN]
    )
