"""`/healthz` and `/metrics` of one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from staffetta.runtime.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Can this process do its own work? `content` says more, for people."""

    working: bool
    content: Mapping[str, Any]


def health_application(report: Callable[[], HealthReport], metrics: Metrics) -> Starlette:
    """The application. `/healthz` answers 200 or 503; `/metrics` Prometheus' text format."""

    async def healthz(request: Request) -> Response:
        found = report()
        return Response(
            msgspec.json.encode(found.content, enc_hook=str) + b"\n",
            status_code=200 if found.working else 503,
            media_type="application/json",
        )

    async def exposition(request: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", exposition)])
