"""The assistant as an ASGI 3 application: HTTP POST, WebSocket and lifespan, on the standard library alone."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

from offhook.protocol.json_codec import BODY_LIMIT, build_models
from offhook.sdk import http_answer
from offhook.sdk.http_answer import HttpAnswer, RequestHeaders
from offhook.sdk.websocket import POLICY_VIOLATION, Answering, serve_messages

log = logging.getLogger("offhook.assistant")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

REFUSAL = "websocket.http.response"
"""The ASGI extension by which a WebSocket handshake is refused with a status of our own."""


class Served(Answering, Protocol):
    """What this adapter needs of an assistant."""

    async def serve_webhook(
        self, body: bytes, headers: RequestHeaders, respond: Callable[[HttpAnswer], Awaitable[None]]
    ) -> None: ...


@runtime_checkable
class AsgiWebSocket(Protocol):
    """What is used of a WebSocket of Starlette or FastAPI."""

    @property
    def scope(self) -> Scope: ...

    @property
    def receive(self) -> Receive: ...

    @property
    def send(self) -> Send: ...


async def serve(assistant: Served, scope: Scope, receive: Receive, send: Send) -> None:
    """One ASGI scope."""
    match scope["type"]:
        case "http":
            await _http(assistant, scope, receive, send)
        case "websocket":
            await _websocket(assistant, scope, receive, send)
        case "lifespan":
            await _lifespan(receive, send)
        case other:
            log.warning("a scope of the unknown kind %r was passed over", other)


async def _http(assistant: Served, scope: Scope, receive: Receive, send: Send) -> None:
    method = scope["method"]
    if method in {"GET", "HEAD"}:
        await _respond(send, http_answer.WELCOME, without_body=method == "HEAD")
    elif method != "POST":
        await _respond(send, http_answer.refused(405, f"{method} is not served.", "POST one event."), allow="GET, POST")
    else:
        await _posted(assistant, _headers(scope), receive, partial(_respond, send))


async def _posted(
    assistant: Served, headers: Mapping[str, str], receive: Receive, respond: Callable[[HttpAnswer], Awaitable[None]]
) -> None:
    """Answer a POST; not at all when the client left before it had sent everything. Returns when its replies are
    delivered, which may be after the answer."""
    if not assistant.admits(headers.get(http_answer.TOKEN_HEADER)):
        return await respond(http_answer.WRONG_TOKEN)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > BODY_LIMIT:
        return await respond(http_answer.TOO_LARGE)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            return await respond(http_answer.TOO_LARGE)
        if not message.get("more_body", False):
            return await assistant.serve_webhook(bytes(body), headers, respond)


async def _respond(send: Send, answer: HttpAnswer, *, without_body: bool = False, allow: str = "") -> None:
    headers = {**answer.headers, **({"Allow": allow} if allow else {})}
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": b"" if without_body else answer.body})


async def _websocket(assistant: Served, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if not assistant.admits(_headers(scope).get(http_answer.TOKEN_HEADER)):
        await _refuse_websocket(scope, send)
        return
    await send({"type": "websocket.accept"})
    is_open = True

    async def messages() -> AsyncIterator[str | bytes]:
        nonlocal is_open
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                is_open = False
                return
            text = message.get("text")
            yield text if text is not None else message.get("bytes") or b""

    async def send_text(text: str) -> None:
        if not is_open:
            raise ConnectionError("the connection is closed")
        await send({"type": "websocket.send", "text": text})

    await serve_messages(assistant, messages(), send_text)


async def _refuse_websocket(scope: Scope, send: Send) -> None:
    if REFUSAL not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "wrong X-API-TOKEN"})
        return
    refusal = http_answer.WRONG_TOKEN
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": f"{REFUSAL}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{REFUSAL}.body", "body": refusal.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        build_models()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _headers(scope: Scope) -> dict[str, str]:
    """Names in lower case; of a repeated header the first one counts."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found
