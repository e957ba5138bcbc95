"""The app's process, as a test sees it: the events that it got, its death, its return on the same port."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.peers.watching import Watching

PROGRAM = Path(__file__).parent / "small_app.py"


class App(Watching):
    """One run of `small_app.py`: `async with App("http", answers) as app`. `events` is what it got, in order."""

    def __init__(self, kind: str, answers: Mapping[str, Any] | None = None, *, port: int = 0) -> None:
        super().__init__()
        self.kind = kind
        self.port = port
        self.events: list[dict[str, Any]] = []
        self._answers = dict(answers or {})
        self._listening = False

    @property
    def url(self) -> str:
        return f"{'http' if self.kind == 'http' else 'ws'}://127.0.0.1:{self.port}/app"

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM), self.kind, str(self.port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._answers).encode() + b"\n")
        self._reader = asyncio.ensure_future(self._read())
        await self.until(lambda: self.port > 0 and self._listening)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    def types(self) -> list[str]:
        """The types of its events, in order."""
        return [str(event["type"]) for event in self.events]

    async def until_event(self, kind: str, count: int = 1, *, seconds: float = 20) -> dict[str, Any]:
        """The `count`-th event of this type, waited for."""
        await self.until(lambda: self.types().count(kind) >= count, seconds=seconds, told=self.types)
        return [event for event in self.events if event["type"] == kind][count - 1]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            if "listening" in told:
                self.port, self._listening = int(told["listening"]), True
            else:
                self.events.append(told)
            self.changed()
