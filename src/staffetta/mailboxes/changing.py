"""What people do with messages: flags, copies, moves, expunging, putting messages in."""

from __future__ import annotations

from collections.abc import Sequence

from staffetta.mailboxes.counters import FolderRow, Writing
from staffetta.mailboxes.keys import APPENDED_ORDINAL
from staffetta.mailboxes.keywords import find_keywords, take_keywords
from staffetta.mailboxes.placing import (
    INSERT_ARRIVAL,
    INSERT_MESSAGE,
    NewContent,
    insert_contents,
    note_vanished,
    remove_contents,
)
from staffetta.mailboxes.port import (
    DELETED,
    SEEN,
    Appended,
    Change,
    Changed,
    Copy,
    Expunge,
    FlagChange,
    MailboxRef,
    OverQuota,
    SetFlags,
)

Ranges = Sequence[tuple[int, int]]

_IN_RANGE = "folder=? AND uid BETWEEN ? AND ?"
_NEW_FLAGS = {
    FlagChange.REPLACE: "?1",
    FlagChange.ADD: "flags|?1",
    FlagChange.REMOVE: "flags&~?1",
}


def change_messages(
    change: Writing, ref: MailboxRef, folder: str, uids: Ranges, wanted: Change
) -> Changed:
    """Carry out one change. Raises `NoSuchFolder`, `TooManyKeywords`, `OverQuota`."""
    source = change.folder(folder)
    match wanted:
        case SetFlags():
            return _set_flags(change, source, uids, wanted)
        case Copy(move=False):
            return _copy(change, ref, source, uids, wanted.target)
        case Copy():
            return _move(change, source, uids, wanted.target)
        case Expunge():
            return _expunge(change, source, uids, wanted.whatever_flags)


def _set_flags(change: Writing, folder: FolderRow, uids: Ranges, wanted: SetFlags) -> Changed:
    """RFC 3501 section 6.4.6, RFC 7162 section 3.1.3."""
    database = change.database
    if wanted.change is FlagChange.REMOVE:
        mask = wanted.flags | find_keywords(database, wanted.keywords)
    else:
        mask = wanted.flags | take_keywords(change, wanted.keywords)
    refused: list[int] = []
    condition = f"folder=?2 AND uid BETWEEN ?3 AND ?4 AND flags<>({_NEW_FLAGS[wanted.change]})"
    if wanted.unchanged_since is not None:
        condition += f" AND modseq<={wanted.unchanged_since:d}"
        for low, high in uids:
            refused += _uids(change, folder, low, high, f"modseq>{wanted.unchanged_since:d}")
    # What the counts will change by is summed before, in one pass that returns one row.
    new = _NEW_FLAGS[wanted.change]
    counting = (
        f"SELECT count(*),min(uid),max(uid),total((flags&{SEEN})-(({new})&{SEEN})),"
        f"total((({new})&{DELETED})-(flags&{DELETED})) FROM message WHERE {condition}"
    )
    setting = f"UPDATE message SET flags={new},modseq=?5 WHERE {condition}"
    modseq = change.modseq + 1
    rows: list[tuple[int, int, int]] = []
    for low, high in uids:
        values = (mask, folder.id, low, high)
        found = database.row(counting, values)
        assert found is not None
        count, first, last, unseen, deleted = found
        if not count:
            continue
        database.run(setting, (*values, modseq))
        folder.add(0, int(unseen) // SEEN, int(deleted) // DELETED, 0, 0)
        if change.modseq < modseq:
            folder.highest_modseq = change.take_modseqs(1)
        change.note(folder, first, last)
        rows += database.rows(
            f"SELECT uid,flags,modseq FROM message WHERE {_IN_RANGE} AND modseq=? ORDER BY uid",
            (folder.id, first, last, modseq),
        )
    return Changed(change.modseq, rows=rows, refused=refused)


def _copy(
    change: Writing, ref: MailboxRef, source: FolderRow, uids: Ranges, target_name: str
) -> Changed:
    target = change.folder(target_name)
    rows = _take_rows(change, source, uids)
    size_bytes = sum(row[6] for row in rows)
    if ref.quota_bytes and change.used_bytes + size_bytes > ref.quota_bytes:
        raise OverQuota(f"{size_bytes} bytes more than the quota of {ref.quota_bytes} allows")
    if not rows:
        return Changed(change.modseq, target_uid_validity=target.uid_validity)
    change.add_used(size_bytes)
    copied = _put_rows(change, target, rows, change.take_modseqs(1))
    change.database.many(
        "INSERT INTO shared VALUES(?,2) ON CONFLICT DO UPDATE SET messages=messages+1",
        [(row[1],) for row in rows],
    )
    return Changed(change.modseq, copied=copied, target_uid_validity=target.uid_validity)


def _move(change: Writing, source: FolderRow, uids: Ranges, target_name: str) -> Changed:
    """RFC 6851; a message that is moved within its folder gets a new UID."""
    target = change.folder(target_name)
    rows = _take_rows(change, source, uids)
    if not rows:
        return Changed(change.modseq, target_uid_validity=target.uid_validity)
    modseq = change.take_modseqs(1)
    gone = [row[0] for row in rows]
    _delete_rows(change, source, rows, modseq)
    copied = _put_rows(change, target, rows, modseq)
    return Changed(modseq, vanished=gone, copied=copied, target_uid_validity=target.uid_validity)


def _expunge(change: Writing, folder: FolderRow, uids: Ranges, whatever_flags: bool) -> Changed:
    """RFC 3501 section 6.4.3, RFC 4315 section 2.1."""
    condition = "1" if whatever_flags else f"flags&{DELETED}"
    rows = _take_rows(change, folder, uids, condition)
    if not rows:
        return Changed(change.modseq)
    modseq = change.take_modseqs(1)
    _delete_rows(change, folder, rows, modseq)
    remove_contents(change.database, [row[1] for row in rows])
    change.add_used(-sum(row[6] for row in rows))
    return Changed(modseq, vanished=[row[0] for row in rows])


def append(
    change: Writing,
    ref: MailboxRef,
    folder: str,
    new: NewContent,
    flags: int,
    keywords: Sequence[str],
    at_us: int,
) -> Appended:
    """Put one message in. Raises `NoSuchFolder`, `OverQuota`, `TooManyKeywords`."""
    target = change.folder(folder)
    size_bytes = len(new.content)
    if ref.quota_bytes and change.used_bytes + size_bytes > ref.quota_bytes:
        raise OverQuota(f"{size_bytes} bytes more than the quota of {ref.quota_bytes} allows")
    flags |= take_keywords(change, keywords)
    modseq = change.take_modseqs(1)
    content = change.take_contents(1)
    change.add_used(size_bytes)
    insert_contents(change.database, content, [new])
    row = (0, content, flags, modseq, at_us, new.sent_day, size_bytes)
    ((_, uid),) = _put_rows(change, target, [row], modseq)
    change.database.run(
        INSERT_ARRIVAL, (new.receipt, APPENDED_ORDINAL, target.id, uid, content, modseq)
    )
    return Appended(target.uid_validity, uid, modseq)


# uid, content, flags, modseq, at_us, sent_day, size_bytes
_Row = tuple[int, int, int, int, int, int | None, int]


def _take_rows(
    change: Writing, folder: FolderRow, uids: Ranges, condition: str = "1"
) -> list[_Row]:
    sql = (
        "SELECT uid,content,flags,modseq,at_us,sent_day,size_bytes FROM message "
        f"WHERE {_IN_RANGE} AND {condition} ORDER BY uid"
    )
    rows: list[_Row] = []
    for low, high in uids:
        rows += change.database.rows(sql, (folder.id, low, high))
    return rows


def _uids(change: Writing, folder: FolderRow, low: int, high: int, condition: str) -> list[int]:
    sql = f"SELECT uid FROM message WHERE {_IN_RANGE} AND {condition} ORDER BY uid"
    return [row[0] for row in change.database.rows(sql, (folder.id, low, high))]


def _put_rows(
    change: Writing, target: FolderRow, rows: Sequence[_Row], modseq: int
) -> list[tuple[int, int]]:
    """Put messages whose contents are stored into a folder; returns (old uid, new uid)."""
    first = target.uid_next
    target.uid_next += len(rows)
    messages = []
    for uid, (_, content, flags, _, at_us, sent_day, size_bytes) in enumerate(rows, first):
        messages.append((target.id, uid, content, flags, modseq, at_us, sent_day, size_bytes))
        target.add_one(uid, flags, size_bytes)
    change.database.many(INSERT_MESSAGE, messages)
    target.highest_modseq = modseq
    return [(row[0], uid) for uid, row in enumerate(rows, first)]


def _delete_rows(change: Writing, folder: FolderRow, rows: Sequence[_Row], modseq: int) -> None:
    """Take messages out of a folder; their contents stay."""
    change.database.many(
        "DELETE FROM message WHERE folder=? AND uid=?", [(folder.id, row[0]) for row in rows]
    )
    for uid, _, flags, _, _, _, size_bytes in rows:
        folder.add(
            -1,
            -(not flags & SEEN),
            -bool(flags & DELETED),
            -(uid >= folder.recent_from),
            -size_bytes,
        )
    note_vanished(change, folder, [row[0] for row in rows], modseq)
