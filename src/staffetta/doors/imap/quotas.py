"""GETQUOTA and GETQUOTAROOT (RFC 9208): one root, named "", and the space in it."""

from __future__ import annotations

from staffetta.doors.imap.listing import find_folder
from staffetta.doors.imap.session import Session
from staffetta.mailboxes.port import Overview
from staffetta.protocols.imap import codes, listings, responses
from staffetta.protocols.imap.commands import GetQuota, GetQuotaRoot

ROOT = ""
KIB = 1024


async def get_quota(session: Session, command: GetQuota) -> bytes:
    """GETQUOTA."""
    if command.root != ROOT:
        return responses.no(command.tag, "No such quota root", codes.NONEXISTENT)
    overview = await session.visit(lambda mailbox: mailbox.overview())
    session.send(_describe(session, overview))
    return responses.ok(command.tag, "GETQUOTA completed")


async def get_quota_root(session: Session, command: GetQuotaRoot) -> bytes:
    """GETQUOTAROOT."""
    overview = await session.visit(lambda mailbox: mailbox.overview())
    folder = find_folder(overview, command.mailbox)
    session.send(listings.quota_root(folder.name, [ROOT]) + _describe(session, overview))
    return responses.ok(command.tag, "GETQUOTAROOT completed")


def _describe(session: Session, overview: Overview) -> bytes:
    quota_bytes = session.signed_in.ref.quota_bytes
    if not quota_bytes:
        return listings.quota(ROOT, [])  # no limit, so none is named
    # RFC 9208 §5.1: STORAGE counts units of 1024 octets.
    used_kib = -(-overview.used_bytes // KIB)
    return listings.quota(ROOT, [(b"STORAGE", used_kib, quota_bytes // KIB)])
