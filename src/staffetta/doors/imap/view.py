"""A folder as one session's client knows it, and how it moves on.

The client counts messages; its numbers may only change when it is told (RFC 3501 §7.4.1). A
`View` is what it has been told: an immutable value. `advance` compares it with what has changed
in the mailbox and gives the next view and the news to tell. Messages that are gone but may not
be announced yet stay in the view, hidden in `gone`, so that the numbers agree.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import compress
from weakref import WeakValueDictionary

from staffetta.mailboxes.port import SEEN, Folder, Snapshot

# With more changed messages than this, a dictionary of positions is quicker than searches.
SEARCHES_MAX = 64

Row = tuple[int, int, int]
"""uid, flags, modseq."""


class ViewBroken(Exception):
    """The folder is not a later state of what the session knows: the client must reconnect."""


class Image:
    """UIDs and flags of a folder's messages, by position. Never changed once made, so sessions
    that know the same share one: 12 bytes a message."""

    __slots__ = ("__weakref__", "flags", "uids")

    def __init__(self, uids: array[int], flags: array[int]) -> None:
        self.uids = uids
        self.flags = flags

    @classmethod
    def of_rows(cls, rows: Sequence[Row]) -> Image:
        """The image of rows that are sorted by UID."""
        return cls(array("I", [row[0] for row in rows]), array("Q", [row[1] for row in rows]))

    def find(self, uid: int) -> int:
        """The position of that UID, or -1."""
        position = bisect_left(self.uids, uid)
        if position < len(self.uids) and self.uids[position] == uid:
            return position
        return -1


@dataclass(frozen=True, slots=True)
class View:
    """What the client has been told of the selected folder."""

    name: str
    folder_id: str
    uid_validity: int
    read_only: bool
    image: Image
    modseq: int
    keywords: tuple[str, ...]
    gone: frozenset[int] = frozenset()
    recent: tuple[tuple[int, int], ...] = ()  # RFC 3501 §2.3.2; inclusive ranges of UIDs
    uid_next: int = 1
    highest_modseq: int = 1  # of the folder; `modseq` is the mailbox's at the last look

    @property
    def count(self) -> int:
        """How many messages the client counts."""
        return len(self.image.uids)

    @property
    def uid_last(self) -> int:
        """The highest UID it counts; 0 in an empty folder."""
        return self.image.uids[-1] if self.image.uids else 0

    def at(self, modseq: int) -> View:
        """The same, known to be what the folder is at that modseq, that of its last change."""
        if modseq == self.modseq:
            return self
        return replace(self, modseq=modseq, highest_modseq=modseq)

    def spans(self, positions: Sequence[range]) -> list[tuple[int, int]]:
        """Inclusive ranges of the UIDs at these positions, as the mailbox takes them.

        Ranges may take in UIDs between that the view does not have: there are no such messages.
        """
        uids = self.image.uids
        return [(uids[span.start], uids[span.stop - 1]) for span in positions]

    def count_recent(self) -> int:
        """How many messages are \\Recent."""
        uids = self.image.uids
        return sum(
            bisect_left(uids, high + 1) - bisect_left(uids, low) for low, high in self.recent
        )

    def find_first_unseen(self) -> int:
        """The number of the first unseen message, 0 where there is none."""
        for number, flags in enumerate(self.image.flags, 1):
            if not flags & SEEN:
                return number
        return 0


@dataclass(slots=True)
class News:
    """What the client is to be told, in this order. Positions count from 0.

    `expunged` are positions before the removal; `count` and `recent` are None where they have
    not changed; the numbers of `updates` hold after the removal.
    """

    keywords: bool = False
    expunged: list[range] = field(default_factory=list)
    count: int | None = None
    recent: int | None = None
    updates: list[tuple[int, Row]] = field(default_factory=list)  # message number, row

    def __bool__(self) -> bool:
        return bool(self.keywords or self.expunged or self.updates or self.count is not None)


class ImageShelf:
    """Where sessions on the same folder find each other's images."""

    def __init__(self) -> None:
        self._images: WeakValueDictionary[tuple[int, str, int], Image] = WeakValueDictionary()

    def share(self, mailbox: int, view: View) -> View:
        """The view, with the image that others hold already where there is one."""
        if view.gone:
            return view  # others may know of what is hidden here
        key = (mailbox, view.folder_id, view.modseq)
        image = self._images.setdefault(key, view.image)
        if image is view.image or image.uids != view.image.uids or image.flags != view.image.flags:
            return view
        return replace(view, image=image)


def open_view(snapshot: Snapshot, read_only: bool) -> View:
    """The first view of a folder, from a whole snapshot."""
    folder = snapshot.folder
    return View(
        name=folder.name,
        folder_id=folder.folder_id,
        uid_validity=folder.uid_validity,
        read_only=read_only,
        image=Image.of_rows(snapshot.rows),
        modseq=snapshot.modseq,
        keywords=snapshot.keywords,
        recent=_add_recent((), snapshot.recent_from, folder.uid_next),
        uid_next=folder.uid_next,
        highest_modseq=folder.highest_modseq,
    )


def advance(
    view: View,
    snapshot: Snapshot,
    may_expunge: bool,
    tells_modseq: bool = False,
    told: Set[Row] = frozenset(),
) -> tuple[View, News]:
    """The next view and what to tell, from a snapshot of the changes since `view.modseq`.

    Without `tells_modseq`, a message whose flags are what the client knows is no news; with it,
    only those in `told` are not. Raises `ViewBroken` where the folder is not a later state.
    """
    _check_same(view, snapshot)
    news = News(keywords=snapshot.keywords != view.keywords)
    image, gone = view.image, view.gone
    if snapshot.vanished:
        known = [uid for uid in snapshot.vanished if image.find(uid) >= 0]
        gone = gone.union(known) if known else gone
    if gone and may_expunge:
        image, news.expunged = _remove(image, gone)
        gone = frozenset()
    recent = view.recent
    if snapshot.rows:
        uid_known = max(image.uids[-1] if image.uids else 0, view.uid_next - 1)
        split = bisect_left(snapshot.rows, (uid_known + 1,))
        changed, new = snapshot.rows[:split], snapshot.rows[split:]
        positions = _locate(image, changed)
        news.updates = [
            (position + 1, row)
            for position, row in zip(positions, changed, strict=True)
            if (row not in told if tells_modseq else row[1] != image.flags[position])
        ]
        image = _set_flags(image, positions, changed)
        if new:
            image = _append(image, new)
            news.count = len(image.uids)
        first_recent = max(snapshot.recent_from, view.uid_next)
        recent = _add_recent(recent, first_recent, snapshot.folder.uid_next)
    moved = replace(
        view,
        name=snapshot.folder.name,
        image=image,
        modseq=snapshot.modseq,
        keywords=snapshot.keywords,
        gone=gone,
        recent=recent,
        uid_next=snapshot.folder.uid_next,
        highest_modseq=snapshot.folder.highest_modseq,
    )
    if news.count is not None:
        news.recent = moved.count_recent()
    return moved, news


def _check_same(view: View, snapshot: Snapshot) -> None:
    folder: Folder = snapshot.folder
    if folder.folder_id != view.folder_id or folder.uid_validity != view.uid_validity:
        raise ViewBroken("the folder was deleted and made again")
    if snapshot.modseq < view.modseq or folder.uid_next < view.uid_next:
        raise ViewBroken("the folder went back to an earlier state")


def _remove(image: Image, gone: Iterable[int]) -> tuple[Image, list[range]]:
    positions = sorted(position for uid in gone if (position := image.find(uid)) >= 0)
    keep = bytearray(b"\1") * len(image.uids)
    for position in positions:
        keep[position] = 0
    uids = array("I", compress(image.uids, keep))
    flags = array("Q", compress(image.flags, keep))
    return Image(uids, flags), join_positions(positions)


def note_changes(view: View, rows: Sequence[Row]) -> View:
    """The view after changes that the client is told of, or need not be, in another way."""
    return replace(view, image=_set_flags(view.image, _locate(view.image, rows), rows))


def number_rows(view: View, rows: Sequence[Row]) -> Sequence[int]:
    """The message numbers of rows, which must all be in the view."""
    positions = _locate(view.image, rows)
    if isinstance(positions, range):
        return range(positions.start + 1, positions.stop + 1)
    return [position + 1 for position in positions]


def _locate(image: Image, rows: Sequence[Row]) -> Sequence[int]:
    """Where the rows, sorted by UID, are in the image. Raises `ViewBroken`."""
    uids = array("I", [row[0] for row in rows])
    start = image.find(uids[0]) if uids else 0
    if start >= 0 and image.uids[start : start + len(uids)] == uids:
        return range(start, start + len(uids))
    if len(uids) > SEARCHES_MAX:
        places = dict(zip(image.uids, range(len(image.uids)), strict=True))
        found = [places.get(uid, -1) for uid in uids]
    else:
        found = [image.find(uid) for uid in uids]
    if -1 in found:
        raise ViewBroken(f"message {uids[found.index(-1)]} came back")
    return found


def _set_flags(image: Image, positions: Sequence[int], rows: Sequence[Row]) -> Image:
    if not rows:
        return image
    flags = image.flags[:]
    if isinstance(positions, range):
        flags[positions.start : positions.stop] = array("Q", [row[1] for row in rows])
    else:
        for position, row in zip(positions, rows, strict=True):
            flags[position] = row[1]
    return Image(image.uids, flags)


def _append(image: Image, rows: Sequence[Row]) -> Image:
    new = Image.of_rows(rows)
    return Image(image.uids + new.uids, image.flags + new.flags)


def _add_recent(
    recent: tuple[tuple[int, int], ...], first: int, uid_next: int
) -> tuple[tuple[int, int], ...]:
    if first >= uid_next:
        return recent
    if recent and recent[-1][1] + 1 >= first:
        return (*recent[:-1], (recent[-1][0], uid_next - 1))
    return (*recent, (first, uid_next - 1))


def join_positions(positions: Sequence[int]) -> list[range]:
    """Ascending numbers as ranges."""
    joined: list[range] = []
    for position in positions:
        if joined and joined[-1].stop == position:
            joined[-1] = range(joined[-1].start, position + 1)
        else:
            joined.append(range(position, position + 1))
    return joined
