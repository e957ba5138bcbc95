"""baresip as the reference in C: what a plain SIP call costs that is answered and played a file.

It detects no voices, tells no app and says nothing of its own: the media path cannot be compared.
"""

import json
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.beside.peers import LOAD, cpu_seconds, memory_mb, on_core
from bench.load.caller_farm import Plan

MODULES: Final = Path("/usr/lib/baresip/modules")
SOUND: Final = Path("/usr/share/asterisk/sounds/en/vm-enter-num-to-call.wav")
CALLS: Final = 50
HOLD_MS: Final = 12_000
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


def measure_baresip(folder: Path) -> dict[str, Any]:
    """CPU and memory of a call, with a sentence about it."""
    home = folder / "baresip"
    home.mkdir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (home / "config").write_text(CONFIG.format(port=port, modules=MODULES, sound=SOUND), encoding="utf-8")
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


def _call(pid: int, port: int, home: Path) -> dict[str, Any]:
    plan = Plan(port, ["callee"], [], CALLS, 40, 60, CALLS, hold_ms=HOLD_MS)
    planned, result = home / "plan.json", home / "result.json"
    planned.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    idle = memory_mb([pid])
    callers = on_core(1, [sys.executable, LOAD / "caller_farm.py", planned, result])
    time.sleep(5)
    used, began = cpu_seconds([pid]), time.monotonic()
    time.sleep(5)
    used, took = cpu_seconds([pid]) - used, time.monotonic() - began
    memory = memory_mb([pid]) - idle
    callers.wait(60)
    report = json.loads(result.read_text(encoding="utf-8"))
    talked = sum(call["status"] == 200 for call in report["calls"])
    if not talked:
        raise RuntimeError("baresip answered no call.")
    cpu = 100 * used / took / talked
    text = (
        f"**baresip**, the reference in C: {talked} plain SIP calls in PCMU, {cpu:.2f} % of a core and "
        f"{memory / talked:.2f} MB a call, {idle:.0f} MB without calls, gap p99 {report['gaps_ms']['99']} ms; one run. "
        "It plays a file and drops what it hears: no detection, no app, so no media path to compare."
    )
    return {"cpu": cpu, "memory_mb": memory / talked, "text": text}
