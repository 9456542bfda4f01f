"""Documents that can be wrong are compared with what they are about."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

import staffetta
from staffetta.app.config import Config
from staffetta.app.config_reference import reference

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def names(requirements: list[str]) -> list[str]:
    found = [_NAME.match(one) for one in requirements]
    return [match[0] for match in found if match]


def locked(file: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / file).read_text("utf-8").splitlines()
    pairs = [line.split(";")[0].split("==") for line in lines if line and line[0] not in "#-"]
    return {normal(name): version.strip() for name, version in pairs}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_configuration_reference_is_the_generated_one() -> None:
    committed = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert committed == reference(), "run: staffetta config reference --write docs/configuration.md"


def test_every_setting_is_obeyed_somewhere() -> None:
    """As far as reading tells: somebody in `app` asks for it by its name."""
    folder = ROOT / "src" / "staffetta" / "app"
    text = "".join(path.read_text("utf-8") for path in folder.rglob("*.py"))
    assert [name for name in settings(Config) if f".{name}" not in text] == []


def settings(section: type[msgspec.Struct]) -> list[str]:
    found = []
    for field in msgspec.structs.fields(section):
        nested = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        found += settings(field.type) if nested else [field.name]
    return found


def test_the_dependencies_page_names_every_dependency() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    wanted = names(PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"])
    assert [name for name in wanted if f"`{name}`" not in page] == []


def test_the_lock_holds_every_dependency() -> None:
    service, development = locked("service.txt"), locked("development.txt")
    assert [n for n in names(PROJECT["project"]["dependencies"]) if normal(n) not in service] == []
    wanted = names(PROJECT["dependency-groups"]["dev"])
    assert [n for n in wanted if normal(n) not in development] == []
    both = service.keys() & development.keys()
    assert {name for name in both if service[name] != development[name]} == set()


def test_the_version_is_told_once() -> None:
    assert PROJECT["project"]["version"] == staffetta.__version__
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## {staffetta.__version__}" in changes
