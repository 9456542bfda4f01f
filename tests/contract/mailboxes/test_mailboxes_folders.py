"""Making, deleting, renaming and subscribing to folders."""

from __future__ import annotations

import pytest

from staffetta.mailboxes.port import (
    INBOX,
    Arrange,
    Cell,
    Expunge,
    Folder,
    FolderExists,
    FolderRefused,
    Mailbox,
    NoSuchFolder,
)
from tests.mailbox_rig import (
    EVERYTHING,
    NOON_US,
    REF,
    contents,
    deliver,
    delivery,
    fill,
    flags,
    folder_names,
    mail,
)


def find(mailbox: Mailbox, name: str) -> Folder:
    (found,) = (folder for folder in mailbox.overview().folders if folder.name == name)
    return found


def create(mailbox: Mailbox, name: str) -> Folder:
    mailbox.arrange(Arrange("create", name))
    return find(mailbox, name.removesuffix("/"))


def test_a_folder_is_made_with_those_around_it(mailbox: Mailbox) -> None:
    create(mailbox, "Clienti/Rossi/2023/")

    assert {"Clienti", "Clienti/Rossi", "Clienti/Rossi/2023"} < set(folder_names(mailbox))


def test_each_new_folder_has_a_higher_uid_validity_and_an_id_of_its_own(mailbox: Mailbox) -> None:
    made = [create(mailbox, name) for name in ("a", "b")]
    mailbox.arrange(Arrange("delete", "a"))
    mailbox.arrange(Arrange("delete", "b"))
    made += [create(mailbox, name) for name in ("b", "a")]

    validities = [folder.uid_validity for folder in made]
    assert validities == sorted(set(validities))
    assert validities[0] > REF.uid_validity
    assert len({folder.folder_id for folder in made}) == 4


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a//b",
        "/a",
        "a\x00b",
        "a\nb",
        "100%",
        "a*",
        "\udcff",
        "x" * 1025,
        "é" * 600,
        "/".join("abcdefgh" * 5),
    ],
)
def test_bad_names_are_refused(mailbox: Mailbox, name: str) -> None:
    with pytest.raises(FolderRefused):
        mailbox.arrange(Arrange("create", name))
    with pytest.raises(FolderRefused):
        mailbox.arrange(Arrange("rename", "Archive", name))


def test_names_are_kept_in_composed_form(mailbox: Mailbox) -> None:
    create(mailbox, "Caffe\u0301".replace("e\u0301", "\u00e9"))

    mailbox.append("Caffe\u0301", mail(), 0, (), NOON_US)

    assert "Caff\u00e9" in folder_names(mailbox)
    with pytest.raises(FolderExists):
        mailbox.arrange(Arrange("create", "Caffe\u0301"))


def test_what_exists_is_not_made_again(mailbox: Mailbox) -> None:
    for name in (INBOX, "inbox", "Sent"):
        with pytest.raises(FolderExists):
            mailbox.arrange(Arrange("create", name))


def test_a_folder_below_inbox_may_be_written_in_any_case(mailbox: Mailbox) -> None:
    mailbox.arrange(Arrange("create", "inbox/News"))

    assert "INBOX/News" in folder_names(mailbox)


def test_a_folder_is_made_for_a_special_use(mailbox: Mailbox) -> None:
    mailbox.arrange(Arrange("create", "Old", special_use=r"\Archive"))

    assert find(mailbox, "Old").special_use == r"\Archive"
    with pytest.raises(FolderRefused):
        mailbox.arrange(Arrange("create", "Odd", special_use=r"\Odd"))


@pytest.mark.parametrize("name", [INBOX, "inbox", "Sent", "Trash", "Drafts", "Junk", "Archive"])
def test_inbox_and_special_folders_are_not_deleted(mailbox: Mailbox, name: str) -> None:
    with pytest.raises(FolderRefused):
        mailbox.arrange(Arrange("delete", name))


def test_a_deleted_folder_takes_its_messages_along(cell: Cell, mailbox: Mailbox) -> None:
    create(mailbox, "Old")
    mailbox.append("Old", mail("gone"), 0, (), NOON_US)
    deliver(cell, [delivery(1, folder="Old")])

    mailbox.arrange(Arrange("delete", "Old"))

    assert "Old" not in folder_names(mailbox)
    assert mailbox.overview().used_bytes == 0
    with pytest.raises(NoSuchFolder):
        mailbox.arrange(Arrange("delete", "Old"))
    create(mailbox, "Old")
    assert flags(mailbox, "Old") == {}
    (again,) = deliver(cell, [delivery(1, folder="Old")])
    assert not again.fresh  # type: ignore[union-attr]


def test_a_deleted_folder_with_others_inside_stays_as_their_place(mailbox: Mailbox) -> None:
    create(mailbox, "a/b")
    before = find(mailbox, "a").uid_validity
    mailbox.append("a", mail(), 0, (), NOON_US)

    mailbox.arrange(Arrange("delete", "a"))

    assert not find(mailbox, "a").selectable
    with pytest.raises(NoSuchFolder):
        mailbox.snapshot("a")
    with pytest.raises(FolderRefused):
        mailbox.arrange(Arrange("delete", "a"))
    assert mailbox.overview().used_bytes == 0

    mailbox.arrange(Arrange("create", "a"))
    assert find(mailbox, "a").uid_validity > before
    assert mailbox.append("a", mail(), 0, (), NOON_US).uid == 1


def test_the_place_goes_once_nothing_lies_in_it(mailbox: Mailbox) -> None:
    create(mailbox, "a/b")
    mailbox.arrange(Arrange("delete", "a"))
    mailbox.arrange(Arrange("delete", "a/b"))

    mailbox.arrange(Arrange("delete", "a"))

    assert "a" not in folder_names(mailbox)


def test_renaming_takes_along_what_lies_inside(mailbox: Mailbox) -> None:
    before = create(mailbox, "a/b/c")
    create(mailbox, "ab")
    mailbox.append("a/b/c", mail("kept"), 0, (), NOON_US)
    mailbox.arrange(Arrange("subscribe", "a/b/c"))

    mailbox.arrange(Arrange("rename", "a", "x/y"))

    assert {"x", "x/y", "x/y/b", "x/y/b/c", "ab"} < set(folder_names(mailbox))
    assert not {"a", "a/b", "a/b/c"} & set(folder_names(mailbox))
    after = find(mailbox, "x/y/b/c")
    assert (after.folder_id, after.uid_validity) == (before.folder_id, before.uid_validity)
    assert after.subscribed
    assert contents(mailbox, "x/y/b/c") == {1: mail("kept")}


def test_a_folder_cannot_lie_inside_itself_or_replace_another(mailbox: Mailbox) -> None:
    create(mailbox, "a")
    create(mailbox, "b")

    with pytest.raises(FolderRefused):
        mailbox.arrange(Arrange("rename", "a", "a/b"))
    with pytest.raises(FolderExists):
        mailbox.arrange(Arrange("rename", "a", "b"))
    with pytest.raises(FolderExists):
        mailbox.arrange(Arrange("rename", "a", "a"))
    with pytest.raises(NoSuchFolder):
        mailbox.arrange(Arrange("rename", "c", "d"))


def test_a_rename_that_makes_a_name_too_long_is_refused_whole(mailbox: Mailbox) -> None:
    create(mailbox, "a/" + "x" * 900)

    with pytest.raises(FolderRefused):
        mailbox.arrange(Arrange("rename", "a", "y" * 200))

    assert "a" in folder_names(mailbox)


def test_a_name_never_gets_a_lower_uid_validity(mailbox: Mailbox) -> None:
    create(mailbox, "first")
    later = create(mailbox, "second").uid_validity
    mailbox.arrange(Arrange("delete", "second"))

    mailbox.arrange(Arrange("rename", "first", "second"))
    mailbox.arrange(Arrange("rename", "Sent", "Inviata"))
    mailbox.arrange(Arrange("rename", "Junk", "Sent"))

    assert find(mailbox, "second").uid_validity > later
    assert find(mailbox, "Sent").uid_validity > REF.uid_validity


def test_renaming_inbox_moves_its_messages(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail("one"), mail("two"), mail("three")])
    mailbox.arrange(Arrange("create", "INBOX/inside"))
    mailbox.change(INBOX, [(2, 2)], Expunge(whatever_flags=True))
    seen = mailbox.snapshot(INBOX)

    mailbox.arrange(Arrange("rename", INBOX, "Old/Mail"))

    assert contents(mailbox, "Old/Mail") == {1: mail("one"), 3: mail("three")}
    news = mailbox.snapshot(INBOX, seen.modseq)
    assert (news.rows, news.vanished) == ([], [1, 3])
    assert (news.folder.uid_next, news.folder.uid_validity) == (4, REF.uid_validity)
    assert find(mailbox, "Old/Mail").uid_validity > REF.uid_validity
    assert "INBOX/inside" in folder_names(mailbox)
    assert mailbox.append("Old/Mail", mail(), 0, (), NOON_US).uid == 4


def test_folders_are_subscribed_to_and_not(mailbox: Mailbox) -> None:
    assert not create(mailbox, "a").subscribed

    mailbox.arrange(Arrange("subscribe", "a"))
    assert find(mailbox, "a").subscribed
    mailbox.arrange(Arrange("unsubscribe", "a"))
    assert not find(mailbox, "a").subscribed
    with pytest.raises(NoSuchFolder):
        mailbox.arrange(Arrange("subscribe", "nowhere"))


def test_nothing_is_read_from_what_was_a_folder_of_that_name(cell: Cell, mailbox: Mailbox) -> None:
    create(mailbox, "a")
    mailbox.append("a", mail("old"), 0, (), NOON_US)
    seen = mailbox.snapshot("a")
    mailbox.arrange(Arrange("delete", "a"))
    create(mailbox, "a")

    news = mailbox.snapshot("a", seen.modseq)

    assert news.folder.uid_validity > seen.folder.uid_validity
    assert (news.rows, news.vanished) == ([], [])
    assert mailbox.change("a", EVERYTHING, Expunge(whatever_flags=True)).vanished == []
