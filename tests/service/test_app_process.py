"""The developer's assistant in a process of its own."""

import asyncio
import itertools
import os
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from offhook.errors import SettingsInvalid
from offhook.service.app_process import answers, running_app

GUARDED = """
from offhook import Assistant
assistant = Assistant(token="the developer's own", on_session_start=lambda event: "hello")
"""
FAILING = """
from offhook import Assistant
assistant = Assistant(on_session_start=lambda event: 1 / 0)
"""
EVENT = {"type": "session_start", "session": {"id": "one"}}


async def test_an_assistant_with_a_token_of_its_own_is_reached_with_the_token_of_whoever_serves_it(
    tmp_path: Path,
) -> None:
    """(contract D35a)"""
    (tmp_path / "guarded.py").write_text(GUARDED)
    async with running_app(str(tmp_path / "guarded.py"), reload=False) as app, aiohttp.ClientSession() as client:
        url = app.url.replace("ws://", "http://")
        async with client.post(url, json=EVENT) as refused:
            assert refused.status == 401
        async with client.post(url, json=EVENT, headers={"X-API-TOKEN": app.token or ""}) as answered:
            assert (await answered.json())["text"] == "hello"


async def test_a_url_is_taken_as_it_is() -> None:
    async with running_app("http://localhost:1/webhook", reload=False, token="mine") as app:
        assert (app.url, app.token) == ("http://localhost:1/webhook", "mine")


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("app = 3", "int"),
        ("x = 1\n1 +", "SyntaxError: invalid syntax\n  .*broken.py, line 2: 1 +"),
        ("import nothing_of_that_name", "ModuleNotFoundError: .*\n  .*broken.py, line 1: import nothing_of_that_name"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("nothing = None", "has none of assistant, app, application"),
    ],
)
async def test_what_is_no_assistant_is_said_at_once(tmp_path: Path, text: str, why: str, *, reload: bool) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(SettingsInvalid, match=f"(?s)did not start: .*{why}"):
        async with running_app(str(tmp_path / "broken.py"), reload=reload):
            raise AssertionError("it cannot have started")


TIMES = itertools.count(2_000_000_000)


def _write(file: Path, text: str) -> None:
    """With a time that the coarsest clock of a file system tells apart."""
    file.write_text(text)
    at = next(TIMES)
    os.utime(file, (at, at))


async def _changed(file: Path, text: str, told: asyncio.Queue[str]) -> str:
    """What is told of it. Written again while nothing is: uvicorn misses what changes in the moment of a reload."""
    for _ in range(20):
        _write(file, text)
        with suppress(TimeoutError):
            return await asyncio.wait_for(told.get(), 3)
    raise AssertionError("no reload was told")


async def test_a_reload_says_whether_the_app_loads(tmp_path: Path) -> None:
    file, told = tmp_path / "mine.py", asyncio.Queue[str]()
    file.write_text(GUARDED)
    async with running_app(str(file), reload=True, tell=told.put_nowait) as app, aiohttp.ClientSession() as client:
        token = {"X-API-TOKEN": app.token or ""}
        assert "mine.py does not load: SyntaxError" in await _changed(file, "1 +", told)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(app.url, headers=token)
        assert (await _changed(file, GUARDED, told)).endswith("mine.py loaded again.")
        async with client.ws_connect(app.url, headers=token):
            pass


async def test_a_handler_that_fails_is_told_to_whoever_serves_the_app(tmp_path: Path) -> None:
    """(contract D28, D33)"""
    (tmp_path / "fails.py").write_text(FAILING)
    async with running_app(str(tmp_path / "fails.py"), reload=False) as app, aiohttp.ClientSession() as client:
        async with client.ws_connect(app.url, headers={"X-API-TOKEN": app.token or ""}) as socket:
            await socket.send_json(EVENT)
            assert await socket.receive_json() == {
                "error": "on_session_start failed: ZeroDivisionError: division by zero"
            }


async def test_whether_anything_answers_at_a_url() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
        assert await answers(url)
    assert not await answers(url)


STARTER = """
import asyncio, sys
from offhook.service.app_process import answers, running_app

async def main():
    async with running_app(sys.argv[1], reload=sys.argv[2] == "reload") as app:
        print(app.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")
@pytest.mark.parametrize("reload", ["reload", "once"])
async def test_the_app_goes_when_who_started_it_is_killed(tmp_path: Path, reload: str) -> None:
    (tmp_path / "guarded.py").write_text(GUARDED)
    (tmp_path / "starter.py").write_text(STARTER)
    command = [sys.executable, str(tmp_path / "starter.py"), str(tmp_path / "guarded.py"), reload]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as client, client.get(url.replace("ws://", "http://")) as response:
        await response.read()
    process.kill()
    # Every process that it started holds the pipe: it ends with the last of them.
    assert await process.stdout.read() == b""
    await process.wait()
    assert not await answers(url)
