"""A WebSocket to a vendor with a life of its own: it connects at once, so that it is there before it is needed, stays
open while nobody speaks, and says why it ended."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

import aiohttp

from offhook.errors import ProviderFailed
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode

Message: TypeAlias = str | bytes

CONNECT_WITHIN_SECONDS: Final = 4.0
CLOSE_WITHIN_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 20.0
"""A vendor that does not answer a ping within half of that is gone, whatever TCP believes."""
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where to connect, and what to say there. `url` may be http(s) or ws(s).

    `keep_alive` is sent when nothing else was for `keep_alive_seconds`; `goodbye` before closing. `reason_header`:
    where an answer that refuses the connection says why.
    """

    url: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    keep_alive: Message | None = None
    keep_alive_seconds: float = 5.0
    goodbye: Message | None = None
    reason_header: str = ""


class _Order(Enum):
    NUDGE = 0
    CLOSE = 1


class VendorSocket:
    """One connection. Sending never waits and never fails; that it has ended comes out of `receive`. `served`: what its
    user has had of it, as he counts."""

    def __init__(
        self, client: aiohttp.ClientSession, address: SocketAddress, trouble: ProviderTrouble, tasks: EngineTasks
    ) -> None:
        self._client = client
        self._address = address
        self._trouble = trouble
        self._outbox: asyncio.Queue[Message | _Order] = asyncio.Queue()
        self._inbox: asyncio.Queue[Message | _Order | ProviderFailed] = asyncio.Queue()
        self._ended: ProviderFailed | None = None
        self._closing = False
        self.served = 0
        if tasks.run(self._live(), name=f"socket to {trouble.vendor}") is None:
            self._end(trouble.of(TroubleCode.CLOSED, "is not asked any more: the engine was stopped"))

    @property
    def usable(self) -> bool:
        """Whether what is sent now has a chance to arrive. One that still connects is."""
        return self._ended is None and not self._closing

    def send(self, message: Message) -> None:
        """Send this after what was sent before, as soon as the connection is there."""
        self._outbox.put_nowait(message)

    async def receive(self, within: float | None = None) -> Message | None:
        """The next message; None after a `nudge`. Raises ProviderFailed when the socket has ended, again and again, and
        when nothing came `within` so many seconds."""
        try:
            async with asyncio.timeout(within):
                found = await self._inbox.get()
        except TimeoutError:
            assert within is not None, "a limit has passed"
            raise self._trouble.silent(within) from None
        if isinstance(found, ProviderFailed):
            self._inbox.put_nowait(found)
            raise found
        return None if isinstance(found, _Order) else found

    def nudge(self) -> None:
        """Let `receive` return None, behind what has come."""
        self._inbox.put_nowait(_Order.NUDGE)

    def close(self) -> None:
        """Say goodbye and close, in its own time. Nothing that comes is of interest any more."""
        if not self._closing:
            self._closing = True
            self._outbox.put_nowait(_Order.CLOSE)

    async def _live(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_WITHIN_SECONDS):
                socket = await self._client.ws_connect(
                    self._address.url,
                    params=self._address.query,
                    headers=self._address.headers,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WITHIN_SECONDS),
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=MAX_MESSAGE_BYTES,
                )
        except aiohttp.WSServerHandshakeError as error:
            reason = error.headers.get(self._address.reason_header) if error.headers is not None else None
            self._end(self._trouble.status(error.status, reason or ""))
        except (aiohttp.ClientError, OSError) as error:
            self._end(self._trouble.exception(error))
        else:
            try:
                await self._talk(socket)
            finally:
                self._end(self._trouble.closed(socket.close_code))
                await socket.close()

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async with asyncio.TaskGroup() as both:
            writer = both.create_task(self._write(socket), name=f"writer to {self._trouble.vendor}")
            while True:
                message = await socket.receive()
                if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    self._inbox.put_nowait(message.data)
                    continue
                if message.type is aiohttp.WSMsgType.CLOSE:
                    self._end(self._trouble.closed(message.data, message.extra or ""))
                elif isinstance(message.data, aiohttp.WebSocketError):
                    self._end(self._trouble.garbled(str(message.data)))
                break
            if not self._closing:
                writer.cancel()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while (message := await self._next_out()) is not _Order.CLOSE:
                await _send(socket, message)
            if self._address.goodbye is not None:
                await _send(socket, self._address.goodbye)
        except (aiohttp.ClientError, OSError) as error:
            self._end(self._trouble.exception(error))
        await socket.close()

    async def _next_out(self) -> Message | _Order:
        if self._address.keep_alive is None:
            return await self._outbox.get()
        try:
            async with asyncio.timeout(self._address.keep_alive_seconds):
                return await self._outbox.get()
        except TimeoutError:
            return self._address.keep_alive

    def _end(self, why: ProviderFailed) -> None:
        if self._ended is None:
            self._ended = why
            self._inbox.put_nowait(why)


async def _send(socket: aiohttp.ClientWebSocketResponse, message: Message | _Order) -> None:
    if isinstance(message, str):
        await socket.send_str(message)
    elif isinstance(message, bytes):
        await socket.send_bytes(message)


async def first_answer(
    client: aiohttp.ClientSession, address: SocketAddress, trouble: ProviderTrouble, *ask: Message
) -> Message:
    """What the vendor says first on a socket of its own, after `ask`: whether it takes these settings. Raises
    ProviderFailed."""
    async with a_socket(client, address, trouble) as socket:
        for message in ask:
            socket.send(message)
        answer = await socket.receive(CONNECT_WITHIN_SECONDS)
        assert answer is not None, "nobody nudges"
        return answer


@asynccontextmanager
async def a_socket(
    client: aiohttp.ClientSession, address: SocketAddress, trouble: ProviderTrouble
) -> AsyncIterator[VendorSocket]:
    """A socket of its own for as long as the block."""
    tasks = EngineTasks()
    await tasks.start()
    try:
        yield VendorSocket(client, address, trouble, tasks)
    finally:
        await tasks.stop()
