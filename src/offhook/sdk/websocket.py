"""Messages of one WebSocket connection: events in, actions out, each reply as it comes (contract D31, D32, D33)."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from offhook.protocol.actions import Action
from offhook.protocol.events import Event
from offhook.protocol.json_codec import (
    BODY_LIMIT,
    EventInvalid,
    EventTypeUnknown,
    action_to_json,
    actions_to_json,
    read_event,
)
from offhook.sdk import http_answer
from offhook.sdk.handlers import HandlerFailed

log = logging.getLogger("offhook.assistant")

POLICY_VIOLATION: Final = 1008
LONGEST_FAILURE: Final = 400


class Answering(Protocol):
    """What a connection needs of an assistant."""

    @property
    def reports_failures(self) -> bool: ...

    def admits(self, token: str | None) -> bool: ...

    async def answer_event(self, event: Event, send: Callable[[Sequence[Action]], Awaitable[None]]) -> None: ...


class WebSocketConnection(Protocol):
    """What is used of a connection of the `websockets` package; anything alike will do."""

    @property
    def request(self) -> Any: ...

    def __aiter__(self) -> AsyncIterator[str | bytes]: ...

    async def send(self, message: str) -> None: ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


async def serve_messages(
    assistant: Answering, messages: AsyncIterator[str | bytes], send_text: Callable[[str], Awaitable[None]]
) -> None:
    """Answer every message until `messages` ends; then wait for the handlers that still run.

    They may end their work after a lost connection (`on_session_end` must); what they return then is dropped. Messages
    are taken on while handlers run, so that `session_end` and newer turns can cancel them (D35).

    Args:
        send_text: sends one text message; may raise an `OSError` once the connection is gone.
    """
    async with asyncio.TaskGroup() as handlers:
        async for message in messages:
            event = await _event_in(message, send_text)
            if event is not None:
                handlers.create_task(_answer(assistant, event, send_text))


async def serve_connection(assistant: Answering, connection: WebSocketConnection) -> None:
    """Serve one connection of the `websockets` package, from its token to its end."""
    from websockets.exceptions import ConnectionClosed

    if not assistant.admits(connection.request.headers.get(http_answer.TOKEN_HEADER)):
        await connection.close(POLICY_VIOLATION, "The X-API-TOKEN header is missing or wrong.")
        return

    async def messages() -> AsyncIterator[str | bytes]:
        try:
            async for message in connection:
                yield message
        except ConnectionClosed as closed:
            log.info("the connection was lost: %s", closed)

    async def send_text(text: str) -> None:
        try:
            await connection.send(text)
        except ConnectionClosed as closed:
            raise ConnectionError(str(closed)) from closed

    await serve_messages(assistant, messages(), send_text)


async def _event_in(message: str | bytes, send_text: Callable[[str], Awaitable[None]]) -> Event | None:
    if len(message) > BODY_LIMIT:
        log.warning("a message of %d bytes is over the limit of %d and was dropped", len(message), BODY_LIMIT)
        return None
    try:
        return read_event(message)
    except EventInvalid as invalid:
        log.warning("%s", invalid)
        await send_text(http_answer.error_json(invalid.what, invalid.remedy, invalid.mistakes).decode())
    except EventTypeUnknown as unknown:
        log.info("session %s: %s", unknown.session_id, unknown.message)
    return None


async def _answer(assistant: Answering, event: Event, send_text: Callable[[str], Awaitable[None]]) -> None:
    async def send(actions: Sequence[Action]) -> None:
        text = action_to_json(actions[0]) if len(actions) == 1 else actions_to_json(actions)
        try:
            await send_text(text.decode())
        except OSError:
            log.info("session %s: the connection is gone; a reply was dropped", event.session.id)

    try:
        await assistant.answer_event(event, send)
    except HandlerFailed as failed:
        if assistant.reports_failures:
            with suppress(OSError):  # the connection is gone, and with it who wants to know
                await send_text(json.dumps({"error": failed.message[:LONGEST_FAILURE]}))
