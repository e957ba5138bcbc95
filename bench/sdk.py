"""Events through the SDK beside a FastAPI endpoint written by hand that does the same without checks: requests a second
and p99, on one core, in one run. `python bench/sdk.py --write`

Both are served by uvicorn in a process that is pinned to the last core, in rounds by turns; this process sends from the
other cores, over keep-alive connections, each the next event as soon as the last is answered. Both ask for the token,
take a `user_speak` and answer with a `speak`.
"""

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).with_name("RESULTS.md")
TOKEN = "secret"

HAND_WRITTEN = """
import hmac
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
app = FastAPI()
@app.post("/")
async def webhook(request: Request):
    if not hmac.compare_digest(request.headers.get("X-API-TOKEN", "").encode(), b"secret"):
        return JSONResponse({"error": "wrong token"}, 401)
    event = await request.json()
    if event["type"] != "user_speak":
        return Response(status_code=204)
    return JSONResponse({"type": "speak", "session_id": event["session"]["id"], "text": "You said: " + event["text"]})
"""

SDK = """
from offhook import Assistant
app = Assistant(token="secret")
@app.on_user_speak
async def answer(event):
    return "You said: " + event.text
"""

SERVE = """
import asyncio, os, socket, sys, uvicorn
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
space = {}
exec(sys.stdin.read(), space)
server = uvicorn.Server(uvicorn.Config(space["app"], log_config=None, lifespan="off", access_log=False))
listening = socket.socket(fileno=int(sys.argv[1]))
server.run(sockets=[listening])
"""


class Round(NamedTuple):
    """One app, so many seconds: requests a second, and ms."""

    rate: float
    p50: float
    p99: float


def event(session: int, number: int) -> bytes:
    """A `user_speak` as the service sends it."""
    body = json.dumps(
        {
            "type": "user_speak",
            "session": {
                "id": f"550e8400-e29b-41d4-a716-{session:012d}",
                "account_id": "account-123",
                "phone_number": "+4921155660",
                "direction": "inbound",
                "from_phone_number": "+4915112345678",
                "to_phone_number": "+4921155660",
            },
            "text": f"I would like to know about order {number}",
            "barged_in": False,
        }
    ).encode()
    head = f"POST / HTTP/1.1\r\nHost: app\r\nX-API-TOKEN: {TOKEN}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def caller(port: int, session: int, until: float, times: list[float]) -> None:
    """One session: the next event when the last is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while (began := time.perf_counter()) < until:
        writer.write(event(session, number))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise SystemExit(f"answered with {head!r}")
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if f"order {number}".encode() not in answer:
            raise SystemExit(f"answered with {answer!r}")
        times.append(time.perf_counter() - began)
        number += 1
    writer.close()


@contextmanager
def served(code: str) -> Iterator[int]:
    """The app in a process of its own; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        handle = listening.fileno()
        command = [sys.executable, "-c", SERVE, str(handle)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[handle], stderr=subprocess.DEVNULL)
        assert server.stdin is not None
        server.stdin.write(code.encode())
        server.stdin.close()
        yield listening.getsockname()[1]
        server.terminate()
        server.wait()


async def measured(port: int, seconds: float, callers: int) -> Round:
    """Call it: a second to warm up, then so many seconds that count."""
    await asyncio.gather(*(caller(port, n, time.perf_counter() + 1, []) for n in range(callers)))
    times: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(caller(port, n, began + seconds, times) for n in range(callers)))
    took = time.perf_counter() - began
    times.sort()
    return Round(len(times) / took, 1000 * statistics.median(times), 1000 * times[int(0.99 * len(times))])


def report(rounds: dict[str, list[Round]], options: Any) -> str:
    """The section for RESULTS.md."""
    rates = {name: statistics.median(one.rate for one in found) for name, found in rounds.items()}
    lines = [
        "## sdk",
        "",
        f"`python bench/sdk.py --seconds {options.seconds:g} --rounds {options.rounds} --callers {options.callers}`,",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()},",
        f"Python {platform.python_version()}.",
        "",
        "One `user_speak` in, one `speak` out, by uvicorn on one core; the two take turns in one run. The SDK checks",
        "token, event and reply, keeps order, state and talk of each session; the one by hand checks the token alone.",
        "",
        "| app | requests a second: median (lowest to highest round) | p50 ms | p99 ms |",
        "| --- | --- | --- | --- |",
    ]
    for name, found in rounds.items():
        lines.append(
            f"| {name} | {rates[name]:.0f} ({min(r.rate for r in found):.0f} to {max(r.rate for r in found):.0f}) | "
            f"{statistics.median(r.p50 for r in found):.2f} | {statistics.median(r.p99 for r in found):.2f} |"
        )
    share = 100 * (rates["SDK"] / rates["FastAPI by hand"] - 1)
    lines += ["", f"The SDK: {share:+.0f} %."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="add the section to RESULTS.md")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    apps = {"SDK": SDK, "FastAPI by hand": HAND_WRITTEN}
    rounds: dict[str, list[Round]] = {name: [] for name in apps}
    for _ in range(options.rounds):
        for name, code in apps.items():
            os.sched_setaffinity(0, cores)
            with served(code) as port:
                time.sleep(0.5)  # it has found all cores, and has taken the last
                os.sched_setaffinity(0, cores[:-1] or cores)
                rounds[name].append(asyncio.run(measured(port, options.seconds, options.callers)))
    text = report(rounds, options)
    print(text)
    if options.write:
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(f"\n{text}")


if __name__ == "__main__":
    main()
