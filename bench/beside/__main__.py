"""How many calls does a core hold, and at what cost: Offhook beside Pipecat, under the same callers, in one run.

    python bench/beside                      five runs of each, in alternation
    python bench/beside --repeat 1 --quick   one of each, to see that all works

It needs Debian's asterisk-core-sounds-en-wav and baresip, and installs Pipecat once, into a cache.

The callers are a carrier that streams calls over WebSocket (Twilio's dialect): greeting, a turn of human speech, an
answer, a turn, an answer that is interrupted, an answer, hang up; a new call for each that ends. Both peers have the
same scripted engines: partial words every 100 ms, final words 250 ms after 600 ms of silence, first audio 150 ms after
the answer; the greeting is there at once. Each peer has core 0 for all its processes, the app's too; the callers have
core 1.

*Held* is the largest number of calls with no audio lost, no call failed, and gaps of at most 40 ms at p99; *heard*,
with what a carrier has in store, that with silence in less than 1 % of the speech. A gap is the time between two
messages of an answer, as if each carried 20 ms. A number of calls at which more than 1 % of the callers' own beats
were late is void. Times are as heard: behind the 60 ms of silence that Offhook sends before it speaks."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.beside.baresip import measure_baresip  # noqa: E402
from bench.beside.levels import Level, following, level_of, most  # noqa: E402
from bench.beside.media_alone import measure_media_alone  # noqa: E402
from bench.beside.peers import (  # noqa: E402
    CALLED,
    HERE,
    SILENCE_MS,
    Peer,
    answered,
    cpu_seconds,
    memory_mb,
    offhook,
    on_core,
    pipecat,
    settle,
)
from bench.beside.results import line_of, table, write  # noqa: E402
from bench.beside.stream_callers import Plan  # noqa: E402
from bench.load.talking_app import ANSWERS, GREETING  # noqa: E402
from bench.load.vendor_pace import FINAL_WORDS_MS, FIRST_AUDIO_MS  # noqa: E402
from bench.media_clock import Result  # noqa: E402

SOUNDS: Final = Path("/usr/share/asterisk/sounds/en")
PROMPTS: Final = ("cannot-complete-as-dialed", "conf-getpin", "conf-placeintoconf", "vm-enter-num-to-call")
PEERS: Final[dict[str, Callable[[Path, int], AbstractContextManager[Peer]]]] = {
    "Offhook": offhook,
    "Pipecat": partial(pipecat, a_process_a_call=False),
    "Pipecat, a process a call": partial(pipecat, a_process_a_call=True),
}
WHAT: Final = ("offhook", "pipecat", "processes", "media", "baresip")
FIRST: Final = {"Offhook": 100, "Pipecat": 6, "Pipecat, a process a call": 6}
FILL_S: Final = 8
SETTLE_S: Final = 2
WARM_UP_S: Final = 5
ALLOWED_LEVELS: Final = 14


@dataclass(slots=True)
class Run:
    """One run of a peer: `idle_mb` without calls."""

    peer: str
    idle_mb: float
    levels: list[Level] = field(default_factory=list)


class Carrier:
    """The process of the callers."""

    def __init__(self, plan: Plan, folder: Path, core: int) -> None:
        path = folder / "plan.json"
        path.write_text(json.dumps(asdict(plan)), encoding="utf-8")
        command = [sys.executable, HERE / "stream_callers.py", path]
        self._process = on_core(core, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have something done. Raises RuntimeError when the callers have failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The callers have failed; what they said is above.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def hold(self, calls: int, ports: Sequence[int], fill_s: float = FILL_S) -> int:
        """So many calls from now on, dialled as if all of them in `fill_s`; how many came up."""
        up: int = self.ask({"calls": calls, "ports": list(ports), "spacing_ms": 1000 * fill_s / max(1, calls)})["calls"]
        return up

    def end(self) -> None:
        """No more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def run_once(name: str, first: int, seconds: float, folder: Path) -> Run:
    """Start a peer, and try numbers of calls from `first`."""
    folder.mkdir(parents=True)
    say(f"{name}:")
    with PEERS[name](folder, 0) as peer:
        settle(peer)
        plan = Plan(
            *(peer.path, CALLED, [str(SOUNDS / f"{prompt}.wav") for prompt in PROMPTS], [GREETING, *ANSWERS]),
            SILENCE_MS + FINAL_WORDS_MS + FIRST_AUDIO_MS,
        )
        carrier = Carrier(plan, folder, 1)
        try:
            alone = memory_mb(peer.processes())
            carrier.hold(2, peer.ports(2), 1)
            carrier.ask({"measure": WARM_UP_S})
            carrier.hold(0, peer.ports(0))
            time.sleep(1)
            idle = alone if name.endswith("a process a call") else memory_mb(peer.processes())
            run = Run(name, idle)
            calls: int | None = first
            while calls is not None and len(run.levels) < ALLOWED_LEVELS:
                up = carrier.hold(calls, peer.ports(calls))
                carrier.ask({"measure": SETTLE_S})
                processes = peer.processes()
                used, began = cpu_seconds(processes), time.monotonic()
                window = carrier.ask({"measure": seconds})
                window["failed"] += ["did not come up"] * (calls - up)
                used, took = cpu_seconds(processes) - used, time.monotonic() - began
                memory = memory_mb(processes) - idle
                level = level_of(calls, took, window, answered(peer.ledger), used / took, memory)
                run.levels.append(level)
                say(line_of(level))
                calls = following(run.levels)
        finally:
            carrier.end()
    return run


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def next_first(name: str, runs: Sequence[Run]) -> int:
    """Where the next run of this peer begins: at what the last one held."""
    mine = [run for run in runs if run.peer == name]
    held = most(mine[-1].levels) if mine else None
    return held.calls if held else FIRST[name]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeat", type=int, default=5, help="runs of each")
    options.add_argument("--processes", type=int, default=2, help="runs of Pipecat with a process a call")
    options.add_argument("--seconds", type=float, default=8, help="how long each number of calls is watched")
    options.add_argument("--quick", action="store_true", help="3 s each, without baresip")
    options.add_argument("--peers", nargs="+", choices=WHAT)
    options.add_argument("--offhook-first", type=int, default=FIRST["Offhook"], help="calls to begin with")
    options.add_argument("--write", action="store_true", help="put the table into bench/RESULTS.md")
    chosen = options.parse_args()
    if not SOUNDS.is_dir():
        raise SystemExit("Human speech is missing. Remedy: apt-get install asterisk-core-sounds-en-wav")
    FIRST["Offhook"] = chosen.offhook_first
    wanted = chosen.peers or WHAT
    repeats = {
        "Offhook": chosen.repeat * ("offhook" in wanted),
        "Pipecat": chosen.repeat * ("pipecat" in wanted),
        "Pipecat, a process a call": min(chosen.processes, chosen.repeat) * ("processes" in wanted),
    }
    seconds = 3 if chosen.quick else chosen.seconds
    runs: list[Run] = []
    alone: list[Result] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in range(chosen.repeat):
            for name, times in repeats.items():
                if number < times:
                    runs.append(run_once(name, next_first(name, runs), seconds, folder / f"{name}-{number}"))
            if "media" in wanted:
                alone.append(measure_media_alone(folder))
        plain = measure_baresip(folder) if "baresip" in wanted and not chosen.quick else None
    text = table([(run.peer, run.idle_mb, run.levels) for run in runs], alone, plain)
    say("\n" + text)
    if chosen.write:
        command = " ".join(["python bench/beside", *sys.argv[1:]])
        write(text, __doc__ or "", command)


if __name__ == "__main__":
    main()
