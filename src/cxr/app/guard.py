"""What a request may take, and who may ask: the outermost layer of the server, before anything is parsed.

| rule | answer |
|---|---|
| another name for this host than it is served under (DNS rebinding) | 421 |
| a page of another site sends something here | 403 |
| a body larger than `request_mb` | 413, after the rest was thrown away so that the sender reads the answer |
| a body that does not arrive in time | 408 |
| more than `waiting` requests to predict at a time | 503 |
"""

import asyncio
import re
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cxr.app.limits import MB, Limits

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOCAL = ("localhost", "127.0.0.1", "[::1]")
DRAINED_MB = 1024  # of a body that is too large; then the connection is cut


class Guard:
    """ASGI middleware. hosts: names that it answers to, None for any; `busy`: requests under way."""

    def __init__(self, app: ASGIApp, limits: Limits, hosts: Iterable[str] | None = LOCAL):
        self.app, self.limits, self.busy = app, limits, 0
        self.hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, safe = Headers(scope=scope), _with_headers(send)
        if refusal := self._stranger(headers):
            await refusal(scope, receive, safe)
        elif scope["method"] == "POST":
            await self._bounded(scope, receive, safe, int(headers.get("content-length") or 0))
        else:
            await self.app(scope, receive, safe)

    def _stranger(self, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if self.hosts is not None and re.sub(r":\d+$", "", host) not in self.hosts:
            names = ", ".join(sorted(self.hosts))
            return _error(421, f"this server answers to {names}; start it with --host to change that")
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            return _error(403, "another site's page may not send files here; open this server's own page")
        return None

    async def _bounded(self, scope: Scope, receive: Receive, send: Send, stated: int) -> None:
        body = _Body(receive, self.limits)
        if stated > self.limits.request_mb * MB:
            await body.drain()
            await body.too_large(scope, send)
            return
        if self.busy >= self.limits.waiting:
            await body.drain()
            busy = _error(503, f"busy: {self.busy} requests wait already; try again in a while", {"Retry-After": "5"})
            await busy(scope, receive, send)
            return
        self.busy += 1
        try:
            await self.app(scope, body.receive, send)
        finally:
            self.busy -= 1


class _Body:
    """A request's body, counted while it comes."""

    def __init__(self, receive: Receive, limits: Limits):
        self._receive, self._limits, self._bytes, self._whole = receive, limits, 0, False
        self._end = asyncio.get_running_loop().time() + limits.body_seconds

    async def receive(self) -> Message:
        """The next part. Raises HTTPException, which the application answers with."""
        try:
            # once all is there, what is waited for is that the client leaves
            async with asyncio.timeout_at(None if self._whole else self._end):
                message = await self._receive()
        except TimeoutError:
            words = f"the files did not arrive within {self._limits.body_seconds:g} s; send fewer at a time"
            raise HTTPException(408, words) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body")
            if self._bytes > self._limits.request_mb * MB:
                await self.drain()
                raise HTTPException(413, self._words)
        return message

    async def drain(self) -> None:
        """Throw away what still comes, within bounds."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._end):
                while not self._whole and self._bytes <= DRAINED_MB * MB:
                    message = await self._receive()
                    self._bytes += len(message.get("body", b""))
                    self._whole = message["type"] != "http.request" or not message.get("more_body")

    async def too_large(self, scope: Scope, send: Send) -> None:
        await _error(413, self._words)(scope, self._receive, send)

    @property
    def _words(self) -> str:
        return f"more than {self._limits.request_mb} MB in one request; send fewer files at a time"


def _error(status: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": words}, status, headers)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SAFE.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
