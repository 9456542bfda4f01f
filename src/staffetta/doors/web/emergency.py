"""The emergency inbox over HTTP: JSON for the owner of a mailbox, behind its password.

    GET  /emergency/v1/messages[?folder=INBOX&limit=50]
    GET  /emergency/v1/messages/RECEIPT            Accept: message/rfc822 for the whole message
    POST /emergency/v1/actions                     {"verb", "receipts", "folder"}
    POST /emergency/v1/messages/RECEIPT/reply      {"text"}

Basic authentication (RFC 7617), over loopback only while this door has no TLS of its own. None of
this touches a cell. What is done here is in the log when the answer is given.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from staffetta.directory.credentials import CannotSay, Denied, SignedIn, SignIn
from staffetta.journey.emergency import BadAction, Glimpse, NotYours
from staffetta.journey.showing import show
from staffetta.journey.states import State
from staffetta.log.receipts import BadReceipt, from_text, to_text

PREFIX = "/emergency/v1"
RETRY_AFTER_S = 30


class NotKept(Exception):
    """The log cannot keep an action or a reply now."""


class NotSendable(Exception):
    """The reply cannot be sent from here; the text says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """A list, and what the reader should know about it."""

    glimpses: list[Glimpse]
    cell_state: str


class EmergencyService(Protocol):
    """What this door needs; all methods raise `NotYours`, `BadAction` or `NotKept`."""

    limit_max: int
    body_bytes_max: int

    async def sign_in(self, address: str, password: str, peer: str) -> SignIn:
        """Is this the password of that address?"""
        ...

    async def page(self, signed_in: SignedIn, folder: str, limit: int) -> Page:
        """The newest messages."""
        ...

    async def content(self, signed_in: SignedIn, receipt: bytes) -> tuple[bytes, State]:
        """A message, and whether it is in the mailbox already."""
        ...

    async def act(self, signed_in: SignedIn, verb: str, receipts: list[bytes], folder: str) -> str:
        """Do something; durable on return. Returns the action's id as text."""
        ...

    async def reply(self, signed_in: SignedIn, receipt: bytes, text: str) -> str:
        """Answer a message; accepted on return. Returns the receipt. Raises `NotSendable`."""
        ...


class ActionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST actions."""

    verb: str
    receipts: list[str]
    folder: str = ""


class ReplyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST reply."""

    text: str


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


Handler = Callable[[Request, SignedIn], Awaitable[Response]]


class EmergencyDoor:
    """The routes of the emergency inbox."""

    def __init__(self, service: EmergencyService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """For the application of the access role."""
        one = f"{PREFIX}/messages/{{receipt}}"
        return [
            Route(f"{PREFIX}/messages", self._guard(self._list), methods=["GET"]),
            Route(one, self._guard(self._read), methods=["GET"]),
            Route(f"{PREFIX}/actions", self._guard(self._act), methods=["POST"]),
            Route(f"{one}/reply", self._guard(self._reply), methods=["POST"]),
        ]

    def _guard(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request, await self._signed_in(request))
            except Refusal as refusal:
                return _json({"error": refusal.reason}, refusal.status, refusal.headers)
            except NotYours:
                return _json({"error": "there is no such message for you"}, 404)
            except (BadAction, BadReceipt, msgspec.MsgspecError) as error:
                return _json({"error": str(error)}, 422)
            except NotSendable as error:
                return _json({"error": str(error)}, 409)
            except NotKept:
                reason = "cannot be kept safely now; nothing was done, try again later"
                return _json({"error": reason}, 503, {"Retry-After": str(RETRY_AFTER_S)})

        return guarded

    async def _signed_in(self, request: Request) -> SignedIn:
        peer = request.client.host if request.client is not None else ""
        if request.url.scheme != "https" and not _is_loopback(peer):
            raise Refusal(403, "a password must not travel in clear: use HTTPS")
        address, password = _basic_credentials(request)
        match await self._service.sign_in(address, password, peer):
            case SignedIn() as signed_in:
                return signed_in
            case Denied():
                raise Refusal(401, "wrong address or password", WWW_Authenticate=CHALLENGE)
            case CannotSay():
                reason = "cannot check passwords now; yours is not in question, try again later"
                raise Refusal(503, reason, Retry_After=str(RETRY_AFTER_S))

    async def _list(self, request: Request, signed_in: SignedIn) -> Response:
        query = request.query_params
        try:
            limit = min(max(int(query.get("limit", "50")), 1), self._service.limit_max)
        except ValueError:
            raise BadAction("limit is a number") from None
        folder = query.get("folder", "INBOX")
        page = await self._service.page(signed_in, folder, limit)
        return _json(
            {
                "address": signed_in.target.address,
                "folder": folder,
                "cell": {"name": signed_in.target.cell, "state": page.cell_state},
                "messages": [_glimpse(one) for one in page.glimpses],
            }
        )

    async def _read(self, request: Request, signed_in: SignedIn) -> Response:
        receipt = from_text(request.path_params["receipt"])
        content, state = await self._service.content(signed_in, receipt)
        if "message/rfc822" in request.headers.get("accept", ""):
            return Response(content, media_type="message/rfc822", headers=_SAFE_HEADERS)
        shown = show(content)
        return _json({"receipt": to_text(receipt), "state": state.value, **asdict(shown)})

    async def _act(self, request: Request, signed_in: SignedIn) -> Response:
        wanted = msgspec.json.decode(await self._body(request), type=ActionRequest)
        receipts = [from_text(text) for text in wanted.receipts]
        action = await self._service.act(signed_in, wanted.verb, receipts, wanted.folder)
        return _json({"action": action})

    async def _reply(self, request: Request, signed_in: SignedIn) -> Response:
        receipt = from_text(request.path_params["receipt"])
        wanted = msgspec.json.decode(await self._body(request), type=ReplyRequest)
        return _json({"receipt": await self._service.reply(signed_in, receipt, wanted.text)})

    async def _body(self, request: Request) -> bytes:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._service.body_bytes_max:
                raise Refusal(413, f"at most {self._service.body_bytes_max} bytes")
        return body


CHALLENGE = 'Basic realm="Staffetta", charset="UTF-8"'
_SAFE_HEADERS = {
    "Content-Disposition": "attachment",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(content) + b"\n",
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/json",
    )


def _glimpse(glimpse: Glimpse) -> dict[str, Any]:
    at = datetime.fromtimestamp(glimpse.at_us / 1_000_000, UTC)
    return {
        "receipt": to_text(glimpse.receipt),
        "accepted_at": at.isoformat(timespec="seconds"),
        "from": glimpse.sender,
        "subject": glimpse.subject,
        "size_bytes": glimpse.size_bytes,
        "folder": glimpse.folder,
        "read": glimpse.read,
        "flagged": glimpse.flagged,
        "answered": glimpse.answered,
    }


def _basic_credentials(request: Request) -> tuple[str, str]:
    """RFC 7617 section 2: `Basic` and the base64 of address, colon, password, in UTF-8."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise Refusal(401, "sign in with address and password", WWW_Authenticate=CHALLENGE)
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refusal(400, "the Authorization header cannot be read") from None
    address, colon, password = text.partition(":")
    if not colon:
        raise Refusal(400, "the Authorization header has no colon")
    return address, password


def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
