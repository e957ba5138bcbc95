"""How many conversations does a node hold, and at what cost?

    python bench/load ramp --calls 1 5 10 --seconds 25      conversations at once, a row a number
    python bench/load rate --rate 10 --seconds 10           calls a second, each held 4 s
    python bench/load soak --calls 10 --finish 20           one conversation after the other; memory a finished call
    python bench/load admission --calls 5 --seconds 25      twice as many callers as are allowed, who dial again

It starts `offhook serve`, an app and the callers, each as a process of its own; media has core 0, all others core 1.
Memory a call is resident memory in the middle of the run less that before it, when two short calls have been and gone;
the embedded engines, which no call uses here, do not count. A run in which more than 1 % of the
callers' own beats were late is void, and said to be so.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.load.caller_farm import Plan  # noqa: E402
from bench.load.caller_script import KEYS_PRESSED, MS  # noqa: E402
from bench.load.conversations import Conversation, measure, turns_of  # noqa: E402
from bench.load.figures import percentile, slope  # noqa: E402
from bench.load.node import HERE, NUMBERS, SILENCE_MS, Node, Sample, cost, open_node, pin, sample  # noqa: E402

SOUNDS: Final = Path("/usr/share/asterisk/sounds/en")
PROMPTS: Final = ("cannot-complete-as-dialed", "conf-getpin", "conf-placeintoconf", "vm-enter-num-to-call")
"""None has a pause of more than 160 ms, which could end a turn."""
VOID_SHARE: Final = 0.01
HOLD_MS: Final = 4000


@dataclass(slots=True)
class Run:
    """One run of the farm beside a node."""

    plan: Plan
    report: dict[str, Any] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    farm_cpu: float = 0.0
    late_ticks: float = 0.0
    conversations: list[Conversation] = field(default_factory=list)


def farm(node: Node, plan: Plan, name: str) -> Run:
    """Run the callers, and watch what the node costs meanwhile."""
    run = Run(plan, samples=[sample(node)])
    late = node.metric("offhook_media_late_ticks_total")
    planned, result = node.folder / f"{name}.plan.json", node.folder / f"{name}.json"
    planned.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    callers = subprocess.Popen([sys.executable, HERE / "caller_farm.py", planned, result])
    pin(callers.pid, 1)
    began = time.monotonic()
    while callers.poll() is None:
        run.samples.append(sample(node))
        run.farm_cpu = cost(callers.pid).cpu_s / max(0.001, time.monotonic() - began)
        time.sleep(0.5)
    if callers.returncode:
        raise RuntimeError(f"The callers failed; see {node.folder}.")
    run.samples.append(sample(node))
    run.late_ticks = node.metric("offhook_media_late_ticks_total") - late
    run.report = json.loads(result.read_text(encoding="utf-8"))
    return run


def match(runs: Sequence[Run], node: Node) -> None:
    """Join what callers, app and call logs say, once the logs are whole."""
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in node.ledger.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        events[event["caller"]].append(event)
    for run in runs:
        for call in run.report["calls"]:
            noted = events.get(f"+4930{call['call']:07d}", [])
            if call["hold_ms"] is None and noted:
                log = node.folder / "call-logs" / f"{noted[0]['session']}.jsonl"
                turns = turns_of([json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()])
                run.conversations.append(measure(call, noted, turns, silence_ms=SILENCE_MS, keys=KEYS_PRESSED))


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def spread(name: str, values: Sequence[float]) -> None:
    """A line with the middle and the worse of some times."""
    if values:
        middle, most = percentile(values, 50), percentile(values, 95)
        say(f"  {name}: p50 {middle:.1f} ms, p95 {most:.1f} ms, worst {max(values):.1f} ms ({len(values)})")
    else:
        say(f"  {name}: none measured")


def tell(run: Run) -> None:
    """Everything about one run."""
    report, calls = run.report, run.report["calls"]
    answered = [call for call in calls if call["status"] == 200]
    refused = [call for call in calls if call["status"] >= 300]
    failed = [call for call in calls if call not in refused and call["ended"] != "hung up"]
    is_void = report["late_beats"] > VOID_SHARE * report["beats"]
    verdict = " -- VOID: the callers were late" if is_void else ""
    most = report["most_at_once"]
    say(f"{most} calls at once, {len(calls)} in all{verdict}")
    say(f"  callers: {100 * run.farm_cpu:.1f} % of a core; {report['late_beats']} of {report['beats']} beats late, "
        f"worst {report['worst_late_ms']:.1f} ms; {report['unsent']} packets unsent")  # fmt: skip
    first, last = run.samples[0], run.samples[-1]
    middle = run.samples[len(run.samples) // 4 : -(len(run.samples) // 4) or None]
    memory = 0.0
    for name, before in first.costs.items():
        after = last.costs[name]
        share = 100 * (after.cpu_s - before.cpu_s) / (last.at_s - first.at_s)
        resident = statistics.median(one.costs[name].rss_kb for one in middle)
        memory += resident - before.rss_kb if name in {"service", "media"} else 0
        say(f"  {name}: {share:.1f} % of a core, {resident / 1024:.1f} MB, "
            f"{(resident - before.rss_kb) / most:.0f} kB a call, "
            f"{after.descriptors - before.descriptors:+d} descriptors afterwards")  # fmt: skip
    say(f"  node: {memory / most:.0f} kB a call; {run.late_ticks:.0f} late ticks")
    gaps = ", ".join(f"p{share} {value} ms" for share, value in report["gaps_ms"].items())
    say(f"  packets: {report['packets']}, {report['lost']} lost, {report['late']} out of order; gap {gaps}, "
        f"longest {report['longest_gap_ms']:.1f} ms at {report['longest_gap_at_s']:.3f}")  # fmt: skip
    say(f"  calls: {len(answered)} answered, {len(refused)} refused, {len(failed)} failed {_why(failed)}")
    spread("setup (INVITE to 200)", [(call["answered_ns"] - call["invited_ns"]) / MS for call in answered])
    if refused:
        spread("refusal (INVITE to answer)", [(call["answered_ns"] - call["invited_ns"]) / MS for call in refused])
        say(f"  refused with: {sorted({call['status'] for call in refused})}")
    told = run.conversations
    if told:
        spread("own media path", [ms for one in told for ms in one.own_media_path])
        spread("platform share of a turn", [ms for one in told for ms in one.platform_share])
        spread("voice onset to silence", [one.onset_to_silence for one in told if one.onset_to_silence is not None])
        found = [one.detected_to_silence for one in told if one.detected_to_silence is not None]
        spread("detector onset to silence", found)
        say(f"  lost: {sum(one.turns_lost for one in told)} turns, {sum(one.digits_lost for one in told)} digits, "
            f"in {len(told)} conversations")  # fmt: skip


def _why(failed: Sequence[dict[str, Any]]) -> str:
    reasons = sorted({str(call["ended"] or call["step"]) for call in failed})
    return f"({'; '.join(reasons)})" if reasons else ""


def tell_memory(run: Run) -> None:
    """What a finished call leaves behind, as a line through the second half of the run."""
    per_s = len(run.report["calls"]) / (run.samples[-1].at_s - run.samples[0].at_s)
    half = run.samples[len(run.samples) // 2 :]
    for name in half[0].costs:
        found = slope([(one.at_s * per_s, one.costs[name].rss_kb) for one in half])
        if found is not None:
            say(f"  {name}: {found.slope:+.2f} ± {found.error:.2f} kB a finished call")


def plans(chosen: argparse.Namespace, node: Node, apps: Sequence[str]) -> list[Plan]:
    """What the callers are to do, run after run."""
    numbers, prompts = [NUMBERS[app] for app in apps], [str(SOUNDS / f"{name}.wav") for name in PROMPTS]
    if chosen.mode == "rate":
        at_once = round(chosen.rate * (HOLD_MS / 1000 + 2)) + 1
        calls = round(chosen.rate * chosen.seconds)
        return [
            Plan(
                node.sip_port,
                numbers,
                prompts,
                at_once,
                1000 / chosen.rate,
                chosen.seconds,
                calls,
                hold_ms=HOLD_MS,
                first_call=100_000,
            )
        ]
    if chosen.mode == "soak":
        return [Plan(node.sip_port, numbers, prompts, chosen.calls[0], 50, 86400, chosen.finish, first_call=100_000)]
    factor = 2 if chosen.mode == "admission" else 1
    return [
        Plan(
            *(node.sip_port, numbers, prompts, count * factor, max(5, 2000 / count), chosen.seconds),
            first_call=100_000 * (number + 1),
        )
        for number, count in enumerate(chosen.calls)
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("mode", nargs="?", default="ramp", choices=("ramp", "rate", "soak", "admission"))
    options.add_argument("--calls", type=int, nargs="+", default=[1, 5, 10])
    options.add_argument("--seconds", type=float, default=25, help="how long new calls are dialled")
    options.add_argument("--rate", type=float, default=10)
    options.add_argument("--finish", type=int, default=20, help="soak: so many calls")
    options.add_argument("--app", choices=("http", "websocket", "both"), default="both")
    options.add_argument("--keep", type=Path, help="an empty folder that keeps call logs and notes")
    chosen = options.parse_args()
    if not SOUNDS.is_dir():
        raise SystemExit("Human speech is missing. Remedy: apt-get install asterisk-core-sounds-en-wav")
    apps = list(NUMBERS) if chosen.app == "both" else [chosen.app]
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        limit = chosen.calls[0] if chosen.mode == "admission" else 2000
        runs: list[Run] = []
        with open_node(folder, apps, limit) as node:
            node.settle()
            farm(node, Plan(node.sip_port, [NUMBERS[app] for app in apps], [], 2, 50, 60, 2, hold_ms=HOLD_MS), "first")
            for number, plan in enumerate(plans(chosen, node, apps)):
                runs.append(farm(node, plan, f"run{number}"))
        match(runs, node)
        for run in runs:
            tell(run)
            if chosen.mode == "soak":
                tell_memory(run)
        spread("service event loop late, all runs", node.loop_late_ms())


if __name__ == "__main__":
    main()
