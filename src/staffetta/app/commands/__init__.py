"""The commands of `staffetta`, one module for each family.

A command is found through the table below, so that `staffetta --help` imports none of them and
calling one imports only its own module. To add one: write it with `click` in a module here
(see `app.invocation`), and add its line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command. `parts` makes it a group of the given commands instead."""

    path: str
    heading: str
    summary: str
    module: str = ""
    attribute: str = ""
    parts: tuple[Entry, ...] = ()


HEADINGS = {
    "service": "The service",
    "people": "Brands and people",
    "mail": "Mail",
    "faults": "Faults and repair",
    "set-up": "Setting up",
}

COMMANDS: tuple[Entry, ...] = (
    Entry("demo", "service", "Run a two-brand service to try things on.", "demo", "demo"),
    Entry("serve", "service", "Run the service in the foreground.", "service", "serve"),
    Entry("status", "service", "Say what runs where, and how it is.", "status", "status"),
    Entry("reload", "service", "Have the service read its files again.", "service", "reload"),
    Entry(
        "cell",
        "faults",
        "Mailbox cells: break and mend them.",
        parts=(
            Entry("break", "faults", "Break a cell on purpose.", "faults", "break_cell"),
            Entry("mend", "faults", "Mend a cell that was broken.", "faults", "mend_cell"),
        ),
    ),
    Entry(
        "config",
        "set-up",
        "Check a configuration file; print the reference.",
        parts=(
            Entry("check", "set-up", "Is this file right?", "configuration", "check"),
            Entry("reference", "set-up", "Every setting there is.", "configuration", "reference"),
        ),
    ),
)
