"""One WebSocket after its `start`: what the carrier sends becomes packets for a media row, and what the row sends
becomes messages for the carrier.
"""

import array
import asyncio
import contextlib
import secrets
import socket
import struct
from collections import Counter, deque
from typing import Final, assert_never

from aiohttp import WSMsgType, web

from offhook.media.messages import TICK_MS, Codec
from offhook.transports.media_stream.dialect import (
    CarrierComplains,
    Connected,
    Dialect,
    KeyCame,
    MarkCame,
    MediaCame,
    NotUnderstood,
    Started,
    Stopped,
    StreamFact,
)
from offhook.transports.media_stream.edge_link import LinkEnd
from offhook.transports.media_stream.edge_messages import (
    CallKey,
    EdgeNoted,
    EdgeOrder,
    EdgeReport,
    StreamKey,
    StreamLost,
    StreamStopped,
)
from offhook.transports.media_stream.inbound_audio import HEADER_BYTES, InboundAudio
from offhook.transports.media_stream.playback import Playback

HEARD_OUT_S: Final = 2.5
"""So long a farewell may take to be heard before the stream is closed."""
BURST_PACKETS: Final = 500 // TICK_MS
"""So many packets reach the media row in one tick: its jitter buffer takes a little more than twice that."""
WAITING_PACKETS: Final = 3000 // TICK_MS
"""Of a burst that is longer, the oldest are dropped."""
MOST_ODD_MESSAGES: Final = 500
"""A stream with so many messages that cannot be used is closed: whoever sends them is no carrier."""
COMPLAINTS_TOLD: Final = 3
"""So many complaints of a carrier about one stream are in the log; all are counted."""
LARGEST_UNREAD: Final = 1 << 18
"""A stream whose carrier leaves so many bytes unread is closed. Speech, 2 s ahead at most, is a tenth of it."""
_LARGEST_PACKET = 2048
_FINAL_TEXT: Final = 0x81


class EdgeStream:
    """A stream, numbered for the link. It carries nothing until `carry` brings the media row's other end.

    What it says goes straight to `transport`, as frames that need no mask (RFC 6455 5.2): fifty a second and stream are
    too many for a task that is woken for each. aiohttp reads, pings and closes.

    Args:
        little_endian: how the carrier writes L16.
        transport: the one under `ws`.
        counts: of the edge; added to.
    """

    def __init__(
        self,
        number: int,
        call: CallKey,
        started: Started,
        *,
        dialect: Dialect,
        little_endian: bool,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        link: LinkEnd[EdgeOrder, EdgeReport],
        counts: Counter[str],
    ) -> None:
        self.number: Final = number
        self.call: Final = call
        self.started: Final = started
        self._dialect: Final = dialect
        self._ws: Final = ws
        self._transport: Final = transport
        self._link: Final = link
        self._counts: Final = counts
        self._swap: Final = started.codec is Codec.L16 and little_endian
        self._loop: Final = asyncio.get_running_loop()
        self._row: socket.socket | None = None
        self._playback = Playback(started.codec, dialect, started.stream_id, counts)
        self._inbound = InboundAudio(started.codec, secrets.randbits(32), counts)
        self._packets: Final[deque[bytes]] = deque()
        self._pump_timer: asyncio.TimerHandle | None = None
        self._something_happened: Final = asyncio.Event()
        self._over = False
        self._odd = 0
        self._complaints = 0
        self._told = False

    # --- orders of the service

    def carry(self, row: socket.socket, before: "EdgeStream | None") -> None:
        """Exchange packets with this row; `before` is the stream that carried the call until it broke off."""
        if before is not None and before.started.codec is self.started.codec:
            self._playback, self._inbound = before._playback, before._inbound
            self._inbound.restart()
            self._say(self._playback.resume(self.started.stream_id, self._now()))
        row.setblocking(False)
        self._row = row
        self._loop.add_reader(row, self._row_readable)

    def cut(self) -> None:
        """Nothing that was sent shall be heard any more."""
        self._row_drained()
        self._say(self._playback.cut())

    async def finish(self, *, heard_out: bool) -> None:
        """Let go of the row, let the carrier play what it has, and close."""
        self._told = True
        self._row_drained()
        self._let_go()
        if heard_out:
            await self.heard_out()

    async def heard_out(self) -> None:
        """Let the carrier play what it has, for at most `HEARD_OUT_S`."""
        if not self._ws.closed:
            self._row_drained()
            self._say(self._playback.finish(self._now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARD_OUT_S):
                    while not (self._playback.settled or self._over):
                        self._something_happened.clear()
                        await self._something_happened.wait()

    async def close(self) -> None:
        """Close the socket in an orderly way."""
        await self._ws.close()

    def drop(self) -> None:
        """Another stream carries the call now; nothing is said of this one any more."""
        self._told = True
        self._let_go()

    # --- the carrier

    async def run(self) -> None:
        """Read what the carrier sends until its end, which is told."""
        stopped = False
        try:
            stopped = await self._read()
        finally:
            self._let_go()
            self._over = True
            self._something_happened.set()
            if not self._told:
                self._told = True
                self._link.send(StreamStopped(self.number) if stopped else StreamLost(self.number))

    async def _read(self) -> bool:
        async for message in self._ws:
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                break
            fact = self._dialect.read(message.data)
            if isinstance(fact, Stopped):
                return True
            self._take(fact)
            if self._odd >= MOST_ODD_MESSAGES:
                self._counts["streams_closed_odd"] += 1
                await self._ws.close(code=1008, message=b"too many messages that are not understood")
                break
        return False

    def _take(self, fact: StreamFact) -> None:
        match fact:
            case MediaCame(chunk, payload):
                if self._row is not None:
                    self._packets.extend(self._inbound.take(chunk, _swapped(payload) if self._swap else payload))
                    self._pump()
            case MarkCame(name):
                self._say(self._playback.mark_came(name, self._now()))
                self._something_happened.set()
            case KeyCame(digit):
                self._link.send(StreamKey(self.number, digit))
            case NotUnderstood(oddity):
                self._odd += 1
                self._counts[f"odd_{oddity}"] += 1
            case CarrierComplains(code, detail):
                self._counts["complaints"] += 1
                self._complaints += 1
                if self._complaints <= COMPLAINTS_TOLD:
                    fields = {"call": self.call[1], "code": code, "detail": detail}
                    self._link.send(EdgeNoted("media_stream_complaint", True, fields))
            case Started():
                self._odd += 1
                self._counts["odd_second_start"] += 1
            case Connected() | Stopped():
                pass
            case _:
                assert_never(fact)

    def _say(self, messages: list[str]) -> None:
        if not messages or self._ws.closed or self._transport.is_closing():
            return
        self._transport.write(b"".join(_as_frame(message.encode()) for message in messages))
        if self._transport.get_write_buffer_size() > LARGEST_UNREAD:
            self._counts["streams_closed_unread"] += 1
            self._transport.abort()

    # --- the media row

    def _row_drained(self) -> None:
        while self._row_readable():
            pass

    def _row_readable(self) -> bool:
        """Take one packet; the loop asks again while there are more. False: there was none."""
        if self._row is None:
            return False
        try:
            packet = self._row.recv(_LARGEST_PACKET)
        except BlockingIOError:
            return False
        except OSError:
            packet = b""
        if not packet:
            self._let_go()
            return False
        if len(packet) > HEADER_BYTES:
            payload = packet[HEADER_BYTES:]
            self._say(self._playback.frame(_swapped(payload) if self._swap else payload, self._now()))
        return True

    def _pump(self) -> None:
        """Send packets on to the row, a tick's share at once."""
        if self._pump_timer is None:
            self._pump_on()

    def _pump_on(self) -> None:
        self._pump_timer = None
        while len(self._packets) > WAITING_PACKETS:
            self._packets.popleft()
            self._counts["packets_dropped"] += 1
        sent = 0
        while self._packets and self._row is not None and sent < BURST_PACKETS:
            try:
                self._row.send(self._packets[0])
            except OSError:
                break  # full, because the media process is being started again; or gone
            self._packets.popleft()
            sent += 1
        if self._packets and self._row is not None:
            self._pump_timer = self._loop.call_later(TICK_MS / 1000, self._pump_on)

    def _let_go(self) -> None:
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        if self._row is not None:
            self._loop.remove_reader(self._row)
            self._row.close()
            self._row = None

    def _now(self) -> int:
        return int(self._loop.time() * 1000)


def _as_frame(text: bytes) -> bytes:
    """A whole message of text, as a server writes it."""
    size = len(text)
    head = struct.pack("!BB", _FINAL_TEXT, size) if size < 126 else struct.pack("!BBH", _FINAL_TEXT, 126, size)
    return head + text


def _swapped(payload: bytes) -> bytes:
    """16-bit samples with their bytes the other way round."""
    samples = array.array("H", payload[: len(payload) & ~1])
    samples.byteswap()
    return samples.tobytes()
