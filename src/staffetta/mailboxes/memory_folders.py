"""The folders of a mailbox in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from staffetta.mailboxes.memory_messages import MemoryMessage
from staffetta.mailboxes.names import (
    SPECIAL_USES,
    canonical_name,
    clean_name,
    inferiors,
    moved_name,
    superiors,
)
from staffetta.mailboxes.port import (
    DELETED,
    FOLDERS_MAX,
    INBOX,
    SEEN,
    SEPARATOR,
    SPECIAL_FOLDERS,
    Arrange,
    Folder,
    FolderExists,
    FolderRefused,
    NoSuchFolder,
)


@dataclass(slots=True)
class MemoryFolder:
    """One folder and its messages by UID; `vanished` has the modseq at which a UID went."""

    name: str
    token: str
    uid_validity: int
    highest_modseq: int = 1
    special_use: str = ""
    subscribed: bool = False
    selectable: bool = True
    uid_next: int = 1
    recent_from: int = 1
    messages: dict[int, MemoryMessage] = field(default_factory=dict)
    vanished: dict[int, int] = field(default_factory=dict)

    def add(self, message: MemoryMessage, modseq: int, uid: int = 0) -> MemoryMessage:
        """Put a message in, under that UID if it is free."""
        if uid == 0 or uid in self.messages:
            uid = self.uid_next
        self.uid_next = max(self.uid_next, uid + 1)
        self.highest_modseq = modseq
        self.messages[uid] = replace(message, uid=uid, modseq=modseq)
        return self.messages[uid]

    def replace(self, message: MemoryMessage) -> None:
        """The message has changed."""
        self.messages[message.uid] = message
        self.highest_modseq = message.modseq

    def remove(self, uid: int, modseq: int) -> None:
        """The message is gone."""
        del self.messages[uid]
        self.vanished[uid] = modseq
        self.highest_modseq = modseq

    def to_port(self) -> Folder:
        """The folder as the port describes it."""
        messages = self.messages.values()
        return Folder(
            self.name,
            self.token,
            self.special_use,
            self.subscribed,
            self.uid_validity,
            self.uid_next,
            self.highest_modseq,
            len(messages),
            sum(not message.flags & SEEN for message in messages),
            sum(bool(message.flags & DELETED) for message in messages),
            sum(message.uid >= self.recent_from for message in messages),
            sum(len(message.content) for message in messages),
            self.selectable,
        )


class MemoryFolders:
    """All folders of one mailbox, and the counters that only grow."""

    def __init__(self, uid_validity: int) -> None:
        self.modseq = 1
        self._uid_validity = uid_validity
        self._uid_validity_last = uid_validity
        self._retired: dict[str, int] = {}
        self._folders: dict[str, MemoryFolder] = {}
        for number, (name, use) in enumerate({INBOX: "", **SPECIAL_FOLDERS}.items(), 1):
            folder = MemoryFolder(name, f"F{number}", uid_validity, special_use=use)
            folder.subscribed = True
            self._folders[name] = folder

    def sorted(self) -> list[MemoryFolder]:
        """All folders, by name."""
        return [folder for _, folder in sorted(self._folders.items())]

    def find(self, name: str) -> MemoryFolder:
        """The folder of that name, which can be selected. Raises `NoSuchFolder`."""
        found = self._folders.get(canonical_name(name))
        if found is None or not found.selectable:
            raise NoSuchFolder(name)
        return found

    def used_bytes(self) -> int:
        """The size of all messages."""
        return sum(folder.to_port().size_bytes for folder in self._folders.values())

    def take_modseq(self) -> int:
        """The next modseq."""
        self.modseq += 1
        return self.modseq

    def arrange(self, change: Arrange) -> None:
        """See `port.Mailbox.arrange`."""
        match change.verb:
            case "create":
                self._create(change.name, change.special_use)
            case "delete":
                self._delete(self._look_up(change.name))
            case "rename":
                self._rename(self._look_up(change.name), change.new_name)
            case "subscribe" | "unsubscribe":
                self._look_up(change.name).subscribed = change.verb == "subscribe"
            case verb:
                raise AssertionError(f"no such change to folders: {verb}")

    def _look_up(self, name: str) -> MemoryFolder:
        found = self._folders.get(canonical_name(name))
        if found is None:
            raise NoSuchFolder(name)
        return found

    def _create(self, name: str, special_use: str) -> None:
        if special_use and special_use not in SPECIAL_USES:
            raise FolderRefused(f"there is no special use {special_use}")
        name = clean_name(name)
        found = self._folders.get(name)
        if found is not None and found.selectable:
            raise FolderExists(name)
        self._make_superiors(name, 0 if found else 1)
        if found is None:
            self._insert(name).special_use = special_use
            return
        found.selectable, found.special_use = True, special_use
        found.uid_validity = self._take_uid_validity()
        found.uid_next = found.recent_from = 1
        found.vanished.clear()
        found.highest_modseq = self.take_modseq()

    def _make_superiors(self, name: str, more: int) -> None:
        missing = [superior for superior in superiors(name) if superior not in self._folders]
        if len(self._folders) + len(missing) + more > FOLDERS_MAX:
            raise FolderRefused(f"a mailbox has at most {FOLDERS_MAX} folders")
        for superior in missing:
            self._insert(superior)

    def _insert(self, name: str) -> MemoryFolder:
        uid_validity = self._take_uid_validity()
        number = 1 + len(SPECIAL_FOLDERS) + uid_validity - self._uid_validity
        folder = MemoryFolder(name, f"F{number}", uid_validity, self.take_modseq())
        self._folders[name] = folder
        return folder

    def _take_uid_validity(self) -> int:
        self._uid_validity_last += 1
        return self._uid_validity_last

    def _delete(self, folder: MemoryFolder) -> None:
        if folder.name == INBOX:
            raise FolderRefused("INBOX cannot be deleted")
        if folder.special_use:
            raise FolderRefused(f"{folder.name} is the folder for {folder.special_use[1:]}")
        inside = inferiors(folder.name, self._folders)
        if inside and not folder.selectable:
            raise FolderRefused("it has folders inside")
        self._retire(folder)
        self.take_modseq()
        if inside:
            folder.selectable = folder.subscribed = False
            folder.messages.clear()
        else:
            del self._folders[folder.name]

    def _retire(self, folder: MemoryFolder) -> None:
        before = self._retired.get(folder.name, 0)
        self._retired[folder.name] = max(before, folder.uid_validity)

    def _rename(self, folder: MemoryFolder, new_name: str) -> None:
        new_name = clean_name(new_name)
        if new_name in self._folders:
            raise FolderExists(new_name)
        if new_name.startswith(folder.name + SEPARATOR):
            raise FolderRefused("a folder cannot lie inside itself")
        if folder.name == INBOX:
            self._make_superiors(new_name, 1)
            self._empty_inbox(folder, new_name)
            return
        old_name = folder.name
        names = [old_name, *sorted(inferiors(old_name, self._folders))]
        moved = [clean_name(moved_name(name, old_name, new_name)) for name in names]
        self._make_superiors(new_name, 0)
        for old, new in zip(names, moved, strict=True):
            moving = self._folders.pop(old)
            self._retire(moving)
            if self._retired.get(new, 0) >= moving.uid_validity:
                moving.uid_validity = self._take_uid_validity()
            moving.name = new
            self._folders[new] = moving

    def _empty_inbox(self, inbox: MemoryFolder, new_name: str) -> None:
        target = self._insert(new_name)
        if not inbox.messages:
            return
        modseq = self.take_modseq()
        for uid, message in sorted(inbox.messages.items()):
            target.add(message, modseq, uid)
            inbox.remove(uid, modseq)
        target.uid_next, target.recent_from = inbox.uid_next, inbox.recent_from
