"""The developer's assistant in a process of its own, served by uvicorn, loaded again when its files change."""

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from offhook.errors import OffhookError, SettingsInvalid
from offhook.sdk.assistant import Assistant
from offhook.service.app_loader import is_url, load_app

APP_VARIABLE: Final = "OFFHOOK_SERVED_APP"
TOKEN_VARIABLE: Final = "OFFHOOK_SERVED_TOKEN"  # noqa: S105 - a name
STARTS_WITHIN_SECONDS: Final = 30.0


def served_app() -> Any:
    """What uvicorn serves in the child process: the assistant that the parent has named.

    Ends the process with a sentence when it is no Assistant: only for that do we know how to reach it.
    """
    name = os.environ[APP_VARIABLE]
    try:
        found = load_app(name)
        if isinstance(found, Assistant):
            found.expect_token(os.environ[TOKEN_VARIABLE])
            return found
        raise SettingsInvalid(
            f"{name} is a {type(found).__name__}, not an offhook.Assistant.",
            remedy="Run it yourself, then give its URL: offhook dev http://localhost:3000/webhook",
            code="not_an_assistant",
        )
    except OffhookError as error:
        sys.exit(str(error))


@dataclass(frozen=True, slots=True)
class RunningApp:
    """Where the app is reached, and the token that it expects."""

    url: str
    token: str | None


@asynccontextmanager
async def running_app(app: str, *, reload: bool, token: str | None = None) -> AsyncIterator[RunningApp]:
    """The app: a URL as it is, with the developer's `token`; anything else served here, on a WebSocket, with a token
    that only the two of us know.

    Raises SettingsInvalid when the app cannot be loaded; what its own code raised is on standard error.
    """
    if is_url(app):
        yield RunningApp(app, token)
        return
    secret = secrets.token_urlsafe()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *_command(app, listening.fileno(), reload=reload),
            env={**os.environ, APP_VARIABLE: app, TOKEN_VARIABLE: secret},
            pass_fds=(listening.fileno(),),
            start_new_session=True,
        )
        try:
            await _answers(port, process, app)
            yield RunningApp(f"ws://127.0.0.1:{port}/", secret)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


def _command(app: str, descriptor: int, *, reload: bool) -> list[str]:
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "offhook.service.app_process:served_app"]
    uvicorn += ["--fd", str(descriptor), "--log-level", "warning", "--timeout-graceful-shutdown", "2"]
    path = Path(app.rpartition(":")[0] if ".py:" in app else app)
    if reload:
        folder = path.resolve().parent if path.is_file() else Path.cwd()
        uvicorn += ["--reload", "--reload-dir", str(folder)]
    return uvicorn


async def _answers(port: int, process: asyncio.subprocess.Process, app: str) -> None:
    """Wait until the app answers, or its process has ended."""
    async with asyncio.TaskGroup() as tasks:
        asked, ended = tasks.create_task(_ask(port)), tasks.create_task(process.wait())
        await asyncio.wait((asked, ended), timeout=STARTS_WITHIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        started = asked.done()
        asked.cancel()
        ended.cancel()
    if not started:
        raise SettingsInvalid(
            f"The app {app} did not start.", remedy="See what it said above; correct it.", code="app_not_started"
        )


async def _ask(port: int) -> None:
    # The socket listens already: the connection waits in its queue until the app is there.
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/") as response:
        await response.read()
