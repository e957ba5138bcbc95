"""What it costs a Python program to load the SDK, in CPU time of fresh processes. `python bench/import_time.py --write`

CPU time in user and system mode (what the machine did, not how busy it was), the bare interpreter's taken off. All
bytecode is cached beforehand, as after `pip install`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.results import machine, median_of, table, today, write_section

LIMIT_MS: Final = 250
ANSWERED: Final = """
import logging
from offhook import Assistant, Speak
logging.disable()
assistant = Assistant(on_session_start=lambda event: Speak(text="Welcome"))
event = b'{"type": "session_start", "session": {"id": "s1"}}'
assert assistant.answer_request(event, {}).status == 200
"""
PROGRAMS: Final = {
    "`import offhook`": "import offhook",
    "`from offhook import Assistant, Speak`": "from offhook import Assistant, Speak",
    "the same, and a first event answered": ANSWERED,
    "beside it: `import asyncio, pydantic` and one empty model": (
        "import asyncio\nfrom pydantic import BaseModel\nclass Empty(BaseModel): pass"
    ),
}


def cpu_ms(code: str, environment: Mapping[str, str]) -> float:
    """User and system time of one process, in ms."""
    process = subprocess.Popen([sys.executable, "-c", code], env=dict(environment))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"This failed: {code}")
    return 1000 * (used.ru_utime + used.ru_stime)


def measured(rounds: int) -> dict[str, list[float]]:
    """ms of each program, round by round, by turns."""
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for code in PROGRAMS.values():
            cpu_ms(code, environment)
        for _ in range(rounds):
            nothing = cpu_ms("pass", environment)
            for name, code in PROGRAMS.items():
                found[name].append(cpu_ms(code, environment) - nothing)
    return found


def report(found: Mapping[str, Sequence[float]], rounds: int) -> str:
    """The section for RESULTS.md."""
    rows = [[name, median_of("{:.0f}", values)] for name, values in found.items()]
    return (
        f"`python bench/import_time.py --rounds {rounds} --write`, {today()}, {machine()}.\n\n"
        "CPU time (user and system) of fresh processes with cached bytecode, less that of an interpreter that does "
        f"nothing; median (least to most) of {rounds}. The limit is {LIMIT_MS} ms for the second line.\n\n"
        + table(["program", "ms"], rows)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    text = report(measured(options.rounds), options.rounds)
    print(text)
    if options.write:
        write_section("import_time", text)


if __name__ == "__main__":
    main()
