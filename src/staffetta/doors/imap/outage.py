"""The truth about a mailbox that cannot be shown now (design §4).

Never an emptier mailbox, never a word about passwords, never a link: whoever warns people by
mail of an outage with a link in it teaches them to click on those of impostors.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from staffetta.runtime.clock import Clock

DAY_US = 86_400 * 1_000_000
FALLBACK_LANGUAGE = "en"

# IMAP's human-readable text is ASCII (RFC 3501 §9 `text`), hence the apostrophes.
_UNAVAILABLE = MappingProxyType(
    {
        "en": "This mailbox cannot be shown right now; nothing is lost. Please try again later",
        "it": "La casella non e' consultabile in questo momento; nulla e' perduto. Riprovare "
        "piu' tardi",
    }
)
_NOT_WRITABLE = MappingProxyType(
    {
        "en": "The mailbox can be read but not changed right now. Please try again later",
        "it": "La casella si puo' leggere ma non modificare in questo momento. Riprovare piu' "
        "tardi",
    }
)
_ALERT = MappingProxyType(
    {
        "en": "Part of our storage is not working and your mailbox cannot be shown right now. "
        "New mail is being accepted and kept, nothing is lost, and your password is not the "
        "reason: there is nothing you need to do.",
        "it": "Una parte del nostro archivio non funziona e la sua casella non e' consultabile "
        "in questo momento. La nuova posta viene accettata e conservata, nulla e' perduto e la "
        "password non c'entra: non deve fare nulla.",
    }
)


def explain_unavailable(language: str) -> str:
    """The text of `NO [UNAVAILABLE]`."""
    return _in_language(_UNAVAILABLE, language)


def explain_not_writable(language: str) -> str:
    """The same for a cell that is full or read-only."""
    return _in_language(_NOT_WRITABLE, language)


def explain_alert(language: str) -> str:
    """The text of the day's `[ALERT]`."""
    return _in_language(_ALERT, language)


def _in_language(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language.split("-")[0].lower()) or texts[FALLBACK_LANGUAGE]


class Alerts:
    """Who has been told today. Forgets at midnight, UTC."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._day = 0
        self._told: set[int] = set()

    def is_due(self, mailbox: int) -> bool:
        """True once a day for each mailbox."""
        day = self._clock.now_us() // DAY_US
        if day != self._day:
            self._day = day
            self._told.clear()
        if mailbox in self._told:
            return False
        self._told.add(mailbox)
        return True
