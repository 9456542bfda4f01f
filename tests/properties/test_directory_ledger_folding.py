"""The ledger: an entitlement is what the fold says, whatever happened on the way."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from staffetta.directory.entitlements import Entitlement, EntryKind, LedgerEntry, fold

QUOTAS = {"free": 1_000, "plus": 5_000}
moments = st.integers(1, 60)


@st.composite
def ledgers(draw: st.DrawFn) -> list[LedgerEntry]:
    entries = [LedgerEntry(1, 0, EntryKind.PLAN, plan="free")]
    at_us = 0
    for number in range(2, draw(st.integers(2, 12))):
        at_us += draw(st.integers(0, 6))
        until_us = draw(st.one_of(st.just(0), st.integers(at_us + 1, at_us + 30)))
        kind = draw(st.sampled_from(EntryKind))
        entries.append(
            LedgerEntry(
                number,
                at_us,
                kind,
                amount=draw(st.integers(1, 50)),
                plan=draw(st.sampled_from(sorted(QUOTAS))),
                until_us=until_us if kind is not EntryKind.REVOKE else 0,
                revokes=draw(st.integers(2, number)) if kind is EntryKind.REVOKE else 0,
            )
        )
    return entries


def at(moment_us: int, entries: list[LedgerEntry]) -> Entitlement:
    return fold(entries, moment_us, QUOTAS.__getitem__)


@settings(derandomize=True)
@given(ledgers(), moments, st.randoms(use_true_random=False))
def test_the_order_in_which_entries_are_read_means_nothing(
    entries: list[LedgerEntry], moment_us: int, chance: random.Random
) -> None:
    shuffled = entries[:]
    chance.shuffle(shuffled)
    assert at(moment_us, shuffled) == at(moment_us, entries)


@settings(derandomize=True)
@given(ledgers(), moments)
def test_nothing_changes_before_the_moment_that_was_told(
    entries: list[LedgerEntry], moment_us: int
) -> None:
    now = at(moment_us, entries)
    for later_us in range(moment_us, now.changes_us or 100):
        later = at(later_us, entries)
        assert (later.plan, later.quota_bytes) == (now.plan, now.quota_bytes)


@settings(derandomize=True)
@given(ledgers(), moments, st.sampled_from([EntryKind.BYTES, EntryKind.PERCENT, EntryKind.PLAN]))
def test_granting_and_revoking_gives_what_there_was(
    entries: list[LedgerEntry], later_us: int, kind: EntryKind
) -> None:
    last = entries[-1]
    grant = LedgerEntry(last.entry + 1, last.at_us, kind, 30, plan="plus")
    revoked_us = last.at_us + 1
    revocation = LedgerEntry(last.entry + 2, revoked_us, EntryKind.REVOKE, revokes=grant.entry)
    moment_us = revoked_us + later_us
    before, after = at(moment_us, entries), at(moment_us, [*entries, grant, revocation])
    assert (before.plan, before.quota_bytes) == (after.plan, after.quota_bytes)


@settings(derandomize=True)
@given(ledgers(), moments)
def test_the_past_does_not_change(entries: list[LedgerEntry], later_us: int) -> None:
    last = entries[-1]
    more = LedgerEntry(last.entry + 1, last.at_us + later_us, EntryKind.PLAN, plan="plus")
    for moment_us in range(last.at_us + later_us):
        before, after = at(moment_us, entries), at(moment_us, [*entries, more])
        assert (before.plan, before.quota_bytes) == (after.plan, after.quota_bytes)
