"""From what a FETCH asks for to columns of the mailbox and lines on the wire, in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from staffetta.doors.imap.announcements import show_flags
from staffetta.doors.imap.flags import FlagTables
from staffetta.doors.imap.sections import SectionCutter
from staffetta.doors.imap.view import View
from staffetta.formats.mime import scan
from staffetta.mailboxes.port import Column
from staffetta.protocols.imap.attributes import BodySection, FetchItem
from staffetta.protocols.imap.commands import Fetch
from staffetta.protocols.imap.fetch_lines import FetchLayout, format_date_times

_ORDER = (
    FetchItem.UID, FetchItem.FLAGS, FetchItem.MODSEQ, FetchItem.INTERNALDATE,
    FetchItem.RFC822_SIZE, FetchItem.EMAILID, FetchItem.THREADID, FetchItem.ENVELOPE,
    FetchItem.BODYSTRUCTURE, FetchItem.BODY,
)  # fmt: skip
_COLUMNS: Mapping[FetchItem, Column] = MappingProxyType(
    {
        FetchItem.INTERNALDATE: Column.AT_US,
        FetchItem.RFC822_SIZE: Column.SIZE,
        FetchItem.EMAILID: Column.EMAIL_ID,
        FetchItem.ENVELOPE: Column.ENVELOPE,
        FetchItem.BODYSTRUCTURE: Column.BODYSTRUCTURE,
        FetchItem.BODY: Column.BODY,
    }
)
_FROM_VIEW = frozenset({FetchItem.UID, FetchItem.FLAGS})
_US = 1_000_000

Rows = Sequence[tuple[Any, ...]]
"""Rows of `Mailbox.fetch`: uid, flags, modseq, then the plan's columns."""


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """How one FETCH is answered.

    `columns` are asked of the mailbox; `cutters` make sections of HEADER or CONTENT, which is
    then the last column. With `ends_whole` the last cutter is BODY[] itself, whose bytes go out
    without being copied into a line.
    """

    items: tuple[FetchItem, ...]
    cutters: tuple[SectionCutter, ...]
    columns: tuple[Column, ...]
    template: bytes
    ends_whole: bool

    @classmethod
    def of(cls, command: Fetch) -> FetchPlan:
        """The plan for a command; \\Seen, where it sets that, shows in FLAGS."""
        items = set(command.items)
        if command.sets_seen:
            items.add(FetchItem.FLAGS)
        ordered = tuple(item for item in _ORDER if item in items)
        cutters = [SectionCutter.of(section) for section in command.sections]
        # The whole message last, so that nothing needs to be written behind it but a bracket.
        cutters.sort(key=lambda cutter: cutter.is_whole)
        columns = [_COLUMNS[item] for item in ordered if item in _COLUMNS]
        if cutters:
            header_only = all(cutter.needs_header_only for cutter in cutters)
            columns.append(Column.HEADER if header_only else Column.CONTENT)
        wanted: list[FetchItem | BodySection] = [*ordered, *(c.wanted for c in cutters)]
        # RFC 8474 §5.2: THREADID is NIL where threads are not known.
        template = FetchLayout.of(wanted).template.replace(b"THREADID (%b)", b"THREADID NIL")
        ends_whole = bool(cutters) and cutters[-1].is_whole
        if ends_whole:
            template = template[: -len(b"%b)\r\n")] + b"{%d}\r\n"
        return cls(ordered, tuple(cutters), tuple(columns), template, ends_whole)

    @property
    def is_of_view(self) -> bool:
        """Whether the session's own view answers it."""
        return _FROM_VIEW.issuperset(self.items) and not self.cutters

    def write_view(self, view: View, tables: FlagTables, positions: Iterable[range]) -> bytes:
        """The lines for these positions from the view alone."""
        parts: list[bytes] = []
        for span in positions:
            uids = view.image.uids[span.start : span.stop]
            columns: list[Iterable[object]] = [range(span.start + 1, span.stop + 1)]
            for item in self.items:
                if item is FetchItem.UID:
                    columns.append(uids)
                else:
                    flags = view.image.flags[span.start : span.stop]
                    columns.append(show_flags(view, tables, uids, flags))
            parts.extend(map(self.template.__mod__, zip(*columns, strict=True)))
        return b"".join(parts)

    def write(
        self, view: View, tables: FlagTables, numbers: Sequence[int], rows: Rows
    ) -> Sequence[bytes]:
        """The lines for rows with these message numbers, as pieces to be joined."""
        if not rows:
            return ()
        values = list(zip(*rows, strict=True))
        columns: list[Iterable[object]] = [numbers]
        next_column = 3
        for item in self.items:
            if item is FetchItem.THREADID:
                continue
            if item in _COLUMNS:
                columns.append(_show(item, values[next_column]))
                next_column += 1
            elif item is FetchItem.FLAGS:
                columns.append(show_flags(view, tables, values[0], values[1]))
            else:
                columns.append(values[0] if item is FetchItem.UID else values[2])
        if self.cutters:
            columns.extend(self._cut_sections(values[-1]))
        if not self.ends_whole:
            return list(map(self.template.__mod__, zip(*columns, strict=True)))
        bodies = cast("Sequence[bytes]", columns[-1])
        columns[-1] = map(len, bodies)
        pieces = [b")\r\n"] * (3 * len(rows))
        pieces[0::3] = map(self.template.__mod__, zip(*columns, strict=True))
        pieces[1::3] = bodies
        return pieces

    def _cut_sections(self, sources: Sequence[bytes]) -> list[Sequence[bytes]]:
        if self.columns[-1] is Column.HEADER:
            return [list(map(cutter.cut_header, sources)) for cutter in self.cutters]
        found: list[Sequence[bytes]] = []
        parted = self.cutters[:-1] if self.ends_whole else self.cutters
        if parted:
            inside = any(cutter.wanted.part for cutter in parted)
            roots = [scan(source) if inside else None for source in sources]
            found = [list(map(cutter.cut, sources, roots)) for cutter in parted]
        if self.ends_whole:
            found.append(
                [
                    # RFC 3501 §9 `CHAR8`: a literal holds no NUL.
                    source if b"\0" not in source else source.replace(b"\0", b"\x80")
                    for source in sources
                ]
            )
        return found


def _show(item: FetchItem, values: Sequence[Any]) -> Iterable[object]:
    match item:
        case FetchItem.INTERNALDATE:
            return format_date_times([at_us // _US for at_us in values])
        case FetchItem.EMAILID:
            return [value.encode("ascii") for value in values]
        case _:
            return values
