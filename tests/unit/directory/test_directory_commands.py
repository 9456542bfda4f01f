"""The commands about brands and people, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from staffetta.app.cli import command_line
from tests.directory_world import NOBODYS_HASH as HASH


class Operator:
    def __init__(self, data: Path) -> None:
        self.data = data

    def run(self, line: str, *more: str, stdin: str = "") -> Result:
        arguments = ["--data", str(self.data), *line.split(), *more]
        environment = {"LANG": "C", "LC_ALL": "C", "STAFFETTA_LANG": "en", "COLUMNS": "200"}
        return CliRunner().invoke(command_line(), arguments, input=stdin, env=environment)

    def ok(self, line: str, *more: str, stdin: str = "") -> str:
        result = self.run(line, *more, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, line: str, *more: str) -> Any:
        return json.loads(self.ok(f"{line} --json", *more))

    def fails(self, line: str, *more: str, code: int = 1) -> str:
        result = self.run(line, *more)
        assert result.exit_code == code, result.output
        return result.stderr


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    made = Operator(tmp_path / "data")
    made.ok("brand add libero", "Libero Mail", "--contact", "web=https://help.example")
    made.ok("domain add libero.example libero")
    made.ok("plan add libero free Free --quota 1G")
    made.ok("plan add libero plus Plus --quota 5G --message-max 100M --price-cents 1499")
    made.ok("cell add c1 --mailboxes-max 1000")
    made.ok("cell add c2 --mailboxes-max 1000")
    return made


def test_an_account_from_beginning_to_end(operator: Operator) -> None:
    made = operator.json("account add Anna@libero.example --plan plus")
    assert (made["address"], made["plan"], made["cell"]) == ("anna@libero.example", "plus", "c1")
    assert len(made["password"]) >= 24
    shown = operator.json("account show anna@libero.example")
    assert (shown["quota_bytes"], shown["state"]) == (5 << 30, "active")
    assert "password" not in shown
    assert "argon2" not in json.dumps(shown)
    operator.ok("account plan anna@libero.example free --reason asked")
    assert operator.json("account show anna@libero.example")["quota_bytes"] == 1 << 30
    assert "asked" in operator.ok("account show anna@libero.example")
    for verb, state in (("suspend", "suspended"), ("close", "closed"), ("resume", "active")):
        assert state in operator.ok(f"account {verb} anna@libero.example")
        assert operator.json("account list")[0]["state"] == state


def test_passwords_by_every_way(operator: Operator) -> None:
    out = operator.ok("account add a@libero.example --password-stdin", stdin="una password\n")
    assert "password" not in out
    out = operator.ok("account passwd a@libero.example")
    assert "password, shown this once" in out
    operator.ok("account passwd a@libero.example --password", "another one")
    assert "8 to 1024" in operator.fails("account passwd a@libero.example --password short")
    operator.fails("account passwd a@libero.example --password-stdin --password x", code=2)
    assert "no mailbox" in operator.fails("account passwd b@libero.example")


def test_errors_say_what_to_do_next(operator: Operator, tmp_path: Path) -> None:
    operator.ok("account add anna@libero.example")
    error = operator.fails("account add anna@libero.example")
    assert "exists already" in error
    assert "staffetta account show anna@libero.example" in error
    error = operator.fails("account add anna@libero.example --lang it")
    assert "esiste già" in error
    assert "staffetta domain add" in operator.fails("account add x@other.example")
    assert "staffetta plan list" in operator.fails("account add x@libero.example --plan gold")
    assert "brand add" in Operator(tmp_path / "none").fails("account list")
    assert not (tmp_path / "none").exists()
    operator.fails("plan add libero x X --quota much", code=2)
    operator.fails("account add", code=2)
    content = json.loads(operator.run("account show --json nobody@libero.example").stdout)
    assert "no mailbox" in content["error"]


def test_a_broken_directory_is_not_a_traceback(operator: Operator) -> None:
    (operator.data / "directory" / "directory.db").write_bytes(b"garbage" * 1_000)
    assert "cannot be used now" in operator.fails("account list")


def test_lists_and_shows(operator: Operator) -> None:
    for number in range(4):
        operator.ok(f"account add p{number}@libero.example --password", "x" * 8)
    assert [one["mailboxes"] for one in operator.json("cell list")] == [2, 2]
    assert operator.json("cell show c1")["path"] == str(operator.data / "cells" / "c1")
    assert len(operator.json("account list --cell c1")) == 2
    assert len(operator.json("account list --brand libero")) == 4
    assert [one["key"] for one in operator.json("brand list")] == ["libero"]
    brand = operator.json("brand show libero")
    assert brand["domains"] == ["libero.example"]
    assert brand["contacts"][0]["value"] == "https://help.example"
    assert operator.json("plan show libero plus")["message_bytes_max"] == 100 << 20
    assert operator.json("domain list --brand libero") == [
        {"name": "libero.example", "brand": "libero"}
    ]
    for line in ("account list", "brand list", "plan list", "domain list", "cell list"):
        assert operator.ok(line).strip()
    for line in ("brand show libero", "plan show libero free", "cell show c2"):
        assert operator.ok(f"{line} --lang it").strip()
    for line in ("account list --brand", "account list --cell", "brand show", "cell show"):
        assert "there is no" in operator.fails(f"{line} none")
    assert "14.99 €" in operator.ok("plan list")


def test_a_new_domain_says_that_it_needs_a_postmaster(operator: Operator) -> None:
    made = operator.json("domain add Blu.example libero")
    assert made["name"] == "blu.example"
    assert made["role_mailbox"] is False
    operator.ok("account add postmaster@libero.example")
    assert operator.json("domain add iol.example libero")["role_mailbox"] is True


def test_aliases(operator: Operator) -> None:
    operator.ok("account add anna@libero.example")
    operator.ok("account add bruno@libero.example")
    operator.ok("alias add info@libero.example anna@libero.example bruno@libero.example")
    assert len(operator.json("alias list")[0]["targets"]) == 2
    operator.ok("alias remove info@libero.example bruno@libero.example")
    assert operator.json("alias list info@libero.example")[0]["targets"] == ["anna@libero.example"]
    assert operator.json("account show anna@libero.example")["aliases"] == ["info@libero.example"]
    operator.ok("alias remove info@libero.example")
    assert "no alias" in operator.fails("alias list info@libero.example")


class TestImport:
    def test_good_and_bad_rows(self, operator: Operator, tmp_path: Path) -> None:
        file = tmp_path / "people.csv"
        file.write_text(
            "\ufeffaddress,password,password_hash,plan\n"
            f'a@libero.example,,"{HASH}",plus\n'
            "b@libero.example,una password,,\n"
            "c@libero.example,,,\n"
            "a@libero.example,,,\n"
            "d@libero.example,short,,\n"
            "e@libero.example,,,gold\n"
            "f@libero.example,,,free,too,many\n",
            "utf-8",
        )
        result = operator.run(f"account import {file} --json")
        assert result.exit_code == 1
        answer = json.loads(result.stdout)
        assert (answer["added"], answer["refused"]) == (3, 4)
        assert [row["line"] for row in answer["refused_rows"]] == [5, 6, 7, 8]
        assert len(operator.json("account list")) == 3
        assert operator.json("account show a@libero.example")["plan"] == "plus"

    def test_the_same_file_twice(self, operator: Operator, tmp_path: Path) -> None:
        file = tmp_path / "people.csv"
        rows = "".join(f"p{number}@libero.example\n" for number in range(700))
        file.write_text("address\n" + rows)
        assert "700 accounts added, 0 rows refused" in operator.ok(f"account import {file}")
        result = operator.run(f"account import {file}")
        assert result.exit_code == 1
        assert "and 680 more" in result.stdout
        assert len(operator.ok("account list").splitlines()) == 701

    @pytest.mark.parametrize(
        "content", [b"", b"name,plan\nx,y\n", b"address,colour\n", b'address\n"x\n', b"\xff\xfe"]
    )
    def test_what_is_no_table(self, operator: Operator, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "people.csv"
        file.write_bytes(content)
        assert operator.fails(f"account import {file}")

    def test_no_file(self, operator: Operator, tmp_path: Path) -> None:
        assert "cannot be read" in operator.fails(f"account import {tmp_path / 'none'}")


def test_sizes() -> None:
    import click

    from staffetta.app.commands.directory import parse_pair, parse_size

    sizes = {"0": 0, "5G": 5 << 30, "1t": 1 << 40, "50 MiB": 50 << 20, "7b": 7, "2KB": 2_048}
    assert {text: parse_size(text) for text in sizes} == sizes
    for text in ("", "G", "-1", "1.5G", "5X"):
        with pytest.raises(click.BadParameter):
            parse_size(text)
    assert parse_pair("accent=#fff=") == ("accent", "#fff=")
    with pytest.raises(click.BadParameter):
        parse_pair("=x")
