"""Recording every no.

A refusal costs its sender nothing, so a flood of them must not cost us the log: the first
`SINGLE_PER_SECOND_MAX` of a second are recorded one by one, the rest are summed up by peer,
stage and reply and recorded once a second with their number. None is left out of the counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from staffetta.log.commit import GroupCommit
from staffetta.log.facts import Refused
from staffetta.log.port import NewEntry
from staffetta.log.receipts import ReceiptMint
from staffetta.runtime.clock import Clock

SINGLE_PER_SECOND_MAX = 200
SUMS_MAX = 1_000
TEXT_CHARACTERS_MAX = 320  # of each text a peer chose


@dataclass(frozen=True, slots=True)
class _Sum:
    fact: Refused
    times: int
    recipients: int


class Refusals:
    """Writes refusals of one accepting process into its log, without anyone waiting."""

    def __init__(self, commit: GroupCommit, mint: ReceiptMint, clock: Clock) -> None:
        self._commit = commit
        self._mint = mint
        self._clock = clock
        self._second = 0
        self._singles = 0
        self._sums: dict[tuple[str, str, str], _Sum] = {}

    def record(self, fact: Refused) -> None:
        """Record one refusal."""
        now_us = self._clock.now_us()
        second = now_us // 1_000_000
        if second != self._second:
            self.flush()
            self._second, self._singles = second, 0
        fact = _bounded(fact)
        self._singles += 1
        if self._singles <= SINGLE_PER_SECOND_MAX:
            self._write(now_us, fact)
            return
        peer = fact.peer if len(self._sums) < SUMS_MAX else ""
        key = (peer, fact.stage, fact.reply)
        known = self._sums.get(key)
        if known is None:
            self._sums[key] = _Sum(fact, fact.times, fact.recipients)
        else:
            self._sums[key] = _Sum(
                known.fact, known.times + fact.times, known.recipients + fact.recipients
            )

    def flush(self) -> None:
        """Write the sums; called when a second ends, once a second when idle, and at the end."""
        now_us = self._clock.now_us()
        for (peer, _, _), summed in self._sums.items():
            fact = summed.fact
            if summed.times > fact.times:  # the names of the first do not stand for the others
                fact = msgspec.structs.replace(
                    fact,
                    peer=peer,
                    recipient="",
                    mailbox=0,
                    message_id="",
                    times=summed.times,
                    recipients=summed.recipients,
                )
            self._write(now_us, fact)
        self._sums.clear()

    def _write(self, now_us: int, fact: Refused) -> None:
        mailboxes = (fact.mailbox,) if fact.mailbox else ()
        self._commit.submit(NewEntry(now_us, self._mint.make(now_us), fact, None, mailboxes), None)


def _bounded(fact: Refused) -> Refused:
    texts = (fact.helo, fact.reverse_path, fact.recipient, fact.message_id)
    if max(map(len, texts)) <= TEXT_CHARACTERS_MAX:
        return fact
    return msgspec.structs.replace(
        fact,
        helo=fact.helo[:TEXT_CHARACTERS_MAX],
        reverse_path=fact.reverse_path[:TEXT_CHARACTERS_MAX],
        recipient=fact.recipient[:TEXT_CHARACTERS_MAX],
        message_id=fact.message_id[:TEXT_CHARACTERS_MAX],
    )
