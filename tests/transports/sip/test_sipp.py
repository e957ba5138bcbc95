"""Calls by a real peer: sipp, over TCP. Lost packets are tried on a whole service: tests/peers/test_sipp_calls.py."""

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Desk

pytestmark = [pytest.mark.peers, pytest.mark.timeout(60)]

CALLS = 200


async def sipp(port: int, folder: Path, *arguments: str) -> str:
    """Run sipp's own caller; its last screen. Fails when one call failed, or when sipp is not there."""
    program = shutil.which("sipp")
    assert program is not None, "sipp is missing. Remedy: apt-get install sip-tester (as .ci/run does)."
    process = await asyncio.create_subprocess_exec(
        *(program, "-sn", "uac", f"127.0.0.1:{port}", "-i", "127.0.0.1", "-m", str(CALLS), "-r", "20"),
        *("-d", "200", "-nostdin", "-timeout", "40", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    screen, _ = await process.communicate()
    text = screen.decode(errors="replace")
    assert process.returncode == 0, text[-3000:]
    return text


def port_of(desk: "Desk", transport: str) -> int:
    return next(address.port for address in desk.listener.addresses if address.transport == transport)


async def test_two_hundred_calls_over_tcp(desk: "Desk", tmp_path: Path) -> None:
    await sipp(port_of(desk, "tcp"), tmp_path, "-t", "t1")
    assert desk.ended == ["caller_hung_up"] * CALLS
    assert desk.listener.calls_in_progress == 0


async def test_calls_to_a_number_without_a_flow_are_refused(desk: "Desk", tmp_path: Path) -> None:
    program = shutil.which("sipp")
    assert program is not None, "sipp is missing. Remedy: apt-get install sip-tester (as .ci/run does)."
    process = await asyncio.create_subprocess_exec(
        *(program, "-sn", "uac", "-s", "404", f"127.0.0.1:{port_of(desk, 'udp')}", "-i", "127.0.0.1"),
        *("-m", "5", "-nostdin", "-timeout", "20"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 1
    assert desk.ended == ["refused"] * 5
