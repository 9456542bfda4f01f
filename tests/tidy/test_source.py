"""Style as tests: lengths, names, docstrings, and words that have no place in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "staffetta"
FILE_LINES_USUAL = 400
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 60
# Names that say nothing about what a thing is for.
EMPTY_FILE_NAMES = {
    "base", "common", "core", "handler", "handlers", "helper", "helpers", "manager", "misc",
    "tools", "util", "utils",
}  # fmt: skip
EMPTY_CLASS_NAME = re.compile(r"(Manager|Helper|Util|Utils|Misc|Handler|Base)$")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# The source speaks of the project alone: no places of the machine it was written on.
FOREIGN = re.compile(r"/work/|/root/|pypi\.org|files\.pythonhosted")
THIS = Path(__file__).resolve()


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path.resolve() != THIS
    )


EVERYTHING = python_files("src", "tests", "benchmarks", "drills")
SOURCES = python_files("src")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8"), str(path)) for path in EVERYTHING}


def test_there_is_something_to_check(trees: dict[Path, ast.Module]) -> None:
    assert len(SOURCES) > 50
    assert PACKAGE / "runtime" / "disk.py" in trees


def test_no_file_is_too_long() -> None:
    lengths = {path: path.read_text("utf-8").count("\n") for path in EVERYTHING}
    for path, lines in sorted(lengths.items(), key=lambda pair: -pair[1]):
        if lines > FILE_LINES_USUAL:
            print(f"longer than usual: {shown(path)}, {lines} lines")
    assert {shown(p): n for p, n in lengths.items() if n > FILE_LINES_MAX} == {}


def test_no_function_is_too_long(trees: dict[Path, ast.Module]) -> None:
    found = {
        f"{shown(path)}:{one.lineno} {one.name}": one.end_lineno - one.lineno + 1
        for path, tree in trees.items()
        for one in functions(tree)
        if one.end_lineno is not None and one.end_lineno - one.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert found == {}


def test_names_say_something(trees: dict[Path, ast.Module]) -> None:
    files = [shown(path) for path in SOURCES if path.stem in EMPTY_FILE_NAMES]
    classes = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(trees[path])
        if isinstance(node, ast.ClassDef) and EMPTY_CLASS_NAME.search(node.name)
    ]
    assert files + classes == []


def test_every_module_says_what_it_is(trees: dict[Path, ast.Module]) -> None:
    silent = [
        shown(path)
        for path in python_files("src", "benchmarks", "drills")
        if not ast.get_docstring(trees[path])
    ]
    assert silent == []


def test_every_public_class_and_function_says_what_it_does(
    trees: dict[Path, ast.Module],
) -> None:
    silent = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in trees[path].body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_except_swallows_everything(trees: dict[Path, ast.Module]) -> None:
    bare = [
        f"{shown(path)}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{shown(path)}:{number}"
        for path in EVERYTHING
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_the_source_speaks_of_the_project_alone() -> None:
    texts = [*EVERYTHING, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]
    found = [
        f"{shown(path)}:{number} {line.strip()[:80]}"
        for path in texts
        if path.exists()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert found == []
