"""baresip as the reference in C: what a plain SIP call costs that is answered and played a file.

It detects no voices, tells no app and says nothing of its own: the media path cannot be compared.
"""

import json
import socket
import subprocess
import sys
import time
import wave
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench.beside.peers import LOAD, cpu_seconds, memory_mb, on_core
from bench.load.caller_farm import Plan

MODULES: Final = Path("/usr/lib/baresip/modules")
SOUND: Final = Path("/usr/share/asterisk/sounds/en/vm-enter-num-to-call.wav")
CALLS: Final = 50
WATCHED_S: Final = 5
HOLD_MS: Final = 60_000
REPEATED: Final = 30
"""For baresip hangs up when its file has ended."""
CONFIG: Final = """
sip_listen 127.0.0.1:{port}
module_path {modules}
call_max_calls 0
audio_source aufile,{sound}
audio_player aubridge,sink
audio_alert aubridge,sink
ausrc_srate 8000
auplay_srate 8000
rtp_ports 30000-32000
statmode_default off
module g711.so
module aufile.so
module aubridge.so
module uuid.so
module_tmp account.so
module_app menu.so
"""


def measure_baresip(folder: Path) -> str:
    """A sentence about the CPU and memory of a call."""
    home = folder / "baresip"
    home.mkdir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    sound = home / "sound.wav"
    with wave.open(str(SOUND)) as once, wave.open(str(sound), "wb") as long:
        long.setparams(once.getparams())
        long.writeframes(once.readframes(once.getnframes()) * REPEATED)
    (home / "config").write_text(CONFIG.format(port=port, modules=MODULES, sound=sound), encoding="utf-8")
    account = f"<sip:callee@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs=pcmu;catchall=yes\n"
    (home / "accounts").write_text(account, encoding="utf-8")
    with (home / "log").open("w", encoding="utf-8") as log:
        phone = on_core(0, ["baresip", "-f", home], stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            time.sleep(2)
            return _call(phone.pid, port, home)
        finally:
            phone.terminate()
            phone.wait(10)


def _call(pid: int, port: int, home: Path) -> str:
    plan = Plan(port, ["callee"], [], CALLS, 40, WATCHED_S + 2, hold_ms=HOLD_MS, full=CALLS)
    planned, result = home / "plan.json", home / "result.json"
    planned.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    idle = memory_mb([pid])
    callers = on_core(1, [sys.executable, LOAD / "caller_farm.py", planned, result], stdout=subprocess.PIPE)
    assert callers.stdout is not None
    if callers.stdout.readline() != "full\n":
        raise RuntimeError("The callers of baresip have failed; what they said is above.")
    used, began = cpu_seconds([pid]), time.monotonic()
    time.sleep(WATCHED_S)
    used, took = cpu_seconds([pid]) - used, time.monotonic() - began
    memory = memory_mb([pid]) - idle
    callers.wait(60)
    report = json.loads(result.read_text(encoding="utf-8"))
    if len(report["calls"]) != CALLS:
        raise RuntimeError(f"baresip did not hold {CALLS} calls; see {home}.")
    cpu, each_mb = 100 * used / took / CALLS, memory / CALLS
    return (
        f"**baresip**, the reference in C: {CALLS} plain SIP calls in PCMU, {cpu:.2f} % of a core and "
        f"{each_mb:.2f} MB a call, {idle:.0f} MB without calls, gap p99 {report['gaps_ms']['99']} ms; one run. "
        "It plays a file and drops what it hears: no detection, no app, so no media path to compare."
    )
