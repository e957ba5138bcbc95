"""The adapter for the `websockets` package, over a real connection on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as serve_websockets

from offhook.protocol.json_codec import event_to_json
from offhook.sdk.assistant import Assistant


async def test_a_real_connection_is_served(events: Any) -> None:
    assistant = Assistant(token="secret", on_session_start=lambda event: "hi", on_user_speak=lambda event: event.text)
    async with serve_websockets(assistant.handle_websocket, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", additional_headers={"X-API-TOKEN": "secret"}) as service:
            await service.send(event_to_json(events.start()).decode())
            assert json.loads(await service.recv()) == {"type": "speak", "session_id": "s1", "text": "hi"}
            await service.send(event_to_json(events.words("echo")).decode())
            assert json.loads(await service.recv())["text"] == "echo"
            await service.send("nonsense")
            assert "error" in json.loads(await service.recv())


async def test_a_wrong_token_is_closed_with_a_policy_violation() -> None:
    """Contract D32."""
    async with serve_websockets(Assistant(token="secret").handle_websocket, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as service:
            with pytest.raises(websockets.ConnectionClosed, match="1008"):
                await service.recv()


async def test_a_connection_that_is_lost_drops_late_replies_and_lets_handlers_finish(events: Any) -> None:
    """Contract D35."""
    inside, out, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def late(event: Any) -> AsyncIterator[str]:
        inside.set()
        await out.wait()
        yield "nobody is there"
        done.set()

    assistant = Assistant(on_user_speak=late)
    async with serve_websockets(assistant.handle_websocket, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        service = await connect(f"ws://127.0.0.1:{port}")
        await service.send(event_to_json(events.words("hi")).decode())
        await inside.wait()
        service.transport.abort()
        await service.wait_closed()
        out.set()
        await done.wait()
