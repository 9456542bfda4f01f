from __future__ import annotations

from staffetta.directory.recent import Recent


def test_it_stays_bounded_and_keeps_what_is_asked_for() -> None:
    recent: Recent[int, int] = Recent(10)
    recent.put(-1, -1, recent.epoch)
    for key in range(1_000):
        recent.put(key, key, recent.epoch)
        assert recent.get(-1) == -1
        assert len(recent) <= 20
    assert recent.get(0) is None
    assert recent.get(999) == 999


def test_a_value_read_before_a_forget_does_not_arrive_after_it() -> None:
    recent: Recent[str, int] = Recent(10)
    epoch = recent.epoch
    recent.forget(lambda _, value: False)
    recent.put("late", 1, epoch)
    assert recent.get("late") is None
    epoch = recent.epoch
    recent.clear()
    recent.put("late", 1, epoch)
    assert recent.get("late") is None


def test_forget_reaches_both_generations() -> None:
    recent: Recent[int, int] = Recent(4)
    for key in range(8):
        recent.put(key, key, recent.epoch)
    recent.forget(lambda _, value: value % 2 == 0)
    assert [key for key in range(8) if recent.get(key) is not None] == [1, 3, 5, 7]
