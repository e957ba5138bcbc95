"""1,000 sessions talk with a scripted language model at 50 tokens a second: how long from the last token of the first
sentence to `speak` on the wire, and how many tokens are drawn after an interruption.
`python bench/language_model.py --write`

Each session is a WebSocket over real sockets; app and models are one process (language_model_app.py), the callers are
this one. Both read the same clock. The model notes when it gives the last token of its first sentence; the caller,
when it has the message: what is measured is more than what is asked for.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("RESULTS.md")
TOKENS_A_SECOND = 50
FIRST = "Good morning, this is the order desk and I am glad that you call."
REPLY = f"{FIRST} It costs 3.50 euros, which is as much as last year. {'And then there is more to say about it. ' * 10}"

APP = Path(__file__).with_name("language_model_app.py")


def turn(session: int, text: str, *, barged_in: bool) -> str:
    """A `user_speak` as the service sends it."""
    about = {"id": f"s{session}", "direction": "inbound"}
    said = {"type": "user_speak", "session": about, "text": text, "barged_in": barged_in}
    return json.dumps(said, separators=(",", ":"))


async def call(port: int, session: int, begins: float, speaks_after: list[float], drawn: list[int]) -> None:
    """One call: a question, the first sentence, an interruption while the model still talks."""
    from websockets.asyncio.client import connect

    async with connect(f"ws://127.0.0.1:{port}", compression=None, open_timeout=60, ping_interval=None) as line:
        await asyncio.sleep(max(0.0, begins - time.monotonic()))
        await line.send(turn(session, "What does it cost?", barged_in=False))
        first = json.loads(await line.recv())
        heard_at = time.monotonic()
        if first["text"] != FIRST:
            raise SystemExit(f"the first sentence was {first['text']!r}")
        await line.recv()
        await asyncio.sleep(0.5)
        await line.send(turn(session, "Stop.", barged_in=True))
        while not (said := json.loads(await line.recv())["text"]).startswith("{"):
            pass
        told = json.loads(said)
        speaks_after.append(heard_at - told["given"])
        drawn.append(told["drawn"])


async def measure(port: int, sessions: int, over: float) -> tuple[list[float], list[int]]:
    """All calls, which begin evenly over so many seconds."""
    speaks_after: list[float] = []
    drawn: list[int] = []
    begin = time.monotonic() + 4
    async with asyncio.TaskGroup() as calls:
        for number in range(sessions):
            calls.create_task(call(port, number, begin + over * number / sessions, speaks_after, drawn))
            if number % 50 == 0:
                await asyncio.sleep(0.1)
    return speaks_after, drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--over", type=float, default=2.0, help="seconds over which the calls begin")
    parser.add_argument("--write", action="store_true", help="add the section to RESULTS.md")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, str(APP), FIRST, REPLY, str(TOKENS_A_SECOND)]
    app = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert app.stdin is not None
    assert app.stdout is not None
    os.sched_setaffinity(0, set(cores[:-1]) or set(cores))
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        began = time.monotonic()
        speaks_after, drawn = runner.run(measure(int(app.stdout.readline()), options.sessions, options.over))
        took = time.monotonic() - began
    app.stdin.close()
    used = float(app.stdout.readline())
    app.wait()
    text = report(options, [1000 * one for one in sorted(speaks_after)], drawn, used / took)
    print(text)
    if options.write:
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(f"\n{text}")


def report(options: Any, ms: list[float], drawn: list[int], share: float) -> str:
    """The section for RESULTS.md."""
    p95, p99 = (ms[min(len(ms) - 1, int(part * len(ms)))] for part in (0.95, 0.99))
    return f"""## language_model

`python bench/language_model.py --sessions {options.sessions} --over {options.over:g} --write`,
{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}.

{options.sessions} sessions, each over a WebSocket of its own, with a scripted model of {TOKENS_A_SECOND} tokens
a second; they begin within {options.over:g} s. App and models share one core, the callers have another.

| what | measured |
| --- | --- |
| sessions whose first sentence and whose answer to the interruption came | {len(ms)} |
| last token of the first sentence to `speak` at the caller, p50 / p95 / p99 / max ms | \
{statistics.median(ms):.2f} / {p95:.2f} / {p99:.2f} / {ms[-1]:.2f} |
| tokens that a model gave after the interruption had come off the socket: most / all sessions | \
{max(drawn)} / {sum(drawn)} |
| CPU of the app's core | {100 * share:.0f} % |
"""


if __name__ == "__main__":
    main()
