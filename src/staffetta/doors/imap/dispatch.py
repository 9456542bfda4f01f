"""From a command to whoever obeys it, and from what went wrong to what the client hears."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from staffetta import __version__
from staffetta.doors.imap import (
    appending,
    copying,
    expunging,
    fetching,
    folders,
    listing,
    quotas,
    searching,
    selecting,
    sign_in,
    storing,
)
from staffetta.doors.imap.idling import alert
from staffetta.doors.imap.outage import explain_not_writable, explain_unavailable
from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import ViewBroken
from staffetta.mailboxes.access import CellUnavailable
from staffetta.mailboxes.port import (
    FolderExists,
    FolderRefused,
    MailboxDamaged,
    MailboxIncomplete,
    NoSuchFolder,
    OverQuota,
    TooManyKeywords,
)
from staffetta.protocols.imap import codes, commands, listings, responses

Obey = Callable[[Session, Any], Awaitable[bytes]]


def greet(session: Session) -> bytes:
    """The greeting (RFC 3501 §7.1.1)."""
    words = f"{session.hall.settings.host_name} ready"
    return responses.untagged_ok(words, codes.capability(session.list_capabilities()))


async def obey(session: Session, command: commands.Command) -> None:
    """Do what the command says and answer it. Raises only for bugs and lost clients."""
    try:
        answer = await _OBEY[type(command)](session, command)
    except (CellUnavailable, MailboxDamaged, MailboxIncomplete) as trouble:
        answer = _explain_outage(session, command.tag, trouble)
    except (
        NoSuchFolder,
        FolderExists,
        FolderRefused,
        TooManyKeywords,
        OverQuota,
    ) as refusal:
        answer = _explain_refusal(command.tag, refusal)
    except ViewBroken as broken:
        session.send(responses.bye(f"Please select again: {broken}"))
        session.output.end()
        return
    session.send(answer)


def refuse_message(session: Session, tag: bytes) -> bytes:
    """The answer to a client that wants to send a message which could not be kept; else empty."""
    if session.account is None or not session.cell.refuses_writes:
        return b""
    cell = session.cell
    return _explain_outage(session, tag, CellUnavailable(cell.name, None, cell.detail))


def _explain_outage(
    session: Session, tag: bytes, trouble: CellUnavailable | MailboxDamaged | MailboxIncomplete
) -> bytes:
    session.hall.figures.unavailable.value += 1
    language = session.signed_in.language
    cell = session.cell
    if isinstance(trouble, CellUnavailable) and cell.refuses_writes and not cell.refuses_reads:
        return responses.no(tag, explain_not_writable(language), codes.UNAVAILABLE)
    alert(session, trouble)
    return responses.no(tag, explain_unavailable(language), codes.UNAVAILABLE)


def _explain_refusal(tag: bytes, refusal: Exception) -> bytes:
    match refusal:
        case NoSuchFolder():
            return responses.no(tag, "No such mailbox", codes.NONEXISTENT)
        case FolderExists():
            return responses.no(tag, "That mailbox exists already", codes.ALREADYEXISTS)
        case TooManyKeywords():
            return responses.no(tag, "Too many different keywords", codes.LIMIT)
        case OverQuota():
            return responses.no(tag, "There is no room left", codes.OVERQUOTA)
        case _:
            return responses.no(tag, str(refusal), codes.CANNOT)


async def _list_capabilities(session: Session, command: commands.Capability) -> bytes:
    session.send(responses.capability(session.list_capabilities()))
    return responses.ok(command.tag, "CAPABILITY completed")


async def _identify(session: Session, command: commands.Id) -> bytes:
    """ID (RFC 2971): what the client says goes to the log, for support."""
    client = {key: value for key, value in command.parameters[:8] if value}
    address = session.account.address if session.account else ""
    session.hall.logger.debug("imap-client", client=client, address=address, peer=session.peer)
    session.send(listings.identity({"name": "Staffetta", "version": __version__}))
    return responses.ok(command.tag, "ID completed")


async def _log_out(session: Session, command: commands.Logout) -> bytes:
    session.send(responses.bye("Logging out") + responses.ok(command.tag, "LOGOUT completed"))
    session.output.end()
    return b""


async def _enable(session: Session, command: commands.Enable) -> bytes:
    """ENABLE (RFC 5161): CONDSTORE is all there is to switch on."""
    if b"CONDSTORE" in command.capabilities:
        session.condstore = True
        session.send(responses.enabled([b"CONDSTORE"]))
        if session.view is not None:
            # RFC 7162 §3.1.2.1: a client that begins to count has to know where.
            code = codes.highest_modseq(max(session.view.highest_modseq, 1))
            session.send(responses.untagged_ok("Highest", code))
    else:
        session.send(responses.enabled([]))
    return responses.ok(command.tag, "ENABLE completed")


_OBEY: Mapping[type[commands.Command], Obey] = MappingProxyType(
    {
        commands.Capability: _list_capabilities,
        commands.Noop: selecting.no_op,
        commands.Logout: _log_out,
        commands.Id: _identify,
        commands.StartTls: sign_in.start_tls,
        commands.Authenticate: sign_in.authenticate,
        commands.Login: sign_in.log_in,
        commands.Enable: _enable,
        commands.Select: selecting.select,
        commands.Create: folders.create,
        commands.Delete: folders.delete,
        commands.Rename: folders.rename,
        commands.Subscribe: folders.subscribe,
        commands.Unsubscribe: folders.unsubscribe,
        commands.List: listing.list_folders,
        commands.Lsub: listing.list_subscribed,
        commands.Status: listing.status,
        commands.Namespace: listing.namespace,
        commands.Append: appending.append,
        commands.GetQuota: quotas.get_quota,
        commands.GetQuotaRoot: quotas.get_quota_root,
        commands.Check: selecting.check,
        commands.Close: selecting.close,
        commands.Unselect: selecting.unselect,
        commands.Expunge: expunging.expunge,
        commands.Search: searching.search,
        commands.Fetch: fetching.fetch,
        commands.Store: storing.store,
        commands.Copy: copying.copy,
        commands.Move: copying.move,
    }
)
