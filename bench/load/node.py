"""A running node and its app: `offhook serve` on free ports, pinned, and what its processes cost (/proc)."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load.vendor_pace import FINAL_WORDS_MS, FIRST_AUDIO_MS, TURNS, WORD_EVERY_MS

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE.parents[1] / "src"
SILENCE_MS: Final = 600
RTP_PORTS: Final = range(20000, 30000)
CACHE_MB: Final = 4
NICENESS: Final = -10
"""Of the app, as of the callers: on a machine of its own it would not wait for the service either."""
"""Filled soon: it is memory of a node, not of a call, and every answer here is said only once."""
READY_WITHIN_S: Final = 60
TICKS: Final = os.sysconf("SC_CLK_TCK")
NAMES: Final = {"offhook.media": "media", "espeak_process": "voice", "recogniser_process": "ear"}

SETTINGS: Final = """
[http]
listen = "127.0.0.1:0"
[sip]
listen = ["udp:127.0.0.1:0"]
codecs = ["PCMU"]
rtp_ports = "{first_port}-{last_port}"
[speech]
cache_mb = {cache_mb}
[speech.scripted]
first_audio_ms = {first_audio}
word_every_ms = {word_every}
final_words_ms = {final_words}
script = {script}
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
    """One process at one moment: seconds of CPU since it began, kB resident, for how many seconds its main thread was
    ready to run while its core was somebody else's (0 where the kernel does not count that), and how much of what is
    resident it may share with another process."""

    cpu_s: float
    rss_kb: int
    waited_s: float = 0.0
    shared_kb: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A node that takes calls."""

    service: subprocess.Popen[str]
    app: subprocess.Popen[str]
    sip_port: int
    http: str
    folder: Path
    ledger: Path

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
        found = re.search(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", self._page(), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"The service has no metric {name}.")
        return float(found[1])

    def loop_lateness(self) -> Counter[float]:
        """How often the service's event loop has been late by at most so many ms (the classes of its metric)."""
        buckets = re.findall(r'^offhook_event_loop_late_ms_bucket\{le="([^"]+)"\} (\d+)$', self._page(), re.MULTILINE)
        classes: Counter[float] = Counter()
        before = 0
        for limit, upto in buckets:
            classes[float(limit)] = int(upto) - before
            before = int(upto)
        return classes

    def _page(self) -> str:
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=10) as page:
            text: str = page.read().decode()
        return text


def ports_taken(pid: int) -> int:
    """UDP sockets of a process at ports that calls may have."""
    own: set[str] = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # closed meanwhile
    lines = [line.split() for line in Path("/proc/net/udp").read_text(encoding="utf-8").splitlines()[1:]]
    return sum(int(line[1].rpartition(":")[2], 16) in RTP_PORTS and f"socket:[{line[9]}]" in own for line in lines)


def cost(pid: int) -> Cost:
    """From /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kb = {name: int(size) for name, size in re.findall(r"^(VmRSS|RssShmem):\s+(\d+) kB", status, re.MULTILINE)}
    waited_ns = Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()[1]
    cpu_s = (int(fields[11]) + int(fields[12])) / TICKS
    return Cost(cpu_s, kb.get("VmRSS", 0), int(waited_ns) / 1e9, kb.get("RssShmem", 0))


def busy_seconds() -> tuple[float, ...]:
    """Of each core, for how long it has worked for processes, whosever they were."""
    lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    cores = [line.split() for line in lines if re.match(r"cpu\d", line)]
    return tuple(sum(int(field) for field in core[1:4]) / TICKS for core in cores)


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


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
def open_node(folder: Path, apps: list[str], max_calls: int, *, said_before: bool) -> Iterator[Node]:
    """Start an app and a node, media on core 0 and everything else on core 1; stop them at the end. `said_before`: the
    app tells all callers the same.

    Raises RuntimeError when the service does not become ready.
    """
    ledger = folder / "app.jsonl"
    command = [sys.executable, str(HERE / "talking_app.py"), str(ledger), *(["same"] if said_before else [])]
    app = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, app.pid, NICENESS)
    try:
        assert app.stdout is not None
        port = int(app.stdout.readline())
        urls = {"http": f"http://127.0.0.1:{port}/webhook", "websocket": f"ws://127.0.0.1:{port}/socket"}
        flows = "".join(
            FLOW.format(kind=kind, app=urls[kind], number=NUMBERS[kind], silence=SILENCE_MS) for kind in apps
        )
        settings = folder / "offhook.toml"
        settings.write_text(_settings(folder, max_calls) + flows, encoding="utf-8")
        log = folder / "service.log"
        with log.open("w", encoding="utf-8") as written:
            service = subprocess.Popen(
                [sys.executable, "-m", "offhook", "serve", "-c", settings],
                stderr=written,  # no pipe, whose reader would want the service's core for each line
                text=True,
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
            )
        try:
            sip_port, http = _until_ready(service, log)
            node = Node(service, app, sip_port, http, folder, ledger)
            for name, pid in node.processes().items():
                pin(pid, 0 if name == "media" else 1)
            yield node
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(60)
    finally:
        app.terminate()
        app.wait(10)


def _settings(folder: Path, max_calls: int) -> str:
    return SETTINGS.format(
        folder=folder,
        max_calls=max_calls,
        first_port=RTP_PORTS.start,
        last_port=RTP_PORTS.stop - 1,
        cache_mb=CACHE_MB,
        first_audio=FIRST_AUDIO_MS,
        word_every=WORD_EVERY_MS,
        final_words=FINAL_WORDS_MS,
        script=json.dumps(TURNS),
    )


def _until_ready(service: subprocess.Popen[str], log: Path) -> tuple[int, str]:
    over = time.monotonic() + READY_WITHIN_S
    while service.poll() is None and time.monotonic() < over:
        sip_port = 0
        for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
            record = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
            if record.get("event") == "sip_listening":
                sip_port = int(record["addresses"][0].rpartition(":")[2])
            if record.get("event") == "ready":
                return sip_port, record["http"]
        time.sleep(0.1)
    raise RuntimeError(f"The service did not start: {log.read_text(encoding='utf-8')}")
