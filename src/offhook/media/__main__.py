"""The media process: `python -m offhook.media <descriptor of the link>`, started by `calls.media_process`."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # more threads than one would spin on the core of the service process

import ctypes
import gc
import signal
import socket
import sys
from contextlib import suppress

import numpy.ma  # noqa: F401  # numpy imports it where np.unique is first called, which would be within a tick

from offhook.media.clock import TickClock
from offhook.media.link import MediaEnd
from offhook.media.messages import Report
from offhook.media.voice_detector import VoiceDetector
from offhook.media.worker import Worker, detector_rows

_PR_SET_PDEATHSIG = 1
_NICENESS = -10


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends; elsewhere than on Linux the closed link does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def go_before_others() -> None:
    """Ask for the processor before programs that can wait; without the right to do so it stays as it is."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def run(link: MediaEnd) -> None:
    """Tick until told to stop or left alone."""
    hello, shared = link.greet()
    worker = Worker(shared, VoiceDetector(detector_rows(shared)))
    gc.collect()
    gc.freeze()
    clock = TickClock(hello.epoch_ns)
    while worker.running and not link.closed:
        beat = clock.wait()
        facts = worker.tick(beat.tick, link.commands(), beat.missed)
        link.report(Report(beat.tick, facts, beat.late_ms, clock.busy_ms(beat)))


def main() -> None:
    """Run as a process of its own."""
    die_with_parent()
    go_before_others()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(MediaEnd(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
