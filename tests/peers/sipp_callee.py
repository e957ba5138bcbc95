"""sipp as the one who is called: a scenario of its own, so many calls, and its verdict."""

import asyncio
import shutil
from pathlib import Path
from typing import Final, Self

from tests.peers.baresip import free_port

SCENARIOS: Final = Path(__file__).parent / "sipp"


class SippCallee:
    """One sipp that takes so many calls. Use it as `async with SippCallee(folder, "callee", calls=5) as callee`.

    Args:
        folder: for its logs; is made.
        scenario: a file of `sipp/`, without its ending.
        calls: how many; it ends after them.
        arguments: more of its command line.
    """

    def __init__(self, folder: Path, scenario: str, *arguments: str, calls: int = 1, seconds: int = 60) -> None:
        if shutil.which("sipp") is None:
            raise RuntimeError("sipp is missing. Remedy: apt-get install sip-tester")
        folder.mkdir()
        self.port: Final = free_port()
        self.media_port: Final = free_port()
        self._folder = folder
        self._command = (
            *("sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", "127.0.0.1", "-p", str(self.port)),
            *("-mi", "127.0.0.1", "-mp", str(self.media_port), "-m", str(calls), "-nostdin", "-trace_err"),
            *("-timeout", str(seconds), *arguments),
        )

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, cwd=self._folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._reading = asyncio.ensure_future(self._process.communicate())
        while not await asyncio.to_thread(_is_bound, self.port):
            if self._reading.done():
                screen, _ = self._reading.result()
                raise RuntimeError(f"sipp has ended: {screen.decode(errors='replace')[-500:]}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._reading

    async def satisfied(self) -> None:
        """Wait until it has taken its calls; fails with sipp's own words when one of them has failed."""
        screen, _ = await self._reading
        errors = "".join(each.read_text(errors="replace")[:3000] for each in self._folder.glob("*_errors.log"))
        assert self._process.returncode == 0, screen.decode(errors="replace")[-2500:] + errors


def _is_bound(port: int) -> bool:
    """Whether somebody listens on this UDP port of loopback."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(line.split()[1] == f"0100007F:{port:04X}" for line in lines)
