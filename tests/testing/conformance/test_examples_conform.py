"""Our own examples have nothing to be blamed for, each behind its framework, over each transport that it has."""

import asyncio
import sys

import pytest

from offhook.testing.conformance import Aim, Report, check_app
from tests.testing.example_servers import EXAMPLES, SERVED, TOKEN, Example, free_address, takes_connections

QUIET_SECONDS = 0.1
"""They answer from memory, and at once."""


def blamed(report: Report) -> list[str]:
    return [f"{finding.rule.number} {finding.what}" for finding in report.findings]


@pytest.mark.parametrize("name", SERVED)
async def test_an_example_is_not_blamed(example: Example, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Not even by a note. Both transports are tried at the same time."""
    monkeypatch.setenv("AI_FLOW_SHARED_SECRET", TOKEN)
    async with SERVED[name](example, name) as place:
        addresses = [address for address in (place.webhook, place.calls) if address]
        reports = await asyncio.gather(
            *(check_app(Aim(address, place.token, quiet_seconds=QUIET_SECONDS)) for address in addresses)
        )
    assert addresses
    assert [(report.app, blamed(report)) for report in reports] == [(address, []) for address in addresses]


def test_no_example_is_left_out() -> None:
    assert sorted(SERVED) == sorted(path.stem for path in EXAMPLES.glob("[0-9]*.py"))


async def test_an_assistant_on_its_own_small_server_is_not_blamed() -> None:
    with free_address() as free:
        port = free.getsockname()[1]
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import importlib; importlib.import_module('01_echo')"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{code}.assistant.run(port={port})", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while not await takes_connections(port):
                assert process.returncode is None
        report = await check_app(Aim(f"http://127.0.0.1:{port}/"))
    finally:
        process.terminate()
        await process.wait()
    assert blamed(report) == []
