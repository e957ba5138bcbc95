"""Signals end a command in order."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
import signal
from offhook.service.event_loop import run_in_loop

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)  # a shell that runs tests in the background may have them ignored

async def main():
    try:
        print("running", flush=True)
        await asyncio.Event().wait()
    finally:
        print("cleaned up", flush=True)

run_in_loop(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_main_task_and_gives_the_exit_code_of_it(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        out, complaints = process.communicate()
    assert (out, complaints, process.returncode) == ("cleaned up\n", "", 128 + number)
