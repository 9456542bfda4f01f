"""Commands of the authenticated state, LIST and its kin aside: see `listing` for those."""

from __future__ import annotations

from staffetta.protocols.imap import codes, commands
from staffetta.protocols.imap.mailbox_names import SEPARATOR
from staffetta.protocols.imap.sequence import SequenceSet
from staffetta.protocols.imap.tokens import NUMBER64_MAX, Scanner, SyntaxFault

_SPECIAL_USES = {
    use.upper().encode("ascii"): use
    for use in (
        "\\All",
        "\\Archive",
        "\\Drafts",
        "\\Flagged",
        "\\Important",
        "\\Junk",
        "\\Sent",
        "\\Trash",
    )
}


def parse_enable(scanner: Scanner, tag: bytes) -> commands.Enable:
    """RFC 5161 §3.1."""
    names: list[bytes] = []
    while not names or not scanner.is_at_end():
        scanner.take_space()
        names.append(scanner.take_word())
    return commands.Enable(tag, tuple(names))


def parse_select(scanner: Scanner, tag: bytes) -> commands.Select:
    """RFC 3501 §6.3.1."""
    return _parse_select(scanner, tag, read_only=False)


def parse_examine(scanner: Scanner, tag: bytes) -> commands.Select:
    """RFC 3501 §6.3.2."""
    return _parse_select(scanner, tag, read_only=True)


def _parse_select(scanner: Scanner, tag: bytes, *, read_only: bool) -> commands.Select:
    scanner.take_space()
    mailbox = scanner.take_mailbox()
    condstore = False
    qresync: commands.QResync | None = None
    if not scanner.is_at_end():
        scanner.take_space()
        scanner.take(b"(")
        while True:
            word = scanner.take_word()
            if word == b"CONDSTORE":
                condstore = True
            elif word == b"QRESYNC":
                qresync = _parse_qresync(scanner)
            else:
                raise SyntaxFault("No such parameter of SELECT")
            if scanner.skip(b")"):
                break
            scanner.take_space()
    return commands.Select(tag, mailbox, read_only, condstore, qresync)


def _parse_qresync(scanner: Scanner) -> commands.QResync:
    """RFC 7162 §3.2.5: (uidvalidity modseq [known-uids] [(numbers uids)])."""
    known_uids: SequenceSet | None = None
    numbers: SequenceSet | None = None
    number_uids: SequenceSet | None = None
    scanner.take_space()
    scanner.take(b"(")
    uid_validity = scanner.take_number(least=1)
    scanner.take_space()
    modseq = scanner.take_number(least=1, most=NUMBER64_MAX)
    if scanner.peek() == b" ":
        scanner.take_space()
        if scanner.peek() != b"(":
            known_uids = scanner.take_sequence_set()
            if scanner.peek() == b" ":
                scanner.take_space()
        if scanner.skip(b"("):
            numbers = scanner.take_sequence_set()
            scanner.take_space()
            number_uids = scanner.take_sequence_set()
            scanner.take(b")")
    scanner.take(b")")
    return commands.QResync(uid_validity, modseq, known_uids, numbers, number_uids)


def parse_create(scanner: Scanner, tag: bytes) -> commands.Create:
    """RFC 3501 §6.3.3, with USE (RFC 6154 §3)."""
    scanner.take_space()
    mailbox = scanner.take_mailbox().removesuffix(SEPARATOR)
    if scanner.is_at_end():
        return commands.Create(tag, mailbox)
    scanner.take_space()
    scanner.take(b"(")
    if scanner.take_word() != b"USE":
        raise SyntaxFault("No such parameter of CREATE")
    scanner.take_space()
    uses = scanner.take_list(lambda: _parse_special_use(scanner), may_be_empty=True)
    scanner.take(b")")
    return commands.Create(tag, mailbox, tuple(dict.fromkeys(uses)))


def _parse_special_use(scanner: Scanner) -> str:
    scanner.take(b"\\")
    use = _SPECIAL_USES.get(b"\\" + scanner.take_word())
    if use is None:
        raise SyntaxFault("No such special use", "NO", codes.USEATTR)
    return use


def parse_delete(scanner: Scanner, tag: bytes) -> commands.Delete:
    """RFC 3501 §6.3.4."""
    scanner.take_space()
    return commands.Delete(tag, scanner.take_mailbox())


def parse_rename(scanner: Scanner, tag: bytes) -> commands.Rename:
    """RFC 3501 §6.3.5."""
    scanner.take_space()
    mailbox = scanner.take_mailbox()
    scanner.take_space()
    return commands.Rename(tag, mailbox, scanner.take_mailbox().removesuffix(SEPARATOR))


def parse_subscribe(scanner: Scanner, tag: bytes) -> commands.Subscribe:
    """RFC 3501 §6.3.6."""
    scanner.take_space()
    return commands.Subscribe(tag, scanner.take_mailbox())


def parse_unsubscribe(scanner: Scanner, tag: bytes) -> commands.Unsubscribe:
    """RFC 3501 §6.3.7."""
    scanner.take_space()
    return commands.Unsubscribe(tag, scanner.take_mailbox())


def parse_append(scanner: Scanner, tag: bytes) -> commands.Append:
    """RFC 3501 §6.3.11."""
    scanner.take_space()
    mailbox = scanner.take_mailbox()
    scanner.take_space()
    flags: tuple[str, ...] = ()
    internal_date = None
    if scanner.peek() == b"(":
        flags = scanner.take_flag_list()
        scanner.take_space()
    if scanner.peek() == b'"':
        internal_date = scanner.take_date_time()
        scanner.take_space()
    return commands.Append(tag, mailbox, scanner.take_message(), flags, internal_date)


def parse_namespace(scanner: Scanner, tag: bytes) -> commands.Namespace:
    """RFC 2342 §5."""
    return commands.Namespace(tag)


def parse_idle(scanner: Scanner, tag: bytes) -> commands.Idle:
    """RFC 2177 §3."""
    return commands.Idle(tag)


def parse_getquota(scanner: Scanner, tag: bytes) -> commands.GetQuota:
    """RFC 9208 §4.1.1."""
    scanner.take_space()
    return commands.GetQuota(tag, scanner.take_astring().decode("utf-8", "replace"))


def parse_getquotaroot(scanner: Scanner, tag: bytes) -> commands.GetQuotaRoot:
    """RFC 9208 §4.1.2."""
    scanner.take_space()
    return commands.GetQuotaRoot(tag, scanner.take_mailbox())
