"""Our own examples have nothing to be blamed for, each as its file starts it, over each transport that it has."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest
import uvicorn

from offhook.testing.conformance import Aim, Report, check_app

EXAMPLES = Path(__file__).parents[3] / "examples"
ASSISTANTS = ("01_echo", "04_appointment_desk", "05_call_somebody")


def listening() -> socket.socket:
    """A free port, taken."""
    return socket.create_server(("127.0.0.1", 0))


@asynccontextmanager
async def served_by_uvicorn(app: object) -> AsyncIterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))  # type: ignore[arg-type]  # an ASGI app
    sock = listening()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve([sock]))
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True


@asynccontextmanager
async def as_a_program(name: str, *arguments: str) -> AsyncIterator[int]:
    """`python examples/NAME --port PORT`, once it takes connections."""
    with listening() as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        *(argument.format(port=port) for argument in arguments),
        env={**os.environ, "AI_FLOW_SHARED_SECRET": "secret"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(20):
            while not await _takes_connections(port):
                assert process.returncode is None, f"{name} ended by itself"
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _takes_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def blamed(report: Report) -> list[str]:
    return [f"{finding.rule.number} {finding.what}" for finding in report.findings]


@pytest.mark.parametrize("name", ASSISTANTS)
@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_an_assistant_is_not_blamed(example: Callable[[str], ModuleType], name: str, scheme: str) -> None:
    async with served_by_uvicorn(example(name).assistant) as port:
        report = await check_app(Aim(f"{scheme}://127.0.0.1:{port}/"))
    assert blamed(report) == []


@pytest.mark.parametrize("name", ["06_fastapi", "07_starlette"])
@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/webhook", "ws://127.0.0.1:{}/calls"])
async def test_a_mounted_assistant_is_only_told_that_it_does_not_greet(
    example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    """These examples show how an assistant is mounted, and answer to words alone."""
    monkeypatch.setenv("AI_FLOW_SHARED_SECRET", "secret")
    async with served_by_uvicorn(example(name).app) as port:
        report = await check_app(Aim(address.format(port), token="secret"))
    assert blamed(report) == ["C74 Nothing came that the caller would hear."]
    assert report.passed


async def test_an_assistant_on_its_own_small_server_is_not_blamed(example: Callable[[str], ModuleType]) -> None:
    with listening() as free:
        port = free.getsockname()[1]
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import importlib; importlib.import_module('01_echo')"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{code}.assistant.run(port={port})", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while not await _takes_connections(port):
                assert process.returncode is None
        report = await check_app(Aim(f"http://127.0.0.1:{port}/"))
    finally:
        process.terminate()
        await process.wait()
    assert blamed(report) == []


async def test_the_flask_webhook_is_not_blamed() -> None:
    async with as_a_program("02_flask_webhook", "--port", "{port}") as port:
        report = await check_app(Aim(f"http://127.0.0.1:{port}/webhook", token="secret"))
    assert blamed(report) == []


async def test_the_websocket_app_is_not_blamed() -> None:
    async with as_a_program("03_websocket", "--port", "{port}") as port:
        report = await check_app(Aim(f"ws://127.0.0.1:{port}/", token="secret"))
    assert blamed(report) == []
