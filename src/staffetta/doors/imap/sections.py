"""Stretches of a message as FETCH hands them out: whole, parts, headers, slices."""

from __future__ import annotations

from dataclasses import dataclass

from staffetta.formats.headers import FieldSelection, find_body, prepare_selection
from staffetta.formats.imapdata import Specifier, section
from staffetta.formats.mime import Part
from staffetta.protocols.imap.attributes import BodySection, SectionText
from staffetta.protocols.imap.quoting import format_literal

_SPECIFIERS: dict[SectionText, Specifier] = {
    SectionText.ALL: "",
    SectionText.HEADER: "HEADER",
    SectionText.HEADER_FIELDS: "HEADER.FIELDS",
    SectionText.HEADER_FIELDS_NOT: "HEADER.FIELDS.NOT",
    SectionText.TEXT: "TEXT",
    SectionText.MIME: "MIME",
}
_OF_HEADER = (SectionText.HEADER, SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT)
_SELECTING = (SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT)


@dataclass(frozen=True, slots=True)
class SectionCutter:
    """One section, prepared once for all messages of a FETCH."""

    wanted: BodySection
    _selection: FieldSelection | None

    @classmethod
    def of(cls, wanted: BodySection) -> SectionCutter:
        """The cutter for that section."""
        selection = None
        if wanted.text in _SELECTING:
            inverted = wanted.text is SectionText.HEADER_FIELDS_NOT
            selection = prepare_selection(wanted.fields, inverted=inverted)
        return cls(wanted, selection)

    @property
    def needs_header_only(self) -> bool:
        """Whether the message's header block is all that is read."""
        return not self.wanted.part and self.wanted.text in _OF_HEADER

    @property
    def is_whole(self) -> bool:
        """Whether it is the message as it is."""
        wanted = self.wanted
        return not wanted.part and wanted.text is SectionText.ALL and wanted.partial is None

    def cut_header(self, header: bytes) -> bytes:
        """The section as it goes on the wire, from the header block alone."""
        found = header if self._selection is None else self._selection.select(header)
        if self.wanted.partial is None:
            return format_literal(found)
        return self._write(found, 0, len(found))

    def cut(self, data: bytes, root: Part | None) -> bytes:
        """The section as it goes on the wire; NIL where the message has no such part.

        `root` is needed for parts only.
        """
        if root is None:
            found = self._cut_top(data)
        else:
            specifier = _SPECIFIERS[self.wanted.text]
            found = section(data, root, self.wanted.part, specifier, self._selection)
        match found:
            case None:
                return b"NIL"
            case bytes():
                return self._write(found, 0, len(found))
            case start, end:
                return self._write(data, start, end)

    def _cut_top(self, data: bytes) -> bytes | tuple[int, int] | None:
        body = find_body(data, 0, len(data))
        match self.wanted.text:
            case SectionText.ALL:
                return 0, len(data)
            case SectionText.TEXT:
                return body, len(data)
            case SectionText.HEADER:
                return 0, body
            case SectionText.MIME:
                return None
            case _:
                assert self._selection is not None
                return self._selection.select(data[:body])

    def _write(self, data: bytes, start: int, end: int) -> bytes:
        if self.wanted.partial is not None:
            first, count = self.wanted.partial
            start = min(start + first, end)
            end = min(start + count, end)
        return format_literal(data[start:end])
