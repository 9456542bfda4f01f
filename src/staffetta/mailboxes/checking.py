"""Reading everything of one mailbox and comparing it with itself."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator

from staffetta.mailboxes.files import MailboxFiles
from staffetta.mailboxes.port import INBOX, CheckReport, MailboxDamaged, MailboxRef
from staffetta.mailboxes.progress import Progress
from staffetta.mailboxes.roster import path_of
from staffetta.mailboxes.schema import WHOLE
from staffetta.runtime.disk import Database, DatabaseSettings, Volume
from staffetta.runtime.faults import FaultMode, VolumeFault

PROBLEMS_MAX = 100
"""After so many the mailbox is damaged enough."""

CONTENTS_PER_STEP = 256

_SETTINGS = DatabaseSettings(read_only=True, checkpoint_on_close=False)

# Each query gives the lines of what is wrong.
_INVARIANTS = (
    # The counts of a folder are those of its messages.
    "SELECT 'folder '||name||': counts '||messages||'/'||unseen||'/'||deleted||'/'||recent||'/'"
    "||size_bytes||' are not those of its messages' FROM folder LEFT JOIN (SELECT folder,"
    "count(*) n,sum((flags&1)=0) u,sum((flags&8)<>0) d,sum(uid>=(SELECT recent_from FROM folder "
    "WHERE id=folder)) r,sum(size_bytes) s FROM message GROUP BY folder) ON folder=id WHERE "
    "(messages,unseen,deleted,recent,size_bytes)"
    "<>(ifnull(n,0),ifnull(u,0),ifnull(d,0),ifnull(r,0),ifnull(s,0))",
    "SELECT 'the space used is '||used_bytes||', not '||s FROM mailbox,"
    "(SELECT ifnull(sum(size_bytes),0) s FROM message) WHERE used_bytes<>s",
    # UIDs, modseqs and content ids lie below what is given next.
    "SELECT 'folder '||name||': UID '||max(uid)||' is not below '||uid_next FROM message "
    "JOIN folder ON id=folder GROUP BY folder HAVING max(uid)>=uid_next",
    "SELECT 'folder '||name||': UID '||uid||' has gone and is there' FROM message m "
    "JOIN vanished v ON v.folder=m.folder AND uid BETWEEN low AND high "
    "JOIN folder ON id=m.folder",
    "SELECT 'folder '||name||': modseq '||max(m.modseq)||' is above '||highest_modseq "
    "FROM message m JOIN folder ON id=folder GROUP BY folder HAVING max(m.modseq)>highest_modseq",
    "SELECT 'folder '||name||': modseq '||highest_modseq||' is above '||modseq "
    "FROM folder,mailbox WHERE highest_modseq>modseq",
    "SELECT 'folder '||name||': UIDVALIDITY '||f.uid_validity||' was never given' "
    "FROM folder f,mailbox m WHERE f.uid_validity NOT BETWEEN m.uid_validity "
    "AND uid_validity_last",
    "SELECT 'content '||max(c.id)||' is not below '||content_next FROM content c,mailbox "
    "HAVING max(c.id)>=content_next",
    # Every message has its content and body, and none is left over.
    "SELECT 'message '||uid||' is in no folder' FROM message WHERE folder NOT IN "
    "(SELECT id FROM folder)",
    "SELECT 'folder '||name||': message '||uid||' has no content' FROM message "
    "JOIN folder ON id=folder WHERE content NOT IN (SELECT id FROM content)",
    "SELECT 'content '||id||' has no body' FROM content WHERE id NOT IN (SELECT id FROM body)",
    "SELECT 'body '||id||' has no content' FROM body WHERE id NOT IN (SELECT id FROM content)",
    "SELECT 'content '||id||' is shared by '||ifnull(n,0)||' messages, not '||"
    "ifnull(s.messages,1) FROM content LEFT JOIN (SELECT content c,count(*) n FROM message "
    "GROUP BY content) ON c=id LEFT JOIN shared s ON s.content=id "
    "WHERE ifnull(n,0)<>ifnull(s.messages,1)",
    "SELECT 'folder '||name||': message '||uid||' has '||(length(header)+length(text))||"
    "' bytes, not '||m.size_bytes FROM message m JOIN body b ON b.id=m.content "
    "JOIN folder f ON f.id=m.folder WHERE length(header)+length(text)<>m.size_bytes",
)


def check(files: MailboxFiles, ref: MailboxRef) -> Generator[Progress, None, CheckReport]:
    """Read everything, without keeping anybody out; the report is the generator's result.

    Raises `MailboxIncomplete`, `VolumeFault`.
    """
    path = path_of(ref.mailbox)
    try:
        with files.borrow(ref):
            pass  # whatever keeps it from being opened is told as for anybody else
    except MailboxDamaged as damage:
        return CheckReport(ref.mailbox, 0, 0, [damage.detail])
    database = files.volume.database(path, _SETTINGS)
    examination = _Examination()
    try:
        with database.reading():
            yield from examination.run(database)
    except VolumeFault as fault:
        if not is_damage(files.volume, fault):
            raise
        examination.problems.append(fault.detail)
    except UnicodeDecodeError as error:
        examination.problems.append(str(error))
    finally:
        database.close()
    return CheckReport(
        ref.mailbox,
        examination.messages,
        examination.size_bytes,
        examination.problems[:PROBLEMS_MAX],
    )


def is_damage(volume: Volume, fault: VolumeFault) -> bool:
    """Whether a fault is about one file and not about the whole volume."""
    return fault.mode is FaultMode.CORRUPT and volume.gate.mode is None


def list_problems(database: Database) -> list[str]:
    """What does not hold together in an open file; reads all of it but the bodies."""
    problems = [row[0] for row in database.rows(f"PRAGMA integrity_check({PROBLEMS_MAX})")]
    if problems != ["ok"]:
        return problems
    problems = []
    for invariant in _INVARIANTS:
        problems += [row[0] for row in database.each(f"{invariant} LIMIT {PROBLEMS_MAX}")]
    if database.row("SELECT 1 FROM folder WHERE name=? AND selectable", (INBOX,)) is None:
        problems.append("there is no INBOX")
    return problems


class _Examination:
    """One check on its way."""

    def __init__(self) -> None:
        self.messages = 0
        self.size_bytes = 0
        self.problems: list[str] = []

    def run(self, database: Database) -> Iterator[Progress]:
        row = database.row(
            "SELECT (SELECT count(*) FROM content),(SELECT count(*) FROM message),"
            "(SELECT ifnull(sum(size_bytes),0) FROM message),state FROM mailbox"
        )
        assert row is not None
        total, self.messages, self.size_bytes, state = row
        if state != WHOLE:
            self.problems.append("it is marked as being moved")
        yield Progress(0, total, "structure")
        self.problems += list_problems(database)
        bodies = database.each(
            "SELECT c.id,checksum,header,text FROM content c JOIN body b ON b.id=c.id"
        )
        for done, (content, wanted, header, text) in enumerate(bodies, 1):
            if zlib.crc32(text, zlib.crc32(header)) != wanted:
                self.problems.append(f"content {content} is not what was written")
            if done % CONTENTS_PER_STEP == 0:
                yield Progress(done, total, "messages")
        yield Progress(total, total, "messages")
