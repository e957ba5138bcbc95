"""The developer's assistant in a process of its own (app_server.py), loaded again when its files change."""

import asyncio
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from offhook.errors import SettingsInvalid
from offhook.service.app_loader import is_url
from offhook.service.app_server import APP_VARIABLE, LONGEST_REPORT, REPORTS_VARIABLE, TOKEN_VARIABLE

STARTS_WITHIN_SECONDS: Final = 30.0
ENDS_WITHIN_SECONDS: Final = 5.0
ANSWERS_WITHIN_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class RunningApp:
    """Where the app is reached, and the token that it expects."""

    url: str
    token: str | None


@asynccontextmanager
async def running_app(
    app: str, *, reload: bool, token: str | None = None, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[RunningApp]:
    """The app: a URL as it is, with the developer's `token`; anything else served here, on a WebSocket, with a token
    that only the two of us know.

    Args:
        tell: gets a text of one or more lines for each reload, whether the app loaded again or why not.

    Raises SettingsInvalid when the app cannot be loaded at the start; it says what its own code raised, and where.
    """
    if is_url(app):
        yield RunningApp(app, token)
        return
    secret = secrets.token_urlsafe()
    with socket.create_server(("127.0.0.1", 0)) as listening, _Reports.received(app, tell) as reports:
        port = listening.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *_command(app, listening.fileno(), reload=reload),
            env={**os.environ, APP_VARIABLE: app, TOKEN_VARIABLE: secret, REPORTS_VARIABLE: str(reports.path)},
            pass_fds=(listening.fileno(),),
            start_new_session=True,
        )
        try:
            await _loaded(reports, process, app)
            yield RunningApp(f"ws://127.0.0.1:{port}/", secret)
        finally:
            await _end(process)


async def answers(url: str) -> bool:
    """Whether anything takes connections where this URL points to."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in {"https", "wss"} else 80)
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _command(app: str, descriptor: int, *, reload: bool) -> list[str]:
    server = [sys.executable, "-m", "offhook.service.app_server", str(os.getpid()), str(descriptor)]
    path = Path(app.rpartition(":")[0] if ".py:" in app else app)
    if reload:
        server.append(str(path.resolve().parent if path.is_file() else Path.cwd()))
    return server


class _Reports:
    """What the app's process reports: the first time is waited for, the others are told."""

    def __init__(self, app: str, path: Path, incoming: socket.socket, tell: Callable[[str], None]) -> None:
        self.path: Final = path
        self.first: Final[asyncio.Future[str]] = asyncio.get_running_loop().create_future()
        self._app: Final = app
        self._incoming: Final = incoming
        self._tell: Final = tell

    @classmethod
    @contextmanager
    def received(cls, app: str, tell: Callable[[str], None]) -> "Iterator[_Reports]":
        loop = asyncio.get_running_loop()
        with (
            tempfile.TemporaryDirectory(prefix="offhook-app-") as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as incoming,
        ):
            path = Path(folder) / "reports"
            incoming.bind(str(path))
            incoming.setblocking(False)
            reports = cls(app, path, incoming, tell)
            loop.add_reader(incoming, reports.read)
            try:
                yield reports
            finally:
                loop.remove_reader(incoming)

    def read(self) -> None:
        report = self._incoming.recv(LONGEST_REPORT).decode(errors="replace")
        if not self.first.done():
            self.first.set_result(report)
        elif report:
            self._tell(f"{self._app} does not load: {report}\nCallers get the apology until it does.")
        else:
            self._tell(f"{self._app} loaded again.")


async def _loaded(reports: _Reports, process: asyncio.subprocess.Process, app: str) -> None:
    """Wait until the app is loaded. Raises SettingsInvalid when it is not."""
    async with asyncio.TaskGroup() as tasks:
        ended = tasks.create_task(process.wait())
        await asyncio.wait((reports.first, ended), timeout=STARTS_WITHIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
    if not reports.first.done():
        raise SettingsInvalid(
            f"The app {app} did not start.", remedy="See what it said above; correct it.", code="app_not_started"
        )
    if reports.first.result():
        raise SettingsInvalid(
            f"The app {app} did not start: {reports.first.result()}",
            remedy="Correct it, then start again.",
            code="app_not_started",
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            await process.wait()
    except TimeoutError:  # a handler that never returns
        process.kill()
        await process.wait()
