"""Events as values, and an ASGI server made of two lists."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from offhook.protocol.events import DtmfReceived, Event, SessionEnd, SessionStart, UserSpeak
from offhook.protocol.json_codec import event_to_json
from offhook.protocol.session import Session
from offhook.sdk.assistant import Assistant


class Events:
    """Events of one session."""

    def __init__(self, session_id: str = "s1") -> None:
        self.session = Session(id=session_id, phone_number="+4921155660", direction="inbound")

    def start(self) -> SessionStart:
        return SessionStart(session=self.session)

    def words(self, text: str, *, barged_in: bool = False) -> UserSpeak:
        return UserSpeak(session=self.session, text=text, barged_in=barged_in)

    def key(self, digit: Any) -> DtmfReceived:
        return DtmfReceived(session=self.session, digit=digit)

    def end(self) -> SessionEnd:
        return SessionEnd(session=self.session)


class AsgiServer:
    """Calls an assistant as an ASGI server does, and keeps what it sends."""

    def __init__(self, assistant: Assistant) -> None:
        self.assistant = assistant
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.reads = 0
        self.taken = 0
        self.news = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        self.reads += 1
        message = await self.inbox.get()
        self.taken += 1
        self.news.set()
        return message

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))
        self.news.set()

    async def request(
        self, body: bytes = b"", method: str = "POST", headers: dict[str, str] | None = None, chunk: int = 1 << 20
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, parsed body (None when empty), headers."""
        pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)] or [b""]
        for index, piece in enumerate(pieces):
            self.inbox.put_nowait({"type": "http.request", "body": piece, "more_body": index + 1 < len(pieces)})
        await self.assistant(self.scope("http", headers, method=method), self.receive, self.send)
        start, content = self.sent[-2:]
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], json.loads(content["body"]) if content["body"] else None, found

    async def post(self, event: Event, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        status, body, _ = await self.request(event_to_json(event), headers=headers)
        return status, body

    def scope(self, kind: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        return {"type": kind, "path": "/", "headers": raw, **more}

    def open_websocket(self) -> None:
        self.inbox.put_nowait({"type": "websocket.connect"})

    def message(self, event: Event | str) -> None:
        text = event if isinstance(event, str) else event_to_json(event).decode()
        self.inbox.put_nowait({"type": "websocket.receive", "text": text})

    def close_websocket(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def websocket(self, headers: dict[str, str] | None = None, **more: Any) -> None:
        """Serve the connection until it is closed."""
        await self.assistant(self.scope("websocket", headers, **more), self.receive, self.send)

    @property
    def texts(self) -> list[Any]:
        """The messages that the app has sent over the WebSocket."""
        return [json.loads(one["text"]) for one in self.sent if one["type"] == "websocket.send"]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.news.clear()
            await self.news.wait()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def events_of() -> Callable[[str], Events]:
    return Events


@pytest.fixture
def serve() -> Callable[[Assistant], AsgiServer]:
    return AsgiServer
