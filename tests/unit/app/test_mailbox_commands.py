"""`staffetta mailbox check`, `export` and `import`, as an operator types them."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from staffetta.app.cli import command_line
from staffetta.runtime.net import unix_address
from staffetta.runtime.notify import decode_ids, listener_path

ANNA, BRUNO = "anna@libero.example", "bruno@libero.example"
MBOX = (
    b"From x@y Mon Mar  3 10:22:11 2025\nSubject: 1\nStatus: RO\n\nciao\n\n"
    b"From x@y Mon Mar  3 10:22:12 2025\nSubject: 2\n\n>From here\n\n"
)


class Operator:
    """Somebody at a terminal."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def run(self, line: str, *more: str) -> Result:
        arguments = ["--data", str(self.data), *line.split(), *more]
        environment = {"LANG": "C", "STAFFETTA_LANG": "en", "COLUMNS": "200"}
        return CliRunner().invoke(command_line(), arguments, env=environment)

    def ok(self, line: str, *more: str) -> str:
        result = self.run(line, *more)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, line: str, code: int = 0) -> Any:
        result = self.run(f"{line} --json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def fails(self, line: str, code: int = 1) -> str:
        result = self.run(line)
        assert result.exit_code == code, result.output
        return result.stderr


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    made = Operator(tmp_path / "data")
    made.ok("brand add libero Libero")
    made.ok("domain add libero.example libero")
    made.ok("plan add libero free Free --quota 1G")
    made.ok("cell add c1 --mailboxes-max 1000")
    for address in (ANNA, BRUNO):
        made.ok(f"account add {address}")
    return made


@pytest.mark.parametrize("form", ["mbox", "maildir", "eml"])
def test_in_out_and_in_again(operator: Operator, tmp_path: Path, form: str) -> None:
    (tmp_path / "in.mbox").write_bytes(MBOX)
    taken = operator.json(f"mailbox import {ANNA} {tmp_path}/in.mbox --folder Vecchia/Posta")
    assert (taken["messages"], taken["folders_made"], taken["problems"]) == (2, 1, [])
    out = operator.ok(f"mailbox export {ANNA} {tmp_path}/out --format {form}")
    assert "2 messages" in out
    text = operator.ok(f"mailbox import {BRUNO} {tmp_path}/out")
    assert "2 messages" in text
    again = operator.json(f"mailbox export {BRUNO} {tmp_path}/again --format {form}")
    assert again["messages"] == 2
    files = [sorted(path.rglob("*")) for path in (tmp_path / "out", tmp_path / "again")]
    contents = [[one.read_bytes() for one in names if one.is_file()] for names in files]
    assert contents[0] == contents[1]
    checked = operator.json("mailbox check --all --cell c1")
    assert (checked["mailboxes"], checked["damaged"]) == (2, 0)
    assert [one["messages"] for one in checked["reports"]] == [2, 2]


def test_readers_hear_of_an_import(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "in.mbox").write_bytes(MBOX)
    run = operator.data / "run"
    run.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        with unix_address(listener_path(run, 0)) as address:
            listener.bind(address)
        operator.ok(f"mailbox import {ANNA} {tmp_path}/in.mbox")
        listener.setblocking(False)
        assert decode_ids(listener.recv(1024)) == [operator.json(f"account show {ANNA}")["mailbox"]]


def test_damage_is_found(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "in.mbox").write_bytes(MBOX)
    operator.ok(f"mailbox import {ANNA} {tmp_path}/in.mbox")
    assert "1 mailboxes, 2 messages" in operator.ok(f"mailbox check {ANNA}")
    (file,) = (operator.data / "cells" / "c1").glob("*/*.mbx")
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
    file.write_bytes(b"\xff" * 4096)
    checked = operator.json(f"mailbox check {ANNA} {BRUNO}", code=1)
    assert [bool(one["problems"]) for one in checked["reports"]] == [True, False]
    assert "cannot be used now" in operator.fails(
        f"mailbox export {ANNA} {tmp_path}/out --format eml"
    )


def test_what_was_left_out_is_told(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.eml").write_bytes(b"\0")
    (tmp_path / "in" / "good.eml").write_bytes(b"Subject: x\n\n")
    told = operator.json(f"mailbox import {ANNA} {tmp_path}/in", code=1)
    assert (told["messages"], told["unreadable"]) == (1, 1)
    assert told["problems"] == ["bad.eml: holds a NUL"]


def test_mistakes_are_explained(operator: Operator, tmp_path: Path) -> None:
    operator.fails("mailbox check", code=2)
    operator.fails(f"mailbox check {ANNA} --all", code=2)
    operator.fails("mailbox check --all --cell c9")
    assert "no mailbox" in operator.fails("mailbox check nobody@libero.example")
    assert "No such file" in operator.fails(f"mailbox import {ANNA} {tmp_path}/none")
    assert "not empty" in operator.fails(f"mailbox export {ANNA} {tmp_path} --format eml")
    error = operator.fails(f"mailbox export {ANNA} {tmp_path}/o --format eml --folder Nulla")
    assert "no folder Nulla" in error
    (tmp_path / "in.mbox").write_bytes(MBOX)
    assert "cannot be made" in operator.fails(
        f"mailbox import {ANNA} {tmp_path}/in.mbox --folder a//b"
    )
