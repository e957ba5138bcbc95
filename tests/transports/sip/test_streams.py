"""Connections of ours are kept open."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from offhook.transports.sip.admission import Source, Standing
from offhook.transports.sip.bound_address import BoundAddress
from offhook.transports.sip.connection_watch import LOOK_EVERY_MS
from offhook.transports.sip.endpoints import StreamConnection
from offhook.transports.sip.hop import ConnectionTrouble, Flow, Hop, Send, TlsPeer
from offhook.transports.sip.streams import PING_EVERY_MS, Doorkeeper, Streams

OURS = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"


class House:
    """Streams, and what their doorkeeper has heard."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.lost: asyncio.Queue[ConnectionTrouble] = asyncio.Queue()
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.begun: list[asyncio.Task[None]] = []
        self._tasks = tasks
        self._links = 0
        self.strangers = False
        self.gave_up: list[str] = []
        door = Doorkeeper(
            self._admits, self._opened, self._knock, self._receive, self._lose, self._expects, self.gave_up.append
        )
        self.streams = Streams(door, advertise=None, certificate=None, begin=self._begin, link=self._link)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self.begun.append(self._tasks.create_task(work))

    def _link(self) -> int:
        self._links += 1
        return self._links

    def _admits(self, host: str) -> bool:
        return host == "127.0.0.1"

    def _opened(self, connection: StreamConnection) -> bool:
        return connection.remote[0] == "127.0.0.1"

    def _expects(self, host: str) -> bool:
        return not self.strangers and host == "127.0.0.1"

    def _knock(self, data: bytes, host: str) -> Source | None:
        return Source(host, Standing.ALLOWED) if data else None

    def _receive(self, data: bytes, flow: Flow, source: Source, from_stream: bool) -> None:
        assert from_stream
        assert (flow.transport, source.standing) == ("tcp", Standing.ALLOWED)
        self.received.put_nowait(data)

    def _lose(self, address: tuple[str, int], trouble: ConnectionTrouble) -> None:
        assert address[0] == "127.0.0.1"
        self.lost.put_nowait(trouble)


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[int, Callable[[], Coroutine[None, None, bytes]], list[asyncio.StreamWriter]]]:
    """A server on loopback: its port, what it reads next, its ends of the connections."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while data := await reader.read(65_536):
            heard.put_nowait(data)
        heard.put_nowait(b"")
        writer.close()

    async def read() -> bytes:
        async with asyncio.timeout(5):
            return await heard.get()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], read, writers
    server.close()


async def test_a_connection_of_ours_is_pinged_and_one_that_has_stopped_answering_is_given_up() -> None:
    """RFC 5626 4.4.1: two line ends, answered with one. A peer that never answers is not judged by it."""
    async with asyncio.TaskGroup() as tasks, peer() as (port, heard, writers):
        house = House(tasks)
        house.streams.advance(0)
        house.streams.send(Send(OURS, Hop("tcp", 0, ("127.0.0.1", port))))
        assert await heard() == OURS
        house.streams.advance(PING_EVERY_MS - 1)
        for number in range(1, 4):
            house.streams.advance(number * PING_EVERY_MS)
            assert await heard() == b"\r\n\r\n"
        writers[0].write(b"\r\n" + OURS)
        async with asyncio.timeout(5):
            assert await house.received.get() == OURS
        house.streams.advance(4 * PING_EVERY_MS)
        assert await heard() == b"\r\n\r\n"
        house.streams.advance(5 * PING_EVERY_MS)
        assert await heard() == b""
        async with asyncio.timeout(5):
            assert (await house.lost.get()).was_up


async def test_what_cannot_be_connected_to_is_told_with_a_remedy() -> None:
    with socket.socket() as taken:
        # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        async with asyncio.TaskGroup() as tasks:
            house = House(tasks)
            house.streams.send(Send(OURS, Hop("tcp", 0, ("127.0.0.1", taken.getsockname()[1]))))
            async with asyncio.timeout(5):
                trouble = await house.lost.get()
    assert not trouble.was_up
    assert trouble.remedy


@pytest.mark.parametrize("other", [TlsPeer("b.example.net"), TlsPeer("a.example.net", verify=False)])
async def test_who_was_found_to_be_one_is_not_taken_for_another(other: TlsPeer) -> None:
    """RFC 5922 4: a connection is used again only for whom it was checked."""
    async with asyncio.TaskGroup() as tasks, peer() as (port, _, _writers):
        house = House(tasks)
        for name in (TlsPeer("a.example.net"), other):
            house.streams.send(Send(OURS, Hop("tls", 0, ("127.0.0.1", port), name)))
        assert len(house.begun) == 2
        house.streams.close()
        for task in house.begun:
            task.cancel()


@asynccontextmanager
async def connected(house: House) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Somebody connects to us."""
    address = await house.streams.listen(BoundAddress("tcp", "127.0.0.1", 0))
    house.streams.advance(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    writer.write(OURS)
    async with asyncio.timeout(5):
        assert await house.received.get() == OURS
    yield reader, writer
    writer.close()
    house.streams.close()


async def test_a_message_that_does_not_end_is_given_up_and_the_connection_with_it() -> None:
    """A slow one takes a place from others (slowloris), also from an address that may call."""
    async with asyncio.TaskGroup() as tasks:
        house = House(tasks)
        async with connected(house) as (reader, writer):
            writer.write(b"\r\n\r\nINVITE sip:a SIP/2.0\r\n")
            assert await reader.readexactly(2) == b"\r\n"
            house.streams.advance(LOOK_EVERY_MS)
            assert house.gave_up == []
            house.streams.advance(2 * LOOK_EVERY_MS)
            assert house.gave_up == ["127.0.0.1"]
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""


async def test_a_connection_that_rests_between_messages_stays() -> None:
    """Trunks keep theirs for days, some with half a ping as keep-alive."""
    async with asyncio.TaskGroup() as tasks:
        house = House(tasks)
        async with connected(house) as (reader, writer):
            writer.write(b"\r\n\r\n\r\n")
            assert await reader.readexactly(2) == b"\r\n"
            for look in range(1, 100):
                house.streams.advance(look * LOOK_EVERY_MS)
            writer.write(OURS)
            async with asyncio.timeout(5):
                assert await house.received.get() == OURS
        assert house.gave_up == []


async def test_a_strangers_connection_that_brings_nothing_is_given_up() -> None:
    async with asyncio.TaskGroup() as tasks:
        house = House(tasks)
        house.strangers = True
        async with connected(house) as (reader, _):
            for look in range(1, 4):
                house.streams.advance(look * LOOK_EVERY_MS)
            assert house.gave_up == []
            house.streams.advance(4 * LOOK_EVERY_MS)
            assert house.gave_up == ["127.0.0.1"]
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
