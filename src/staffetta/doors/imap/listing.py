"""LIST, LSUB, STATUS, NAMESPACE (RFC 3501 §6.3.8-10; RFC 2342, 5258, 5819, 6154, 8438, 8474)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from staffetta.doors.imap.session import Session
from staffetta.mailboxes.port import INBOX, Folder, NoSuchFolder, Overview
from staffetta.protocols.imap import listings, responses
from staffetta.protocols.imap.commands import List, Lsub, Namespace, Status, StatusItem
from staffetta.protocols.imap.mailbox_names import ListPattern, parent_names

_SUBSCRIBED = ("SUBSCRIBED",)


async def list_folders(session: Session, command: List) -> bytes:
    """LIST in all its forms."""
    if command.is_separator_query:
        session.send(listings.separator_line())
    else:
        if StatusItem.HIGHESTMODSEQ in command.return_status:
            session.condstore = True  # RFC 7162 §3.1
        overview = await session.visit(lambda mailbox: mailbox.overview())
        limit = session.signed_in.append_bytes_max
        session.send(describe_list(overview.folders, command, limit))
    return responses.ok(command.tag, "LIST completed")


async def list_subscribed(session: Session, command: Lsub) -> bytes:
    """LSUB."""
    overview = await session.visit(lambda mailbox: mailbox.overview())
    session.send(describe_lsub(overview.folders, command))
    return responses.ok(command.tag, "LSUB completed")


async def status(session: Session, command: Status) -> bytes:
    """STATUS."""
    if StatusItem.HIGHESTMODSEQ in command.items:
        session.condstore = True  # RFC 7162 §3.1
    overview = await session.visit(lambda mailbox: mailbox.overview())
    folder = find_folder(overview, command.mailbox)
    limit = session.signed_in.append_bytes_max
    session.send(listings.status(folder.name, _list_values(folder, command.items, limit)))
    return responses.ok(command.tag, "STATUS completed")


async def namespace(session: Session, command: Namespace) -> bytes:
    """NAMESPACE: one personal namespace without prefix."""
    session.send(listings.namespace())
    return responses.ok(command.tag, "NAMESPACE completed")


def find_folder(overview: Overview, name: str) -> Folder:
    """The selectable folder of that name. Raises `NoSuchFolder`."""
    for folder in overview.folders:
        if folder.name == name and folder.selectable:
            return folder
    raise NoSuchFolder(name)


@dataclass(frozen=True, slots=True)
class _Tree:
    """The folders by name, and what lies between the lines: missing parents, descendants."""

    by_name: Mapping[str, Folder]
    names: Sequence[str]  # of folders and of parents that are none; sorted, INBOX first
    parents: Collection[str]

    @classmethod
    def of(cls, folders: Sequence[Folder]) -> _Tree:
        by_name = {folder.name: folder for folder in folders}
        parents = {parent for name in by_name for parent in parent_names(name)}
        names = sorted(by_name.keys() | parents, key=lambda name: (name != INBOX, name))
        return cls(by_name, names, parents)

    def attributes(self, name: str) -> list[str]:
        """The attributes that every form of LIST may show."""
        folder = self.by_name.get(name)
        found = [] if folder is not None and folder.selectable else [r"\Noselect"]
        found.append(r"\HasChildren" if name in self.parents else r"\HasNoChildren")
        if folder is not None and folder.special_use:
            found.append(folder.special_use)
        return found


def describe_list(folders: Sequence[Folder], command: List, append_bytes_max: int) -> bytes:
    """The untagged LIST lines, each with its STATUS where that was asked for."""
    tree = _Tree.of(folders)
    patterns = [ListPattern(command.reference + pattern) for pattern in command.patterns]
    chosen = {folder.name for folder in folders if _is_chosen(folder, command)}
    above_chosen = (
        {parent for name in chosen for parent in parent_names(name)}
        if command.recursive_match
        else set()
    )
    selects = command.select_subscribed or command.select_special_use
    lines = []
    for name in tree.names:
        if not any(pattern.matches(name) for pattern in patterns):
            continue
        if selects and name not in chosen and name not in above_chosen:
            continue
        folder = tree.by_name.get(name)
        attributes = tree.attributes(name)
        if folder is None and command.is_extended:
            attributes[0] = r"\NonExistent"  # RFC 5258 §3: implies \Noselect
        if command.return_subscribed and folder is not None and folder.subscribed:
            attributes.append(r"\Subscribed")
        child_info = _SUBSCRIBED if name in above_chosen and command.select_subscribed else ()
        lines.append(listings.list_line(attributes, name, child_info=child_info))
        if command.return_status and folder is not None and folder.selectable:
            values = _list_values(folder, command.return_status, append_bytes_max)
            lines.append(listings.status(name, values))
    return b"".join(lines)


def describe_lsub(folders: Sequence[Folder], command: Lsub) -> bytes:
    """The untagged LSUB lines: subscribed folders and, where the pattern has a % that stops
    above one, its parent with \\Noselect (RFC 3501 §6.3.9)."""
    tree = _Tree.of(folders)
    pattern = ListPattern(command.reference + command.pattern)
    subscribed = [folder.name for folder in folders if folder.subscribed]
    above = {parent for name in subscribed for parent in parent_names(name)}
    lines = []
    for name in tree.names:
        folder = tree.by_name.get(name)
        if not pattern.matches(name):
            continue
        if folder is not None and folder.subscribed:
            lines.append(listings.list_line(tree.attributes(name), name, command=b"LSUB"))
        elif name in above and "%" in command.pattern:
            lines.append(listings.list_line((r"\Noselect",), name, command=b"LSUB"))
    return b"".join(lines)


def _is_chosen(folder: Folder, command: List) -> bool:
    if command.select_subscribed and not folder.subscribed:
        return False
    return not command.select_special_use or bool(folder.special_use)


def _list_values(
    folder: Folder, items: Sequence[StatusItem], append_bytes_max: int
) -> dict[StatusItem, int | bytes | None]:
    values: Mapping[StatusItem, int | bytes | None] = {
        StatusItem.MESSAGES: folder.messages,
        StatusItem.RECENT: folder.recent,
        StatusItem.UIDNEXT: folder.uid_next,
        StatusItem.UIDVALIDITY: folder.uid_validity,
        StatusItem.UNSEEN: folder.unseen,
        StatusItem.HIGHESTMODSEQ: max(folder.highest_modseq, 1),
        StatusItem.SIZE: folder.size_bytes,
        StatusItem.DELETED: folder.deleted,
        StatusItem.MAILBOXID: folder.folder_id.encode("ascii"),
        StatusItem.APPENDLIMIT: append_bytes_max,
    }
    return {item: values[item] for item in items}
