"""Received and Return-Path."""

from __future__ import annotations

from dataclasses import replace

from staffetta.formats.headers import count_received, split_fields
from staffetta.formats.trace import Hop, format_received, format_return_path

HOP = Hop(
    helo="client.example",
    peer_name="mail.client.example",
    peer_address="192.0.2.1",
    by="mx.libero.example",
    protocol="ESMTPS",
    receipt="01J8Z",
    recipient="anna@libero.example",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
)


def test_a_whole_received_field() -> None:
    assert format_received(HOP, 1_740_993_731, 60) == (
        b"Received: from client.example (mail.client.example [192.0.2.1])\r\n"
        b"\t(using TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby mx.libero.example with ESMTPS id 01J8Z\r\n"
        b"\tfor <anna@libero.example>;\r\n"
        b"\tMon, 3 Mar 2025 10:22:11 +0100\r\n"
    )


def test_the_least_that_is_known() -> None:
    hop = replace(HOP, peer_name=None, peer_address="2001:db8::1", recipient=None, tls=None)
    assert format_received(hop, 0) == (
        b"Received: from client.example ([IPv6:2001:db8::1])\r\n"
        b"\tby mx.libero.example with ESMTPS id 01J8Z;\r\n"
        b"\tThu, 1 Jan 1970 00:00:00 +0000\r\n"
    )


def test_a_peer_cannot_write_fields_of_its_own() -> None:
    evil = "x)\r\nBcc: victim@example.org\r\n\r\n(" + "y" * 10_000
    hop = replace(HOP, helo=evil, peer_name=evil, recipient=evil + ">", tls=evil)
    field = format_received(hop, 0)
    assert len(split_fields(field)) == 1
    assert count_received(field) == 1
    assert len(field) < 4_000


def test_return_paths() -> None:
    assert format_return_path("") == b"Return-Path: <>\r\n"
    assert format_return_path("a@b.example") == b"Return-Path: <a@b.example>\r\n"
    assert format_return_path('"a b"@b.example') == b'Return-Path: <"a b"@b.example>\r\n'
    assert format_return_path("a>\r\nX: y") == b"Return-Path: <a???X: y>\r\n"
