"""What the runs say, as lines while they run and as the tables of RESULTS.md."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.beside.levels import Level, middle, most
from bench.load.figures import percentile
from bench.media_clock import Result
from bench.results import machine, today, write_section
from bench.results import table as markdown

COLUMNS: Final = (
    "peer",
    "runs",
    "calls held",
    "calls heard without breaks",
    "CPU a call, of a core",
    "memory a call, without calls",
    "own media path p50 / p95 ms",
    "turn beyond the engines p50 / p95 ms",
    "barge-in, voice to `clear` p50 / p95 ms",
    "set-up to greeting heard p50 / p95 ms",
)


@dataclass(frozen=True, slots=True)
class PeerRun:
    """One run: the peer, its memory without calls, and what it held."""

    peer: str
    idle_mb: float
    levels: Sequence[Level]

    @property
    def held(self) -> Level | None:
        """The most calls held."""
        return most(self.levels)

    @property
    def heard(self) -> Level | None:
        """The most calls heard without breaks."""
        return most(self.levels, heard=True)

    @property
    def memory_a_call_mb(self) -> float | None:
        """Of the first number of calls that was tried: what a process keeps of calls that are over would count as that
        of the next ones."""
        first = next((level for level in self.levels if not level.is_void), None)
        return None if first is None else first.memory_mb / first.calls

    @property
    def is_bounded(self) -> bool:
        """Whether more than that was tried, and was not held."""
        held = self.held
        return held is not None and any(level.calls > held.calls and not level.is_void for level in self.levels)


def _two(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{percentile(values, 50):.0f} / {percentile(values, 95):.0f}"


def line_of(level: Level) -> str:
    """What was seen at a number of calls."""
    shown = ["void: the callers were late" if level.is_void else "held" if level.is_held else "not held"]
    shown.append(f"gaps p50 {level.gaps[0] or 0:.1f} p99 {level.gaps[1] or 0:.1f} ms")
    shown.append(f"silence {100 * level.silence:.2f} %, lost {level.lost_ms:.0f} ms, failed {len(level.failed)}")
    shown.append(f"CPU {100 * level.cpu / level.calls:.2f} % and {level.memory_mb / level.calls:.2f} MB a call")
    shown.append(f"path {_two(level.paths)}, turn {_two(level.turns)}, barge-in {_two(level.barge_ins)}")
    shown.append(f"set-up {_two(level.set_ups)} ms, callers' beats late {100 * level.late_share:.1f} %")
    reasons = sorted(set(level.failed))
    return f"  {level.calls} calls: " + "; ".join(shown) + (f" ({', '.join(reasons)})" if reasons else "")


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _row(peer: str, runs: Sequence[PeerRun]) -> list[str]:
    held = [run.held for run in runs if run.held is not None]
    heard = [run.heard.calls for run in runs if run.heard is not None]

    def all_of(take: Callable[[Level], Sequence[float]]) -> str:
        return _two([value for level in held for value in take(level)])

    least = "" if all(run.is_bounded for run in runs) else "at least "
    return [
        *(peer, str(len(runs)), least + middle([level.calls for level in held]), middle(heard)),
        middle([100 * level.cpu / level.calls for level in held]) + " %",
        f"{middle(_known(run.memory_a_call_mb for run in runs))} MB, {middle([run.idle_mb for run in runs])} MB",
        *(all_of(lambda level: level.paths), all_of(lambda level: level.turns)),
        *(all_of(lambda level: level.barge_ins), all_of(lambda level: level.set_ups)),
    ]


def ratios(runs: Sequence[PeerRun], other: str) -> list[str]:
    """Offhook against this peer, run by run as they alternated: median and spread."""
    pairs = [
        (mine, theirs)
        for mine, theirs in zip(
            (run for run in runs if run.peer == "Offhook"), (run for run in runs if run.peer == other), strict=False
        )
    ]
    held = [(mine.held, theirs.held) for mine, theirs in pairs]
    both = [(mine, theirs) for mine, theirs in held if mine is not None and theirs is not None]
    more = middle([mine.calls / theirs.calls for mine, theirs in both])
    heard = [(mine.heard, theirs.heard) for mine, theirs in pairs]
    counts = [mine.calls / theirs.calls for mine, theirs in heard if mine is not None and theirs is not None]
    if not both:
        return []
    cpu = [(theirs.cpu / theirs.calls) / (mine.cpu / mine.calls) for mine, theirs in both]
    each = [(mine.memory_a_call_mb, theirs.memory_a_call_mb) for mine, theirs in pairs]
    memory = [theirs / mine for mine, theirs in each if mine and theirs]
    return [
        f"**{other}**: Offhook holds {more} times as many calls "
        f"on a core, {middle(counts)} times as many heard without breaks; a call there takes {middle(cpu)} times as "
        f"much CPU and {middle(memory)} times as much memory.",
        "",
    ]


CITED: Final = """\
Cited, not measured here, for they cannot be run offline: LiveKit Agents documents 10 to 25 jobs on 4 cores and 8 GB,
2.5 to 6 calls a core (as quoted in workadventure #5671); users measured 4 to 5 on a core with 2 GB (livekit/agents
#4483) and 100 MB a call (#386); its own media path was 335 ms and a barge-in 306 ms at the median (rtpbench, 24
cases, the same mock engine behind each). siphon-ai (Rust, SIP to WebSocket, no speech, no app) takes 0.54 % of a
core and 0.43 MB a call on 4 vCPU, and 1.47 % more for Silero (its load reports 0.48.10 to 0.48.19). jambonz 11: 750
sessions on 4 vCPU with cached prompts only (its blog, 6 July 2026). Other machines, other loads: orders of magnitude.
"""
DIFFERS: Final = """\
What differs, and stays: Pipecat's detector reports a voice after 0.2 s (its default) and Offhook's `immediate`
sooner, so that a barge-in there takes at least that long. Pipecat sends messages of 40 ms, which costs it fewer of
them; Offhook sends 20 ms, and marks. Pipecat runs without metrics, RTVI, garbage collection after each call and its
turn model, all of which its examples switch on, and with uvloop; its app is a function in the same process, Offhook's
a process of its own, called by HTTP, and counted. Offhook writes a log of each call. With a process a call, Pipecat's
processes are forked of one that has loaded everything and answer one call after the other, so that starting them
costs nothing here; no proxy is before them. Memory is proportional (Pss), less that without calls after two calls
have been, at the first number of calls that a run tries (Pipecat's goes on growing as calls come and go, so that later
ones would tell of its past); with a process a call, less that of the process that they are forked of.
"""


def media_alone_line(alone: Sequence[Result], runs: Sequence[PeerRun]) -> str:
    """What the media process carries by itself, beside what the others hold."""
    gaps, lost = middle([one.gaps["p99"] for one in alone]), sum(one.gaps["lost"] for one in alone)
    cpu = middle([one.cpu_percent / one.calls for one in alone])
    times: list[str] = []
    for name in dict.fromkeys(run.peer for run in runs if run.peer != "Offhook"):
        held = [run.held.calls for run in runs if run.peer == name and run.held is not None]
        if held:
            times.append(f"{alone[0].calls / statistics.median(held):.0f} times what {name} holds")
    return (
        f"**Offhook's media process alone** (bench/media_clock.py between these runs, {len(alone)} of it: callers who "
        f"speak all the time and are spoken to, voice detection; no speech engines, no app): {alone[0].calls} calls "
        f"at {cpu} % of a core each, gap p99 {gaps} ms, {lost} packets lost: {', '.join(times) or 'nobody beside it'}."
    )


def table(
    runs: Sequence[tuple[str, float, Sequence[Level]]], alone: Sequence[Result] = (), plain: str | None = None
) -> str:
    """All that was measured, as Markdown."""
    all_runs = [PeerRun(*run) for run in runs]
    names = list(dict.fromkeys(run.peer for run in all_runs))
    rows = [_row(name, [run for run in all_runs if run.peer == name]) for name in names]
    lines = [
        markdown(COLUMNS, rows),
        "Median of the runs (least to most); times are of all calls at the numbers held.",
        "",
    ]
    for name in names:
        lines += ratios(all_runs, name) if name != "Offhook" else []
    void = sum(level.is_void for run in all_runs for level in run.levels)
    tried = sum(len(run.levels) for run in all_runs)
    late = [100 * level.late_share for run in all_runs for level in run.levels]
    lines += ["", f"{tried} numbers of calls were tried, {void} were void; of the callers' beats "
              f"{statistics.median(late) if late else 0:.2f} % were late at the median."]  # fmt: skip
    if alone:
        lines += ["", media_alone_line(alone, all_runs)]
    if plain is not None:
        lines += ["", plain]
    return "\n".join([*lines, "", DIFFERS, CITED])


def write(text: str, about: str, command: str) -> None:
    """Replace this benchmark's part of RESULTS.md."""
    how = "\n\n".join(about.strip().split("\n\n")[2:])
    write_section("beside", f"`{command}`, {today()}, {machine()}.\n\n{how}\n\n{text}")
