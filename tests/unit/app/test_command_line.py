"""The command line: every command is there, in both languages, and none is imported in vain."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from staffetta import __version__
from staffetta.app.cli import command_line
from staffetta.app.commands import COMMANDS, HEADINGS, Entry
from staffetta.app.texts import TEXTS, Texts, language_of


def leaves(entries: tuple[Entry, ...], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        if entry.parts:
            yield from leaves(entry.parts, (*path, entry.path))
        else:
            yield (*path, entry.path)


@pytest.mark.parametrize("path", list(leaves(COMMANDS)), ids=" ".join)
def test_every_command_can_be_imported_and_explains_itself(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(command_line(), [*path, "--help"])
    assert answer.exit_code == 0, answer.output
    assert "Usage: staffetta " + " ".join(path) in answer.output.replace("\n", " ")


def test_help_has_every_command_under_a_heading() -> None:
    output = CliRunner().invoke(command_line(), ["--help"]).output
    for entry in COMMANDS:
        assert entry.heading in HEADINGS
        assert re.search(rf"^  {entry.path} ", output, re.MULTILINE), entry.path


def test_help_and_version_import_no_command() -> None:
    script = (
        "import sys; from staffetta.app.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('staffetta.app.commands.')"
        " or m in ('apsw', 'asyncio', 'rich', 'structlog', 'staffetta.app.config')])"
    )
    for option in ("--help", "--version"):
        answer = subprocess.run(
            [sys.executable, "-c", script, option], capture_output=True, text=True, check=True
        )
        assert answer.stdout.splitlines()[-1] == "[]"


def test_version() -> None:
    answer = CliRunner().invoke(command_line(), ["--version"])
    assert __version__ in answer.output


def test_an_unknown_command_is_refused() -> None:
    answer = CliRunner().invoke(command_line(), ["fly"])
    assert answer.exit_code == 2
    assert "No such command 'fly'" in answer.output


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_both_languages_say_the_same_things(key: str) -> None:
    english, italian = TEXTS[key]
    places = re.compile(r"\{(\w+)")
    assert set(places.findall(english)) == set(places.findall(italian))
    assert english.strip()
    assert italian.strip()


def test_the_language_is_the_terminals() -> None:
    assert language_of({}) == "en"
    assert language_of({"LANG": "it_IT.UTF-8"}) == "it"
    assert language_of({"LANG": "it_IT.UTF-8", "LC_ALL": "C"}) == "en"
    assert language_of({"LANG": "de_DE", "STAFFETTA_LANG": "it"}) == "it"
    assert Texts("it")("error") == "errore"
    with pytest.raises(ValueError, match="is not one of"):
        Texts("de")


def test_options_count_before_and_after_the_command(tmp_path: Path) -> None:
    runner = CliRunner()
    before = runner.invoke(command_line(), ["--lang", "it", "--data", str(tmp_path), "status"])
    after = runner.invoke(command_line(), ["status", "--lang", "it", "--data", str(tmp_path)])
    later_wins = runner.invoke(
        command_line(), ["--lang", "en", "status", "--lang", "it", "--data", str(tmp_path)]
    )
    assert before.exit_code == 1
    assert before.output == after.output == later_wins.output
    assert f"nessun servizio è in funzione su {tmp_path}" in before.output


def test_the_environment_says_where_the_service_is(tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        command_line(), ["status", "--json"], env={"STAFFETTA_DATA": str(tmp_path)}
    )
    assert answer.exit_code == 1
    error = msgspec.json.decode(answer.stdout)
    assert str(tmp_path) in error["error"]


def test_config_check_speaks_and_exits(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    runner = CliRunner()
    file.write_text("port_base = 9000\n[smtp]\nlmtp = false\n")
    fine = runner.invoke(command_line(), ["config", "check", str(file)])
    assert (fine.exit_code, fine.output) == (0, f"{file}: fine, 2 settings given\n")
    file.write_text("port_base = -1\n")
    bad = runner.invoke(command_line(), ["config", "check", str(file)])
    assert bad.exit_code == 2
    assert f"{file}:1: port_base: -1 is not allowed" in bad.output
    as_json = runner.invoke(command_line(), ["config", "check", str(file), "--json"])
    assert msgspec.json.decode(as_json.stdout)["problems"][0]["key"] == "port_base"
    nothing = runner.invoke(command_line(), ["config", "check"])
    assert nothing.exit_code == 2


def test_roles_are_checked() -> None:
    answer = CliRunner().invoke(command_line(), ["serve", "--roles", "accept,webmail"])
    assert answer.exit_code == 2
    assert "'webmail' is not one of accept, deliver, access" in answer.output


def test_every_leaf_is_a_click_command() -> None:
    group = command_line()
    with click.Context(group) as context:
        for entry in COMMANDS:
            assert isinstance(group.get_command(context, entry.path), click.Command)
