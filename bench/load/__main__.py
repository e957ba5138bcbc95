"""How many conversations does a node hold, and at what cost? See bench/README.md for what is measured, and how.

python bench/load ramp --calls 10 100 250 --seconds 40      conversations at once, a row a number
python bench/load rate --rate 50 --seconds 60               calls a second, each held 4 s
python bench/load soak --calls 60 --finish 20000            brief conversations; memory a finished call
python bench/load admission --calls 100 --seconds 40        so many are allowed: alone, then with twice as many callers

--said-before    what callers are told is in the speech cache
--repeat 5       medians of five runs, each with a node of its own; void ones are run again
--write          into bench/RESULTS.md and bench/load_results.json, and draws bench/load_curve.png
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.load.caller_farm import Plan  # noqa: E402
from bench.load.caller_script import BRIEF  # noqa: E402
from bench.load.curve import CURVE, KEPT, draw  # noqa: E402
from bench.load.node import NUMBERS  # noqa: E402
from bench.load.runs import Run, keep_off_core_0, once  # noqa: E402
from bench.load.soak import lines_of_memory  # noqa: E402
from bench.load.summary import COLUMNS, Figures, figures_of, lines_of, medians, turned  # noqa: E402
from bench.results import keep, machine, table, today, write_section  # noqa: E402

SOUNDS: Final = Path("/usr/share/asterisk/sounds/en")
PROMPTS: Final = ("cannot-complete-as-dialed", "conf-getpin", "conf-placeintoconf", "vm-enter-num-to-call")
"""None has a pause of more than 160 ms, which could end a turn."""
RAMP_UP_MS: Final = 16_000
"""Less than a conversation, so that all are up before the first ends, and are spread over its steps."""
UP: Final = 0.97
"""All calls are up when so many of them are: one that has ended is dialled again, which takes a moment."""
HOLD_MS: Final = 4000
UNLIMITED: Final = 2000


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def series(chosen: argparse.Namespace, apps: Sequence[str]) -> list[tuple[str, int, int, Plan]]:
    """What is to be run: a name, how many calls, how many are allowed, and the plan."""
    numbers, prompts = [NUMBERS[app] for app in apps], [str(SOUNDS / f"{name}.wav") for name in PROMPTS]

    def plan(at_once: int, full: int, spacing_ms: float, seconds: float = chosen.seconds) -> Plan:
        return Plan(0, numbers, prompts, at_once, spacing_ms, seconds, first_call=1000, full=full)

    def steady(callers: int, up: int) -> Plan:
        return plan(callers, max(1, round(UP * up)), RAMP_UP_MS / callers)

    found: list[tuple[str, int, int, Plan]] = []
    for count in chosen.calls:
        if chosen.mode == "ramp":
            found.append(("", count, UNLIMITED, steady(count, count)))
        elif chosen.mode == "admission":
            found.append(("alone", count, count, steady(count, count)))
            found.append(("with twice as many callers", count, count, steady(2 * count, count)))
    if chosen.mode == "rate":
        held = round(chosen.rate * HOLD_MS / 1000)
        short = plan(2 * held + 10, round(0.9 * held), 1000 / chosen.rate, 86400)
        calls = round(chosen.rate * chosen.seconds)
        found.append(("", held, UNLIMITED, short.but(calls=calls, hold_ms=HOLD_MS, finishes=True)))
    if chosen.mode == "soak":
        at_once = chosen.calls[0]
        brief = plan(at_once, at_once // 2, 40, 86400)
        found.append(("", at_once, UNLIMITED, brief.but(calls=chosen.finish, script=BRIEF.name, finishes=True)))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("mode", nargs="?", default="ramp", choices=("ramp", "rate", "soak", "admission"))
    options.add_argument("--calls", type=int, nargs="+", default=[1, 5, 10], help="soak: the first of them")
    options.add_argument("--seconds", type=float, default=25, help="how long all calls are up; rate: are dialled")
    options.add_argument("--rate", type=float, default=10)
    options.add_argument("--finish", type=int, default=20, help="soak: so many calls")
    options.add_argument("--app", choices=("http", "websocket", "both"), default="both")
    options.add_argument("--said-before", action="store_true", help="what callers are told is in the speech cache")
    options.add_argument("--repeat", type=int, default=1)
    options.add_argument(
        "--no-warm-up", action="store_true", help="sooner done; memory a call then has the first call's"
    )
    options.add_argument("--keep", type=Path, help="an empty folder that keeps call logs and notes")
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    if not SOUNDS.is_dir():
        raise SystemExit("Human speech is missing. Remedy: apt-get install asterisk-core-sounds-en-wav")
    keep_off_core_0()
    apps = list(NUMBERS) if chosen.app == "both" else [chosen.app]
    rows: list[tuple[str, int, list[Figures]]] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, (name, calls, limit, plan) in enumerate(series(chosen, apps)):
            folder = (chosen.keep or Path(temporary)) / f"{number}"
            runs = repeated(chosen, apps, folder, (calls, limit, plan), notes)
            rows.append((name, calls, runs))
            say(f"{name} {table(list(COLUMNS), [medians(runs)])}" if len(runs) > 1 else "")
    if chosen.write:
        write(chosen, rows, notes)


def repeated(
    chosen: argparse.Namespace, apps: list[str], folder: Path, what: tuple[int, int, Plan], notes: list[str]
) -> list[Figures]:
    """As many runs that count as were asked for; of twice as many, those that there were."""
    calls, limit, plan = what
    warm_up = None if chosen.no_warm_up else Plan(0, plan.numbers, plan.prompts, 4, 200, 60, 4, finishes=True)
    counted: list[Figures] = []
    for number in range(2 * chosen.repeat):
        run = once(folder / f"{number}", apps, limit, plan, warm_up=warm_up, said_before=chosen.said_before)
        figures = figures_of(run, calls)
        for line in [*lines_of(figures), *told_of_memory(chosen, run, notes)]:
            say(line)
        if not figures.void:
            counted.append(figures)
        if len(counted) == chosen.repeat or chosen.repeat == 1:
            break
    return counted or [figures]


def told_of_memory(chosen: argparse.Namespace, run: Run, notes: list[str]) -> list[str]:
    if chosen.mode != "soak":
        return []
    lines = lines_of_memory(run)
    notes += lines
    return lines


def write(chosen: argparse.Namespace, rows: Sequence[tuple[str, int, list[Figures]]], notes: Sequence[str]) -> None:
    """Into RESULTS.md, as JSON, and as a curve."""
    command = " ".join(["python bench/load", *sys.argv[1:]])
    mode = f"{chosen.mode}, said before" if chosen.said_before else chosen.mode
    title = f"load, {mode}"
    head = (
        f"`{command}`, {today()}, {machine()}. Medians of each column's runs (least to most). See "
        "bench/README.md for what each line is."
    )
    # A column a number of calls: there are more figures than a page is wide.
    labels = [f"{calls} {name}".strip() for name, calls, _ in rows]
    text = f"{head}\n\n{table(['calls', *labels], turned([found for _, _, found in rows]))}"
    if notes:
        text += "\n" + "\n".join(f"- {line.strip()}" for line in notes) + "\n"
    write_section(title, text)
    kept: dict[str, Any] = {"command": command, "machine": machine(), "date": today()}
    kept["rows"] = [
        {"name": name, "calls": calls, "runs": [asdict(one) for one in found]} for name, calls, found in rows
    ]
    keep(KEPT, mode, kept)
    draw(KEPT, CURVE)


if __name__ == "__main__":
    main()
