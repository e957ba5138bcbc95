"""How many calls one core carries: CPU, memory and the regularity of packets, beside a loop that only sleeps.

The media process is pinned to one core; this process (the service's side: reports, feeding) and the callers
(media_clock_generator.c) to another. Every caller speaks for the whole time (a synthetic voice with pauses, each call
at another place of it), so that detection has real work; every call is spoken to. Gaps are those between the packets of
one call as they leave, by the kernel's receive timestamps.

    python bench/media_clock.py [--calls 1 100 300 500 750] [--seconds 20] [--repeat 5] [--codec PCMU] [--loop]
        [--bridged] [--write]

`--loop`: a background loop is mixed into what every caller hears. `--bridged`: the calls are in pairs that hear each
other, as after a transfer, instead of being spoken to. `--repeat`: so many runs a row, of which the medians are told,
with the least and the most; a run that a loop which only sleeps did not get through in time is void, and is run again.
`--write` puts the table into bench/RESULTS.md, one for each of these kinds; that of plain PCMU also into the curve of
bench/load.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypedDict

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from bench.load.control_loop import Lateness  # noqa: E402
from bench.load.curve import CURVE, KEPT, draw  # noqa: E402
from bench.load.runs import VOID_CONTROL_MS, control_loops  # noqa: E402
from bench.results import keep, machine, median_of, table, today, write_section  # noqa: E402

from offhook.audio.g711 import encode_ulaw  # noqa: E402
from offhook.audio.resample import resample  # noqa: E402
from offhook.calls.media_link import ProcessMediaLink  # noqa: E402
from offhook.media.clock import TICK_NS, steady_ns  # noqa: E402
from offhook.media.g722 import G722Rows  # noqa: E402
from offhook.media.messages import Codec, MediaTerms, Report  # noqa: E402
from offhook.media.opus import OpusEncoders  # noqa: E402
from offhook.media.shared_audio import Samples  # noqa: E402
from offhook.speech.synthesizer import SpeechRequest  # noqa: E402
from offhook.speech.synthesizers.espeak import EspeakSynthesizer  # noqa: E402

HERE = Path(__file__).parent
OWN_PORT = 29998
PAYLOAD_TYPES = {Codec.PCMU: 0, Codec.G722: 9, Codec.OPUS: 111}
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
    control: list[Lateness]

    @property
    def void(self) -> bool:
        """Whether this says more about the machine than about the media process."""
        return any(one.p999 > VOID_CONTROL_MS for one in self.control)


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
    """What the callers send, each payload after its length."""
    step = codec.rate // 50
    frames = voice[: len(voice) // step * step].reshape(-1, step)
    g722, opus = G722Rows(), OpusEncoders()
    payloads: list[bytes] = []
    for frame in frames:
        match codec:
            case Codec.G722:
                payloads.append(g722.encode(0, frame).tobytes())
            case Codec.OPUS:
                payloads.append(opus.encode(0, frame).tobytes())
            case _:
                payloads.append(encode_ulaw(frame).tobytes())
    return b"".join(len(payload).to_bytes(2, "big") + payload for payload in payloads)


async def measure(
    calls: int,
    seconds: int,
    codec: Codec,
    binary: Path,
    voice: Samples,
    cores: tuple[int, int],
    *,
    looped: bool = False,
    bridged: bool = False,
) -> Result:
    """One run."""
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
        if looped:
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
                str(codec.step),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            with control_loops() as control:
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
        control=control,
    )
    await link.end()
    return result


COLUMNS: Final[dict[str, tuple[str, Callable[[Result], float]]]] = {
    "CPU, % of a core": ("{:.1f}", lambda r: r.cpu_percent),
    "a call": ("{:.3f}", lambda r: r.cpu_percent / r.calls),
    "work a tick p50, ms": ("{:.1f}", lambda r: r.busy_ms[0]),
    "p99": ("{:.1f}", lambda r: r.busy_ms[1]),
    "kB a call": ("{:.0f}", lambda r: r.memory_kb),
    "gap p50, ms": ("{:.2f}", lambda r: r.gaps["p50"]),
    "gap p99": ("{:.2f}", lambda r: r.gaps["p99"]),
    "gap p99.9": ("{:.2f}", lambda r: r.gaps["p999"]),
    "gap most": ("{:.1f}", lambda r: r.gaps["max"]),
    "packets out": ("{:.0f}", lambda r: r.gaps["received"]),
    "lost": ("{:.0f}", lambda r: r.gaps["lost"]),
    "packets in": ("{:.0f}", lambda r: r.gaps["sent"]),
    "unheard": ("{:.0f}", lambda r: r.unheard),
    "late ticks": ("{:.0f}", lambda r: r.late_ticks),
    "onsets": ("{:.0f}", lambda r: r.onsets),
    "control loops late p99.9, ms": ("{:.2f}", lambda r: max(one.p999 for one in r.control)),
}


def as_row(results: Sequence[Result]) -> list[str]:
    """The medians of some runs with as many calls, with the least and the most."""
    cells = [median_of(form, [pick(one) for one in results]) for form, pick in COLUMNS.values()]
    return [str(results[0].calls), *cells]


async def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, nargs="+", default=[300, 500])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--codec", type=Codec, choices=list(PAYLOAD_TYPES), default=Codec.PCMU)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--bridged", action="store_true")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    voice = await speech(chosen.codec.rate)
    rows: list[list[Result]] = []
    with tempfile.TemporaryDirectory() as folder:
        binary = build_generator(Path(folder))
        for calls in chosen.calls:
            results: list[Result] = []
            for _ in range(2 * chosen.repeat):
                result = await measure(
                    *(calls, chosen.seconds, chosen.codec, binary, voice, (cores[0], cores[-1])),
                    looped=chosen.loop,
                    bridged=chosen.bridged,
                )
                print(", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, as_row([result])[1:], strict=True)))
                if result.void:
                    print("VOID: a control loop was late", flush=True)
                else:
                    results.append(result)
                if len(results) == chosen.repeat:
                    break
            rows.append(results or [result])
    print(table(["calls", *COLUMNS], [as_row(results) for results in rows]))
    if chosen.write:
        write(chosen, rows)


def write(chosen: argparse.Namespace, rows: Sequence[Sequence[Result]]) -> None:
    """Into RESULTS.md; PCMU also as numbers for the curve."""
    command = " ".join(["python bench/media_clock.py", *sys.argv[1:]])
    notes = (__doc__ or "").split("\n\n")[1].replace("\n", " ")
    title = "media_clock" if chosen.codec is Codec.PCMU else f"media_clock, {chosen.codec}"
    title += ", over a background loop" if chosen.loop else ""
    title += ", in pairs that hear each other" if chosen.bridged else ""
    void = "" if not any(one.void for results in rows for one in results) else " **Void: a control loop was late.**"
    head = f"`{command}`, {today()}, {machine()}. Medians of {min(map(len, rows))} runs (least to most).{void}"
    write_section(title, f"{head}\n\n{notes}\n\n{table(['calls', *COLUMNS], [as_row(row) for row in rows])}")
    if title == "media_clock":
        kept = [{"name": "", "calls": row[0].calls, "runs": [asdict(one) for one in row]} for row in rows]
        keep(KEPT, title, {"command": command, "machine": machine(), "date": today(), "rows": kept})
        draw(KEPT, CURVE)


if __name__ == "__main__":
    assert TICK_NS == 20_000_000
    asyncio.run(main())
