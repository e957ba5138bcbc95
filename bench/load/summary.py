"""The figures of one run, and the medians of several."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.load.caller_script import LEFT_EARLY, MS
from bench.load.figures import percentile
from bench.load.runs import NODE, Run
from bench.results import median_of

INFINITE: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle, the worse and the worst of some times in ms; None when there were none."""

    p50: float | None
    p95: float | None
    most: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(percentile(values, 50), percentile(values, 95), max(values, default=None))


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. CPU in % of a core while all calls were up, memory in kB a call, times in ms."""

    calls: int
    connected: float
    cpu: dict[str, float]
    cpu_of_whole_run: dict[str, float]
    node_cpu: float
    callers_share: float
    waits: dict[str, float]
    others: dict[str, float]
    memory_kb: dict[str, float]
    node_memory_kb: float
    loop_late_ms: dict[str, float]
    late_ticks: float
    gaps_ms: dict[str, float | None]
    longest_gap_ms: float
    packets: int
    packets_lost: int
    packets_late: int
    answered: int
    refused: int
    failed: int
    why_failed: list[str]
    refused_with: list[int]
    setup: Spread
    refusal: Spread
    own_media_path: Spread
    platform_share: Spread
    onset_to_silence: Spread
    detected_to_silence: Spread
    conversations: int
    turns_lost: int
    digits_lost: int
    control_ms: dict[str, float]
    late_beats: int
    beats: int
    descriptors_left: dict[str, int]
    ports_left: int
    void: str


def figures_of(run: Run, calls: int) -> Figures:
    """All of one run with so many calls."""
    report, told = run.report, run.conversations
    answered = [call for call in report["calls"] if call["status"] == 200]
    refused = [call for call in report["calls"] if call["status"] >= 300]
    failed = [call for call in report["calls"] if call["status"] < 300 and call["ended"] not in {"hung up", LEFT_EARLY}]

    def spread(pick: Callable[[Any], Sequence[float | None]]) -> Spread:
        return Spread.of([ms for one in told for ms in pick(one) if ms is not None])

    names = list(run.window[0].costs | run.window[-1].costs)
    whole = [one for one in run.samples if "callers" in one.costs]
    return Figures(
        calls=calls,
        connected=report["mean_connected"],
        cpu={name: run.share(name) for name in names},
        cpu_of_whole_run={name: run.share(name, whole) for name in names},
        node_cpu=run.node_share,
        callers_share=run.callers_share,
        waits={name: run.waited_share(name) for name in names},
        others={str(core): run.others_share(core) for core in (0, 1)},
        memory_kb={name: run.memory_a_call_kb([name]) for name in NODE},
        node_memory_kb=run.memory_a_call_kb(),
        loop_late_ms=_of_classes(run.loop_late),
        late_ticks=run.late_ticks,
        gaps_ms=report["gaps_ms"],
        longest_gap_ms=report["longest_gap_ms"],
        packets=report["packets"],
        packets_lost=report["lost"],
        packets_late=report["late"],
        answered=len(answered),
        refused=len(refused),
        failed=len(failed),
        why_failed=sorted({str(call["ended"] or call["step"]) for call in failed}),
        refused_with=sorted({call["status"] for call in refused}),
        setup=Spread.of([(call["answered_ns"] - call["invited_ns"]) / MS for call in answered]),
        refusal=Spread.of([(call["answered_ns"] - call["invited_ns"]) / MS for call in refused]),
        own_media_path=spread(lambda one: one.own_media_path),
        platform_share=spread(lambda one: one.platform_share),
        onset_to_silence=spread(lambda one: [one.onset_to_silence]),
        detected_to_silence=spread(lambda one: [one.detected_to_silence]),
        conversations=len(told),
        turns_lost=sum(one.turns_lost for one in told),
        digits_lost=sum(one.digits_lost for one in told),
        control_ms={
            "p99": max(one.p99 for one in run.control),
            "p999": max(one.p999 for one in run.control),
            "most": max(one.most for one in run.control),
        },
        late_beats=report["late_beats"],
        beats=report["beats"],
        descriptors_left=run.descriptors_left,
        ports_left=run.ports_left,
        void=run.void,
    )


def _of_classes(classes: Counter[float]) -> dict[str, float]:
    """p50, p99 and the most, as the upper limits of the classes they lie in."""
    values = [limit for limit, count in sorted(classes.items()) for _ in range(count)]
    return {name: percentile(values, share) or 0.0 for name, share in (("p50", 50), ("p99", 99), ("most", 100))}


def lines_of(figures: Figures) -> list[str]:
    """One run in words."""
    one = figures
    void = f" -- VOID: {one.void}" if one.void else ""
    cpu = ", ".join(f"{name} {share:.1f} ({one.cpu_of_whole_run[name]:.1f})" for name, share in one.cpu.items())
    memory = ", ".join(f"{name} {kb:.0f}" for name, kb in one.memory_kb.items())
    waits = ", ".join(f"{name} {one.waits[name]:.1f}" for name in ("service", "app", "callers") if name in one.waits)
    gaps = ", ".join(f"p{share} {ms} ms" for share, ms in one.gaps_ms.items())
    late = ", ".join(f"{name} <= {ms:g}" for name, ms in one.loop_late_ms.items())
    left = ", ".join(f"{name} {count:+d}" for name, count in one.descriptors_left.items())
    return [
        f"{one.calls} calls: {one.connected:.1f} up in the mean{void}",
        f"  CPU in % of a core while they were up (in the whole run): {cpu}",
        f"  node: {one.node_cpu:.1f} % of a core, {one.node_cpu / max(1, one.connected or one.calls):.3f} % a call; "
        f"callers: {one.callers_share:.0f} % of what the others leave them of core 1",
        f"  waiting for its core, % of the time: {waits}; others took {one.others['0']:.1f} % of core 0, "
        f"{one.others['1']:.1f} % of core 1",
        f"  memory: {one.node_memory_kb:.0f} kB a call ({memory})",
        f"  service event loop late, ms: {late}; {one.late_ticks:.0f} late ticks",
        f"  packets: {one.packets}, {one.packets_lost} lost, {one.packets_late} out of order; gap {gaps}, "
        f"longest {one.longest_gap_ms:.1f} ms",
        f"  calls: {one.answered} answered, {one.refused} refused {one.refused_with or ''}, {one.failed} failed "
        f"{'; '.join(one.why_failed)}",
        _spread("setup (INVITE to 200)", one.setup),
        *([_spread("refusal (INVITE to answer)", one.refusal)] if one.refused else []),
        *(_of_conversations(one) if one.conversations else []),
        f"  left behind: descriptors {left}; RTP ports {one.ports_left:+d}",
        f"  control loops: p99 {one.control_ms['p99']:.2f}, p99.9 {one.control_ms['p999']:.2f}, longest "
        f"{one.control_ms['most']:.1f} ms late; callers: {one.late_beats} of {one.beats} beats late",
    ]


def _of_conversations(one: Figures) -> list[str]:
    return [
        _spread("own media path", one.own_media_path),
        _spread("platform share of a turn", one.platform_share),
        _spread("voice onset to silence", one.onset_to_silence),
        _spread("detector onset to silence", one.detected_to_silence),
        f"  lost: {one.turns_lost} turns, {one.digits_lost} digits, in {one.conversations} conversations",
    ]


def _spread(name: str, spread: Spread) -> str:
    if spread.p50 is None or spread.p95 is None or spread.most is None:
        return f"  {name}: none measured"
    return f"  {name}: p50 {spread.p50:.1f} ms, p95 {spread.p95:.1f} ms, worst {spread.most:.1f} ms"


# --- several runs


COLUMNS: Final[dict[str, tuple[str, Callable[[Figures], float | None]]]] = {
    "calls up": ("{:.1f}", lambda one: one.connected or one.calls),
    "service, % of a core": ("{:.1f}", lambda one: one.cpu["service"]),
    "media": ("{:.1f}", lambda one: one.cpu["media"]),
    "node a call": ("{:.3f}", lambda one: one.node_cpu / (one.connected or one.calls)),
    "app": ("{:.1f}", lambda one: one.cpu["app"]),
    "callers": ("{:.1f}", lambda one: one.cpu["callers"]),
    "callers, % of their share": ("{:.0f}", lambda one: one.callers_share),
    "service waits for its core, %": ("{:.1f}", lambda one: one.waits["service"]),
    "app waits": ("{:.1f}", lambda one: one.waits["app"]),
    "others, % of core 0": ("{:.1f}", lambda one: one.others["0"]),
    "of core 1": ("{:.1f}", lambda one: one.others["1"]),
    "kB a call": ("{:.0f}", lambda one: one.node_memory_kb),
    "loop late p99, ms": ("≤ {:g}", lambda one: one.loop_late_ms["p99"]),
    "most": ("≤ {:g}", lambda one: one.loop_late_ms["most"]),
    "late ticks": ("{:.0f}", lambda one: one.late_ticks),
    "gap p50, ms": ("{:.2f}", lambda one: one.gaps_ms["50"]),
    "p99": ("{:.2f}", lambda one: one.gaps_ms["99"]),
    "p99.9": ("{:.2f}", lambda one: one.gaps_ms["99.9"]),
    "packets lost": ("{:.0f}", lambda one: one.packets_lost),
    "setup p50, ms": ("{:.1f}", lambda one: one.setup.p50),
    "setup p95": ("{:.1f}", lambda one: one.setup.p95),
    "media path p50, ms": ("{:.1f}", lambda one: one.own_media_path.p50),
    "media path p95": ("{:.1f}", lambda one: one.own_media_path.p95),
    "platform share p50, ms": ("{:.1f}", lambda one: one.platform_share.p50),
    "platform share p95": ("{:.1f}", lambda one: one.platform_share.p95),
    "detector to silence p95, ms": ("{:.1f}", lambda one: one.detected_to_silence.p95),
    "voice to silence p95": ("{:.1f}", lambda one: one.onset_to_silence.p95),
    "refused": ("{:.0f}", lambda one: one.refused),
    "refusal p95, ms": ("{:.1f}", lambda one: one.refusal.p95),
    "refusal most": ("{:.1f}", lambda one: one.refusal.most),
    "failed": ("{:.0f}", lambda one: one.failed),
    "turns, digits lost": ("{:.0f}", lambda one: one.turns_lost + one.digits_lost),
}
"""What a row tells: how it is written, and where it is found in a run."""


def medians(runs: Sequence[Figures]) -> list[str]:
    """A row of COLUMNS: the median of each, with the least and the most of several runs."""
    cells = []
    for form, pick in COLUMNS.values():
        values = [value for one in runs if (value := pick(one)) is not None]
        cells.append(median_of(form, values) if values else "–")
    return cells


def turned(columns: Sequence[Sequence[Figures]]) -> list[list[str]]:
    """The lines of a table with a column for each of these series of runs: first how many runs it has."""
    cells = [medians(runs) for runs in columns]
    lines = [[name, *(column[place] for column in cells)] for place, name in enumerate(COLUMNS)]
    return [["runs", *(_count(runs) for runs in columns)], *lines]


def _count(runs: Sequence[Figures]) -> str:
    """A series whose runs were all void has the last one of them, and says why it does not count."""
    why = "; ".join(sorted({one.void for one in runs if one.void}))
    return f"**void: {why}**" if why else str(len(runs))
