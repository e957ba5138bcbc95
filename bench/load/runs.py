"""One run: a fresh node, warmed up, and the callers of one plan beside it; what each process cost meanwhile.

The window of a run is the time in which all calls are connected: CPU, memory, lateness of the event loop and late ticks
are those of the window. A run is void, and said to be so, when the callers or the control loops were late: then it says
something about the machine only.
"""

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.load.caller_farm import Plan
from bench.load.caller_script import SCRIPTS
from bench.load.control_loop import Lateness
from bench.load.conversations import Conversation, measure, turns_of
from bench.load.node import (
    HERE,
    SILENCE_MS,
    Cost,
    Node,
    busy_seconds,
    cost,
    descriptors,
    open_node,
    pin,
    ports_taken,
)
from bench.load.vendor_pace import FIRST_AUDIO_MS

NODE: Final = ("service", "media", "voice", "ear")
"""The processes of a node; `app` and `callers` run beside it."""
SAMPLE_EVERY_S: Final = 1.0
LATE_TICKS: Final = "offhook_media_late_ticks_total"
VOID_BEATS: Final = 0.01
VOID_CONTROL_MS: Final = 5.0
"""A control loop whose p99.9 is later than this tells of a machine that stood still."""
VOID_OTHERS: Final = 6.0
"""In % of a core, in the window: beyond what belongs to every run, and enough to make answers late."""
CLOCK_STEP_MS: Final = 2.0
AFTERWARDS_S: Final = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """The costs at one moment, in seconds of the monotonic clock, and for how long each core has worked for anybody."""

    at_s: float
    costs: dict[str, Cost]
    busy_s: tuple[float, ...] = ()


@dataclass(slots=True)
class Run:
    """One run of the farm beside a node. `empty`: the costs before the first call, after the warm-up."""

    plan: Plan
    empty: Sample
    samples: list[Sample] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    control: list[Lateness] = field(default_factory=list)
    loop_late: Counter[float] = field(default_factory=Counter)
    late_ticks: float = 0.0
    began_at: int = 0
    ended_at: int = 0
    clock_moved_ms: float = 0.0
    monotonic_less_unix_ns: int = 0
    conversations: list[Conversation] = field(default_factory=list)
    descriptors_left: dict[str, int] = field(default_factory=dict)
    ports_left: int = 0

    @property
    def window(self) -> list[Sample]:
        """The samples from when all calls were up to the end of that; all of them when that was never so."""
        inside = self.samples[self.began_at : self.ended_at]
        return inside if len(inside) > 1 else self.samples

    def share(self, name: str, samples: Sequence[Sample] | None = None) -> float:
        """CPU of a process in % of a core, in the window or between the first and the last of these samples."""
        first, *_, last = samples or self.window
        return 100 * (last.costs[name].cpu_s - first.costs[name].cpu_s) / (last.at_s - first.at_s)

    def waited_share(self, name: str) -> float:
        """For how long a process waited in the window for its core, ready to run, in % of the time."""
        first, *_, last = self.window
        return 100 * (last.costs[name].waited_s - first.costs[name].waited_s) / (last.at_s - first.at_s)

    def others_share(self, core: int) -> float:
        """What a core did in the window for whoever is not of this run, in %: kernel threads, control loop and this
        program too, which come to 2 to 4."""
        first, *_, last = self.window
        if core >= len(first.busy_s):
            return 0.0
        mine = [name for name in first.costs if (name == "media") == (core == 0) or len(first.busy_s) == 1]
        busy = 100 * (last.busy_s[core] - first.busy_s[core]) / (last.at_s - first.at_s)
        return max(0.0, busy - sum(self.share(name) for name in mine))

    def resident_kb(self, name: str) -> float:
        """The median in the window."""
        return statistics.median(one.costs[name].rss_kb for one in self.window)

    def memory_a_call_kb(self, names: Sequence[str] = NODE) -> float:
        """(resident in the window - resident before the first call) / calls, of these processes."""
        calls: float = self.report["mean_connected"] or self.report["most_at_once"]
        return sum(self.resident_kb(name) - self.empty.costs[name].rss_kb for name in names) / calls

    @property
    def node_share(self) -> float:
        """CPU of all processes of the node, in % of a core."""
        return sum(self.share(name) for name in NODE)

    @property
    def callers_share(self) -> float:
        """How much the callers use of what service, app and engines leave of their core, in %."""
        rest = 100 - sum(self.share(name) for name in ("service", "app", "voice", "ear"))
        return 100 * self.share("callers") / max(0.1, rest)

    @property
    def void(self) -> str:
        """Why this run says nothing; empty when it counts."""
        reasons = []
        if self.report["late_beats"] > VOID_BEATS * self.report["beats"]:
            reasons.append("the callers were late")
        if any(one.p999 > VOID_CONTROL_MS for one in self.control):
            reasons.append("a control loop was late")
        if any(self.others_share(core) > VOID_OTHERS for core in (0, 1)):
            reasons.append("other programs ran on these cores")
        if abs(self.clock_moved_ms) > CLOCK_STEP_MS:
            reasons.append("the machine's clock was set")
        return " and ".join(reasons)


def keep_off_core_0() -> None:
    """Whoever measures does not run where the media process does."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})


@contextmanager
def control_loops() -> Iterator[list[Lateness]]:
    """A loop that only sleeps on each of the two cores; how late they were is in the list afterwards."""
    found: list[Lateness] = []
    command = [sys.executable, str(HERE / "control_loop.py")]
    loops = [
        subprocess.Popen([*command, str(core)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for core in range(min(2, os.cpu_count() or 1))
    ]
    try:
        yield found
    finally:
        for loop in loops:
            out, _ = loop.communicate("\n")
            found.append(Lateness(**json.loads(out)))


def once(
    folder: Path, apps: list[str], limit: int, plan: Plan, *, warm_up: Plan | None, said_before: bool = False
) -> Run:
    """Start a node that takes `limit` calls, and run the callers of this plan beside it. `said_before`: all that they
    are told was said in the warm-up."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_node(folder, apps, limit, said_before=said_before) as node:
        node.settle()
        _call(node, Plan(node.sip_port, plan.numbers, [], 2, 50, 60, 2, hold_ms=2000, finishes=True), "first")
        if warm_up is not None:
            _call(node, warm_up.but(sip_port=node.sip_port), "warm-up")
        time.sleep(1)
        before, ports = (
            {name: descriptors(pid) for name, pid in node.processes().items()},
            ports_taken(node.service.pid),
        )
        run = _watched(node, plan.but(sip_port=node.sip_port))
        time.sleep(AFTERWARDS_S)
        after = {name: descriptors(pid) for name, pid in node.processes().items()}
        run.descriptors_left = {name: after[name] - count for name, count in before.items()}
        run.ports_left = ports_taken(node.service.pid) - ports
    _match(run, node, voice_ms=0 if said_before else FIRST_AUDIO_MS)
    return run


def _call(node: Node, plan: Plan, name: str) -> None:
    callers, _ = _start(node, plan, name)
    callers.communicate()
    if callers.returncode:
        raise RuntimeError(f"The callers failed; see {node.folder}.")


def _start(node: Node, plan: Plan, name: str) -> tuple[subprocess.Popen[str], Path]:
    planned, result = node.folder / f"{name}.plan.json", node.folder / f"{name}.json"
    planned.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    command = [sys.executable, str(HERE / "caller_farm.py"), str(planned), str(result)]
    callers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pin(callers.pid, 1)
    return callers, result


def _watched(node: Node, plan: Plan) -> Run:
    processes = node.processes()

    def sample() -> Sample:
        return Sample(time.monotonic(), {name: cost(pid) for name, pid in processes.items()}, busy_seconds())

    run = Run(plan, sample())
    run.monotonic_less_unix_ns = time.monotonic_ns() - time.time_ns()
    with control_loops() as control:
        callers, result = _start(node, plan, "run")
        processes["callers"] = callers.pid
        assert callers.stdout is not None
        while True:
            run.samples.append(sample())
            if not select.select([callers.stdout], [], [], SAMPLE_EVERY_S)[0]:
                continue
            match callers.stdout.readline().strip():
                case "full":
                    run.began_at = len(run.samples)
                    run.late_ticks, run.loop_late = node.metric(LATE_TICKS), node.loop_lateness()
                case "over":
                    run.samples.append(sample())
                    run.ended_at = len(run.samples)
                    late = node.loop_lateness()
                    late.subtract(run.loop_late)
                    run.late_ticks, run.loop_late = node.metric(LATE_TICKS) - run.late_ticks, late
                case "":
                    break
    if callers.wait():
        raise RuntimeError(f"The callers failed; see {node.folder}.")
    run.control = control
    run.clock_moved_ms = (time.monotonic_ns() - time.time_ns() - run.monotonic_less_unix_ns) / 1e6
    run.report = json.loads(result.read_text(encoding="utf-8"))
    return run


def _match(run: Run, node: Node, *, voice_ms: int) -> None:
    """Join what callers, app and call logs say of whole conversations, once the logs are whole."""
    script = SCRIPTS[run.plan.script]
    finished = {
        f"+4930{call['call']:07d}": call
        for call in run.report["calls"]
        if call["hold_ms"] is None and call["status"] == 200 and call["ended"] == "hung up"
    }
    events: dict[str, list[dict[str, Any]]] = {}
    with node.ledger.open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            if event["caller"] in finished:
                events.setdefault(event["caller"], []).append(event)
    for caller, call in finished.items():
        noted = events.get(caller, [])
        turns = {}
        if noted:
            log = node.folder / "call-logs" / f"{noted[0]['session']}.jsonl"
            turns = turns_of([json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()])
        run.conversations.append(measure(call, noted, turns, silence_ms=SILENCE_MS, voice_ms=voice_ms, script=script))
