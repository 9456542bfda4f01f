"""The scanner against any bytes, and against messages whose structure is known beforehand."""

from __future__ import annotations

import email
import email.message
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from staffetta.formats.mime import Part, scan
from tests.fuzz.fuzz_mime import SNIPPETS, check_message

SOUP = st.lists(st.sampled_from(SNIPPETS) | st.binary(max_size=12), max_size=40).map(b"".join)


@given(st.binary(max_size=400) | SOUP)
def test_any_bytes_are_a_message(data: bytes) -> None:
    check_message(data)


@given(st.integers(1, 60), SOUP)
def test_any_header_value_is_one(copies: int, value: bytes) -> None:
    for name in (b"To", b"Date", b"Subject", b"Content-Type", b"Content-Disposition"):
        check_message(name + b": " + value * copies + b"\r\n\r\n")


@dataclass(frozen=True)
class Node:
    """A part to be written: a leaf with its body, a multipart, or a message in a part."""

    content_type: str
    body: bytes = b""
    children: tuple[Node, ...] = ()
    message: Node | None = None


# Lines that begin with two hyphens but no boundary of ours are part of the body.
LINES = st.sampled_from([b"", b"text", b"--", b"-- ", b"--not a boundary", b"From x", b" \t", b"."])
LEAVES = st.builds(
    Node,
    st.sampled_from(["text/plain", "text/html", "application/pdf", "image/png"]),
    st.lists(LINES, max_size=6).map(b"\r\n".join),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(
            lambda subtype, children: Node(f"multipart/{subtype}", children=tuple(children)),
            st.sampled_from(["mixed", "alternative", "related"]),
            st.lists(inner, min_size=1, max_size=4),
        )
        | st.builds(lambda message: Node("message/rfc822", message=message), inner)
    ),
    max_leaves=12,
)


def write(node: Node, path: str = "0") -> bytes:
    """The node as a message or part; boundaries differ because the paths do."""
    head = f"MIME-Version: 1.0\r\nContent-Type: {node.content_type}"
    if node.message is not None:
        return head.encode() + b"\r\n\r\n" + write(node.message, path + ".m")
    if not node.children:
        return head.encode() + b"\r\n\r\n" + node.body
    boundary = f"=_{path}_"
    delimiter = f"\r\n--{boundary}".encode()
    parts = [
        delimiter + b"\r\n" + write(child, f"{path}.{number}")
        for number, child in enumerate(node.children)
    ]
    head += f'; boundary="{boundary}"\r\n\r\npreamble'
    return head.encode() + b"".join(parts) + delimiter + b"--\r\nepilogue"


def assert_same(data: bytes, part: Part, node: Node) -> None:
    assert b"/".join((part.type, part.subtype)).decode() == node.content_type
    assert len(part.children) == len(node.children)
    for child, wanted in zip(part.children, node.children, strict=True):
        assert_same(data, child, wanted)
    if node.message is not None:
        assert part.message is not None
        assert_same(data, part.message, node.message)
    elif not node.children:
        assert data[part.body_start : part.body_end] == node.body


@given(TREES)
def test_a_message_comes_apart_as_it_was_put_together(node: Node) -> None:
    data = write(node)
    assert_same(data, scan(data), node)


def assert_agrees(data: bytes, part: Part, parsed: email.message.Message) -> None:
    assert b"/".join((part.type, part.subtype)).decode() == parsed.get_content_type()
    if part.message is not None:
        assert_agrees(data, part.message, parsed.get_payload(0))  # type: ignore[arg-type]
    elif part.children:
        payload = parsed.get_payload()
        assert isinstance(payload, list)
        assert len(part.children) == len(payload)
        for child, other in zip(part.children, payload, strict=True):
            assert_agrees(data, child, other)
    else:
        body = data[part.body_start : part.body_end].decode("ascii", "surrogateescape")
        assert body == parsed.get_payload()


@settings(max_examples=60)
@given(TREES)
def test_the_standard_library_sees_the_same(node: Node) -> None:
    data = write(node)
    assert_agrees(data, scan(data), email.message_from_bytes(data))
