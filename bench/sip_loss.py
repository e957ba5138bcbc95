"""How many calls fail when packets are lost? sipp calls the SIP listener and is called by it, and loses packets.

    python bench/sip_loss.py [--calls 500] [--lost 0 10 20 30] [--write]

Signalling only, over UDP, 25 calls at a time. sipp loses so many of a hundred packets each way: a request and its
answer both arrive with (1 - loss) squared. An INVITE goes out seven times in 32 s (RFC 3261, timers A and B): with 30 %
lost, 0.51^7 = 0.9 % of calls have no chance whatever anybody does, but for what a provisional response saves. A call
has failed when it was not connected. "left behind": sipp takes our repeated 200 (its ACK was lost) for the answer to
its BYE and is gone; the listener ends such a call 32 s after the answer (RFC 3261 13.3.1.4); this does not wait for it.
"""

import argparse
import asyncio
import logging
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from offhook.transports.call_leg import CallLeg, Dial, LegConnected, LegEnded  # noqa: E402
from offhook.transports.sip.listener import SipListener  # noqa: E402
from offhook.transports.sip.trunk import SipTrunk  # noqa: E402
from tests.peers.sipp_callee import SippCallee  # noqa: E402

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
AT_A_TIME: Final = 25
WAIT_S: Final = 90
LEFT_BEHIND: Final = "left_behind"
COLUMNS: Final = ("direction", "packets lost", "calls", "failed", "share", "left behind", "seconds")


@dataclass(frozen=True)
class Run:
    """One direction at one loss."""

    direction: str
    lost: int
    calls: int
    failed: int
    left_behind: int
    seconds: float

    def row(self) -> str:
        share = 100 * self.failed / self.calls
        cells = (
            *(self.direction, f"{self.lost} %", self.calls, self.failed),
            *(f"{share:.1f} %", self.left_behind, f"{self.seconds:.0f}"),
        )
        return f"| {' | '.join(map(str, cells))} |"


async def placed(folder: Path, lost: int, calls: int) -> Run:
    """We call sipp."""
    outcomes: Counter[str] = Counter()
    began = time.monotonic()
    async with SippCallee(folder / "placed", "callee", "-lost", str(lost), calls=calls * 2, seconds=300) as callee:
        trunk = SipTrunk("sipp", "127.0.0.1", port=callee.port, transport="udp")
        listener = SipListener(["udp:127.0.0.1:0"], dials_by=[trunk])
        await listener.start()
        lines = asyncio.Semaphore(AT_A_TIME)

        async def call() -> None:
            async with lines:
                leg = listener.dial(Dial("sipp", "100", "200", "", 60), "127.0.0.1", 4000)
                async for fact in leg.facts():
                    if isinstance(fact, LegConnected):
                        outcomes["connected"] += 1
                        leg.hang_up("over")

        async with asyncio.TaskGroup() as group:
            for _ in range(calls):
                group.create_task(call())
        seconds = time.monotonic() - began
        await listener.stop()
    return Run("placed", lost, calls, calls - outcomes["connected"], 0, seconds)


async def received(folder: Path, lost: int, calls: int) -> Run:
    """sipp calls us."""
    program = shutil.which("sipp")
    if program is None:
        raise RuntimeError("sipp is missing. Remedy: apt-get install sip-tester")
    home = folder / "received"
    await asyncio.to_thread(home.mkdir)
    outcomes: Counter[str] = Counter()
    listener = SipListener(["udp:127.0.0.1:0"])
    await listener.start()
    began = time.monotonic()

    legs: list[CallLeg] = []

    async def follow(leg: CallLeg) -> None:
        legs.append(leg)
        leg.answer("127.0.0.1", 4000)
        outcomes["arrived"] += 1
        async for fact in leg.facts():
            if isinstance(fact, LegEnded):
                outcomes[fact.cause] += 1

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            async for leg in listener.calls():
                group.create_task(follow(leg))

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        process = await asyncio.create_subprocess_exec(
            *(program, "-sn", "uac", f"127.0.0.1:{listener.addresses[0].port}", "-i", "127.0.0.1", "-nostdin"),
            *("-m", str(calls), "-r", "25", "-d", "200", "-lost", str(lost), "-timeout", str(WAIT_S)),
            cwd=home,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await process.wait()
        seconds = time.monotonic() - began
        for leg in legs:
            leg.hang_up(LEFT_BEHIND)
        await listener.stop()
    return Run("received", lost, calls, calls - outcomes["arrived"], outcomes[LEFT_BEHIND], seconds)


async def measure(calls: int, losses: list[int]) -> list[Run]:
    runs: list[Run] = []
    for lost in losses:
        for direction in (received, placed):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(await direction(Path(folder), lost, calls))
                sys.stderr.write(runs[-1].row() + "\n")
    return runs


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=500)
    options.add_argument("--lost", type=int, nargs="+", default=[0, 10, 20, 30])
    options.add_argument("--write", action="store_true", help="add the table to RESULTS.md")
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    runs = asyncio.run(measure(chosen.calls, chosen.lost))
    command = f"--calls {chosen.calls} --lost {' '.join(map(str, chosen.lost))} --write"
    lines = [
        "## sip_loss",
        "",
        f"`python bench/sip_loss.py {command}`, {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, "
        f"Python {platform.python_version()}.",
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
