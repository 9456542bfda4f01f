"""What the commands about mail say: journeys, the log, the emergency inbox, mailboxes."""

from __future__ import annotations

from collections.abc import Mapping

MAIL_TEXTS: Mapping[str, tuple[str, str]] = {
    "journey.how": (
        "name a receipt, or one of --message-id, --to, --refused",
        "indicare una ricevuta, oppure --message-id, --to o --refused",
    ),
    "journey.bad_receipt": (
        "{text!r} is not a receipt: {reason}",
        "{text!r} non è una ricevuta: {reason}",
    ),
    "journey.unknown": (
        "no message with that receipt was accepted here (or it is older than the log)",
        "nessun messaggio con quella ricevuta è stato accettato qui (o è più vecchio del registro)",
    ),
    "journey.none": ("nothing found since {since}", "nulla dal {since}"),
    "journey.bad_since": (
        "{text!r} is not a time: write 2026-11-22, 2026-11-22T08:30, or 90m, 12h, 7d ago",
        "{text!r} non è un momento: scrivere 2026-11-22, 2026-11-22T08:30, oppure 90m, 12h, 7d fa",
    ),
    "journey.accepted": (
        "{receipt}  accepted {at} from <{sender}> by {peer} ({protocol}), {size} bytes",
        "{receipt}  accettato {at} da <{sender}> tramite {peer} ({protocol}), {size} byte",
    ),
    "journey.message_id": ("  Message-ID {message_id}", "  Message-ID {message_id}"),
    "journey.waiting": (
        "  {address}: waiting for its mailbox since {at}; readable in the emergency inbox",
        "  {address}: in attesa della casella dal {at}; leggibile nella posta d'emergenza",
    ),
    "journey.held": (
        "  {address}: held since {at}, because {reason}; readable in the emergency inbox",
        "  {address}: trattenuto dal {at}, perché {reason}; leggibile nella posta d'emergenza",
    ),
    "journey.delivered": (
        "  {address}: in the mailbox since {at}: {folder}, UID {uid} (cell {cell})",
        "  {address}: nella casella dal {at}: {folder}, UID {uid} (cella {cell})",
    ),
    "journey.refused": (
        "{at}  refused at {stage}: {reply}  (from <{sender}> to <{recipient}>, by {peer}{times})",
        "{at}  rifiutato a {stage}: {reply}  (da <{sender}> a <{recipient}>, da {peer}{times})",
    ),
    "journey.times": (", {times} times", ", {times} volte"),
    "held.over-quota": ("the mailbox is full", "la casella è piena"),
    "held.unverified": (
        "the recipient could not be looked up yet",
        "non è ancora stato possibile cercare il destinatario",
    ),
    "held.no-such-user": (
        "there turned out to be no such user; an operator decides",
        "è risultato che l'utente non esiste; decide un operatore",
    ),
    "held.mailbox-gone": ("the mailbox exists no more", "la casella non esiste più"),
    "held.mailbox-damaged": (
        "the mailbox is being rebuilt",
        "la casella è in ricostruzione",
    ),
    "sums.accepted": (
        "accepted {accepted} = delivered {delivered} + held {held} + waiting {waiting}",
        "accettati {accepted} = consegnati {delivered} + trattenuti {held} + in attesa {waiting}",
    ),
    "sums.offered": (
        "offered {offered} = accepted {accepted} + refused {refused} + abandoned by their sender"
        " {abandoned} + still open {open}",
        "offerti {offered} = accettati {accepted} + rifiutati {refused} + abbandonati dal mittente"
        " {abandoned} + ancora aperti {open}",
    ),
    "sums.process": ("{process}, since its start:", "{process}, dal suo avvio:"),
    "sums.since": (
        "the log since {since}: {messages} messages, recipients:",
        "il registro dal {since}: {messages} messaggi, destinatari:",
    ),
    "sums.agree": ("the sums agree", "i conti tornano"),
    "sums.disagree": (
        "THE SUMS DO NOT AGREE: {detail}",
        "I CONTI NON TORNANO: {detail}",
    ),
    "log.none": ("there is no log in {place}", "non c'è alcun registro in {place}"),
    "log.verified": (
        "partition {partition}: {entries} entries, sound",
        "partizione {partition}: {entries} voci, integra",
    ),
    "log.damaged": (
        "partition {partition}: {entries} entries, {problems} problems:",
        "partizione {partition}: {entries} voci, {problems} problemi:",
    ),
    "log.damage": (
        "  {file}, position {position}: {what}",
        "  {file}, posizione {position}: {what}",
    ),
    "log.verifying": ("verifying", "verifica"),
    "log.unreadable": (
        "the log cannot be read: {detail}",
        "il registro non si può leggere: {detail}",
    ),
    "emergency.head": (
        "Emergency inbox of {address} (cell {cell}): {count} messages since {since}",
        "Posta d'emergenza di {address} (cella {cell}): {count} messaggi dal {since}",
    ),
    "emergency.none": (
        "{address} has no message with that receipt in the last {days} days",
        "{address} non ha messaggi con quella ricevuta negli ultimi {days} giorni",
    ),
    "emergency.done": (
        "done: {verb} {count}; action {action}",
        "fatto: {verb} {count}; azione {action}",
    ),
    "emergency.replied": ("sent; receipt {receipt}", "inviata; ricevuta {receipt}"),
    "emergency.not_done": (
        "not done: {reason}",
        "non fatto: {reason}",
    ),
    "emergency.needs_service": (
        "acting needs a running service, whose access process writes the log",
        "per agire serve un servizio in funzione: è il suo processo access a scrivere il registro",
    ),
    "rebuild.running": ("rebuilding {address}", "ricostruzione di {address}"),
    "rebuild.done": (
        "{address}: rebuilt; the old file is in quarantine",
        "{address}: ricostruita; il vecchio file è in quarantena",
    ),
    "rebuild.failed": (
        "{address} could not be rebuilt and stays in quarantine: {reason}",
        "{address} non è stata ricostruita e resta in quarantena: {reason}",
    ),
    "rebuild.needs_service": (
        "this needs a running service, whose delivering process has the cell",
        "serve un servizio in funzione, il cui processo deliver ha la cella",
    ),
    "move.running": ("moving {address}", "spostamento di {address}"),
    "move.there": (
        "{address} is in cell {cell} already; nothing to do",
        "{address} è già nella cella {cell}; nulla da fare",
    ),
    "move.done": (
        "{address}: moved from {source} to {cell}; the old copy is {old} in {source}",
        "{address}: spostata da {source} a {cell}; la vecchia copia è {old} in {source}",
    ),
    "move.refused": (
        "{address} was not moved and is where it was: {reason}",
        "{address} non è stata spostata e sta dov'era: {reason}",
    ),
    "move.behind": (
        "cell {cell} has a backlog; try again when `staffetta status` shows no lag",
        "la cella {cell} ha arretrati; riprovare quando `staffetta status` non ne mostra",
    ),
    "move.busy": (
        "deliveries to cell {cell} do not stop; is it broken? see `staffetta status`",
        "le consegne alla cella {cell} non si fermano; è guasta? vedere `staffetta status`",
    ),
    "mailbox.checking": ("checking", "verifica"),
    "mailbox.checked": (
        "{mailboxes} mailboxes, {messages} messages, {size}: {damaged} with problems",
        "{mailboxes} caselle, {messages} messaggi, {size}: {damaged} con problemi",
    ),
    "mailbox.damaged": ("{address}: {count} problems", "{address}: {count} problemi"),
    "mailbox.exporting": ("exporting {address}", "esportazione di {address}"),
    "mailbox.exported": (
        "{address}: {messages} messages ({size}) of {folders} folders written to {directory}",
        "{address}: {messages} messaggi ({size}) di {folders} cartelle scritti in {directory}",
    ),
    "mailbox.importing": ("importing into {address}", "importazione in {address}"),
    "mailbox.imported": (
        "{address}: {messages} messages ({size}) taken in, {folders} folders made",
        "{address}: {messages} messaggi ({size}) importati, {folders} cartelle create",
    ),
    "mailbox.left_out": (
        "{count} left out: {oversize} too large, {unreadable} unreadable,"
        " {over_quota} over the quota",
        "{count} tralasciati: {oversize} troppo grandi, {unreadable} illeggibili,"
        " {over_quota} oltre la quota",
    ),
    "mailbox.keywords_left_out": (
        "{count} keywords of messages left out, for want of room",
        "{count} parole chiave di messaggi tralasciate, per mancanza di posto",
    ),
    "mailbox.no_folder": ("there is no folder {folder}", "non c'è una cartella {folder}"),
    "mailbox.folder_refused": (
        "the folder cannot be made: {reason}",
        "impossibile creare la cartella: {reason}",
    ),
    "mailbox.unavailable": (
        "the mailbox cannot be used now: {detail}",
        "la casella non è utilizzabile ora: {detail}",
    ),
}
