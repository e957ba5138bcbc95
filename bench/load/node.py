"""A running node and its app: `offhook serve` on free ports, pinned, and what its processes cost (/proc)."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load.paced_engines import LAG_FILE

HERE: Final = Path(__file__).parent
SILENCE_MS: Final = 600
TICKS: Final = os.sysconf("SC_CLK_TCK")
NAMES: Final = {"offhook.media": "media", "espeak_process": "voice", "recogniser_process": "ear"}

SETTINGS: Final = """
[http]
listen = "127.0.0.1:0"
[sip]
listen = ["udp:127.0.0.1:0"]
codecs = ["PCMU"]
rtp_ports = "20000-29999"
[logging]
level = "info"
format = "json"
[storage]
call_logs = "{folder}/call-logs"
[limits]
max_calls = {max_calls}
source_requests_per_second = 10000
drain_seconds = 2
farewell_seconds = 0
"""
FLOW: Final = """
[[flow]]
id = "{kind}"
app = "{app}"
numbers = ["{number}"]
end_of_turn_silence_ms = {silence}
[flow.barge_in]
strategy = "immediate"
[flow.speech]
transcriber = "scripted"
synthesizer = ["scripted"]
"""
NUMBERS: Final = {"http": "+4921155660", "websocket": "+4921155661"}


@dataclass(frozen=True, slots=True)
class Cost:
    """One process at one moment: seconds of CPU since it began, kB resident, open descriptors."""

    cpu_s: float
    rss_kb: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Node:
    """A node that takes calls."""

    service: subprocess.Popen[str]
    app: subprocess.Popen[str]
    sip_port: int
    http: str
    folder: Path
    ledger: Path
    lag_file: Path

    def processes(self) -> dict[str, int]:
        """The node's processes and the app, by name."""
        found = {"service": self.service.pid, "app": self.app.pid}
        for pid in _descendants(self.service.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            found[next((name for sign, name in NAMES.items() if sign in command), f"other {pid}")] = pid
        return found

    def costs(self) -> dict[str, Cost]:
        """What each has cost so far."""
        return {name: cost(pid) for name, pid in self.processes().items()}

    def settle(self) -> None:
        """Wait until its engines have loaded what they load: no process works for a second; at most 30 s."""
        before = self.costs()
        for _ in range(30):
            time.sleep(1)
            now = self.costs()
            if all(now[name].cpu_s - before[name].cpu_s < 0.15 for name in before if name in now):
                return
            before = now

    def metric(self, name: str) -> float:
        """A number from the service's metrics."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=10) as page:
            text = page.read().decode()
        found = re.search(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", text, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"The service has no metric {name}.")
        return float(found[1])

    def loop_late_ms(self) -> list[float]:
        """How late the service's event loop was, every 50 ms; after it has stopped."""
        values: list[float] = json.loads(self.lag_file.read_text(encoding="utf-8"))
        return values


def cost(pid: int) -> Cost:
    """From /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Cost((int(fields[11]) + int(fields[12])) / TICKS, int(resident[1]) if resident else 0, descriptors)


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task")
    found: list[int] = []
    for thread in children.iterdir():
        for child in (thread / "children").read_text(encoding="utf-8").split():
            found += [int(child), *_descendants(int(child))]
    return found


def pin(pid: int, core: int) -> None:
    """All threads of a process on one core, when there are two or more."""
    if (os.cpu_count() or 1) > 1:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


@contextmanager
def open_node(folder: Path, apps: list[str], max_calls: int) -> Iterator[Node]:
    """Start an app and a node, media on core 0 and everything else on core 1; stop them at the end.

    Raises RuntimeError when the service does not become ready.
    """
    ledger, lag_file = folder / "app.jsonl", folder / "loop.json"
    app = subprocess.Popen([sys.executable, HERE / "talking_app.py", ledger], stdout=subprocess.PIPE, text=True)
    try:
        assert app.stdout is not None
        port = int(app.stdout.readline())
        urls = {"http": f"http://127.0.0.1:{port}/webhook", "websocket": f"ws://127.0.0.1:{port}/socket"}
        flows = "".join(
            FLOW.format(kind=kind, app=urls[kind], number=NUMBERS[kind], silence=SILENCE_MS) for kind in apps
        )
        settings = folder / "offhook.toml"
        settings.write_text(SETTINGS.format(folder=folder, max_calls=max_calls) + flows, encoding="utf-8")
        service = subprocess.Popen(
            [sys.executable, HERE / "paced_service.py", "serve", "-c", settings],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, LAG_FILE: str(lag_file)},
        )
        try:
            sip_port, http = _until_ready(service)
            _keep_log(service, folder / "service.log")
            node = Node(service, app, sip_port, http, folder, ledger, lag_file)
            for name, pid in node.processes().items():
                pin(pid, 0 if name == "media" else 1)
            yield node
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(60)
    finally:
        app.terminate()
        app.wait(10)


def _until_ready(service: subprocess.Popen[str]) -> tuple[int, str]:
    assert service.stderr is not None
    sip_port, told = 0, ""
    for line in service.stderr:
        told += line
        record = json.loads(line) if line.startswith("{") else {}
        if record.get("event") == "sip_listening":
            sip_port = int(record["addresses"][0].rpartition(":")[2])
        if record.get("event") == "ready":
            return sip_port, record["http"]
    raise RuntimeError(f"The service did not start: {told}")


def _keep_log(service: subprocess.Popen[str], path: Path) -> None:
    """Write what the service says from now on to a file, or it would stop at a full pipe."""

    def keep() -> None:
        assert service.stderr is not None
        with path.open("w", encoding="utf-8") as file:
            file.writelines(service.stderr)

    threading.Thread(target=keep, daemon=True).start()


@dataclass(frozen=True, slots=True)
class Sample:
    """The costs at one moment, in seconds of the monotonic clock."""

    at_s: float
    costs: dict[str, Cost]


def sample(node: Node) -> Sample:
    """Now."""
    return Sample(time.monotonic(), node.costs())
