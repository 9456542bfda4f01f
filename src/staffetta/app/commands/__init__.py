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
        "account",
        "people",
        "Mailboxes: make, list, import, suspend, close; passwords.",
        parts=(
            Entry("add", "people", "Make a mailbox.", "accounts", "add_account"),
            Entry("show", "people", "Everything about a mailbox.", "accounts", "show_account"),
            Entry("list", "people", "The mailboxes.", "accounts", "list_accounts"),
            Entry("passwd", "people", "Give a new password.", "accounts", "change_password"),
            Entry("plan", "people", "Put on another plan.", "accounts", "change_plan"),
            Entry("suspend", "people", "Keep the owner out.", "accounts", "suspend_account"),
            Entry("resume", "people", "Put back in use.", "accounts", "resume_account"),
            Entry("close", "people", "Take out of use.", "accounts", "close_account"),
            Entry("import", "people", "Make many, from a CSV file.", "accounts", "import_accounts"),
        ),
    ),
    Entry(
        "alias",
        "people",
        "Addresses that lead to other addresses.",
        parts=(
            Entry("add", "people", "Make one, or add targets.", "accounts", "add_alias"),
            Entry("list", "people", "The aliases.", "accounts", "list_aliases"),
            Entry("remove", "people", "Remove one.", "accounts", "remove_alias"),
        ),
    ),
    Entry(
        "brand",
        "people",
        "What customers see: names, looks, contacts.",
        parts=(
            Entry("add", "people", "Add a brand.", "catalogue", "add_brand"),
            Entry("show", "people", "Everything about a brand.", "catalogue", "show_brand"),
            Entry("list", "people", "The brands.", "catalogue", "list_brands"),
        ),
    ),
    Entry(
        "domain",
        "people",
        "The mail domains of the brands.",
        parts=(
            Entry("add", "people", "Add a domain.", "catalogue", "add_domain"),
            Entry("list", "people", "The domains.", "catalogue", "list_domains"),
        ),
    ),
    Entry(
        "plan",
        "people",
        "What a mailbox may have.",
        parts=(
            Entry("add", "people", "Add a plan.", "catalogue", "add_plan"),
            Entry("show", "people", "Everything about a plan.", "catalogue", "show_plan"),
            Entry("list", "people", "The plans.", "catalogue", "list_plans"),
        ),
    ),
    Entry(
        "mailbox",
        "mail",
        "Mailboxes: check, export, import, rebuild, move.",
        parts=(
            Entry("check", "mail", "Read it all; is it sound?", "mailboxes", "check_mailboxes"),
            Entry("export", "mail", "Write it to files.", "mailboxes", "export_mailbox"),
            Entry("import", "mail", "Take in files with mail.", "mailboxes", "import_mailbox"),
            Entry("rebuild", "mail", "Make it again from the log.", "repairs", "rebuild_mailbox"),
            Entry("move", "mail", "Move it to another cell.", "repairs", "move_mailbox"),
        ),
    ),
    Entry("journey", "mail", "What became of a message.", "journeys", "journey"),
    Entry("sums", "mail", "Prove that every recipient has one fate.", "journeys", "sums"),
    Entry("emergency", "mail", "A mailbox's mail from the log alone.", "emergency", "emergency"),
    Entry(
        "log",
        "mail",
        "The log: show entries, verify all of it.",
        parts=(
            Entry("show", "mail", "Print entries.", "logs", "show_log"),
            Entry("verify", "mail", "Check every entry.", "logs", "verify_log"),
        ),
    ),
    Entry(
        "cell",
        "faults",
        "Mailbox cells: list, add, break and mend them.",
        parts=(
            Entry("list", "faults", "The cells and how full they are.", "catalogue", "list_cells"),
            Entry("show", "faults", "Everything about a cell.", "catalogue", "show_cell"),
            Entry("add", "faults", "Add a cell.", "catalogue", "add_cell"),
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
