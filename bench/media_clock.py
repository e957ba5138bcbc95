"""How many calls one core carries: CPU, memory and the regularity of packets, beside a loop that only sleeps.

The media process is pinned to one core; this process (the service's side: reports, feeding) and the callers
(media_clock_generator.c) to another. Every caller speaks for the whole time (a synthetic voice with pauses, each call
at another place of it), so that detection has real work; every call is spoken to, over a background loop. Gaps are
those between the packets of one call as they leave, by the kernel's receive timestamps.

    python bench/media_clock.py [--calls 300 500] [--seconds 20] [--codec PCMU] [--bridged] [--write]

`--bridged`: the calls are in pairs that hear each other, as after a transfer, instead of being spoken to. `--write`
puts the table into bench/RESULTS.md, one a codec, and one for pairs.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import numpy as np

from offhook.audio.g711 import encode_ulaw
from offhook.audio.resample import resample
from offhook.calls.media_link import ProcessMediaLink
from offhook.media.clock import TICK_NS, TickClock, steady_ns
from offhook.media.g722 import G722Rows
from offhook.media.messages import Codec, MediaTerms, Report
from offhook.media.shared_audio import Samples
from offhook.speech.synthesizer import SpeechRequest
from offhook.speech.synthesizers.espeak import EspeakSynthesizer

HERE = Path(__file__).parent
OWN_PORT = 29998
PAYLOAD_TYPES = {Codec.PCMU: 0, Codec.G722: 9}
WARM_UP_SECONDS = 2
SENTENCES = (
    "Good morning, I would like to move my appointment, please.",
    "It was on Thursday at half past ten, but I cannot come that early.",
    "Would Friday afternoon be possible, or the beginning of next week?",
    "My customer number is four seven one one. Thank you very much indeed.",
)


@dataclass(frozen=True)
class Span:
    """The ports of the calls."""

    first: int = 30000
    last: int = 31999


class Gaps(TypedDict):
    """What the generator prints, in ms and packets."""

    calls_heard: int
    sent: int
    unsent: int
    received: int
    lost: int
    unordered: int
    p50: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    calls: int
    cpu_percent: float
    busy_ms: tuple[float, float]
    memory_kb: float
    gaps: Gaps
    unheard: int
    late_ticks: int
    onsets: int
    control: tuple[float, float, float, float]


async def speech(rate: int) -> Samples:
    """About 20 s of a voice with pauses."""
    voice = EspeakSynthesizer()
    await voice.start()
    parts: list[Samples] = []
    for sentence in SENTENCES:
        said = voice.speak(SpeechRequest(text=sentence, ssml=None))
        parts += [resample(chunk.samples, chunk.rate, rate) async for chunk in said]
        parts.append(np.zeros(rate, np.int16))
    await voice.stop()
    return np.concatenate(parts)


def build_generator(folder: Path) -> Path:
    """Compile the callers."""
    binary = folder / "media_clock_generator"
    subprocess.run(["cc", "-O2", "-o", str(binary), str(HERE / "media_clock_generator.c")], check=True)
    return binary


def control(seconds: int) -> tuple[float, float, float, float]:
    """Intervals between the wake-ups of a loop that only sleeps: p50, p99, p99.9 and maximum, in ms."""
    clock = TickClock(steady_ns())
    times = []
    for _ in range(seconds * 50):
        clock.wait()
        times.append(steady_ns())
    gaps = np.diff(np.array(times)) / 1e6
    return tuple(float(x) for x in (*np.percentile(gaps, [50, 99, 99.9]), gaps.max()))  # type: ignore[return-value]  # four


def control_on(core: int, seconds: int) -> tuple[float, float, float, float]:
    """The control loop in a process of its own on this core."""
    code = f"import os; os.sched_setaffinity(0, {{{core}}}); import media_clock as m; print(*m.control({seconds}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=HERE)
    p50, p99, p999, most = (float(word) for word in done.stdout.split())
    return p50, p99, p999, most


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid: int) -> int:
    """The memory of a process that is really there, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


class Listener:
    """Follows the reports while the callers call."""

    def __init__(self, link: ProcessMediaLink) -> None:
        self.link = link
        self.facts: Counter[str] = Counter()
        self.busy: list[float] = []
        self.cpu: list[tuple[int, float]] = []
        self.done = asyncio.Event()

    async def run(self) -> None:
        async for report in self.link.reports():
            self.take(report)
            if self.done.is_set():
                return

    def take(self, report: Report) -> None:
        self.facts.update(type(fact).__name__ for fact in report.facts)
        self.busy.append(report.busy_ms)
        if report.tick % 50 == 0:
            self.cpu.append((steady_ns(), cpu_seconds(self.link.pid)))


def coded(codec: Codec, voice: Samples) -> bytes:
    """What the callers send: 160 bytes a packet in either codec."""
    whole = voice[: len(voice) // 320 * 320]
    return (G722Rows().encode(0, whole) if codec is Codec.G722 else encode_ulaw(whole)).tobytes()


async def measure(
    calls: int, seconds: int, codec: Codec, bridged: bool, binary: Path, voice: Samples, cores: tuple[int, int]
) -> Result:
    """One run."""
    quiet_loop = control_on(cores[0], min(10, seconds))
    os.sched_setaffinity(0, {cores[1]})
    link = ProcessMediaLink(host="127.0.0.1", ports=Span(), max_calls=calls)
    await link.start()
    os.sched_setaffinity(link.pid, {cores[0]})
    before = resident_kb(link.pid)
    long = np.tile(voice, 2 + (seconds + 10) * codec.rate // len(voice))
    loop = np.convolve(np.random.default_rng(1).normal(0, 2000, 10 * codec.rate), np.ones(8) / 8, "same").astype(
        np.int16
    )
    terms = MediaTerms(codec, PAYLOAD_TYPES[codec], ("127.0.0.1", OWN_PORT), 101)
    rows = [link.open(terms) for _ in range(calls)]
    for row in rows if not bridged else ():
        link.loop(row.lease, loop, 0.2)
        link.play(row.lease, 1, long[row.lease * 97 :], True)
    for row, other in zip(rows[::2], rows[1::2], strict=False) if bridged else ():
        link.play_from(row.lease, other.lease)
        link.play_from(other.lease, row.lease)

    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "voice"
        sound.write_bytes(coded(codec, voice))
        listener = Listener(link)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            generator = await asyncio.create_subprocess_exec(
                binary,
                str(OWN_PORT),
                str(seconds),
                str(sound),
                str(PAYLOAD_TYPES[codec]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            out, _ = await generator.communicate("\n".join(str(row.port) for row in rows).encode())
            after = resident_kb(link.pid)
            heard = sum(link.heard_until(row.lease) for row in rows)
            listener.done.set()
    gaps: Gaps = json.loads(out)
    (begin_at, begin), (end_at, end) = listener.cpu[WARM_UP_SECONDS], listener.cpu[-1]
    result = Result(
        calls=calls,
        cpu_percent=100 * (end - begin) / ((end_at - begin_at) / 1e9),
        busy_ms=(float(np.median(listener.busy)), float(np.percentile(listener.busy, 99))),
        memory_kb=(after - before) / calls,
        gaps=gaps,
        unheard=max(0, gaps["sent"] - heard // (codec.rate // 50)),
        late_ticks=link.late_ticks,
        onsets=listener.facts["VoiceOnset"],
        control=quiet_loop,
    )
    await link.end()
    return result


COLUMNS = (
    "calls",
    "CPU of one core",
    "work a tick p50 / p99 ms",
    "memory a call",
    "gap p50 / p99 / p99.9 / max ms",
    "packets out: got, lost",
    "packets in: sent, unheard",
    "late ticks",
    "onsets",
    "control loop: p50 / p99 / p99.9 / max ms",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"


def as_row(r: Result) -> str:
    """A line of the table."""
    gaps = r.gaps
    return (
        f"| {r.calls} | {r.cpu_percent:.1f} % | {r.busy_ms[0]:.1f} / {r.busy_ms[1]:.1f} | {r.memory_kb:.0f} kB "
        f"| {gaps['p50']:.2f} / {gaps['p99']:.2f} / {gaps['p999']:.2f} / {gaps['max']:.1f} "
        f"| {gaps['received']}, {gaps['lost']} | {gaps['sent']}, {r.unheard} | {r.late_ticks} | {r.onsets} "
        f"| {r.control[0]:.2f} / {r.control[1]:.2f} / {r.control[2]:.2f} / {r.control[3]:.1f} |"
    )


def machine() -> str:
    """What this ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return (
        f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def write(title: str, text: str) -> None:
    """Replace this benchmark's part of RESULTS.md."""
    path = HERE / "RESULTS.md"
    old = path.read_text() if path.exists() else "# Results of the benchmarks\n\nEach is one command; run it again.\n\n"
    before, _, rest = old.partition(f"{title}\n")
    following = rest.partition("\n## ")[2]
    path.write_text(before + text + (f"\n## {following}" if following else ""))


async def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, nargs="+", default=[300, 500])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--codec", type=Codec, choices=list(PAYLOAD_TYPES), default=Codec.PCMU)
    parser.add_argument("--bridged", action="store_true")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    voice = await speech(chosen.codec.rate)
    rows: list[str] = []
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        binary = build_generator(Path(folder))
        for calls in chosen.calls:
            result = await measure(
                calls, chosen.seconds, chosen.codec, chosen.bridged, binary, voice, (cores[0], cores[-1])
            )
            rows.append(as_row(result))
            print(rows[-1], flush=True)
    if chosen.write:
        command = " ".join(["python bench/media_clock.py", *(a for a in sys.argv[1:])])
        when = datetime.now(UTC).strftime("%Y-%m-%d")
        notes = (__doc__ or "").split("\n\n")[1].replace("\n", " ")
        title = "## media_clock" if chosen.codec is Codec.PCMU else f"## media_clock, {chosen.codec}"
        title += ", in pairs that hear each other" if chosen.bridged else ""
        write(title, f"{title}\n\n`{command}`, {when}, {machine()}.\n\n{notes}\n\n{HEAD}\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    assert TICK_NS == 20_000_000
    asyncio.run(main())
