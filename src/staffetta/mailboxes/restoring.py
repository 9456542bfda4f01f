"""Filling a new mailbox file with what is known of an old one."""

from __future__ import annotations

from staffetta.mailboxes.counters import CHANGES_KEPT
from staffetta.mailboxes.placing import (
    INSERT_ARRIVAL,
    INSERT_MESSAGE,
    NewContent,
    insert_contents,
    make_ready,
)
from staffetta.mailboxes.port import INBOX, SYSTEM_FLAGS, Delivery
from staffetta.mailboxes.salvaging import Row, Salvage
from staffetta.mailboxes.schema import INITIAL_FOLDERS
from staffetta.runtime.disk import Database

UID_GAP = 100_000
"""Where it is not known which UIDs a folder has given: skipped above those that are."""

MODSEQ_GAP = 1_000_000
UID_VALIDITY_GAP = 1_000
RECOVERED = "Recovered"
"""The folder for messages whose own folder is not known any more."""


class Restoring:
    """A new file on its way. All methods are called within a transaction of `database`.

    `wanted` are the contents that the known messages need, `known_contents` those that the old
    file has, readable or not; `add_content` and `replay` bring them in, `finish` settles
    accounts.
    """

    def __init__(self, database: Database, salvage: Salvage) -> None:
        self.database = database
        self._broken = salvage.broken
        self.known_contents = set(salvage.contents)
        self._known_folders = {row[0] for row in salvage.folders}
        self._present: set[int] = set()
        self._keys: dict[tuple[bytes, int], int] = {}
        self._arrivals = {row[:2]: row for row in salvage.arrivals}
        with database.transaction():
            self._restore_tables(salvage)
        self.wanted = {row[0] for row in database.rows("SELECT DISTINCT content FROM message")}
        self._content_next = 1 + max(
            [*self.wanted, *(row[4] for row in salvage.arrivals)], default=0
        )

    def add_content(self, row: Row) -> None:
        """A content of the old file, under its old id."""
        id_, receipt, ordinal, checksum, envelope, bodystructure, header, text = row
        if id_ in self._present:
            return
        self.database.run(
            "INSERT INTO content VALUES(?,?,?,?,?,?)",
            (id_, receipt, ordinal, checksum, envelope, bodystructure),
        )
        self.database.run("INSERT INTO body VALUES(?,?,?)", (id_, header, text))
        self._present.add(id_)
        self._keys[receipt, ordinal] = id_
        self._content_next = max(self._content_next, id_ + 1)

    def replay(self, delivery: Delivery) -> bool:
        """A message that the log has delivered once; True if its bytes had to be put in."""
        key = delivery.receipt, delivery.ordinal
        arrival = self._arrivals.get(key)
        if arrival is not None:
            _, _, folder, uid, content, _ = arrival
        else:
            folder, uid = self._find_folder(delivery.folder), delivery.uid
            content = self._content_at(folder, uid) or self._keys.get(key, 0)
        is_placed = content in self.wanted
        is_new = content not in self._present
        if is_placed and not is_new and arrival is not None:
            return False
        if not is_placed:
            place = self._find_place(folder, uid, content, arrival is not None)
            if place is None:
                return False
            folder, uid = place
        ready = make_ready(*key, delivery.content)
        if is_new:
            content = content or self._take_content()
            insert_contents(self.database, content, [ready])
            self._present.add(content)
            self.database.run(
                "UPDATE message SET size_bytes=? WHERE content=?",
                (len(delivery.content), content),
            )
        if not is_placed:
            uid = self._place(folder, uid, content, delivery.flags, delivery.at_us, ready)
        if arrival is None:
            modseq = self._modseq_at(folder, uid)
            self.database.run(INSERT_ARRIVAL, (*key, folder, uid, content, modseq))
            self._arrivals[key] = (*key, folder, uid, content, modseq)
        return is_new

    def _find_place(
        self, folder: int, uid: int, content: int, has_arrived: bool
    ) -> tuple[int, int] | None:
        """Where a message belongs of which no row is left; None if its owner has deleted it.

        It may be gone from where it was because it was moved. What is certain is that a message
        of which neither row nor content is left, in tables that are whole, was deleted. In doubt
        it is shown, apart: better once too often than never again.
        """
        has_vanished = uid > 0 and self._has_vanished(folder, uid)
        if content not in self.known_contents:
            if has_arrived and "message" not in self._broken:
                return None
            if "content" not in self._broken and (has_arrived or has_vanished):
                return None
        return (self._recovered_folder(), 0) if has_vanished else (folder, uid)

    def finish(self, now_us: int) -> int:
        """Give up what is not to be found, place what has no place, count. Returns the lost."""
        self._place_homeless(now_us)
        lost = self._drop_lost()
        self.database.run(
            "INSERT INTO shared SELECT content,count(*) FROM message GROUP BY content "
            "HAVING count(*)>1"
        )
        self._count()
        return lost

    # -- the small tables ----------------------------------------------------------------

    def _restore_tables(self, salvage: Salvage) -> None:
        database = self.database
        if salvage.mailbox is not None:
            modseq, uid_validity, uid_validity_last = (salvage.mailbox[n] for n in (5, 8, 9))
            database.run(
                "UPDATE mailbox SET modseq=?,uid_validity=?,uid_validity_last=?",
                (modseq, uid_validity, uid_validity_last),
            )
        for row in salvage.folders:
            marks = ",".join("?" * len(row))
            database.run("DELETE FROM folder WHERE name=?", (row[1],))
            database.run(f"INSERT OR REPLACE INTO folder VALUES({marks})", row)
        database.many("INSERT OR REPLACE INTO retired VALUES(?,?)", salvage.retired)
        database.many("INSERT OR REPLACE INTO keyword VALUES(?,?)", salvage.keywords)
        database.many("INSERT OR IGNORE INTO message VALUES(?,?,?,?,?,?,?,?)", salvage.messages)
        database.many("INSERT OR IGNORE INTO arrival VALUES(?,?,?,?,?,?)", salvage.arrivals)
        database.many("INSERT OR IGNORE INTO vanished VALUES(?,?,?,?)", salvage.vanished)
        if database.row("SELECT 1 FROM folder WHERE name=? AND selectable", (INBOX,)) is None:
            self._insert_folder(1, INBOX)
        database.run(
            "DELETE FROM vanished WHERE EXISTS (SELECT 1 FROM message m "
            "WHERE m.folder=vanished.folder AND uid BETWEEN low AND high)"
        )
        if salvage.mailbox is None:
            self._skip_counters()
        if "folder" in salvage.broken:
            self._invent_folders()
        database.run("DELETE FROM message WHERE folder NOT IN (SELECT id FROM folder)")
        if "keyword" in salvage.broken:
            self._invent_keywords()

    def _skip_counters(self) -> None:
        """The counters are not known: they go on well above everything that is."""
        self.database.run(
            "UPDATE mailbox SET modseq=?+max(modseq,(SELECT ifnull(max(modseq),0) FROM message),"
            "(SELECT ifnull(max(modseq),0) FROM vanished),"
            "(SELECT ifnull(max(modseq),0) FROM arrival),"
            "(SELECT ifnull(max(highest_modseq),0) FROM folder)),"
            "uid_validity_last=?+max(uid_validity_last,"
            "(SELECT ifnull(max(uid_validity),0) FROM folder))",
            (MODSEQ_GAP, UID_VALIDITY_GAP),
        )

    def _invent_folders(self) -> None:
        """Messages lie in folders of which nothing else is known."""
        used = {row[0] for row in self.database.rows("SELECT DISTINCT folder FROM message")}
        for folder in sorted(used - self._known_folders):
            if folder > INITIAL_FOLDERS:
                self._insert_folder(folder, f"{RECOVERED} {folder}")

    def _invent_keywords(self) -> None:
        """Messages have keywords whose names are not known."""
        row = self.database.row("SELECT ifnull(max(flags),0) FROM message")
        assert row is not None
        for bit in range(len(SYSTEM_FLAGS), int(row[0]).bit_length()):
            self.database.run("INSERT OR IGNORE INTO keyword VALUES(?,?)", (bit, f"Recovered{bit}"))

    def _insert_folder(self, id_: int, name: str) -> None:
        self.database.run("UPDATE mailbox SET uid_validity_last=uid_validity_last+1")
        self.database.run(
            "INSERT OR REPLACE INTO folder "
            "SELECT ?1,?2,'F'||?1,'',1,1,uid_validity_last,1,1,modseq,"
            "0,0,0,0,0 FROM mailbox",
            (id_, name),
        )

    # -- messages ------------------------------------------------------------------------

    def _find_folder(self, name: str) -> int:
        for wanted in (name, INBOX):
            row = self.database.row("SELECT id FROM folder WHERE name=? AND selectable", (wanted,))
            if row is not None:
                return int(row[0])
        raise AssertionError("a mailbox without INBOX")

    def _content_at(self, folder: int, uid: int) -> int:
        row = self.database.row(
            "SELECT content FROM message WHERE folder=? AND uid=?", (folder, uid)
        )
        return 0 if row is None else int(row[0])

    def _modseq_at(self, folder: int, uid: int) -> int:
        row = self.database.row(
            "SELECT modseq FROM message WHERE folder=? AND uid=?", (folder, uid)
        )
        return 0 if row is None else int(row[0])

    def _last_uid(self, folder: int) -> int:
        row = self.database.row("SELECT uid_next-1 FROM folder WHERE id=?", (folder,))
        assert row is not None
        return int(row[0])

    def _has_vanished(self, folder: int, uid: int) -> bool:
        sql = "SELECT 1 FROM vanished WHERE folder=? AND ? BETWEEN low AND high"
        return self.database.row(sql, (folder, uid)) is not None

    def _take_content(self) -> int:
        self._content_next += 1
        return self._content_next - 1

    def _place(
        self, folder: int, uid: int, content: int, flags: int, at_us: int, ready: NewContent
    ) -> int:
        """A new row for a message, under its old UID where that is known and free; its UID."""
        database = self.database
        if uid == 0 or self._content_at(folder, uid) or self._has_vanished(folder, uid):
            uid = self._last_uid(folder) + 1
        database.run("UPDATE mailbox SET modseq=modseq+1")
        state = database.row("SELECT modseq FROM mailbox")
        assert state is not None
        size_bytes = len(ready.content)
        database.run(
            INSERT_MESSAGE,
            (folder, uid, content, flags, state[0], at_us, ready.sent_day, size_bytes),
        )
        database.run("UPDATE folder SET uid_next=max(uid_next,?+1) WHERE id=?", (uid, folder))
        self.wanted.add(content)
        return uid

    def _place_homeless(self, now_us: int) -> None:
        """Contents that no message has, where it is not certain that they were deleted."""
        homeless = sorted(self._present - self.wanted)
        for content in homeless:
            if "message" not in self._broken:
                self.database.run("DELETE FROM content WHERE id=?", (content,))
                self.database.run("DELETE FROM body WHERE id=?", (content,))
                continue
            row = self.database.row(
                "SELECT folder,uid FROM arrival WHERE content=? AND folder IN "
                "(SELECT id FROM folder WHERE selectable)",
                (content,),
            )
            folder, uid = (self._recovered_folder(), 0) if row is None else row
            if uid and self._has_vanished(folder, uid):
                folder, uid = self._recovered_folder(), 0
            data = self.database.row("SELECT header,text FROM body WHERE id=?", (content,))
            assert data is not None
            self._place(folder, uid, content, 0, now_us, make_ready(b"", 0, data[0] + data[1]))

    def _recovered_folder(self) -> int:
        row = self.database.row("SELECT id FROM folder WHERE name=?", (RECOVERED,))
        if row is not None:
            return int(row[0])
        state = self.database.row("SELECT uid_validity_last+1-uid_validity FROM mailbox")
        assert state is not None
        id_ = INITIAL_FOLDERS + int(state[0])
        self._insert_folder(id_, RECOVERED)
        return id_

    def _drop_lost(self) -> int:
        """Messages without content: what is known of them is that they are gone."""
        database = self.database
        lost = database.rows(
            "SELECT folder,uid FROM message WHERE content NOT IN (SELECT id FROM content)"
        )
        if lost:
            database.run("UPDATE mailbox SET modseq=modseq+1")
            database.many("INSERT INTO vanished SELECT ?1,modseq,?2,?2 FROM mailbox", lost)
            database.many("DELETE FROM message WHERE folder=? AND uid=?", lost)
        return len(lost)

    def _count(self) -> None:
        database = self.database
        database.run(
            "UPDATE folder SET (messages,unseen,deleted,recent,size_bytes)=(SELECT count(*),"
            "ifnull(sum((flags&1)=0),0),ifnull(sum((flags&8)<>0),0),"
            "ifnull(sum(uid>=recent_from),0),ifnull(sum(m.size_bytes),0) "
            "FROM message m WHERE m.folder=folder.id)"
        )
        database.run(
            "UPDATE folder SET uid_next=max(uid_next,"
            "1+(SELECT ifnull(max(uid),0) FROM message m WHERE m.folder=folder.id),"
            "1+(SELECT ifnull(max(high),0) FROM vanished v WHERE v.folder=folder.id),"
            "1+(SELECT ifnull(max(uid),0) FROM arrival a WHERE a.folder=folder.id))"
        )
        if "folder" in self._broken:
            unknown = database.rows("SELECT id FROM folder")
            database.many(
                f"UPDATE folder SET uid_next=uid_next+{UID_GAP} WHERE id=?",
                [row for row in unknown if row[0] not in self._known_folders],
            )
        database.run(
            "UPDATE folder SET highest_modseq=max(highest_modseq,"
            "(SELECT ifnull(max(modseq),0) FROM message m WHERE m.folder=folder.id),"
            "(SELECT ifnull(max(modseq),0) FROM vanished v WHERE v.folder=folder.id))"
        )
        database.run(
            "UPDATE mailbox SET used_bytes=(SELECT ifnull(sum(size_bytes),0) FROM folder),"
            # What changed of late is not known any more: it has to look like long ago.
            "modseq=?+max(modseq,(SELECT max(highest_modseq) FROM folder)),"
            "uid_validity_last=max(uid_validity_last,(SELECT max(uid_validity) FROM folder)),"
            "content_next=?,indexed_to=0",
            (CHANGES_KEPT + 1, self._content_next),
        )
