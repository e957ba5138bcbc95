"""The assistant in an aiohttp app, webhooks and WebSockets:
`app.router.add_route("*", "/webhook", assistant.aiohttp())`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from aiohttp import WSMsgType, web

from offhook.protocol.json_codec import BODY_LIMIT
from offhook.sdk import http_answer
from offhook.sdk.http_answer import HttpAnswer, RequestHeaders
from offhook.sdk.websocket import Answering, serve_messages


class Served(Answering, Protocol):
    """What the handler needs of an assistant."""

    async def serve_webhook(
        self, body: bytes, headers: RequestHeaders, respond: Callable[[HttpAnswer], Awaitable[None]]
    ) -> None: ...


RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def handler(assistant: Served) -> RequestHandler:
    """A handler for one path and any method. Later replies are pushed while it still runs (D31)."""

    async def handle(request: web.Request) -> web.StreamResponse:
        is_websocket = web.WebSocketResponse().can_prepare(request).ok
        if request.method in {"GET", "HEAD"} and not is_websocket:
            return _response(http_answer.WELCOME)
        if request.method not in {"GET", "POST"}:
            return _response(http_answer.refused(405, f"{request.method} is not served.", "POST one event."))
        if not assistant.admits(request.headers.get(http_answer.TOKEN_HEADER)):
            return _response(http_answer.WRONG_TOKEN)
        return await (_connection(assistant, request) if is_websocket else _event(assistant, request))

    return handle


async def _event(assistant: Served, request: web.Request) -> web.StreamResponse:
    responses: list[web.Response] = []

    async def respond(answer: HttpAnswer) -> None:
        response = _response(answer)
        responses.append(response)
        await response.prepare(request)
        await response.write_eof()

    await assistant.serve_webhook(await request.read(), request.headers, respond)
    return responses[0]


async def _connection(assistant: Served, request: web.Request) -> web.StreamResponse:
    connection = web.WebSocketResponse(compress=False, max_msg_size=BODY_LIMIT)
    await connection.prepare(request)

    async def messages() -> AsyncIterator[str | bytes]:
        async for message in connection:
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                yield message.data

    await serve_messages(assistant, messages(), connection.send_str)
    return connection


def _response(answer: HttpAnswer) -> web.Response:
    return web.Response(body=answer.body, status=answer.status, headers=answer.headers)
