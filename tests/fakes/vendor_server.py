"""A server on this machine in the place of a vendor's: its sockets, with the faults of the script, and what came."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDictProxy, MultiMapping

from tests.fakes.vendor_script import AT_THE_DOOR, Fault, VendorScript, pause

STATUS_REASONS: Final = {401: "Invalid credentials.", 429: "Too many requests.", 503: "Service unavailable."}


@dataclass(slots=True)
class Connection:
    """One socket, or one request, as it came."""

    path: str
    query: MultiMapping[str]
    headers: CIMultiDictProxy[str]
    messages: list[str | bytes] = field(default_factory=list)
    close_code: int | None = None

    @property
    def audio_bytes(self) -> int:
        """How much binary came."""
        return sum(len(message) for message in self.messages if isinstance(message, bytes))


class FakeSocket:
    """The vendor's end of a socket. `say` obeys the script's fault."""

    def __init__(
        self, script: VendorScript, socket: web.WebSocketResponse, connection: Connection, news: asyncio.Event
    ) -> None:
        self._script = script
        self._news = news
        self._socket = socket
        self._said = 0
        self.connection = connection

    async def say(self, message: str | bytes, *, counts: bool = True) -> None:
        """Send words or sound (`counts`), or something about the connection."""
        stuck = self._script.fault is Fault.STOP_SENDING and self._said >= self._script.fault_after
        if stuck or (counts and await self._goes_wrong()):
            return
        self._said += counts
        if self._socket.closed:
            return
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def _goes_wrong(self) -> bool:
        if self._said < self._script.fault_after or self._script.fault in AT_THE_DOOR:
            return False
        match self._script.goes_wrong():
            case Fault.CLOSE:
                await self.close(WSCloseCode.INTERNAL_ERROR, "internal error")
            case Fault.GARBAGE:
                await self._socket.send_str('{"this is": no JSON')
            case Fault.SAYS:
                await self._socket.send_str(self._script.fault_says)
            case _:
                return False
        return True

    async def close(self, code: int, reason: str = "") -> None:
        """End it; a vendor that is stuck does not even that."""
        if self._script.fault is Fault.STOP_SENDING:
            while await self.receive() is not None:
                pass
        else:
            await self._socket.close(code=code, message=reason.encode())
            self.connection.close_code = code
            self._news.set()

    async def receive(self, within_seconds: float | None = None) -> str | bytes | None:
        """The client's next message; None when it is gone. Raises TimeoutError."""
        async with asyncio.timeout(within_seconds):
            message = await self._socket.receive()
        self._news.set()
        if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
            found: str | bytes = message.data
            self.connection.messages.append(found)
            return found
        self.connection.close_code = self._socket.close_code
        return None


class VendorServer:
    """`async with` it; then `url` (http) is there, at any free port where `port` was not set before. `connections` are
    all that came, in order."""

    def __init__(self, script: VendorScript | None = None) -> None:
        self.script = script or VendorScript()
        self.connections: list[Connection] = []
        self._news = asyncio.Event()
        self.url = ""
        self.port = 0
        self._app = web.Application()
        self._runner = web.AppRunner(self._app, shutdown_timeout=0.1)
        self._sockets: set[web.WebSocketResponse] = set()

    def _socket_at(
        self,
        path: str,
        admit: Callable[[web.Request], web.Response | None],
        serve: Callable[[FakeSocket], Awaitable[None]],
    ) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            connection = self._came(request)
            await pause(self.script.connect_ms)
            refusal = self._refusal() or admit(request)
            if refusal is not None:
                return refusal
            socket = web.WebSocketResponse(max_msg_size=0)
            await socket.prepare(request)
            self._sockets.add(socket)
            try:
                await serve(FakeSocket(self.script, socket, connection, self._news))
            finally:
                self._sockets.discard(socket)
            return socket

        self._app.router.add_get(path, handle)

    def _came(self, request: web.Request) -> Connection:
        connection = Connection(request.path, request.query, request.headers)
        self.connections.append(connection)
        self._news.set()
        return connection

    async def until(self, happened: Callable[[], bool], within_seconds: float = 5.0) -> None:
        """Wait until this is so; looked at whenever something comes. Raises TimeoutError."""
        async with asyncio.timeout(within_seconds):
            while not happened():
                self._news.clear()
                await self._news.wait()

    def _refusal(self) -> web.Response | None:
        if self.script.fault not in AT_THE_DOOR or (fault := self.script.goes_wrong()) is None:
            return None
        return self._refused(AT_THE_DOOR[fault], STATUS_REASONS[AT_THE_DOOR[fault]])

    def _refused(self, status: int, reason: str) -> web.Response:
        return web.json_response({"error": reason}, status=status)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        host, self.port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drop_all()
        await self._runner.cleanup()

    async def drop_all(self) -> None:
        """Close every socket, as a vendor does when it is updated."""
        await asyncio.gather(*(socket.close(code=WSCloseCode.GOING_AWAY) for socket in tuple(self._sockets)))
