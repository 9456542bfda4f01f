"""Receipts sort by time, survive being read out on the telephone, and never come twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staffetta.log.receipts import (
    EPOCH_MS,
    RECEIPT_BYTES,
    TEXT_CHARACTERS,
    BadReceipt,
    ReceiptMint,
    from_text,
    message_key_of,
    partition_of,
    time_us_of,
    to_text,
)
from tests.joints import START_US, CountingEntropy


class MostEntropy:
    """Chance at its highest."""

    def token(self, size_bytes: int) -> bytes:
        return b"\xff" * size_bytes


def test_a_receipt_tells_its_partition_and_its_moment_to_the_millisecond() -> None:
    receipt = ReceiptMint(201, CountingEntropy()).make(START_US + 1_234_567)
    assert len(receipt) == RECEIPT_BYTES
    assert partition_of(receipt) == 201
    assert time_us_of(receipt) == START_US + 1_234_000


@pytest.mark.parametrize("partition", [-1, 256])
def test_a_partition_beyond_a_byte_is_refused(partition: int) -> None:
    with pytest.raises(ValueError, match="partition"):
        ReceiptMint(partition, CountingEntropy())


@given(
    st.lists(st.integers(0, 5_000_000), min_size=2, max_size=50),
    st.sampled_from([CountingEntropy, MostEntropy]),
)
def test_later_receipts_are_above_earlier_ones_whatever_the_clock_does(
    moments_us: list[int], chance: type[CountingEntropy] | type[MostEntropy]
) -> None:
    mint = ReceiptMint(3, chance())
    made = [mint.make(START_US + moment_us) for moment_us in moments_us]
    assert made == sorted(set(made))
    assert [to_text(one) for one in made] == sorted(to_text(one) for one in made)
    assert {partition_of(one) for one in made} == {3}


def test_receipts_of_one_millisecond_are_all_different() -> None:
    mint = ReceiptMint(1, MostEntropy())
    made = {mint.make(START_US) for _ in range(10_000)}
    assert len(made) == 10_000
    assert {time_us_of(one) for one in made} == {START_US}


def test_two_partitions_never_make_the_same_receipt() -> None:
    one, two = (ReceiptMint(number, MostEntropy()).make(START_US) for number in (1, 2))
    assert one != two


def test_chance_is_drawn_for_many_but_used_once() -> None:
    mint = ReceiptMint(1, CountingEntropy())
    made = [int.from_bytes(mint.make(START_US + n * 1000), "big") for n in range(3)]
    assert len(made) == len({value >> 38 for value in made})


@given(st.binary(min_size=RECEIPT_BYTES, max_size=RECEIPT_BYTES))
def test_text_and_back(receipt: bytes) -> None:
    text = to_text(receipt)
    assert len(text) == TEXT_CHARACTERS
    assert from_text(text) == receipt


def test_what_people_type_is_understood() -> None:
    receipt = from_text("0123456789ABCD01")
    for typed in (
        "0123456789abcd01",
        " 0123-4567-89AB-CD01 ",
        "0123 4567 89ab cdo1",
        "Oi23456789ABCDOL",
    ):
        assert from_text(typed) == receipt


@pytest.mark.parametrize("typed", ["", "0123", "0123456789ABCD012", "0123456789ABCDU1", "é" * 16])
def test_what_is_no_receipt_is_said_to_be_none(typed: str) -> None:
    with pytest.raises(BadReceipt):
        from_text(typed)


def test_the_earliest_moment_is_representable() -> None:
    receipt = ReceiptMint(0, CountingEntropy()).make(EPOCH_MS * 1000)
    assert time_us_of(receipt) == EPOCH_MS * 1000


@given(st.text(min_size=1))
def test_a_message_key_fits_into_a_signed_integer_and_is_never_the_empty_one(text: str) -> None:
    assert 0 < message_key_of(text) < 1 << 63


def test_no_message_id_has_no_key() -> None:
    assert message_key_of("") == 0
    assert message_key_of("<a@x>") != message_key_of("<b@x>")
