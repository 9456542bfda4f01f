"""One question, one answer, over a Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from staffetta.app.control import ControlServer, NoAnswer, ask

TIMEOUT_S = 5.0


async def double(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"doubled": request["number"] * 2}


async def fail(request: Mapping[str, Any]) -> Mapping[str, Any]:
    raise LookupError("no such thing")


def asked(path: Path, *requests: Mapping[str, Any]) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        server = ControlServer(path, {"double": double, "fail": fail})
        await server.start()
        try:
            return [await asyncio.to_thread(ask, path, one, TIMEOUT_S) for one in requests]
        finally:
            server.close()

    return asyncio.run(run())


def test_a_command_answers(tmp_path: Path) -> None:
    assert asked(tmp_path / "a.sock", {"do": "double", "number": 21}) == [{"doubled": 42}]


def test_what_goes_wrong_is_said_and_the_next_is_answered(tmp_path: Path) -> None:
    unknown, failed, fine = asked(
        tmp_path / "a.sock", {"do": "fly"}, {"do": "fail"}, {"do": "double", "number": 1}
    )
    assert unknown["error"] == "unknown; known: double, fail"
    assert failed["error"] == "LookupError: no such thing"
    assert fine == {"doubled": 2}


def test_a_large_answer_comes_whole(tmp_path: Path) -> None:
    content = "x" * 1_000_000
    [answer] = asked(tmp_path / "a.sock", {"do": "double", "number": content})
    assert answer == {"doubled": content * 2}


def test_the_socket_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    asked(path)
    assert not path.exists()
    with pytest.raises(NoAnswer):
        ask(path, {"do": "double"}, TIMEOUT_S)
