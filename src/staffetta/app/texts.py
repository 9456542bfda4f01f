"""What the command line says, in English and in Italian, side by side.

Keys are `command.what`; values are (English, Italian) with the same named places in both, in
the manner of `str.format`.
"""

from __future__ import annotations

from collections.abc import Mapping

from staffetta.app.directory_texts import DIRECTORY_TEXTS
from staffetta.app.mail_texts import MAIL_TEXTS

LANGUAGES = ("en", "it")

TEXTS: Mapping[str, tuple[str, str]] = {
    **DIRECTORY_TEXTS,
    **MAIL_TEXTS,
    "error": ("error", "errore"),
    "service.none": (
        "no service is running on {data}; start one with: staffetta serve --data {data}",
        "nessun servizio è in funzione su {data}; per avviarlo: staffetta serve --data {data}",
    ),
    "service.starting": ("starting: {processes}", "avvio: {processes}"),
    "service.ready": (
        "ready after {seconds:.1f} s: {listeners}",
        "pronto dopo {seconds:.1f} s: {listeners}",
    ),
    "service.reloaded": ("reloading", "rilettura in corso"),
    "service.in_use": (
        "{data} is in use by another service (process {pid}); stop it first, or use another "
        "data directory",
        "{data} è in uso da un altro servizio (processo {pid}); fermarlo prima, o usare "
        "un'altra directory dei dati",
    ),
    "service.port_taken": (
        "port {port} of {address}, wanted for {door}, is taken; choose other ports with "
        "--port-base N (now {base}), e.g. --port-base {other}",
        "la porta {port} di {address}, richiesta per {door}, è occupata; scegliere altre porte "
        "con --port-base N (ora {base}), per esempio --port-base {other}",
    ),
    "service.port_refused": (
        "cannot listen on port {port} of {address} for {door}: {detail}",
        "impossibile ascoltare sulla porta {port} di {address} per {door}: {detail}",
    ),
    "service.never_ready": (
        "{process} did not become ready, and is tried again: {detail}",
        "{process} non è diventato pronto, e si riprova: {detail}",
    ),
    "config.fine": (
        "{file}: fine, {settings} settings given",
        "{file}: a posto, {settings} impostazioni date",
    ),
    "config.bad": ("{file}: {problems} problems", "{file}: {problems} problemi"),
    "config.written": ("{file} written", "{file} scritto"),
    "demo.ready": (
        "Staffetta runs, {seconds:.1f} s after the start. Ctrl-C ends it.",
        "Staffetta è in funzione, {seconds:.1f} s dopo l'avvio. Ctrl-C lo ferma.",
    ),
    "demo.where": ("What listens where", "Che cosa ascolta dove"),
    "demo.files": (
        "  everything is kept in {data}; its log lines are in {data}/telemetry",
        "  tutto si trova in {data}; le righe di diario sono in {data}/telemetry",
    ),
    "demo.who": (
        "Who can sign in, all with the password {password}: address, plan, cell",
        "Chi può entrare, tutti con la password {password}: indirizzo, piano, cella",
    ),
    "demo.things": (
        "Three things to try, in another terminal",
        "Tre cose da provare, in un altro terminale",
    ),
    "demo.send": (
        "Send a message. The answer carries its receipt:",
        "Mandare un messaggio. La risposta ne porta la ricevuta:",
    ),
    "demo.read": ("Read it by IMAP:", "Leggerlo con IMAP:"),
    "demo.break": (
        "Make {cell} hang, where the mailbox of {address} is; send again: it is accepted, and "
        "read from the log. Mend the cell, and it is in the mailbox:",
        "Bloccare {cell}, dove sta la casella di {address}; mandare ancora: è accettato, e si "
        "legge dal registro. Riparare la cella, ed è nella casella:",
    ),
    "demo.end": ("Ctrl-C ends it; the data stay.", "Ctrl-C lo ferma; i dati restano."),
    "demo.ended": ("Ended.", "Fermato."),
    "status.listeners": ("Listeners", "In ascolto"),
    "status.processes": ("Processes", "Processi"),
    "status.cells": ("Cells", "Celle"),
    "status.log": ("Log partitions", "Partizioni del registro"),
    "status.directory": (
        "Directory: version {version}, {freshness}, {mailboxes} mailboxes",
        "Elenco: versione {version}, {freshness}, {mailboxes} caselle",
    ),
    "status.directory_none": ("Directory: not loaded", "Elenco: non caricato"),
    "status.fresh": ("fresh", "aggiornato"),
    "status.stale": ("stale", "non aggiornato"),
    "status.none": ("none", "nessuna"),
    "cell.unknown": (
        "there is no cell {cell}; there are: {known}",
        "non c'è una cella {cell}; ci sono: {known}",
    ),
    "cell.broken": (
        "cell {cell} is broken now ({mode}), confirmed by {processes}",
        "la cella {cell} è guasta ora ({mode}), confermato da {processes}",
    ),
    "cell.mended": (
        "cell {cell} is mended, confirmed by {processes}",
        "la cella {cell} è riparata, confermato da {processes}",
    ),
    "cell.unconfirmed": (
        "no confirmation from {processes}",
        "nessuna conferma da {processes}",
    ),
    "cell.offline": (
        "no service is running; it will find cell {cell} that way when it starts",
        "nessun servizio è in funzione; troverà la cella {cell} così al suo avvio",
    ),
}


class Texts:
    """The texts of one language."""

    __slots__ = ("language",)

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"{language!r} is not one of {', '.join(LANGUAGES)}")
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """The text, with its places filled."""
        return TEXTS[key][LANGUAGES.index(self.language)].format(**values)


def language_of(environment: Mapping[str, str]) -> str:
    """The language a terminal's user wants: `STAFFETTA_LANG`, else the locale, else English."""
    own = environment.get("STAFFETTA_LANG", "")
    if own in LANGUAGES:
        return own
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if locale := environment.get(name, ""):
            return "it" if locale.lower().startswith("it") else "en"
    return "en"
