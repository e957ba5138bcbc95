"""Do calls suffer from scanners? 10,000 INVITEs in 60 s from an address that may not call, beside 50 calls that talk.

    python bench/scanners.py [--calls 50] [--invites 10000] [--seconds 60] [--write]

The service runs as `offhook serve`, twice: first without the scanner, then beside it. The calls are telephones of text
and packets (tests/peers/sip_caller.py) in a process of their own; they hear the assistant talk without end and send a
packet for each that they hear. Gaps are those between the packets of one call by the kernel's clock. Setup is from the
first INVITE of another call to its 200, one such call a second. Needs root, for the packets on loopback.
"""

import argparse
import asyncio
import multiprocessing
import platform
import re
import socket
import struct
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from offhook.transports.sip.admission import Admission  # noqa: E402
from offhook.transports.sip.front_door import FrontDoor  # noqa: E402
from tests.peers.apps import Answer, Event, ScriptedApp  # noqa: E402
from tests.peers.scanner import Scanner  # noqa: E402
from tests.peers.service import Service  # noqa: E402
from tests.peers.sip_caller import SipCaller, Stream  # noqa: E402
from tests.peers.test_scanners import CLOSED, DEAF, memory_kb, metrics  # noqa: E402
from tests.peers.wire import ETH_P_IP, PACKET_OUTGOING, SO_RCVBUFFORCE, SO_TIMESTAMPNS  # noqa: E402

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
STORY: Final = "Whenever the telephone rang everybody thought that somebody else would go. " * 6
COLUMNS: Final = (
    "scanner",
    "calls",
    "INVITEs, refused",
    "gap p50 / p99 / p99.9 / max ms",
    "packets lost",
    "setup p50 / p99 / max ms",
    "CPU of the service, of one core",
    "memory before, after",
    "SIP transactions after",
)


@dataclass(frozen=True)
class Run:
    """What one run measured."""

    invites: int
    refused: int
    gaps_ms: np.ndarray
    lost: int
    setups_ms: list[float]
    cpu: float
    before_kb: int
    after_kb: int
    transactions: int
    calls: int

    def row(self) -> str:
        gaps = " / ".join(f"{np.percentile(self.gaps_ms, share):.2f}" for share in (50, 99, 99.9, 100))
        setups = " / ".join(f"{np.percentile(self.setups_ms, share):.1f}" for share in (50, 99, 100))
        cells = [
            "yes" if self.invites else "no",
            f"{self.calls} and {len(self.setups_ms)} short",
            f"{self.invites}, {self.refused}",
            gaps,
            str(self.lost),
            setups,
            f"{self.cpu:.1f} %",
            f"{self.before_kb / 1024:.1f}, {self.after_kb / 1024:.1f} MB",
            str(self.transactions),
        ]
        return f"| {' | '.join(cells)} |"


def talks(event: Event) -> Answer:
    """Talks for as long as the call lasts."""
    talk = event["type"] in {"session_start", "assistant_speech_ended"}
    return {"type": "speak", "text": STORY} if talk else None


class Capture:
    """When packets reached these UDP ports of loopback, by the kernel's clock; noted by a process of its own."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_capture, args=(self._ports, theirs), daemon=True)
        self._process.start()
        self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def finish(self) -> dict[int, list[float]]:
        """Seconds of Unix time, in order, for each port."""
        self._pipe.send("finish")
        arrivals: dict[int, list[float]] = self._pipe.recv()
        return arrivals


def _capture(ports: list[int], pipe: "Connection[Any, Any]") -> None:
    arrivals: dict[int, list[float]] = {port: [] for port in ports}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP)) as raw:
        raw.bind(("lo", 0))
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        raw.settimeout(0.1)
        pipe.send("ready")
        while not pipe.poll():
            for _ in range(1000):
                try:
                    frame, ancillary, _, address = raw.recvmsg(64, 128)
                except TimeoutError:
                    break
                header = 14 + (frame[14] & 15) * 4
                target = int.from_bytes(frame[header + 2 : header + 4], "big")
                if frame[23] == socket.IPPROTO_UDP and address[2] != PACKET_OUTGOING and target in arrivals:
                    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                    arrivals[target].append(seconds + nanoseconds * 1e-9)
    pipe.send(arrivals)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def measure(calls: int, invites: int, seconds: float) -> Run:
    """One run: the calls are there, then so many INVITEs are spread over so many seconds."""
    async with ScriptedApp(talks) as app, AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = Service(folder, app=app.webhook, flow=DEAF, sip=CLOSED)
        await stack.enter_async_context(service)
        callers = [await stack.enter_async_context(SipCaller(service.udp_port)) for _ in range(calls)]
        for caller in callers:
            answer = await caller.dial()
            assert answer.status == 200, answer.first
        await app.ledger.until("assistant_speak", calls)
        ports = [caller.rtp_port for caller in callers]
        scanner = stack.enter_context(Scanner(service.udp_port))
        wire = stack.enter_context(Capture(ports))
        pid = service.process.pid
        before, cpu, began = memory_kb(pid), cpu_seconds(pid), time.monotonic()
        setups: list[float] = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scan(scanner, invites, seconds))
            tasks.create_task(ring(service.udp_port, seconds, setups))
        cpu = (cpu_seconds(pid) - cpu) / (time.monotonic() - began) * 100
        shown, after = await metrics(service.http), memory_kb(pid)
        arrivals = wire.finish()
        lost = sum(len(Stream(caller.heard).lost()) for caller in callers)
        for caller in callers:
            await caller.hang_up()
    gaps = np.concatenate([np.diff(times) for times in arrivals.values()]) * 1000
    refused = int(shown['offhook_sip_refused_total{rule="stranger"}'])
    transactions = int(shown["offhook_sip_transactions"])
    return Run(invites, refused, gaps, lost, setups, cpu, before, after, transactions, calls)


async def scan(scanner: Scanner, invites: int, seconds: float) -> None:
    began = time.monotonic()
    while scanner.sent < invites:
        due = int((time.monotonic() - began) / seconds * invites) + 1
        scanner.knock(min(due, invites) - scanner.sent)
        await asyncio.sleep(0.005)


async def ring(port: int, seconds: float, setups: list[float]) -> None:
    """A short call a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        async with SipCaller(port) as caller:
            began = time.monotonic()
            answer = await caller.dial()
            assert answer.status == 200, answer.first
            setups.append((time.monotonic() - began) * 1000)
            await caller.hears(10)
            await caller.hang_up()
        await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))


def cost_of_a_refusal() -> str:
    """What the front door takes for a message that it drops: of one stranger, and of strangers never seen before."""
    door = FrontDoor(Admission())
    data = b"INVITE sip:100@192.0.2.1 SIP/2.0\r\n" + bytes(800)
    figures = []
    for hosts in (["203.0.113.9"] * 100_000, [f"203.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(50_000)]):
        for _ in range(1000):
            door.knock(data, "198.51.100.1", 0)
        began = time.perf_counter()
        for host in hosts:
            door.knock(data, host, 0)
        figures.append((time.perf_counter() - began) / len(hosts) * 1e6)
    return (
        f"{figures[0]:.1f} us a message dropped from one address, {figures[1]:.1f} us from addresses never seen before"
    )


def machine() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    return f"{found[1] if found else platform.machine()}, {cores} cores, Python {platform.python_version()}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=50)
    options.add_argument("--invites", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--write", action="store_true", help="add the table to RESULTS.md")
    chosen = options.parse_args()
    runs = [asyncio.run(measure(chosen.calls, invites, chosen.seconds)) for invites in (0, chosen.invites)]
    command = f"--calls {chosen.calls} --invites {chosen.invites} --seconds {chosen.seconds:g} --write"
    lines = [
        "## scanners",
        "",
        f"`python bench/scanners.py {command}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.",
        "",
        "The service, the callers, the app and the scanner share the machine. " + cost_of_a_refusal() + ".",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
        *(run.row() for run in runs),
    ]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if chosen.write:
        RESULTS.write_text(RESULTS.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main()
