"""What the commands about brands and people say, in English and in Italian.

A refusal is two sentences: what happened, and what to do next. Its key is `refused.` and the
`RefusalCode` of the directory, its places are the values that the refusal carries.
"""

from __future__ import annotations

from collections.abc import Mapping

DIRECTORY_TEXTS: Mapping[str, tuple[str, str]] = {
    "refused.address-invalid": (
        "{address} cannot be an address here. Give local-part@domain: letters, digits, dots, "
        "dashes and underscores before the @, at most 64 bytes, without a +",
        "{address} non può essere un indirizzo qui. Indicare parte-locale@dominio: lettere, "
        "cifre, punti, trattini e trattini bassi prima della @, al massimo 64 byte, senza +",
    ),
    "refused.address-taken": (
        "{address} exists already. Look at it with: staffetta account show {address}, or "
        "staffetta alias list {address}",
        "{address} esiste già. Per vederlo: staffetta account show {address}, oppure "
        "staffetta alias list {address}",
    ),
    "refused.alias-in-use": (
        "{address} is a target of {other}. Remove it there first: "
        "staffetta alias remove {other} {address}",
        "{address} è una destinazione di {other}. Toglierlo prima da lì: "
        "staffetta alias remove {other} {address}",
    ),
    "refused.alias-loop": (
        "{target} leads back to {address}. Choose a mailbox as the target",
        "{target} riporta a {address}. Scegliere una casella come destinazione",
    ),
    "refused.alias-target-unknown": (
        "{target} is neither a mailbox nor an alias. Make it first: staffetta account add {target}",
        "{target} non è né una casella né un alias. Crearla prima: staffetta account add {target}",
    ),
    "refused.alias-too-large": (
        "{address} would lead to more than {targets_max} addresses, or too deep. Point it to "
        "fewer mailboxes, directly",
        "{address} porterebbe a più di {targets_max} indirizzi, o troppo in profondità. "
        "Indirizzarlo a meno caselle, direttamente",
    ),
    "refused.alias-unknown": (
        "there is no alias {address}. See those there are with: staffetta alias list",
        "non c'è un alias {address}. Per vedere quelli esistenti: staffetta alias list",
    ),
    "refused.brand-exists": (
        "brand {brand} exists already. Look at it with: staffetta brand show {brand}",
        "il marchio {brand} esiste già. Per vederlo: staffetta brand show {brand}",
    ),
    "refused.brand-unknown": (
        "there is no brand {brand}. See those there are with: staffetta brand list",
        "non c'è un marchio {brand}. Per vedere quelli esistenti: staffetta brand list",
    ),
    "refused.cells-full": (
        "no open cell has room for another mailbox. Add one with: staffetta cell add NAME",
        "nessuna cella aperta ha posto per un'altra casella. Aggiungerne una: "
        "staffetta cell add NOME",
    ),
    "refused.cell-closed": (
        "cell {cell} takes no new mailboxes. Leave out --cell to have one chosen",
        "la cella {cell} non accetta nuove caselle. Omettere --cell per farne scegliere una",
    ),
    "refused.cell-exists": (
        "cell {cell} exists already. Look at it with: staffetta cell show {cell}",
        "la cella {cell} esiste già. Per vederla: staffetta cell show {cell}",
    ),
    "refused.cell-full": (
        "cell {cell} has its {mailboxes_max} mailboxes. Leave out --cell to have another chosen",
        "la cella {cell} ha già le sue {mailboxes_max} caselle. Omettere --cell per farne "
        "scegliere un'altra",
    ),
    "refused.cell-unknown": (
        "there is no cell {cell}. See those there are with: staffetta cell list",
        "non c'è una cella {cell}. Per vedere quelle esistenti: staffetta cell list",
    ),
    "refused.domain-exists": (
        "domain {domain} belongs to brand {brand} already. See all with: staffetta domain list",
        "il dominio {domain} appartiene già al marchio {brand}. Per vederli tutti: "
        "staffetta domain list",
    ),
    "refused.domain-invalid": (
        "{domain} is not a domain name. Give one such as mail.example",
        "{domain} non è un nome di dominio. Indicarne uno come posta.example",
    ),
    "refused.domain-unknown": (
        "{domain} is no domain of this service. Add it with: staffetta domain add {domain} BRAND",
        "{domain} non è un dominio di questo servizio. Per aggiungerlo: "
        "staffetta domain add {domain} MARCHIO",
    ),
    "refused.hash-invalid": (
        "the password hash of {address} cannot be used. Give an Argon2id hash ($argon2id$…), "
        "or a password",
        "l'hash della password di {address} non è utilizzabile. Indicare un hash Argon2id "
        "($argon2id$…), o una password",
    ),
    "refused.heading-invalid": (
        "the first line does not name the columns (found: {found}). Name address, and password "
        "or password_hash, plan, cell as needed",
        "la prima riga non indica le colonne (trovato: {found}). Indicare address e, se servono, "
        "password o password_hash, plan, cell",
    ),
    "refused.key-invalid": (
        "{key} cannot be a name here. Use at most 32 lower-case letters, digits and dashes",
        "{key} non può essere un nome qui. Usare al massimo 32 lettere minuscole, cifre e trattini",
    ),
    "refused.ledger-entry-invalid": (
        "entry {entry} cannot be revoked. See those of the mailbox with: staffetta account show",
        "la voce {entry} non può essere revocata. Per vedere quelle della casella: "
        "staffetta account show",
    ),
    "refused.mailbox-closed": (
        "{address} is closed. Open it again with: staffetta account resume {address}",
        "{address} è chiusa. Per riaprirla: staffetta account resume {address}",
    ),
    "refused.mailbox-unknown": (
        "there is no mailbox {address}. Make it with: staffetta account add ADDRESS, or look "
        "for it with: staffetta account list",
        "non c'è una casella {address}. Per crearla: staffetta account add INDIRIZZO, o per "
        "cercarla: staffetta account list",
    ),
    "refused.password-invalid": (
        "the password has the wrong length. Give one of {bytes_min} to {bytes_max} bytes",
        "la password ha una lunghezza sbagliata. Indicarne una da {bytes_min} a {bytes_max} byte",
    ),
    "refused.plan-exists": (
        "brand {brand} has a plan {plan} already. Look at it with: "
        "staffetta plan show {brand} {plan}",
        "il marchio {brand} ha già un piano {plan}. Per vederlo: "
        "staffetta plan show {brand} {plan}",
    ),
    "refused.plan-unknown": (
        "brand {brand} has no plan {plan}. See those it has with: "
        "staffetta plan list --brand {brand}",
        "il marchio {brand} non ha un piano {plan}. Per vedere quelli che ha: "
        "staffetta plan list --brand {brand}",
    ),
    "refused.row-invalid": (
        "line {line} cannot be read ({detail}). Put it right and import the file again",
        "la riga {line} non è leggibile ({detail}). Correggerla e importare di nuovo il file",
    ),
    "directory.none": (
        "there is no directory in {place} yet. Begin one with: staffetta brand add",
        "non c'è ancora un elenco in {place}. Per iniziarne uno: staffetta brand add",
    ),
    "directory.fault": (
        "the directory cannot be used now ({detail}). Look at the disk of {place} and try again",
        "l'elenco non è utilizzabile ora ({detail}). Controllare il disco di {place} e riprovare",
    ),
    "directory.file": (
        "{file} cannot be read ({detail}). Check its name and that it is text in UTF-8",
        "{file} non è leggibile ({detail}). Controllare il nome e che sia testo in UTF-8",
    ),
    "account.added": ("{address} added, in cell {cell}", "{address} creata, nella cella {cell}"),
    "account.password": (
        "password, shown this once: {password}",
        "password, mostrata solo ora: {password}",
    ),
    "account.password_changed": (
        "{address} has a new password",
        "{address} ha una nuova password",
    ),
    "account.state": ("{address} is {state} now", "{address} ora è {state}"),
    "account.plan": ("{address} is on plan {plan} now", "{address} ora ha il piano {plan}"),
    "account.importing": ("importing accounts", "importazione delle caselle"),
    "account.imported": (
        "{added} accounts added, {refused} rows refused, in {seconds:.1f} s",
        "{added} caselle create, {refused} righe rifiutate, in {seconds:.1f} s",
    ),
    "account.refused_row": ("line {line}: {reason}", "riga {line}: {reason}"),
    "account.more_refused": ("and {count} more", "e altre {count}"),
    "alias.stored": ("{address} leads to {targets}", "{address} porta a {targets}"),
    "alias.removed": ("alias {address} removed", "alias {address} eliminato"),
    "brand.added": (
        "brand {brand} added. Next: staffetta domain add, staffetta plan add",
        "marchio {brand} aggiunto. Ora: staffetta domain add, staffetta plan add",
    ),
    "plan.added": (
        "plan {plan} added to brand {brand}",
        "piano {plan} aggiunto al marchio {brand}",
    ),
    "domain.added": (
        "domain {domain} added to brand {brand}",
        "dominio {domain} aggiunto al marchio {brand}",
    ),
    "domain.role_missing": (
        "its postmaster needs a mailbox: staffetta account add {address}",
        "il suo postmaster ha bisogno di una casella: staffetta account add {address}",
    ),
    "cell.added": (
        "cell {cell} added; it takes new mailboxes at once",
        "cella {cell} aggiunta; accetta subito nuove caselle",
    ),
    "state.active": ("active", "attiva"),
    "state.suspended": ("suspended", "sospesa"),
    "state.closed": ("closed", "chiusa"),
    "state.open": ("open", "aperta"),
    "column.address": ("Address", "Indirizzo"),
    "column.aliases": ("Aliases", "Alias"),
    "column.at": ("At", "Data"),
    "column.brand": ("Brand", "Marchio"),
    "column.cell": ("Cell", "Cella"),
    "column.contacts": ("Contacts", "Contatti"),
    "column.created": ("Created", "Creata"),
    "column.domain": ("Domain", "Dominio"),
    "column.domains": ("Domains", "Domini"),
    "column.entry": ("Entry", "Voce"),
    "column.key": ("Key", "Chiave"),
    "column.kind": ("Kind", "Tipo"),
    "column.language": ("Language", "Lingua"),
    "column.look": ("Look", "Aspetto"),
    "column.mailbox": ("Number", "Numero"),
    "column.mailboxes": ("Mailboxes", "Caselle"),
    "column.mailboxes_max": ("At most", "Al massimo"),
    "column.message_max": ("Message", "Messaggio"),
    "column.name": ("Name", "Nome"),
    "column.notices": ("Notices from", "Avvisi da"),
    "column.path": ("Directory", "Cartella"),
    "column.plan": ("Plan", "Piano"),
    "column.plans": ("Plans", "Piani"),
    "column.price": ("Price", "Prezzo"),
    "column.quota": ("Quota", "Quota"),
    "column.reason": ("Reason", "Motivo"),
    "column.role": ("Postmaster", "Postmaster"),
    "column.state": ("State", "Stato"),
    "column.targets": ("Leads to", "Porta a"),
    "column.term": ("Months", "Mesi"),
    "column.uid_validity": ("UIDVALIDITY", "UIDVALIDITY"),
    "quota.none": ("no limit", "nessun limite"),
}
