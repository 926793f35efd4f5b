"""All that is answered over HTTP: TF Serving's REST, V2, metrics and the page. Bodies are read within bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unet_tf.serving import page, rest, v2
from unet_tf.serving.calls import Calls
from unet_tf.serving.errors import ServingError, too_large
from unet_tf.serving.openapi import openapi

HEAD = 64 << 10
"""Bytes that the head of a request may have."""


class Bodies:
    """Reads the body of each request whole, within bytes and time, before anything looks at it.

    Args:
        app: that answers.
        calls: whose limits hold.
    """

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self._app, self._calls, self._limits = app, calls, calls.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse what is too large, too slow or too much at once."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []
        start = time.monotonic()
        try:
            headers = dict(scope["headers"])
            _check_head(scope, headers)
            body = await self._read(headers, receive, parts)
            if body is None:  # the caller has gone
                return
            parts[:] = [body]  # which is not held a second time, in its parts
            await self._app(scope, _again(body, receive), send)
        except ServingError as error:
            with suppress(ServingError), self._calls.counted("http", "", start):
                raise error
            await self._drain(receive)
            answer = rest.answer_error(error)
            answer.headers["Connection"] = "close"  # the rest of the body may never come
            await answer(scope, receive, send)
        finally:
            self._calls.hold(-sum(map(len, parts)))

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, parts: list[bytes]) -> bytes | None:
        limits = self._limits
        most = too_large(f"The body of a request may have {limits.body:,} bytes. Send a smaller picture.")
        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said) > limits.body:
            raise most
        size = 0
        try:
            async with asyncio.timeout(limits.reading):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    if (size := size + len(part)) > limits.body:
                        raise most
                    self._calls.hold(len(part))
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            words = f"The body of a request must come within {limits.reading:g} s. Send a smaller picture."
            raise ServingError("DEADLINE_EXCEEDED", words, HTTPStatus.REQUEST_TIMEOUT) from None

    async def _drain(self, receive: Receive) -> None:
        """Read on for a while and throw it away: a caller that is cut off while it sends does not see the answer."""
        seen = 0
        try:
            async with asyncio.timeout(1):
                while seen < 2 * self._limits.body:
                    message = await receive()
                    seen += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            pass


def _check_head(scope: Scope, headers: Mapping[bytes, bytes]) -> None:
    packed = headers.get(b"content-encoding", b"").decode("latin1").strip()
    if packed.lower() not in ("", "identity"):
        raise ServingError(
            "INVALID_ARGUMENT", f"The body of a request must come as it is, without Content-Encoding: {packed[:40]}.",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )  # fmt: skip
    if scope["http_version"] not in ("1.0", "1.1"):
        status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        raise ServingError(
            "INVALID_ARGUMENT", f"HTTP is spoken here in version 1.1, not {scope['http_version']}.", status
        )
    if (
        len(scope["raw_path"])
        + len(scope["query_string"])
        + sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        > HEAD
    ):
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise ServingError("INVALID_ARGUMENT", f"The head of a request may have {HEAD:,} bytes.", status)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def make_app(calls: Calls) -> ASGIApp:
    """Everything that is answered over HTTP."""

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(calls.registry), media_type=CONTENT_TYPE_LATEST)

    description = openapi([model.name for model in calls.models])

    async def described(request: Request) -> Response:
        return JSONResponse(description)

    async def refused(request: Request, error: Exception) -> Response:
        return rest.answer_error(cast(ServingError, error))

    async def no_path(request: Request, error: Exception) -> Response:
        told = cast(HTTPException, error)
        words = f"{HTTPStatus(told.status_code).phrase}: {request.method} {request.url.path[:100]}"
        return JSONResponse({"error": words}, told.status_code, told.headers)

    async def broken(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "The server has failed; its log says why."}, 500)

    app = Starlette(
        routes=[
            *v2.routes(calls),
            *page.routes(calls),
            Route("/metrics", metrics),
            Route("/openapi.json", described),
            *rest.routes(calls),
        ],
        exception_handlers={ServingError: refused, HTTPException: no_path, Exception: broken},
    )
    return Bodies(app, calls)
