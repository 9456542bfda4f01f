"""SEARCH (RFC 3501 §6.4.4; RFC 4731, 5032, 7162, 8474)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from staffetta.protocols.imap import codes, commands
from staffetta.protocols.imap.criteria import (
    AllMessages,
    AllOf,
    AnyOf,
    BodyContains,
    DateRelation,
    EmailIdIs,
    FlagIs,
    HeaderContains,
    InternalDateIs,
    LargerThan,
    ModseqAtLeast,
    Not,
    NumberIn,
    OlderThan,
    SearchKey,
    SearchReturn,
    SentDateIs,
    SmallerThan,
    TextContains,
    ThreadIdIs,
    UidIn,
    YoungerThan,
)
from staffetta.protocols.imap.tokens import NUMBER64_MAX, Scanner, SyntaxFault

SEARCH_DEPTH_MAX = 64
"""NOT, OR and parentheses within each other. A chain of ORs counts once."""
SEARCH_KEYS_MAX = 2048
"""Keys in one SEARCH."""

_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")

CHARSETS: Mapping[bytes, str] = MappingProxyType(
    {
        b"US-ASCII": "ascii",
        b"ASCII": "ascii",
        b"UTF-8": "utf-8",
        b"UTF8": "utf-8",
        **{b"ISO-8859-%d" % part: f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))},
        **{b"WINDOWS-%d" % page: f"cp{page}" for page in range(1250, 1259)},
        b"KOI8-R": "koi8-r",
        b"KOI8-U": "koi8-u",
        b"ISO-2022-JP": "iso2022-jp",
        b"SHIFT_JIS": "shift-jis",
        b"EUC-JP": "euc-jp",
        b"EUC-KR": "euc-kr",
        b"GB2312": "gb2312",
        b"GBK": "gbk",
        b"GB18030": "gb18030",
        b"BIG5": "big5",
    }
)
"""The charsets of SEARCH and the codecs that read them; RFC 3501 asks for the first and UTF-8."""

_RETURNS: dict[bytes, SearchReturn] = {option.value: option for option in SearchReturn}


def parse_search(scanner: Scanner, tag: bytes, by_uid: bool) -> commands.Search:
    """A SEARCH or UID SEARCH."""
    scanner.take_space()
    returns: frozenset[SearchReturn] | None = None
    if scanner.peek_word() == b"RETURN":
        scanner.take_word()
        scanner.take_space()
        returns = _parse_returns(scanner)
        scanner.take_space()
    codec: str | None = None
    if scanner.peek_word() == b"CHARSET":
        scanner.take_word()
        scanner.take_space()
        codec = CHARSETS.get(scanner.take_astring().upper())
        if codec is None:
            known = codes.bad_charset([b"US-ASCII", b"UTF-8"])
            raise SyntaxFault("Charset is not known", "NO", known)
        scanner.take_space()
    tree = _SearchTree(scanner, codec)
    keys = [tree.parse_key()]
    while not scanner.is_at_end():
        scanner.take_space()
        keys.append(tree.parse_key())
    return commands.Search(tag, _all_of(keys), by_uid, returns, tree.has_modseq)


def _parse_returns(scanner: Scanner) -> frozenset[SearchReturn]:
    words = scanner.take_list(scanner.take_word, may_be_empty=True)
    try:
        returns = frozenset([_RETURNS[word] for word in words])
    except KeyError:
        raise SyntaxFault("No such return option of SEARCH") from None
    return returns or frozenset({SearchReturn.ALL})


class _SearchTree:
    """Builds the tree of one SEARCH, counting what may not grow without end."""

    __slots__ = ("_codec", "_depth", "_keys", "_scanner", "has_modseq")

    def __init__(self, scanner: Scanner, codec: str | None) -> None:
        self._scanner = scanner
        self._codec = codec
        self._depth = 0
        self._keys = 0
        self.has_modseq = False

    def parse_key(self) -> SearchKey:
        """One search-key."""
        scanner = self._scanner
        self._keys += 1
        if self._keys > SEARCH_KEYS_MAX:
            raise SyntaxFault("Too many search keys", "NO", codes.LIMIT)
        first = scanner.peek()
        if first == b"(":
            return self._within(self._parse_group)
        if first.isdigit() or first == b"*":
            return NumberIn(scanner.take_sequence_set())
        word = scanner.take_word()
        simple = _SIMPLE.get(word)
        if simple is not None:
            return simple
        if word == b"OR":
            scanner.take_space()
            return self._within(self._parse_or)
        if word == b"NOT":
            scanner.take_space()
            return Not(self._within(self.parse_key))
        argument = _WITH_ARGUMENT.get(word)
        if argument is None:
            raise SyntaxFault("No such search key")
        scanner.take_space()
        return argument(self)

    def take_text(self) -> str:
        """A string, decoded; without CHARSET it is UTF-8 if it can be, else ISO 8859-1."""
        octets = self._scanner.take_astring()
        try:
            return octets.decode(self._codec or "utf-8")
        except ValueError:
            if self._codec is None:
                return octets.decode("latin-1")
            raise SyntaxFault("String is not in the charset named") from None

    @property
    def scanner(self) -> Scanner:
        """Where the arguments are."""
        return self._scanner

    def _within(self, parse: Callable[[], SearchKey]) -> SearchKey:
        self._depth += 1
        if self._depth > SEARCH_DEPTH_MAX:
            raise SyntaxFault("Search is nested too deeply", "NO", codes.LIMIT)
        key = parse()
        self._depth -= 1
        return key

    def _parse_group(self) -> SearchKey:
        return _all_of(self._scanner.take_list(self.parse_key, may_be_empty=False))

    def _parse_or(self) -> SearchKey:
        """The two terms of an OR; if the second is an OR, its terms too, and so on."""
        scanner = self._scanner
        terms: list[SearchKey] = []
        while True:
            _add_term(terms, self.parse_key())
            scanner.take_space()
            if scanner.peek_word() != b"OR":
                break
            scanner.take_word()
            scanner.take_space()
        _add_term(terms, self.parse_key())
        return AnyOf(tuple(terms))


def _add_term(terms: list[SearchKey], key: SearchKey) -> None:
    if isinstance(key, AnyOf):
        terms.extend(key.keys)
    else:
        terms.append(key)


def _all_of(keys: list[SearchKey]) -> SearchKey:
    return keys[0] if len(keys) == 1 else AllOf(tuple(keys))


def _header(field: str) -> Callable[[_SearchTree], SearchKey]:
    return lambda tree: HeaderContains(field, tree.take_text())


def _internal_date(relation: DateRelation) -> Callable[[_SearchTree], SearchKey]:
    return lambda tree: InternalDateIs(relation, tree.scanner.take_date())


def _sent_date(relation: DateRelation) -> Callable[[_SearchTree], SearchKey]:
    return lambda tree: SentDateIs(relation, tree.scanner.take_date())


def _take_header(tree: _SearchTree) -> SearchKey:
    field = tree.scanner.take_astring().decode("latin-1")
    tree.scanner.take_space()
    return HeaderContains(field, tree.take_text())


def _take_modseq(tree: _SearchTree) -> SearchKey:
    """MODSEQ [entry-name SP entry-type-req] SP mod-sequence-valzer (RFC 7162 §3.1.5)."""
    scanner = tree.scanner
    tree.has_modseq = True
    if scanner.peek() == b'"':
        scanner.take_string()
        scanner.take_space()
        if scanner.take_word() not in (b"PRIV", b"SHARED", b"ALL"):
            raise SyntaxFault("priv, shared or all expected")
        scanner.take_space()
    return ModseqAtLeast(scanner.take_number(most=NUMBER64_MAX))


def _take_object_id(tree: _SearchTree) -> str:
    identifier = tree.scanner.take_astring()
    if _OBJECT_ID.fullmatch(identifier) is None:
        raise SyntaxFault("Object identifier expected")
    return identifier.decode("ascii")


_SIMPLE: Mapping[bytes, SearchKey] = MappingProxyType(
    {
        b"ALL": AllMessages(),
        b"ANSWERED": FlagIs("\\Answered", True),
        b"DELETED": FlagIs("\\Deleted", True),
        b"DRAFT": FlagIs("\\Draft", True),
        b"FLAGGED": FlagIs("\\Flagged", True),
        b"RECENT": FlagIs("\\Recent", True),
        b"SEEN": FlagIs("\\Seen", True),
        b"UNANSWERED": FlagIs("\\Answered", False),
        b"UNDELETED": FlagIs("\\Deleted", False),
        b"UNDRAFT": FlagIs("\\Draft", False),
        b"UNFLAGGED": FlagIs("\\Flagged", False),
        b"UNSEEN": FlagIs("\\Seen", False),
        b"OLD": FlagIs("\\Recent", False),
        b"NEW": AllOf((FlagIs("\\Recent", True), FlagIs("\\Seen", False))),
    }
)

_WITH_ARGUMENT: Mapping[bytes, Callable[[_SearchTree], SearchKey]] = MappingProxyType(
    {
        b"BCC": _header("Bcc"),
        b"CC": _header("Cc"),
        b"FROM": _header("From"),
        b"SUBJECT": _header("Subject"),
        b"TO": _header("To"),
        b"HEADER": _take_header,
        b"BODY": lambda tree: BodyContains(tree.take_text()),
        b"TEXT": lambda tree: TextContains(tree.take_text()),
        b"BEFORE": _internal_date(DateRelation.BEFORE),
        b"ON": _internal_date(DateRelation.ON),
        b"SINCE": _internal_date(DateRelation.SINCE),
        b"SENTBEFORE": _sent_date(DateRelation.BEFORE),
        b"SENTON": _sent_date(DateRelation.ON),
        b"SENTSINCE": _sent_date(DateRelation.SINCE),
        b"KEYWORD": lambda tree: FlagIs(tree.scanner.take_keyword(), True),
        b"UNKEYWORD": lambda tree: FlagIs(tree.scanner.take_keyword(), False),
        b"LARGER": lambda tree: LargerThan(tree.scanner.take_number(most=NUMBER64_MAX)),
        b"SMALLER": lambda tree: SmallerThan(tree.scanner.take_number(most=NUMBER64_MAX)),
        b"UID": lambda tree: UidIn(tree.scanner.take_sequence_set()),
        b"MODSEQ": _take_modseq,
        b"EMAILID": lambda tree: EmailIdIs(_take_object_id(tree)),
        b"THREADID": lambda tree: ThreadIdIs(_take_object_id(tree)),
        b"YOUNGER": lambda tree: YoungerThan(tree.scanner.take_number(least=1)),
        b"OLDER": lambda tree: OlderThan(tree.scanner.take_number(least=1)),
    }
)
