"""What each feature of a call costs the media process: CPU and memory a call, against a plain call.

Every variant has a media process of its own, pinned to one core; this one feeds and calls on another. Rows are real:
sockets, packets, shared memory, the same commands and reports as in the service. A plain call is in PCMU, its caller
speaks (a synthetic voice with pauses), and it is spoken to; each variant differs from it in what its name says. Rounds
alternate, so that a slow minute of the machine is in all of them; the table has medians and extremes.

    python bench/features.py [--calls 100] [--seconds 5] [--repeat 5] [--write]

`--write` puts the table into bench/RESULTS.md; docs/run-the-service/capacity.md quotes it.
"""

import argparse
import asyncio
import os
import secrets
import socket
import statistics
import struct
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from media_clock import (  # type: ignore[import-not-found]
    Span,
    cpu_seconds,
    machine,
    resident_kb,
    speech,
    write_section,
)
from offhook.audio.g711 import encode_ulaw
from offhook.audio.resample import resample
from offhook.calls.media_link import ProcessMediaLink
from offhook.media.clock import TickClock, steady_ns
from offhook.media.g722 import G722Rows
from offhook.media.messages import SRTP_KEY_BYTES, Codec, MediaTerms, SrtpKeys
from offhook.media.opus import OpusEncoders
from offhook.media.shared_audio import Samples
from offhook.media.srtp import SendingStream

PAYLOAD_TYPES: Final = {Codec.PCMU: 0, Codec.G722: 9, Codec.OPUS: 111}
WARM_UP_SECONDS: Final = 2
LATE_NS: Final = 10_000_000
VOID_SHARE: Final = 0.02


@dataclass(frozen=True)
class Variant:
    """What its rows do."""

    name: str
    codec: Codec = Codec.PCMU
    suite: str | None = None
    caller_speaks: bool = True
    spoken_to: bool = True
    loop: bool = False
    inband_keys: bool = False
    paired: bool = False


PLAIN: Final = Variant("a plain call: PCMU, the caller speaks and is spoken to")
VARIANTS: Final = (
    PLAIN,
    replace(PLAIN, name="the caller is silent (no voice to detect)", caller_speaks=False),
    replace(PLAIN, name="nothing is said to the caller", spoken_to=False),
    replace(PLAIN, name="with a background loop", loop=True),
    replace(PLAIN, name="with keys listened for in the audio", inband_keys=True),
    replace(PLAIN, name="SRTP, AES_CM_128_HMAC_SHA1_80", suite="AES_CM_128_HMAC_SHA1_80"),
    replace(PLAIN, name="SRTP, AEAD_AES_256_GCM", suite="AEAD_AES_256_GCM"),
    replace(PLAIN, name="G.722", codec=Codec.G722),
    replace(PLAIN, name="Opus", codec=Codec.OPUS),
    replace(PLAIN, name="one leg of a transfer that is bridged", spoken_to=False, paired=True),
)


@dataclass(frozen=True)
class Cost:
    """Of one call: % of a core, kB. `late`: the share of this process's beats that were late."""

    percent: float
    kb: float
    late: float


def frames_of(codec: Codec, voice: Samples) -> list[bytes]:
    """A voice as payloads of 20 ms."""
    size = codec.rate // 50
    pieces = [voice[at : at + size] for at in range(0, len(voice) // size * size, size)]
    match codec:
        case Codec.G722:
            rows = G722Rows()
            return [rows.encode(0, piece).tobytes() for piece in pieces]
        case Codec.OPUS:
            encoders = OpusEncoders()
            return [encoders.encode(0, piece).tobytes() for piece in pieces]
        case _:
            return [encode_ulaw(piece).tobytes() for piece in pieces]


class Callers:
    """Send a packet to every row each 20 ms, each caller at another place of the voice."""

    def __init__(self, variant: Variant, sock: socket.socket, frames: list[bytes]) -> None:
        self._codec = variant.codec
        self._sock = sock
        self._frames = frames
        self._to: list[tuple[str, int]] = []
        self._streams: list[SendingStream | None] = []
        self._step = 0
        self.beats = 0
        self.late = 0

    def add(self, host: str, port: int, keys: SrtpKeys | None) -> None:
        """Another caller, whose key for sending is the row's for receiving."""
        own = None if keys is None else SrtpKeys(keys.suite, keys.receiving, keys.sending)
        self._streams.append(None if own is None else SendingStream(own, len(self._to) + 1))
        self._to.append((host, port))

    def run(self, seconds: float) -> None:
        """In real time. Runs in a thread."""
        clock = TickClock(steady_ns())
        for _ in range(int(seconds * 50)):
            beat = clock.wait()
            self.beats += 1
            self.late += beat.late_ms * 1_000_000 > LATE_NS or beat.missed > 0
            self._beat()

    def _beat(self) -> None:
        self._step += 1
        kind, timestamp = PAYLOAD_TYPES[self._codec], self._step * self._codec.step & 0xFFFFFFFF
        for number, (to, stream) in enumerate(zip(self._to, self._streams, strict=True)):
            head = struct.pack("!BBHII", 0x80, kind, self._step & 0xFFFF, timestamp, number + 1)
            packet = head + self._frames[(self._step + 97 * number) % len(self._frames)]
            self._sock.sendto(packet if stream is None else stream.protect(packet), to)


async def measure(variant: Variant, calls: int, seconds: int, voice: Samples, cores: tuple[int, int]) -> Cost:
    """One run of one variant."""
    os.sched_setaffinity(0, {cores[1]})
    rate = variant.codec.rate
    link = ProcessMediaLink(host="127.0.0.1", ports=Span(), max_calls=calls)
    await link.start()
    os.sched_setaffinity(link.pid, {cores[0]})
    voice = voice if rate == 16000 else resample(voice, 16000, rate)
    long = np.tile(voice, 2 + (seconds + WARM_UP_SECONDS + 5) * rate // len(voice))
    said = voice if variant.caller_speaks else np.zeros_like(voice)
    music = np.random.default_rng(1).normal(0, 1500, 10 * rate).astype(np.int16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        callers = Callers(variant, sock, frames_of(variant.codec, said))
        reading = asyncio.ensure_future(_read(link))
        await asyncio.sleep(0.5)
        before = resident_kb(link.pid)
        rows = []
        for number in range(calls):
            size = SRTP_KEY_BYTES.get(variant.suite or "", 0)
            keys = (
                SrtpKeys(variant.suite, secrets.token_bytes(size), secrets.token_bytes(size)) if variant.suite else None
            )
            own = sock.getsockname()
            kind = PAYLOAD_TYPES[variant.codec]
            rows.append(
                link.open(MediaTerms(variant.codec, kind, own, 101, srtp=keys, inband_keys=variant.inband_keys))
            )
            callers.add(rows[-1].host, rows[-1].port, keys)
            if variant.spoken_to:
                link.play(rows[-1].lease, 1, long[number * 97 :], True)
            if variant.loop:
                link.loop(rows[-1].lease, music, 0.2)
        for row, other in zip(rows[::2], rows[1::2], strict=False) if variant.paired else ():
            link.play_from(row.lease, other.lease)
            link.play_from(other.lease, row.lease)
        await asyncio.to_thread(callers.run, WARM_UP_SECONDS)
        used, began = cpu_seconds(link.pid), steady_ns()
        await asyncio.to_thread(callers.run, seconds)
        used, took = cpu_seconds(link.pid) - used, (steady_ns() - began) / 1e9
        memory = resident_kb(link.pid) - before
        await link.end()
        await reading
    return Cost(100 * used / took / calls, memory / calls, callers.late / callers.beats)


async def _read(link: ProcessMediaLink) -> None:
    async for _ in link.reports():
        pass


def spread(values: list[float], digits: int) -> str:
    """Median (least to most)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(found: dict[str, list[Cost]]) -> str:
    """A row a variant."""
    plain = statistics.median(cost.percent for cost in found[PLAIN.name])
    lines = ["| call | % of a core a call | against a plain call | kB a call |", "| --- | --- | --- | --- |"]
    for name, costs in found.items():
        ratio = statistics.median(cost.percent for cost in costs) / plain
        share, memory = spread([cost.percent for cost in costs], 3), spread([cost.kb for cost in costs], 0)
        lines.append(f"| {name} | {share} | {ratio:.2f} | {memory} |")
    return "\n".join(lines)


async def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="only variants whose name holds this, and the plain one")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    voice = await speech(16000)
    variants = [one for one in VARIANTS if one is PLAIN or chosen.only in one.name]
    found: dict[str, list[Cost]] = {one.name: [] for one in variants}
    for turn in range(chosen.repeat):
        for one in variants:
            cost = await measure(one, chosen.calls, chosen.seconds, voice, (cores[0], cores[-1]))
            print(
                f"{turn + 1}: {one.name}: {cost.percent:.3f} %, {cost.kb:.0f} kB, late {100 * cost.late:.1f} %",
                flush=True,
            )
            if cost.late <= VOID_SHARE:
                found[one.name].append(cost)
    found = {name: costs for name, costs in found.items() if costs}
    print(table(found))
    if chosen.write:
        title, command = "features", " ".join(["python bench/features.py", *sys.argv[1:]])
        notes = (__doc__ or "").split("\n\n")[1].replace("\n", " ")
        runs = min(len(costs) for costs in found.values())
        about = f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}; at least {runs} runs each."
        write_section(title, f"{about}\n\n{notes}\n\n{table(found)}\n")


if __name__ == "__main__":
    asyncio.run(main())
