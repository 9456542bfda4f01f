"""What every command has in common: where the service is, how to answer, in which language.

@click.command("status")
@service_options
def status(call: Invocation) -> None:
    call.answer({"listeners": []}, lambda console: console.print("…"))
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec

import click

from staffetta.app.texts import LANGUAGES, Texts, language_of

if TYPE_CHECKING:
    from rich.console import Console

    from staffetta.app.config import Config

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the command line."""

    config_file: Path | None = None
    data: Path | None = None
    port_base: int | None = None
    as_json: bool = False
    language: str = "en"

    @property
    def texts(self) -> Texts:
        """The texts of the chosen language."""
        return Texts(self.language)

    def load(self) -> Config:
        """The configuration that the options name; ends the run where it is not valid.

        With nothing but `--data`, it is what the service there was started with.
        """
        from staffetta.app.config_file import ConfigRefused, load, load_running

        try:
            if self.config_file is None and self.port_base is None and self.data is not None:
                running = load_running(self.data.absolute())
                if running is not None:
                    return running
            return load(self.config_file, self.data, self.port_base)
        except ConfigRefused as refusal:
            self.fail("\n".join(str(problem) for problem in refusal.problems), code=2)

    def console(self) -> Console:
        """For people: standard output through rich."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=not sys.stdout.isatty())

    def answer(self, content: object, for_people: Callable[[Console], None]) -> None:
        """Print the content as JSON if that was asked for, else as people read it."""
        if self.as_json:
            print_json(content)
        else:
            for_people(self.console())

    def fail(self, reason: str, code: int = 1) -> NoReturn:
        """Say what is wrong and end with that exit code."""
        if self.as_json:
            print_json({"error": reason})
        label = self.texts("error")
        click.echo(f"staffetta: {label}: {reason}", err=True)
        raise SystemExit(code)


def print_json(content: object) -> None:
    """One JSON document on standard output, indented."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(content, enc_hook=str), indent=2)
    click.echo(text.decode())


_OPTIONS = (
    click.option(
        "--config",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Configuration file (TOML). [STAFFETTA_CONFIG]",
    ),
    click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="Data directory. [STAFFETTA_DATA]",
    ),
    click.option("--json", "as_json", is_flag=True, default=None, help="Answer in JSON."),
    click.option(
        "--lang", "language", type=click.Choice(LANGUAGES), help="Language. [STAFFETTA_LANG]"
    ),
)


def service_options(
    command: Callable[Concatenate[Invocation, P], None],
) -> Callable[P, None]:
    """Give a command the common options; it gets an `Invocation` as its first argument.

    The same options before the command's name count too; those after it win.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        given: dict[str, Any] = {name: kwargs.pop(name, None) for name in _NAMES}
        parent = click.get_current_context().find_object(Invocation) or from_environment()
        call = replace(
            parent, **{name: value for name, value in given.items() if value is not None}
        )
        command(call, *args, **kwargs)

    decorated: Any = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


_NAMES = ("config_file", "data", "as_json", "language")


def from_environment() -> Invocation:
    """What the environment says when no option does."""
    config_file = os.environ.get("STAFFETTA_CONFIG")
    data = os.environ.get("STAFFETTA_DATA")
    return Invocation(
        config_file=Path(config_file) if config_file else None,
        data=Path(data) if data else None,
        language=language_of(os.environ),
    )
