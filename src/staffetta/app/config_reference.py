"""The reference of all settings, in Markdown, made from `app.config` itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as types
from msgspec.structs import FieldInfo, fields

from staffetta.app.config import PORT_OFFSETS, Config

_HEAD = """\
# Configuration

This page is generated from `src/staffetta/app/config.py` by `staffetta config reference`.

One TOML file, given as `--config FILE`; every setting has a default, so there may be none at all
(`--data DIR` is then enough). Unknown settings are refused. `staffetta config check FILE` says
what is wrong with a file, with line and key. Units are the last part of a setting's name.

`kill -HUP` of the service's first process, or `staffetta reload`, has the file read again: limits,
timeouts and certificates then change at once; ports, places on disk, the level of log lines and
the number of processes need a restart.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_section(Config, ""), *_ports()]) + "\n"


def allowed(type_: Any) -> str:
    """What a setting of that type may be, in words."""
    return _words(types.type_info(type_))


def _section(section: type[msgspec.Struct], path: str) -> Iterator[str]:
    yield f"## `[{path}]`\n" if path else "## At the top of the file\n"
    if path:
        yield inspect.cleandoc(section.__doc__ or "") + "\n"
    nested: list[tuple[str, type[msgspec.Struct]]] = []
    rows: list[FieldInfo] = []
    for field in fields(section):
        name = f"{path}.{field.name}" if path else field.name
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            nested.append((name, inner))
        elif field.name == "cells":
            nested.append((f"{name}.NAME", inner.__args__[1]))
        else:
            rows.append(field)
    if rows:
        yield "| setting | default | allowed | meaning |\n|---|---|---|---|"
        for field in rows:
            yield (
                f"| `{field.name}` | `{_toml(field.default)}` | {allowed(field.type)} "
                f"| {_description(field)} |"
            )
        yield ""
    for name, inner in nested:
        yield from _section(inner, name)


def _ports() -> Iterator[str]:
    base = Config().port_base
    yield "## Ports\n"
    yield f"Where a door's own port is 0, it is `port_base` ({base}, or `--port-base N`) plus:\n"
    yield "| door | plus | by default |\n|---|---|---|"
    for door, offset in PORT_OFFSETS.items():
        several = " and up, one for each process" if door.endswith("-health") else ""
        reserved = " (reserved)" if door == "submission" else ""
        yield f"| {door}{reserved} | {offset}{several} | {base + offset} |"


def _description(field: FieldInfo) -> str:
    info = types.type_info(field.type)
    extra: str | None = None
    while isinstance(info, types.Metadata):
        extra = extra or (info.extra_json_schema or {}).get("description")
        info = info.type
    assert extra, f"{field.name} has no description"
    return extra


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case tuple():
            return "[" + ", ".join(_toml(one) for one in value) + "]"
        case _:
            return str(value)


def _words(info: types.Type) -> str:
    match info:
        case types.Metadata():
            return _words(info.type)
        case types.BoolType():
            return "true or false"
        case types.IntType():
            return "a whole number" + _range(info)
        case types.FloatType():
            return "a number" + _range(info)
        case types.StrType():
            return "text"
        case types.LiteralType():
            return " or ".join(f'"{value}"' for value in info.values)
        case types.VarTupleType():
            return f"a list, each {_words(info.item_type)}"
        case _:
            raise AssertionError(f"no words for {info}")


def _range(info: types.IntType | types.FloatType) -> str:
    if info.gt is not None:
        return f" above {info.gt:g}"
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    if info.ge is not None:
        return f", {info.ge:g} or more"
    return ""
