"""The client's numbers change only when it is told, and then agree with the folder's."""

from __future__ import annotations

import itertools
from array import array
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staffetta.doors.imap.view import (
    SEARCHES_MAX,
    Image,
    ImageShelf,
    View,
    ViewBroken,
    advance,
    join_positions,
    note_changes,
    open_view,
)
from staffetta.mailboxes.port import FLAGGED, SEEN, Folder, Snapshot

Row = tuple[int, int, int]


def snapshot(
    rows: list[Row],
    modseq: int,
    vanished: tuple[int, ...] = (),
    uid_next: int = 100,
    recent_from: int = 100,
    keywords: tuple[str, ...] = (),
) -> Snapshot:
    folder = Folder(
        "INBOX", "f1", "", True, 7, uid_next, modseq, len(rows), 0, 0, 0, 0
    )  # fmt: skip
    return Snapshot(folder, rows, list(vanished), keywords, modseq, recent_from)


def view_of(*uids: int, modseq: int = 10, uid_next: int = 100) -> View:
    return open_view(snapshot([(uid, 0, modseq) for uid in uids], modseq, uid_next=uid_next), False)


def test_a_first_view_counts_what_is_there() -> None:
    view = open_view(snapshot([(2, SEEN, 5), (9, 0, 6)], 6, uid_next=10, recent_from=9), False)
    assert view.count == 2
    assert view.uid_last == 9
    assert view.find_first_unseen() == 2
    assert view.count_recent() == 1
    assert view.recent == ((9, 9),)


def test_new_messages_are_counted_and_not_told_as_changes() -> None:
    view, news = advance(
        view_of(1, 2, uid_next=3), snapshot([(3, 0, 11)], 11, uid_next=4, recent_from=3), True
    )
    assert news.count == 3
    assert news.recent == 1
    assert news.updates == []
    assert list(view.image.uids) == [1, 2, 3]


def test_expunged_messages_are_hidden_until_they_may_be_told() -> None:
    before = view_of(1, 2, 3)
    hidden, news = advance(before, snapshot([], 11, vanished=(2,)), may_expunge=False)
    assert not news
    assert hidden.count == 3
    told, news = advance(hidden, snapshot([], 11), may_expunge=True)
    assert news.expunged == [range(1, 2)]
    assert news.count is None  # EXPUNGE says that there is one less
    assert list(told.image.uids) == [1, 3]


def test_numbers_of_changes_hold_after_the_removal() -> None:
    view, news = advance(view_of(1, 2, 3), snapshot([(3, SEEN, 12)], 12, vanished=(1,)), True)
    assert news.expunged == [range(1)]
    assert news.updates == [(2, (3, SEEN, 12))]
    assert view.image.flags[1] == SEEN


def test_removal_and_arrival_together_are_both_told() -> None:
    view, news = advance(
        view_of(1, 2, uid_next=3), snapshot([(3, 0, 12)], 12, vanished=(1,), uid_next=4), True
    )
    assert news.expunged == [range(1)]
    assert news.count == 2
    assert list(view.image.uids) == [2, 3]


def test_what_came_and_went_between_looks_was_never_there() -> None:
    view, news = advance(
        view_of(1, uid_next=2), snapshot([], 13, vanished=(2,), uid_next=3), may_expunge=True
    )
    assert not news
    assert view.uid_next == 3


def test_a_change_the_client_knows_is_no_news_but_its_modseq_is() -> None:
    before = note_changes(view_of(1, 2), [(1, SEEN, 11)])
    change = snapshot([(1, SEEN, 11)], 11)
    assert not advance(before, change, True)[1]
    assert advance(before, change, True, tells_modseq=True)[1].updates == [(1, (1, SEEN, 11))]
    told = frozenset({(1, SEEN, 11)})
    assert not advance(before, change, True, tells_modseq=True, told=told)[1]


def test_keywords_are_news() -> None:
    _, news = advance(view_of(1), snapshot([], 10, keywords=("$Junk",)), True)
    assert news.keywords


@pytest.mark.parametrize(
    "later",
    [
        snapshot([], 9),
        snapshot([], 11, uid_next=50),
        replace(snapshot([], 11), folder=replace(snapshot([], 11).folder, folder_id="f2")),
        replace(snapshot([], 11), folder=replace(snapshot([], 11).folder, uid_validity=8)),
        snapshot([(50, 0, 11)], 11),
    ],
    ids=["older", "fewer uids", "another folder", "other uids", "came back"],
)
def test_what_is_no_later_state_breaks_the_view(later: Snapshot) -> None:
    with pytest.raises(ViewBroken):
        advance(view_of(1), later, True)


def test_many_changes_are_found_as_few_are() -> None:
    uids = range(1, 4 * SEARCHES_MAX)
    before = open_view(snapshot([(uid, 0, 1) for uid in uids], 1, uid_next=9999), False)
    rows = [(uid, FLAGGED, 2) for uid in uids]
    many, _ = advance(before, snapshot(rows, 2, uid_next=9999), True)
    few = before
    for start in range(0, len(rows), 10):
        few, _ = advance(few, snapshot(rows[start : start + 10], 2, uid_next=9999), True)
    assert many.image.flags == few.image.flags == array("Q", [FLAGGED] * len(rows))


def test_images_are_shared_only_between_equal_views() -> None:
    shelf = ImageShelf()
    first, second = view_of(1, 2), view_of(1, 2)
    assert first.image is not second.image
    first = shelf.share(7, first)
    assert shelf.share(7, second).image is first.image
    assert shelf.share(8, second).image is second.image
    other = note_changes(view_of(1, 2), [(1, SEEN, 10)])
    assert shelf.share(7, other).image is other.image


def test_an_image_is_never_changed() -> None:
    before = view_of(1, 2, uid_next=3)
    uids, flags = before.image.uids[:], before.image.flags[:]
    advance(before, snapshot([(2, SEEN, 11), (3, 0, 11)], 11, vanished=(1,)), True)
    assert (before.image.uids, before.image.flags) == (uids, flags)


@given(st.lists(st.integers(0, 60), unique=True).map(sorted))
def test_joined_positions_are_the_same_positions(positions: list[int]) -> None:
    joined = join_positions(positions)
    assert [position for span in joined for position in span] == positions
    assert all(one.stop < other.start for one, other in itertools.pairwise(joined))


def test_an_image_finds_only_what_it_has() -> None:
    image = Image.of_rows([(3, 0, 1), (5, 0, 1)])
    assert [image.find(uid) for uid in (2, 3, 4, 5, 6)] == [-1, 0, -1, 1, -1]
