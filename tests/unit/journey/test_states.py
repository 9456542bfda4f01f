"""Where a message is, is a fold over facts, whatever order and repetition they come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from staffetta.journey.states import Journey, State, Step, add_actions, fold
from staffetta.log.facts import Acted, Delivered, Fact, Held, Routed, kind_of
from staffetta.log.port import Entry
from tests.joints import make_accepted

RECEIPT = b"r" * 10


def at(at_us: int, fact: Fact, receipt: bytes = RECEIPT) -> Entry:
    return Entry(1, at_us, at_us, kind_of(fact), receipt, fact, 0)


def held(ordinal: int = 0, mailbox: int = 7, reason: str = "over-quota") -> Held:
    return Held(ordinal, mailbox, reason, 1, 1)


def delivered(ordinal: int = 0, mailbox: int = 7, uid: int = 4) -> Delivered:
    return Delivered(ordinal, mailbox, "a", "INBOX", uid, 77, 1, 1)


def routed(ordinal: int = 0, mailbox: int = 7) -> Routed:
    return Routed(ordinal, mailbox, "brand", "a@example.org", 1, 1, 1)


def follow(mailboxes: tuple[int, ...], *facts: Fact) -> Journey:
    """An acceptance for these mailboxes at 1, and the facts after it."""
    entries = [at(1, make_accepted(mailboxes))]
    entries += [at(number, fact) for number, fact in enumerate(facts, 2)]
    journey = fold(entries)
    assert journey is not None
    return journey


def test_without_an_acceptance_there_is_no_journey() -> None:
    assert fold([]) is None
    assert fold([at(1, delivered())]) is None


def test_what_was_accepted_waits_for_each_recipient() -> None:
    journey = follow((7, 8))
    assert [(one.ordinal, one.mailbox, one.state) for one in journey.recipients] == [
        (0, 7, State.WAITING),
        (1, 8, State.WAITING),
    ]
    assert journey.recipients[0].steps == [Step(1, "accepted")]


def test_each_recipient_has_a_way_of_its_own() -> None:
    journey = follow((7, 8), delivered(1, 8), held(0, 7))
    one, two = journey.recipients
    assert (one.state, one.reason, one.since_us) == (State.HELD, "over-quota", 3)
    assert (two.state, two.uid, two.uid_validity, two.cell) == (State.DELIVERED, 4, 77, "a")


def test_held_and_then_delivered_has_no_reason_any_more() -> None:
    (one,) = follow((7,), held(), delivered()).recipients
    assert (one.state, one.reason) == (State.DELIVERED, "")
    assert [step.what for step in one.steps] == ["accepted", "held", "delivered"]


def test_what_is_delivered_stays_delivered_as_the_first_account_has_it() -> None:
    (one,) = follow((7,), delivered(uid=4), held(), delivered(uid=9), routed()).recipients
    assert (one.state, one.uid, one.since_us) == (State.DELIVERED, 4, 2)
    assert len(one.steps) == 2


def test_to_be_held_again_for_the_same_reason_is_no_step() -> None:
    (one,) = follow((7,), held(), held(), held(reason="mailbox-gone")).recipients
    assert [step.detail for step in one.steps] == ["", "over-quota", "mailbox-gone"]


def test_an_unverified_recipient_becomes_the_mailbox_it_is_routed_to() -> None:
    journey = follow((0,), held(0, 0, "unverified"), routed(0, 7), delivered(0, 7))
    (one,) = journey.recipients
    assert (one.mailbox, one.state, one.brand) == (7, State.DELIVERED, "brand")
    assert [step.what for step in one.steps] == ["accepted", "held", "routed", "delivered"]


def test_an_unverified_recipient_may_become_several_each_with_its_fate() -> None:
    journey = follow((0,), routed(0, 7), routed(0, 8), delivered(0, 8), held(0, 7))
    assert [(one.mailbox, one.state) for one in journey.recipients] == [
        (7, State.HELD),
        (8, State.DELIVERED),
    ]
    assert [one.steps[0].at_us for one in journey.recipients] == [1, 1]


def test_a_moved_mailbox_waits_again_in_its_new_cell() -> None:
    (one,) = follow((7,), held(), routed(0, 7)).recipients
    assert (one.state, one.reason) == (State.WAITING, "")


def test_a_fact_about_nobody_changes_nothing() -> None:
    (one,) = follow((7,), delivered(5, 9)).recipients
    assert one.state is State.WAITING


FACTS = st.one_of(
    st.builds(held, st.integers(0, 2), st.sampled_from([0, 7, 8]), st.sampled_from("xy")),
    st.builds(delivered, st.integers(0, 2), st.sampled_from([7, 8])),
    st.builds(routed, st.integers(0, 2), st.sampled_from([7, 8])),
)


@given(st.lists(FACTS, max_size=12))
def test_no_sequence_of_facts_loses_a_recipient_or_takes_a_delivery_back(
    facts: list[Fact],
) -> None:
    for length in range(len(facts)):
        before = follow((7, 0), *facts[:length])
        after = follow((7, 0), *facts[: length + 1])
        assert {one.ordinal for one in after.recipients} == {0, 1}
        there = [(one.ordinal, one.mailbox) for one in after.recipients]
        for one in before.recipients:
            if one.state is State.DELIVERED:
                same = after.recipients[there.index((one.ordinal, one.mailbox))]
                assert same == one


def test_what_a_person_did_is_among_the_steps_of_that_person_alone() -> None:
    journey = follow((7, 8), delivered(0, 7))
    add_actions(
        journey,
        [
            at(5, Acted(b"a" * 10, 7, "move", (b"x" * 10, RECEIPT), "Work"), b"a" * 10),
            at(1, Acted(b"b" * 10, 7, "read", (RECEIPT,)), b"b" * 10),
            at(6, Acted(b"c" * 10, 7, "read", (b"x" * 10,)), b"c" * 10),
        ],
    )
    one, two = journey.recipients
    assert one.steps == [
        Step(1, "accepted"),
        Step(1, "read"),
        Step(2, "delivered", "INBOX UID 4"),
        Step(5, "move", "Work"),
    ]
    assert two.steps == [Step(1, "accepted")]
