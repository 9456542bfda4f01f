from __future__ import annotations

from staffetta.directory.entitlements import Entitlement, EntryKind, LedgerEntry, fold

GB = 1 << 30
QUOTAS = {"free": GB, "plus": 5 * GB, "endless": 0}
MONTH_US = 30 * 86_400 * 1_000_000


def at(moment_us: int, *entries: LedgerEntry) -> Entitlement:
    return fold(entries, moment_us, lambda plan: QUOTAS[plan])


FREE = LedgerEntry(1, 100, EntryKind.PLAN, plan="free")


def test_a_plan_gives_its_quota() -> None:
    assert at(100, FREE) == Entitlement("free", GB, 0)


def test_the_latest_plan_counts_from_its_moment_on() -> None:
    plus = LedgerEntry(2, 200, EntryKind.PLAN, plan="plus")
    assert at(199, FREE, plus) == Entitlement("free", GB, 200)
    assert at(200, FREE, plus) == Entitlement("plus", 5 * GB, 0)


def test_a_fifth_more_for_ever() -> None:
    grant = LedgerEntry(2, 200, EntryKind.PERCENT, amount=20)
    assert at(300, FREE, grant).quota_bytes == GB * 120 // 100


def test_percentages_add_up_and_do_not_compound() -> None:
    grants = [LedgerEntry(2, 0, EntryKind.PERCENT, 20), LedgerEntry(3, 0, EntryKind.PERCENT, 20)]
    assert at(300, FREE, *grants).quota_bytes == GB * 140 // 100


def test_an_upgrade_ends_and_what_was_granted_before_is_there_again() -> None:
    grant = LedgerEntry(2, 200, EntryKind.PERCENT, amount=20)
    upgrade = LedgerEntry(3, 300, EntryKind.PLAN, plan="plus", until_us=300 + 6 * MONTH_US)
    before, end_us = at(299, FREE, grant, upgrade), 300 + 6 * MONTH_US
    assert before.changes_us == 300
    assert at(300, FREE, grant, upgrade) == Entitlement("plus", 6 * GB, end_us)
    after = at(end_us, FREE, grant, upgrade)
    assert (after.plan, after.quota_bytes) == (before.plan, before.quota_bytes)


def test_a_change_of_plan_during_an_upgrade_shows_when_it_ends() -> None:
    upgrade = LedgerEntry(2, 200, EntryKind.PLAN, plan="plus", until_us=400)
    endless = LedgerEntry(3, 300, EntryKind.PLAN, plan="endless")
    assert at(350, FREE, upgrade, endless).plan == "plus"
    assert at(400, FREE, upgrade, endless) == Entitlement("endless", 0, 0)


def test_revoking_takes_back_from_then_on_only() -> None:
    grant = LedgerEntry(2, 200, EntryKind.BYTES, amount=500)
    revocation = LedgerEntry(3, 300, EntryKind.REVOKE, revokes=2)
    assert at(299, FREE, grant, revocation).quota_bytes == GB + 500
    assert at(300, FREE, grant, revocation) == at(300, FREE)


def test_no_limit_stays_no_limit() -> None:
    endless = LedgerEntry(1, 0, EntryKind.PLAN, plan="endless")
    assert at(9, endless, LedgerEntry(2, 1, EntryKind.BYTES, 500)).quota_bytes == 0
