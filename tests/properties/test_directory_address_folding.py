"""Addresses: however one is spelt, it is the same one, and only once."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from staffetta.directory.addresses import (
    BadAddress,
    fold_domain,
    fold_local_part,
    parse_address,
    strip_tag,
)

texts = st.text(max_size=80)
addresses = st.one_of(
    texts,
    st.builds("{}@{}.example".format, texts, st.text(min_size=1, max_size=20)),
    st.from_regex(r"\A[a-zA-ZàÈß0-9._+-]{1,20}@[a-z0-9-]{1,12}\.(example|it)\Z"),
)


@settings(derandomize=True)
@given(texts)
def test_folding_a_local_part_twice_is_folding_it_once(text: str) -> None:
    assume(not text.startswith('"'))  # each unquoting takes a pair of quotes off
    assert fold_local_part(fold_local_part(text)) == fold_local_part(text)


@settings(derandomize=True)
@given(st.text(max_size=40).filter(lambda text: text.isascii()))
def test_case_does_not_matter(text: str) -> None:
    assert fold_local_part(text.upper()) == fold_local_part(text.lower()) == fold_local_part(text)


@settings(derandomize=True)
@given(st.one_of(texts, st.from_regex(r"\A[a-zA-ZüÖß0-9-]{1,20}(\.[a-zA-Zé0-9-]{1,9}){1,3}\Z")))
def test_a_folded_domain_stays_as_it_is(text: str) -> None:
    folded = fold_domain(text)
    if folded is not None:
        assert folded.isascii()
        assert fold_domain(folded) == folded
        assert fold_domain(folded.upper()) == folded


@settings(derandomize=True)
@given(addresses)
def test_what_may_be_created_is_stored_in_one_spelling(text: str) -> None:
    try:
        address = parse_address(text)
    except BadAddress:
        return
    assert parse_address(str(address)) == address
    assert str(address).count("@") == 1
    assert fold_local_part(address.local_part) == address.local_part
    assert strip_tag(address.local_part) == address.local_part
    assert str(address).encode().decode().isprintable()
