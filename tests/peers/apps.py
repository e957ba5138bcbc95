"""Apps for calls by real peers: the examples as processes of their own with somebody between them and the service who
writes down what came, and apps whose answers a test decides."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import aiohttp
from aiohttp import web

from tests.peers.baresip import free_port

ROOT: Final = Path(__file__).parents[2]

Event: TypeAlias = dict[str, Any]
Action: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """One event as it reached the app; `at` in seconds of Unix time. `connection` counts WebSockets."""

    at: float
    event: Event
    headers: Mapping[str, str]
    connection: int = 0


@dataclass(slots=True)
class Ledger:
    """What an app has received, in order. `closed` lists the close codes of WebSockets."""

    received: list[Received] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    _told: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note(self, received: Received) -> None:
        async with self._told:
            self.received.append(received)
            self._told.notify_all()

    async def note_close(self, code: int) -> None:
        async with self._told:
            self.closed.append(code)
            self._told.notify_all()

    @property
    def events(self) -> list[Event]:
        return [received.event for received in self.received]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def of(self, kind: str) -> list[Event]:
        """All events of this type."""
        return [event for event in self.events if event["type"] == kind]

    async def until(
        self, kind: str, count: int = 1, *, seconds: float = 30, where: Callable[[Event], bool] = lambda _: True
    ) -> Event:
        """Wait for the first (second …) event of this type, counted from the first call on."""
        async with self._told:
            try:
                async with asyncio.timeout(seconds):
                    await self._told.wait_for(lambda: len([e for e in self.of(kind) if where(e)]) >= count)
            except TimeoutError:
                raise AssertionError(f"no {kind} number {count} within {seconds} s, only {self.types}") from None
        return [e for e in self.of(kind) if where(e)][count - 1]

    async def until_closed(self, count: int = 1, *, seconds: float = 30) -> int:
        """Wait until so many WebSockets are closed; gives the last close code."""
        async with asyncio.timeout(seconds), self._told:
            await self._told.wait_for(lambda: len(self.closed) >= count)
        return self.closed[count - 1]


# --- servers


class _Server:
    """An aiohttp server on a free port of this process."""

    def __init__(self) -> None:
        self.port = 0
        app = web.Application(client_max_size=32 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    @property
    def webhook(self) -> str:
        """Its address as an HTTP app."""
        return f"http://127.0.0.1:{self.port}/webhook"

    @property
    def socket(self) -> str:
        """Its address as a WebSocket app."""
        return f"ws://127.0.0.1:{self.port}/"


class RecordingProxy(_Server):
    """Stands before an app, passes everything on unchanged, and keeps what the service sent. HTTP and WebSocket."""

    def __init__(self, app_port: int) -> None:
        super().__init__()
        self.ledger: Final = Ledger()
        self._app: Final = f"127.0.0.1:{app_port}"

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession()
        return await super().__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._pass_socket(request)
        body = await request.read()
        await self.ledger.note(Received(time.time(), json.loads(body), dict(request.headers)))
        headers = {k: v for k, v in request.headers.items() if k.lower() not in {"host", "content-length"}}
        async with self._client.request(
            request.method, f"http://{self._app}{request.path_qs}", data=body, headers=headers
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), headers={"Content-Type": answer.content_type}
            )

    async def _pass_socket(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("X-API-TOKEN", "")
        connection = len({received.connection for received in self.ledger.received}) + 1
        here = web.WebSocketResponse(autoping=True)
        async with self._client.ws_connect(
            f"ws://{self._app}{request.path_qs}", headers={"X-API-TOKEN": token}
        ) as there:
            await here.prepare(request)

            async def to_service() -> None:
                async for message in there:
                    await here.send_str(message.data)

            answers = asyncio.ensure_future(to_service())
            async for message in here:
                got = Received(time.time(), json.loads(message.data), dict(request.headers), connection)
                await self.ledger.note(got)
                await there.send_str(message.data)
            await there.close()
            await answers
        await self.ledger.note_close(here.close_code or 0)
        return here


@dataclass(frozen=True, slots=True)
class Raw:
    """An HTTP answer, to the byte. `after` is awaited before it; `broken`: the connection is cut instead."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[], Awaitable[object]] | None = None
    broken: bool = False


Answer: TypeAlias = Raw | Action | Sequence[Action] | None
Decides: TypeAlias = Callable[[Event], Answer]


class ScriptedApp(_Server):
    """An app whose answer to each event is decided by a function. It adds the session id where an action has none.

    The same app serves HTTP (`webhook`) and WebSocket (`socket`); on a WebSocket `send` speaks out of turn.
    """

    def __init__(self, decide: Decides) -> None:
        super().__init__()
        self.ledger: Final = Ledger()
        self._decide: Final = decide
        self._sockets: Final[list[web.WebSocketResponse]] = []

    async def send(self, *actions: Action) -> None:
        """Send actions through the newest WebSocket, out of turn."""
        session = self.ledger.events[-1]["session"]["id"]
        await self._sockets[-1].send_str(json.dumps([{"session_id": session, **action} for action in actions]))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._talk(request)
        event = json.loads(await request.read())
        await self.ledger.note(Received(time.time(), event, dict(request.headers)))
        answer = self._decide(event)
        if not isinstance(answer, Raw):
            return web.Response(body=_as_json(answer, event), content_type="application/json")
        if answer.after is not None:
            await answer.after()
        if answer.broken:
            assert request.transport is not None
            request.transport.abort()
        headers = dict(answer.headers)
        if answer.content_type is not None:
            headers["Content-Type"] = answer.content_type
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        here = web.WebSocketResponse()
        await here.prepare(request)
        self._sockets.append(here)
        connection = len(self._sockets)
        async for message in here:
            event = json.loads(message.data)
            await self.ledger.note(Received(time.time(), event, dict(request.headers), connection))
            answer = self._decide(event)
            if isinstance(answer, Raw):
                await here.send_str(answer.body.decode())
            elif answer:
                await here.send_str(_as_json(answer, event).decode())
        await self.ledger.note_close(here.close_code or 0)
        return here


def _as_json(answer: Action | Sequence[Action] | None, event: Event) -> bytes:
    if answer is None:
        return b"null"
    actions = [answer] if isinstance(answer, dict) else list(answer)
    return json.dumps([{"session_id": event["session"]["id"], **action} for action in actions]).encode()


# --- the examples


class ExampleApp:
    """One of the programs in `examples/`, as a process of its own on a free port."""

    def __init__(self, name: str) -> None:
        self._path: Final = ROOT / "examples" / name
        self.port: Final = free_port(socket.SOCK_STREAM)
        self._said: Final[list[str]] = []

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-u",
            str(self._path),
            "--port",
            str(self.port),
            env={"AI_FLOW_SHARED_SECRET": "secret", "PATH": ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout
        async with asyncio.timeout(20):
            while f"{self.port}" not in (line := (await self._out.readline()).decode()):
                self._said.append(line)
                assert line, f"{self._path.name} ended: {''.join(self._said)}"
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()
        await self._reading

    def said(self) -> str:
        """What it has printed."""
        return "".join(self._said)

    async def _read(self) -> None:
        while line := await self._out.readline():
            self._said.append(line.decode(errors="replace"))
