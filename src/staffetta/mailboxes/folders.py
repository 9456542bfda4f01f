"""Folders: making, deleting, renaming and subscribing (RFC 3501 section 6.3)."""

from __future__ import annotations

from dataclasses import replace

from staffetta.mailboxes.counters import FolderRow, Writing, list_folders, look_up_folder
from staffetta.mailboxes.names import (
    SPECIAL_USES,
    canonical_name,
    clean_name,
    inferiors,
    moved_name,
    superiors,
)
from staffetta.mailboxes.placing import note_vanished, remove_contents
from staffetta.mailboxes.port import (
    FOLDERS_MAX,
    INBOX,
    SEPARATOR,
    Arrange,
    FolderExists,
    FolderRefused,
    NoSuchFolder,
)
from staffetta.mailboxes.schema import INITIAL_FOLDERS

_INSERT = "INSERT INTO folder VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"


def arrange(change: Writing, wanted: Arrange) -> None:
    """Carry out one change to the folders. Raises `NoSuchFolder`, `FolderExists`,
    `FolderRefused`."""
    match wanted.verb:
        case "create":
            _create(change, wanted.name, wanted.special_use)
        case "delete":
            _delete(change, wanted.name)
        case "rename":
            _rename(change, wanted.name, wanted.new_name)
        case "subscribe" | "unsubscribe":
            _subscribe(change, wanted.name, wanted.verb == "subscribe")
        case verb:
            raise AssertionError(f"no such change to folders: {verb}")
    change.is_changed = True


def _create(change: Writing, name: str, special_use: str) -> None:
    """RFC 3501 section 6.3.3, RFC 6154 section 3."""
    if special_use and special_use not in SPECIAL_USES:
        raise FolderRefused(f"there is no special use {special_use}")
    name = clean_name(name)
    found = look_up_folder(change.database, name)
    if found is not None and found.selectable:
        raise FolderExists(name)
    _make_superiors(change, name)
    if found is not None:
        _revive(change, found, special_use)
    else:
        _insert(change, name, special_use)


def _make_superiors(change: Writing, name: str) -> None:
    for superior in superiors(name):
        if look_up_folder(change.database, superior) is None:
            _insert(change, superior, "")


def _insert(change: Writing, name: str, special_use: str) -> FolderRow:
    count = change.database.row("SELECT count(*) FROM folder")
    assert count is not None
    if count[0] >= FOLDERS_MAX:
        raise FolderRefused(f"a mailbox has at most {FOLDERS_MAX} folders")
    uid_validity = change.take_uid_validity()
    # UIDVALIDITYs are never given twice, so an id made of one is not either.
    id_ = INITIAL_FOLDERS + uid_validity - change.uid_validity
    modseq = change.take_modseqs(1)
    folder = FolderRow(
        id_, name, f"F{id_}", special_use, 0, 1, uid_validity, 1, 1, modseq, 0, 0, 0, 0, 0
    )
    change.database.run(
        _INSERT,
        (id_, name, folder.token, special_use, 0, 1, uid_validity, 1, 1, modseq, 0, 0, 0, 0, 0),
    )
    return change.adopt(folder)


def _revive(change: Writing, folder: FolderRow, special_use: str) -> None:
    """Make a folder that only held others a folder again: with a UIDVALIDITY of its own."""
    change.database.run(
        "UPDATE folder SET selectable=1,special_use=?,uid_validity=?,uid_next=1,recent_from=1 "
        "WHERE id=?",
        (special_use, change.take_uid_validity(), folder.id),
    )
    folder.uid_next = folder.recent_from = 1
    folder.highest_modseq = change.take_modseqs(1)
    change.database.run("DELETE FROM vanished WHERE folder=?", (folder.id,))
    change.adopt(folder)


def _delete(change: Writing, name: str) -> None:
    """RFC 3501 section 6.3.4: with folders inside, its name stays and it cannot be selected."""
    folder = look_up_folder(change.database, name)
    if folder is None:
        raise NoSuchFolder(name)
    if folder.name == INBOX:
        raise FolderRefused("INBOX cannot be deleted")
    if folder.special_use:
        raise FolderRefused(f"{folder.name} is the folder for {folder.special_use[1:]}")
    inside = inferiors(folder.name, (other.name for other in list_folders(change.database)))
    if inside and not folder.selectable:
        raise FolderRefused("it has folders inside")
    _remove_messages(change, folder)
    _retire(change, folder)
    if inside:
        change.adopt(folder)
        change.database.run("UPDATE folder SET selectable=0,subscribed=0 WHERE id=?", (folder.id,))
    else:
        change.database.run("DELETE FROM folder WHERE id=?", (folder.id,))
        change.database.run("DELETE FROM vanished WHERE folder=?", (folder.id,))


def _remove_messages(change: Writing, folder: FolderRow) -> None:
    rows = change.database.rows("SELECT content FROM message WHERE folder=?", (folder.id,))
    change.database.run("DELETE FROM message WHERE folder=?", (folder.id,))
    remove_contents(change.database, [row[0] for row in rows])
    change.add_used(-folder.size_bytes)
    change.take_modseqs(1)
    folder.messages = folder.unseen = folder.deleted = folder.recent = folder.size_bytes = 0


def _retire(change: Writing, folder: FolderRow) -> None:
    """The folder gives up its name: whoever has it next must not be taken for it."""
    change.database.run(
        "INSERT INTO retired VALUES(?1,?2) "
        "ON CONFLICT DO UPDATE SET uid_validity=max(uid_validity,?2)",
        (folder.name, folder.uid_validity),
    )


def _rename(change: Writing, name: str, new_name: str) -> None:
    """RFC 3501 section 6.3.5: what lies inside goes along."""
    folder = look_up_folder(change.database, name)
    if folder is None:
        raise NoSuchFolder(name)
    new_name = clean_name(new_name)
    if look_up_folder(change.database, new_name) is not None:
        raise FolderExists(new_name)
    if new_name.startswith(folder.name + SEPARATOR):
        raise FolderRefused("a folder cannot lie inside itself")
    if folder.name == INBOX:
        _make_superiors(change, new_name)
        _empty_inbox(change, folder, new_name)
        return
    names = inferiors(folder.name, (other.name for other in list_folders(change.database)))
    for old in [folder.name, *names]:
        clean_name(moved_name(old, folder.name, new_name))  # it may be too long now
    _make_superiors(change, new_name)
    for old in [folder.name, *names]:
        _give_name(change, old, moved_name(old, folder.name, new_name))


def _give_name(change: Writing, old: str, new: str) -> None:
    folder = look_up_folder(change.database, old)
    assert folder is not None
    _retire(change, folder)
    before = change.database.row("SELECT uid_validity FROM retired WHERE name=?", (new,))
    uid_validity = folder.uid_validity
    if before is not None and before[0] >= uid_validity:
        # RFC 3501 section 2.3.1.1: a name's UIDVALIDITY never goes back.
        uid_validity = change.take_uid_validity()
    change.database.run(
        "UPDATE folder SET name=?,uid_validity=? WHERE id=?", (new, uid_validity, folder.id)
    )


def _empty_inbox(change: Writing, inbox: FolderRow, new_name: str) -> None:
    """RFC 3501 section 6.3.5: renaming INBOX moves its messages and leaves it empty."""
    database = change.database
    inbox = change.adopt(inbox)
    target = _insert(change, new_name, "")
    uids = [
        row[0]
        for row in database.rows("SELECT uid FROM message WHERE folder=? ORDER BY uid", (inbox.id,))
    ]
    if not uids:
        return
    modseq = change.take_modseqs(1)
    database.run(
        "UPDATE message SET folder=?,modseq=? WHERE folder=?", (target.id, modseq, inbox.id)
    )
    note_vanished(change, inbox, uids, modseq)
    counts = replace(inbox)
    target.add(counts.messages, counts.unseen, counts.deleted, counts.recent, counts.size_bytes)
    target.uid_next, target.recent_from = inbox.uid_next, inbox.recent_from
    target.highest_modseq = modseq
    inbox.add(-counts.messages, -counts.unseen, -counts.deleted, -counts.recent, -counts.size_bytes)


def _subscribe(change: Writing, name: str, subscribed: bool) -> None:
    """RFC 3501 sections 6.3.6 and 6.3.7."""
    changed = change.database.run(
        "UPDATE folder SET subscribed=? WHERE name=?", (int(subscribed), canonical_name(name))
    )
    if not changed:
        raise NoSuchFolder(name)
