"""An app of strangers: Express on Node.js, written after the public documents, has nothing to be blamed for.

`.ci/run` installs its packages: `npm install --prefix tests/peers/express`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from offhook.testing.conformance import Aim, check_app

pytestmark = pytest.mark.peers

FOLDER = Path(__file__).parent / "express"


@pytest.fixture
async def express_port() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        "node",
        "app.js",
        "0",
        cwd=FOLDER,
        env={**os.environ, "AI_FLOW_SHARED_SECRET": "secret"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on "), "run: npm install --prefix tests/peers/express"
        yield int(line.split()[-1])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/webhook", "ws://127.0.0.1:{}/ws"])
async def test_express_is_not_blamed(express_port: int, address: str) -> None:
    report = await check_app(Aim(address.format(express_port), token="secret"))
    assert report.findings == ()
    assert report.passed
    assert "C85" in {rule.number for rule in report.judged}
