"""What a carrier's media stream costs in the edge process: CPU a call, and the regularity of what is passed on.

The edge is pinned to one core; this process, which is the carriers (WebSockets) and the media rows (socket pairs) at
once, to another. Every 20 ms each carrier sends a chunk and each row a packet of speech; marks are returned. Gaps are
those between the messages with audio of one call, as the carrier gets them; delays are from the row's packet to the
carrier's message, both in this process.

    python bench/media_stream.py [--calls 50 100 200] [--seconds 10] [--write]

`--write` puts the table into bench/RESULTS.md.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from media_clock import machine, write  # type: ignore[import-not-found]  # beside this file, when it runs
from offhook.transports.call_leg import CallLeg
from offhook.transports.media_stream.listener import MediaStreamListener
from offhook.transports.media_stream.settings import StreamAccount, StreamSettings

KEY: Final = "the-secret-of-a-bridge-in-the-bench"
PATH: Final = f"/media-stream/bridge/{KEY}"
FRAME_S: Final = 0.02
WARM_UP_SECONDS: Final = 2
PACKET: Final = b"\x80\x00" + bytes(10) + bytes(range(160))
MEDIA: Final = b'"event":"media"'
MARK: Final = re.compile(rb'"mark":\{"name":"(\d+)"')
COLUMNS: Final = (
    "calls",
    "CPU of one core",
    "CPU a call",
    "memory",
    "gap p50 / p99 / p99.9 / max ms",
    "delay p50 / p99 ms",
    "messages out: due, got",
    "packets in: due, got",
    "late beats of this process",
)
HEAD: Final = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"


def masked(text: str) -> bytes:
    """A text frame of a client (RFC 6455 5.2), whose mask of zeros changes nothing."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


class Carrier(asyncio.Protocol):
    """One stream, as cheaply as it can be had."""

    def __init__(self, number: int, host: str) -> None:
        self._number = number
        self._host = host
        self._chunk = 0
        self.ready = asyncio.Event()
        self.at: list[float] = []
        self.sent_at: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self.ready.is_set() and b"101" in data:
            form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
            body = {"streamSid": f"MZ{self._number}", "callSid": f"CA{self._number}", "mediaFormat": form}
            self.transport.write(masked(json.dumps({"event": "start", "start": body, "streamSid": body["streamSid"]})))
            self.ready.set()
        self.at += [now] * data.count(MEDIA)
        for name in MARK.findall(data):
            self.transport.write(masked(f'{{"event":"mark","mark":{{"name":"{name.decode()}"}}}}'))

    def speak(self) -> None:
        """The next 20 ms of the caller."""
        self._chunk += 1
        payload = base64.b64encode(bytes(range(160))).decode()
        chunk = f'"chunk":"{self._chunk}","timestamp":"{self._chunk * 20}"'
        media = f'{{"track":"inbound",{chunk},"payload":"{payload}"}}'
        stream = f'"sequenceNumber":"{self._chunk}","streamSid":"MZ{self._number}"'
        self.transport.write(masked(f'{{"event":"media",{stream},"media":{media}}}'))


@dataclass
class Row:
    """The media row's side of a call."""

    leg: CallLeg
    carrier: Carrier
    packets: int = 0

    def __post_init__(self) -> None:
        sock = self.leg.media_socket()
        assert sock is not None
        self.sock = sock
        self.leg.answer("", 0)

    def beat(self) -> None:
        """20 ms."""
        self.carrier.sent_at.append(time.monotonic())
        self.sock.send(PACKET)
        self.drain()

    def drain(self) -> None:
        """What has come."""
        while True:
            try:
                self.sock.recv(2048)
            except BlockingIOError:
                return
            self.packets += 1


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def beats(seconds: float, rows: list[Row]) -> int:
    """Carriers and rows speak; gives how many beats began more than 5 ms late."""
    loop = asyncio.get_running_loop()
    start, late = loop.time(), 0
    for beat in range(int(seconds / FRAME_S)):
        due = start + beat * FRAME_S
        await asyncio.sleep(max(0.0, due - loop.time()))
        late += loop.time() - due > 0.005
        for row in rows:
            row.carrier.speak()
            row.beat()
    return late


async def measure(calls: int, seconds: int, cores: tuple[int, int]) -> str:
    """One row of the table."""
    settings = StreamSettings("http://x", (StreamAccount("bridge", "bridge", stream_key=KEY),), max_streams=2000)
    listener = MediaStreamListener(settings, ("127.0.0.1", 0), grace_seconds=1)
    await listener.start()
    assert listener.edge_pid is not None
    edge = listener.edge_pid
    os.sched_setaffinity(edge, {cores[0]})
    os.sched_setaffinity(0, {cores[1]})
    host, port = listener.address
    loop = asyncio.get_running_loop()
    carriers = {}
    for number in range(calls):
        _, carrier = await loop.create_connection(partial(Carrier, number, host), host, port)
        carriers[f"CA{number}"] = carrier
    incoming = listener.calls()
    rows: list[Row] = []
    async with asyncio.timeout(30):
        while len(rows) < calls:
            leg = await anext(incoming)
            rows.append(Row(leg, carriers[leg.offer.call_id]))
    reading = asyncio.ensure_future(drain(incoming))
    await beats(WARM_UP_SECONDS, rows)
    await asyncio.sleep(0.2)
    for row in rows:
        row.drain()
        row.carrier.at.clear()
        row.carrier.sent_at.clear()
        row.packets = 0
    used, began = cpu_seconds(edge), time.monotonic()
    late = await beats(seconds, rows)
    used, took = cpu_seconds(edge) - used, time.monotonic() - began
    await asyncio.sleep(0.2)
    for row in rows:
        row.drain()
    memory = memory_mb(edge)
    gaps = np.concatenate([np.diff(row.carrier.at) for row in rows]) * 1000
    delays = np.concatenate([np.array(at) - sent for at, sent in pairs(rows)]) * 1000
    p50, p99, p999 = np.percentile(gaps, [50, 99, 99.9])
    d50, d99 = np.percentile(delays, [50, 99])
    out, due = sum(len(row.carrier.at) for row in rows), sum(len(row.carrier.sent_at) for row in rows)
    packets = sum(row.packets for row in rows)
    for row in rows:
        row.leg.hang_up("bench_over")
        row.sock.close()
    await listener.stop()
    await reading
    for carrier in carriers.values():
        carrier.transport.close()
    return (
        f"| {calls} | {used / took * 100:.1f} % | {used / took / calls * 1e6 / 50:.0f} us in 20 ms | {memory:.0f} MB "
        f"| {p50:.2f} / {p99:.2f} / {p999:.2f} / {gaps.max():.1f} | {d50:.2f} / {d99:.2f} "
        f"| {due}, {out} | {due}, {packets} | {late} |"
    )


def pairs(rows: list[Row]) -> list[tuple[list[float], list[float]]]:
    """When messages came, and when their packets were sent, of calls whose counts are the same."""
    return [(row.carrier.at, row.carrier.sent_at) for row in rows if len(row.carrier.at) == len(row.carrier.sent_at)]


async def drain(incoming: AsyncIterator[CallLeg]) -> None:
    """Read the listener to its end."""
    async for _ in incoming:
        pass


async def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    print(HEAD)
    rows = []
    for calls in chosen.calls:
        rows.append(await measure(calls, chosen.seconds, (cores[0], cores[-1])))
        print(rows[-1], flush=True)
    if chosen.write:
        title = "## media_stream"
        command = " ".join(["python bench/media_stream.py", *sys.argv[1:]])
        when = datetime.now(UTC).strftime("%Y-%m-%d")
        notes = (__doc__ or "").split("\n\n")[1].replace("\n", " ")
        table = "\n".join([HEAD, *rows])
        write(title, f"{title}\n\n`{command}`, {when}, {machine()}.\n\n{notes}\n\n{table}\n")


if __name__ == "__main__":
    asyncio.run(main())
