"""The configuration: defaults, problems with line and key, and what is at odds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from staffetta.app.config import PORT_OFFSETS, PROCESSES_MAX, Config
from staffetta.app.config_file import ConfigRefused, Problem, check, key_lines, load, load_running
from staffetta.app.config_reference import reference


def problems_of(text: str, tmp_path: Path) -> list[str]:
    file = tmp_path / "staffetta.toml"
    file.write_text(text)
    with pytest.raises(ConfigRefused) as caught:
        load(file, None, None)
    return [str(problem).removeprefix(str(file)) for problem in caught.value.problems]


def test_a_data_directory_is_enough(tmp_path: Path) -> None:
    config = load(None, tmp_path, None)
    assert config.data.root == tmp_path
    assert (config.port("smtp"), config.port("imaps")) == (8025, 8993)


def test_one_number_shifts_all_ports(tmp_path: Path) -> None:
    config = load(None, tmp_path, 20_000)
    assert {config.port(door) - PORT_OFFSETS[door] for door in PORT_OFFSETS} == {20_000}


def test_a_port_of_its_own_is_not_shifted(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[smtp]\nport = 2525\n")
    assert load(file, None, 20_000).port("smtp") == 2525


def test_no_ports_of_the_roles_meet_however_many_processes() -> None:
    config = Config()
    taken = [
        config.port(door) + index
        for door in PORT_OFFSETS
        for index in range(PROCESSES_MAX if door.endswith("-health") else 1)
    ]
    assert len(taken) == len(set(taken))


def test_nothing_given_says_what_to_give() -> None:
    with pytest.raises(ConfigRefused, match="--data DIR or --config FILE"):
        load(None, None, None)


def test_every_problem_is_named_with_its_line(tmp_path: Path) -> None:
    text = """\
port_bas = 9000
[smtp]
port = 99999
[smtp.limits]
recipients_max = 3
[roles]
run = ["accept", "webmail"]
[log]
retention_days = "30"
"""
    found = problems_of(text, tmp_path)
    assert found == [
        ":1: port_bas: there is no such setting; did you mean 'port_base'?",
        ":3: smtp.port: 99999 is not allowed; allowed: a whole number from 0 to 65535",
        ":5: smtp.limits.recipients_max: 3 is not allowed; allowed: a whole number, 100 or more",
        ":7: roles.run: ['accept', 'webmail'] is not allowed; allowed: a list, each "
        '"accept" or "access" or "deliver"',
        ":9: log.retention_days: '30' is not allowed; allowed: a whole number, 1 or more",
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[log]\nfree_bytes_min = 9\nfree_bytes_alarm = 8\n", "log.free_bytes_alarm"),
        ("[emergency]\ndays = 31\n", "emergency.days"),
        ('[tls]\ncertificate = "a.pem"\n', "tls.certificate"),
        ("[roles]\nrun = []\n", "roles.run"),
        ('[roles]\nrun = ["access", "access"]\n', "roles.run"),
        ('[imap]\naddresses = ["localhost"]\n', "imap.addresses"),
        ('[smtp.limits]\naddress_limit_exempt = ["10.0.0.1/8"]\n', "smtp.limits"),
        ("[cells.C1]\n", "cells.C1"),
        ('cells = "c1"\n', "cells"),
        ("smtp = 3\n", "write [smtp]"),
        ("[smtp]\nport = 8143\n", "both"),
        ("[smtp\n", "not TOML"),
    ],
)
def test_settings_at_odds_are_refused(text: str, key: str, tmp_path: Path) -> None:
    found = problems_of(text, tmp_path)
    assert len(found) == 1
    assert key in found[0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"none\.toml"):
        load(tmp_path / "none.toml", None, None)


def test_paths_start_where_the_file_is(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'data_directory = "d"\n[cells.c1]\ndirectory = "../c1"\n[log]\ndirectory = "/log"\n'
        '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'
    )
    config = load(file, None, None)
    assert config.data_directory == str(tmp_path / "d")
    assert config.cells["c1"].directory == str(tmp_path / "../c1")
    assert config.log.directory == "/log"
    assert config.tls.key == str(tmp_path / "k.pem")
    assert config.telemetry.file == ""


def test_lines_are_found_in_quoted_and_dotted_keys() -> None:
    text = '"a" = 1\nb.c = 2\n\n[ d . "e" ]\nf = 3\n# g = 4\n[[h]]\n'
    lines = key_lines(text)
    assert {key: lines[key] for key in ("a", "b.c", "d.e", "d.e.f")} == {
        "a": 1,
        "b.c": 2,
        "d.e": 4,
        "d.e.f": 5,
    }


def test_a_problem_without_a_line_names_the_file() -> None:
    assert str(Problem("a.toml", 0, "", "odd")) == "a.toml: odd"


def test_what_the_service_was_given_can_be_read_back(tmp_path: Path) -> None:
    config, found = check({"port_base": 9000, "cells": {"c1": {"directory": "/c1"}}}, "a.toml")
    assert found == []
    assert load_running(tmp_path) is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes(msgspec.json.encode(config))
    assert load_running(tmp_path) == config


def test_every_setting_is_in_the_reference() -> None:
    page = reference()

    def names(section: type[msgspec.Struct]) -> list[str]:
        found = []
        for field in msgspec.structs.fields(section):
            inner = field.type
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                found += names(inner)
            elif field.name != "cells":
                found.append(field.name)
        return found

    assert [name for name in names(Config) if f"| `{name}` |" not in page] == []
