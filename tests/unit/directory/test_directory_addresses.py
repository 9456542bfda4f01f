from __future__ import annotations

import pytest

from staffetta.directory.addresses import (
    Address,
    BadAddress,
    fold_domain,
    fold_local_part,
    parse_address,
    strip_tag,
)


@pytest.mark.parametrize(
    ("given", "folded"),
    [
        ("Anna", "anna"),
        ("ANNA.Bianchi", "anna.bianchi"),
        ('"Anna"', "anna"),  # RFC 5321 4.1.2: the quotes are not part of the name
        (r'"an\na"', "anna"),
        ("E\N{COMBINING GRAVE ACCENT}lena", "èlena"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ('"', '"'),
        ("", ""),
    ],
)
def test_local_parts_fold(given: str, folded: str) -> None:
    assert fold_local_part(given) == folded


@pytest.mark.parametrize(
    ("given", "folded"),
    [
        ("Libero.Example", "libero.example"),
        ("Müller.Example", "xn--mller-kva.example"),
        ("xn--MLLER-kva.example", "xn--mller-kva.example"),
        ("[127.0.0.1]", None),
        ("localhost", None),
        ("libero.example.", None),
        ("libero..example", None),
        ("-libero.example", None),
        ("\udce9.example", None),
        ("a" * 64 + ".example", None),
        (".".join(["a" * 60] * 5), None),
        ("", None),
    ],
)
def test_domains_fold_to_a_labels(given: str, folded: str | None) -> None:
    assert fold_domain(given) == folded


def test_the_tag_begins_at_the_first_plus() -> None:
    assert strip_tag("anna+shop+2024") == "anna"
    assert strip_tag("anna") == "anna"
    assert strip_tag("+shop") == ""


def test_an_address_is_stored_folded() -> None:
    assert parse_address(" Anna@LIBERO.example ") == Address("anna", "libero.example")
    assert str(parse_address("Anna@Müller.example")) == "anna@xn--mller-kva.example"


@pytest.mark.parametrize(
    "given",
    [
        "anna",
        "@libero.example",
        "anna@",
        "anna@localhost",
        "anna+shop@libero.example",
        "an na@libero.example",
        ".anna@libero.example",
        "anna.@libero.example",
        "an..na@libero.example",
        '"an na"@libero.example',
        "an@na@libero.example",
        "an\N{ZERO WIDTH SPACE}na@libero.example",
        "an\N{NO-BREAK SPACE}na@libero.example",
        "an\udce9na@libero.example",
        "a" * 65 + "@libero.example",
        "è" * 33 + "@libero.example",  # 66 bytes
    ],
)
def test_what_nobody_should_be_called_is_refused(given: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(given)


def test_a_local_part_of_64_bytes_is_fine() -> None:
    assert len(parse_address("a" * 64 + "@libero.example").local_part) == 64
