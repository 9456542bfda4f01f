from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

import staffetta.app.commands
import staffetta.directory
from staffetta.app.directory_texts import DIRECTORY_TEXTS
from staffetta.app.texts import TEXTS
from staffetta.directory.refusals import RefusalCode

SOURCES = [
    file
    for package in (staffetta.directory, staffetta.app.commands)
    for file in Path(str(package.__file__)).parent.glob("*.py")
]


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", sorted(DIRECTORY_TEXTS))
def test_both_languages_have_the_same_places(key: str) -> None:
    english, italian = DIRECTORY_TEXTS[key]
    assert english
    assert italian
    assert places(english) == places(italian)
    assert TEXTS[key] == (english, italian)


def test_every_refusal_has_words_and_carries_what_they_mention() -> None:
    raised = {code: list[set[str]]() for code in RefusalCode}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "DirectoryRefusal"
                and isinstance(node.args[0], ast.Attribute)
            ):
                values = {keyword.arg for keyword in node.keywords if keyword.arg}
                raised[RefusalCode[node.args[0].attr]].append(values)
    for code, calls in raised.items():
        assert calls, f"{code} is never raised"
        for values in calls:
            assert places(DIRECTORY_TEXTS[f"refused.{code.value}"][0]) <= values, code
