"""Names of folders: what they may be, and how they nest (RFC 3501 section 5.1).

Names are text; the doors translate what their protocols write. `INBOX` is the same in any case.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from staffetta.mailboxes.port import (
    FOLDER_NAME_BYTES_MAX,
    INBOX,
    SEPARATOR,
    SPECIAL_FOLDERS,
    FolderRefused,
)

LEVELS_MAX = 32
"""How deep folders may lie inside each other."""

SPECIAL_USES = frozenset(SPECIAL_FOLDERS.values())
"""The uses that a folder can be given (RFC 6154 section 2)."""

# RFC 3501 section 6.3.8: the wildcards of LIST; a name with one could not be asked for alone.
_WILDCARDS = frozenset("*%")


def clean_name(name: str) -> str:
    """The name as it is stored. Raises `FolderRefused` for one that may not be."""
    name = canonical_name(name.removesuffix(SEPARATOR))
    if not name:
        raise FolderRefused("a folder needs a name")
    if len(name.encode("utf-8", "replace")) > FOLDER_NAME_BYTES_MAX:
        raise FolderRefused(f"the name is longer than {FOLDER_NAME_BYTES_MAX} bytes")
    levels = name.split(SEPARATOR)
    if not all(levels):
        raise FolderRefused(f"there is a level without a name around a {SEPARATOR!r}")
    if len(levels) > LEVELS_MAX:
        raise FolderRefused(f"folders lie at most {LEVELS_MAX} levels deep")
    if any(_is_forbidden(character) for character in name):
        raise FolderRefused("the name has a control character, a surrogate, '*' or '%'")
    return name


def canonical_name(name: str) -> str:
    """The name under which a folder is looked up, whether or not it may be made."""
    top, separator, rest = name.partition(SEPARATOR)
    if top.isascii() and top.upper() == INBOX:
        name = INBOX + separator + rest
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def superiors(name: str) -> list[str]:
    """The names of the folders around it, outermost first."""
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:count]) for count in range(1, len(levels))]


def inferiors(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that lie within the folder `name`, at any depth."""
    prefix = name + SEPARATOR
    return [other for other in names if other.startswith(prefix)]


def moved_name(name: str, old: str, new: str) -> str:
    """What `name`, which is `old` or lies within it, is called once `old` is called `new`."""
    return new + name[len(old) :]


def _is_forbidden(character: str) -> bool:
    return character in _WILDCARDS or unicodedata.category(character) in ("Cc", "Cs")
