"""Reading the configuration file, and saying precisely what is wrong with it.

Every problem is found in one go, with its line, its key and what is allowed there.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields, replace

from staffetta.app.config import PORT_OFFSETS, Config
from staffetta.app.config_reference import allowed

RUNNING_CONFIG = "config.json"  # in the run directory: what the running service was given
_HEADER = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\"' -]+?)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\"'-]+(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` is 0 where it is not in one place; `key` is dotted."""

    file: str
    line: int
    key: str
    what: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}"


class ConfigRefused(Exception):
    """The configuration cannot be used."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def load(file: Path | None, data: Path | None, port_base: int | None) -> Config:
    """The configuration: defaults, then the file, then what the command line says.

    Relative paths in a file start at the file's own directory. Raises `ConfigRefused`.
    """
    if file is None and data is None:
        raise ConfigRefused(
            [Problem("command line", 0, "", "say where: --data DIR or --config FILE")]
        )
    config = Config() if file is None else read(file)
    if data is not None:
        config = replace(config, data_directory=str(data.absolute()))
    if port_base is not None:
        config = replace(config, port_base=port_base)
    problems = list(_ports_at_odds(config, str(file or "command line")))
    if problems:
        raise ConfigRefused(problems)
    return config


def load_running(data: Path) -> Config | None:
    """What the service that runs (or last ran) on a data directory was given, if any did."""
    try:
        content = (data / "run" / RUNNING_CONFIG).read_bytes()
        return msgspec.json.decode(content, type=Config)
    except (OSError, msgspec.MsgspecError):
        return None


def read(file: Path) -> Config:
    """The configuration in a file, its paths made absolute. Raises `ConfigRefused`."""
    name = str(file)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigRefused([Problem(name, 0, "", str(error))]) from error
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigRefused([Problem(name, 0, "", f"not TOML: {error}")]) from error
    config, problems = check(given, name, text)
    if config is None or problems:
        raise ConfigRefused(problems)
    return _with_absolute_paths(config, file.absolute().parent)


def check(
    given: Mapping[str, Any], file: str, text: str = ""
) -> tuple[Config | None, list[Problem]]:
    """The configuration that these tables make, or all that is wrong with them."""
    lines = key_lines(text)

    def problem(key: str, what: str) -> Problem:
        return Problem(file, lines.get(key, 0), key, what)

    problems = [problem(key, what) for key, what in _at_odds_with_type(given, Config, "")]
    if problems:
        return None, problems
    config = msgspec.convert(given, Config)
    problems = [problem(key, what) for key, what in _at_odds_with_each_other(config)]
    return config, problems


def count_settings(given: Mapping[str, Any]) -> int:
    """How many settings the tables contain."""
    return sum(
        count_settings(value) if isinstance(value, Mapping) else 1 for value in given.values()
    )


def key_lines(text: str) -> dict[str, int]:
    """The line of each dotted key and table of a TOML file, as far as plain lines tell."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _plain(header[1])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{table}.{_plain(key[1])}" if table else _plain(key[1]), number)
    return found


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _at_odds_with_type(
    given: Mapping[str, Any], section: type[msgspec.Struct], path: str
) -> Iterator[tuple[str, str]]:
    known = {field.name: field for field in fields(section)}
    for name, value in given.items():
        key = f"{path}.{name}" if path else name
        field = known.get(name)
        if field is None:
            yield key, _unknown(name, list(known), path)
            continue
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            if isinstance(value, Mapping):
                yield from _at_odds_with_type(value, field.type, key)
            else:
                yield key, f"is a table: write [{key}]"
        elif name == "cells":
            yield from _at_odds_with_cells(value, field, key)
        else:
            yield from _at_odds_with_field(value, field, key)


def _at_odds_with_cells(value: Any, field: FieldInfo, key: str) -> Iterator[tuple[str, str]]:
    cell_type = field.type.__args__[1]
    if not isinstance(value, Mapping) or not all(isinstance(v, Mapping) for v in value.values()):
        yield key, "holds one table for each cell: write [cells.NAME]"
        return
    for name, cell in value.items():
        yield from _at_odds_with_type(cell, cell_type, f"{key}.{name}")


def _at_odds_with_field(value: Any, field: FieldInfo, key: str) -> Iterator[tuple[str, str]]:
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError:
        shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "…"
        yield key, f"{shown} is not allowed; allowed: {allowed(field.type)}"


def _unknown(name: str, known: list[str], path: str) -> str:
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"there is no such setting; did you mean {near[0]!r}?"
    place = f"[{path}]" if path else "the top of the file"
    return f"there is no such setting; {place} may have: {', '.join(known)}"


def _at_odds_with_each_other(config: Config) -> Iterator[tuple[str, str]]:
    log = config.log
    if log.free_bytes_alarm <= log.free_bytes_min:
        yield "log.free_bytes_alarm", f"must be more than log.free_bytes_min, {log.free_bytes_min}"
    if config.emergency.days > log.retention_days:
        yield "emergency.days", f"the log keeps only log.retention_days, {log.retention_days}"
    if bool(config.tls.certificate) != bool(config.tls.key):
        yield "tls.certificate", "certificate and key are given together, or neither"
    if not config.roles.run or len(set(config.roles.run)) != len(config.roles.run):
        yield "roles.run", "names each role once, and at least one"
    for key, addresses in (
        ("smtp.addresses", config.smtp.addresses),
        ("smtp.lmtp_addresses", config.smtp.lmtp_addresses),
        ("imap.addresses", config.imap.addresses),
        ("http.addresses", config.http.addresses),
        ("health.addresses", config.health.addresses),
    ):
        for address in addresses:
            if not _is(ipaddress.ip_address, address):
                yield key, f"{address!r} is not an IP address, e.g. 127.0.0.1 or ::"
    for key, networks in (
        ("smtp.limits.address_limit_exempt", config.smtp.limits.address_limit_exempt),
        ("imap.limits.address_limit_exempt", config.imap.limits.address_limit_exempt),
    ):
        for network in networks:
            if not _is(ipaddress.ip_network, network):
                yield key, f"{network!r} is not a network, e.g. 127.0.0.0/8"
    for name in config.cells:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
            yield f"cells.{name}", "a cell's name has small letters, digits and hyphens"


def _is(parse: Any, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _ports_at_odds(config: Config, file: str) -> Iterator[Problem]:
    """Two doors at one port, of whatever address: more often a slip than a wish."""
    taken: dict[int, str] = {}
    for door in PORT_OFFSETS:
        first = config.port(door)
        role, _, health = door.partition("-")
        width = config.processes(role) if health else 1
        for port in range(first, first + width):
            if other := taken.get(port):
                yield Problem(file, 0, "", f"port {port} is wanted by both {other} and {door}")
            taken[port] = door


def _with_absolute_paths(config: Config, base: Path) -> Config:
    def absolute(path: str) -> str:
        return str(base / path) if path else ""

    return replace(
        config,
        data_directory=absolute(config.data_directory),
        log=replace(config.log, directory=absolute(config.log.directory)),
        tls=replace(
            config.tls,
            certificate=absolute(config.tls.certificate),
            key=absolute(config.tls.key),
        ),
        telemetry=replace(config.telemetry, file=absolute(config.telemetry.file)),
        cells={
            name: replace(cell, directory=absolute(cell.directory))
            for name, cell in config.cells.items()
        },
    )
