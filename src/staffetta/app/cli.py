"""The command line. Commands live in `app.commands` and are imported when they are called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from staffetta import __version__
from staffetta.app.commands import COMMANDS, HEADINGS, Entry
from staffetta.app.invocation import Invocation, service_options


class LazyGroup(click.Group):
    """A group whose commands are named in a table and imported one at a time."""

    def __init__(self, name: str, entries: Sequence[Entry], summary: str, **settings: object):
        super().__init__(name, help=summary, **settings)  # type: ignore[arg-type]
        self._entries = {entry.path: entry for entry in entries}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        if entry.parts:
            return LazyGroup(cmd_name, entry.parts, entry.summary)
        module = importlib.import_module(f"staffetta.app.commands.{entry.module}")
        command = getattr(module, entry.attribute)
        assert isinstance(command, click.Command), entry
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for key, heading in HEADINGS.items():
            rows = [
                (entry.path, entry.summary)
                for entry in self._entries.values()
                if entry.heading == key
            ]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


@service_options
def _begin(call: Invocation) -> None:
    click.get_current_context().obj = call


def command_line() -> click.Group:
    """The whole command line."""
    group = LazyGroup(
        "staffetta",
        COMMANDS,
        "A mail provider that keeps accepting mail while its mailbox store is down.",
        callback=_begin,
        params=getattr(_begin, "__click_params__", [])[::-1],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    return click.version_option(__version__, prog_name="staffetta")(group)


def main() -> None:
    """Entry point of the `staffetta` program."""
    command_line().main(args=sys.argv[1:], prog_name="staffetta")
