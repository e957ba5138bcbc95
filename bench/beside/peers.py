"""The peers as programs: how each is started, what its processes cost, and when its app answered.

All processes of a peer, its app too, run on one core: with Pipecat the app is part of it. Memory is the proportional
share (Pss), so that what processes share counts once.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import venv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from bench.load.talking_app import ANSWERS, GREETING
from bench.load.vendor_pace import FINAL_WORDS_MS, FIRST_AUDIO_MS, TURNS, WORD_EVERY_MS

HERE: Final = Path(__file__).parent
LOAD: Final = HERE.parent / "load"
SOURCE: Final = HERE.parents[1] / "src"
REQUIREMENTS: Final = HERE / "pipecat_requirements.txt"
CALLED: Final = "+4921155660"
KEY: Final = "the-secret-of-a-bridge-in-the-bench"
SILENCE_MS: Final = 600
TICKS: Final = os.sysconf("SC_CLK_TCK")
UNUSED_ENGINES: Final = ("espeak_process", "recogniser_process")
SETTINGS: Final = """
[http]
listen = "127.0.0.1:0"
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
max_calls = 2000
drain_seconds = 1
farewell_seconds = 0
[media_stream]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1"
max_streams = 2000
[[media_stream.account]]
name = "bridge"
carrier = "bridge"
stream_key = "{key}"
[[flow]]
id = "beside"
app = "{app}"
numbers = ["{called}"]
end_of_turn_silence_ms = {silence}
[flow.barge_in]
strategy = "immediate"
[flow.speech]
transcriber = "scripted"
synthesizer = ["scripted"]
"""


class Peer(Protocol):
    """A peer that takes calls at `path` of the ports that it needs for so many; `ledger`: when its app answered."""

    @property
    def path(self) -> str: ...

    @property
    def ledger(self) -> Path: ...

    def ports(self, calls: int) -> Sequence[int]:
        """Where so many calls go."""
        ...

    def processes(self) -> list[int]:
        """All that count."""
        ...


def cpu_seconds(processes: Sequence[int]) -> float:
    """What they have used so far."""
    used = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


def memory_mb(processes: Sequence[int]) -> float:
    """What is theirs: private memory, and their share of what they have in common."""
    total = 0
    for pid in processes:
        found = re.search(
            r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8"), re.MULTILINE
        )
        total += int(found[1]) if found else 0
    return total / 1024


def with_descendants(pid: int) -> list[int]:
    """A process, and all that it has started."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (thread / "children").read_text(encoding="utf-8").split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # this thread has ended meanwhile, as those of Pipecat's detectors do with each call
        for child in children:
            found += with_descendants(int(child))
    return found


def answered(ledger: Path) -> dict[str, list[int]]:
    """When the app's answers to what was said left, by caller, in ns of Unix time."""
    times: dict[str, list[int]] = defaultdict(list)
    for line in ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else ():
        event = json.loads(line)
        if event["type"] == "user_speak":
            times[event["caller"]].append(event["answered"])
    return times


def on_core(core: int, command: Sequence[object], **more: Any) -> subprocess.Popen[str]:
    """Start a program whose processes and threads all stay on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen([str(word) for word in command], text=True, **more)
    finally:
        os.sched_setaffinity(0, before)


# --- Offhook


@dataclass(frozen=True, slots=True)
class OffhookPeer:
    """The service with its processes, and the app."""

    path: str
    ledger: Path
    port: int
    service: int
    app: int

    def ports(self, calls: int) -> Sequence[int]:
        """One for all."""
        return [self.port]

    def processes(self) -> list[int]:
        """Without the embedded engines, which no call uses here."""
        return [self.app, *(pid for pid in with_descendants(self.service) if not _is_unused(pid))]


def _is_unused(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return any(name in command for name in UNUSED_ENGINES)


@contextmanager
def offhook(folder: Path, core: int) -> Iterator[Peer]:
    """`offhook serve` with a carrier's account and an app by webhook. Raises RuntimeError when it does not start."""
    ledger = folder / "offhook.jsonl"
    app = on_core(core, [sys.executable, LOAD / "talking_app.py", ledger], stdout=subprocess.PIPE)
    try:
        assert app.stdout is not None
        url = f"http://127.0.0.1:{int(app.stdout.readline())}/webhook"
        settings = folder / "offhook.toml"
        settings.write_text(_settings(folder, url), encoding="utf-8")
        command = [sys.executable, "-m", "offhook", "serve", "-c", settings]
        service = on_core(core, command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SOURCE)})
        try:
            port = _until_ready(service, folder / "offhook.log")
            yield OffhookPeer(f"/media-stream/bridge/{KEY}", ledger, port, service.pid, app.pid)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(60)
    finally:
        app.terminate()
        app.wait(10)


def _settings(folder: Path, app: str) -> str:
    return SETTINGS.format(
        folder=folder,
        app=app,
        key=KEY,
        called=CALLED,
        silence=SILENCE_MS,
        first_audio=FIRST_AUDIO_MS,
        word_every=WORD_EVERY_MS,
        final_words=FINAL_WORDS_MS,
        script=json.dumps(TURNS),
    )


def _until_ready(service: subprocess.Popen[str], log: Path) -> int:
    assert service.stderr is not None
    told, port = "", 0
    for line in service.stderr:
        told += line
        record = json.loads(line) if line.startswith("{") else {}
        if record.get("event") == "media_streams_listening":
            port = int(record["address"].rpartition(":")[2])
        if record.get("event") == "ready":
            threading.Thread(target=_keep, args=(service.stderr, log), daemon=True).start()
            return port
    raise RuntimeError(f"The service did not start: {told}")


def _keep(lines: Any, log: Path) -> None:
    with log.open("w", encoding="utf-8") as file:
        file.writelines(lines)


# --- Pipecat


@dataclass(frozen=True, slots=True)
class PipecatPeer:
    """One process for all calls at `port`; without it, one for each, and the one that they are forked of."""

    path: str
    ledger: Path
    bot: subprocess.Popen[str]
    port: int | None

    def ports(self, calls: int) -> Sequence[int]:
        """Of processes that are running when this returns."""
        if self.port is not None:
            return [self.port]
        assert self.bot.stdin is not None
        assert self.bot.stdout is not None
        self.bot.stdin.write(f"{max(1, calls)}\n")
        self.bot.stdin.flush()
        ports: list[int] = json.loads(self.bot.stdout.readline())
        return ports

    def processes(self) -> list[int]:
        """All."""
        return with_descendants(self.bot.pid)


@contextmanager
def pipecat(folder: Path, core: int, *, a_process_a_call: bool) -> Iterator[Peer]:
    """Pipecat with the scripted engines. Raises RuntimeError when it does not start."""
    ledger, script = folder / "pipecat.jsonl", folder / "pipecat.json"
    words = {
        "silence_ms": SILENCE_MS,
        "final_words_ms": FINAL_WORDS_MS,
        "first_audio_ms": FIRST_AUDIO_MS,
        "ms_per_word": WORD_EVERY_MS,
        "turns": TURNS,
        "greeting": GREETING,
        "answers": ANSWERS,
        "ledger": str(ledger),
    }
    script.write_text(json.dumps(words), encoding="utf-8")
    with (folder / "pipecat.log").open("w", encoding="utf-8") as log:
        command = [pipecat_python(), HERE / "pipecat_bot.py", script, "each" if a_process_a_call else "one"]
        bot = on_core(core, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            assert bot.stdout is not None
            told = bot.stdout.readline()
            if not told:
                raise RuntimeError(f"Pipecat did not start: {(folder / 'pipecat.log').read_text(encoding='utf-8')}")
            ports = json.loads(told)
            yield PipecatPeer("/ws", ledger, bot, ports[0] if ports else None)
        finally:
            assert bot.stdin is not None
            bot.stdin.close()
            if not a_process_a_call:
                bot.terminate()
            bot.wait(10)


def pipecat_python() -> Path:
    """The Python of a virtual environment with just these versions, made when it is not there."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "offhook-bench" / f"pipecat-{wanted}"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*install, "-r", str(REQUIREMENTS)], check=True)
        (folder / "whole").touch()
    return python


def settle(peer: Peer, seconds: float = 20) -> None:
    """Wait until its processes have loaded what they load."""
    over = time.monotonic() + seconds
    before = cpu_seconds(peer.processes())
    while time.monotonic() < over:
        time.sleep(0.5)
        now = cpu_seconds(peer.processes())
        if now - before < 0.05:
            return
        before = now
