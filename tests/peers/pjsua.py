"""PJSIP as a telephone: caller or callee, driven through `pjsua_program.py`, a process of its own."""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np

from tests.peers.baresip import Samples, free_port

Event: TypeAlias = dict[str, Any]


class Pjsua:
    """One telephone. Use it as `async with Pjsua(folder) as phone`.

    Args:
        folder: for its log and recordings; must exist, one a telephone.
        source: a WAV that is played once, from the answer on; None: nothing is sent but comfort silence.
        user: the number it calls from.
        codecs: what it offers, in PJSIP's spelling, the best first.
        rate: at which it plays and records, in Hz.
        answers: the status that it answers a call with: 200 takes it, 180 lets it ring, 486 is busy.
        srtp: whether it encrypts (SDES): `off`, `offer`, `require`.
        session_seconds: session timer (RFC 4028) to ask for; None: none.
        reliable: whether provisional responses must be acknowledged (RFC 3262).
    """

    def __init__(
        self,
        folder: Path,
        *,
        source: Path | None = None,
        user: str = "+4930777777",
        codecs: tuple[str, ...] = ("PCMU/8000/1", "PCMA/8000/1"),
        rate: int = 8000,
        answers: int = 200,
        srtp: Literal["off", "offer", "require"] = "off",
        transport: Literal["udp", "tcp", "tls"] = "udp",
        tls_ca: Path | None = None,
        password: str | None = None,
        registrar: str | None = None,
        session_seconds: int | None = None,
        reliable: bool = False,
    ) -> None:
        if importlib.util.find_spec("pjsua2") is None:
            raise RuntimeError("PJSIP is missing. Remedy: pip install pjsua2-python (Python 3.12 or older)")
        self.folder: Final = folder
        self.user: Final = user
        self._rate: Final = rate
        rtp = free_port() & ~1
        self.rtp_ports: Final = range(rtp, rtp + 8)
        self._settings: Final = {
            "folder": str(folder),
            "source": str(source) if source else "",
            "user": user,
            "codecs": codecs,
            "rate": rate,
            "answers": answers,
            "srtp": srtp,
            "transport": transport,
            "tls_ca": str(tls_ca) if tls_ca else "",
            "password": password,
            "registrar": registrar,
            "session_seconds": session_seconds,
            "reliable": reliable,
            "rtp_port": rtp,
        }
        self._events: Final[list[Event]] = []
        self._taken = 0
        self._orders = 0
        self._told: Final = asyncio.Condition()
        self._ended = False
        self.port = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("pjsua_program.py")),
            json.dumps(self._settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.ensure_future(self._read())
        self.port = (await self.until("ready"))["port"]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    @property
    def uri(self) -> str:
        """Where it is called."""
        return f"sip:{self.user}@127.0.0.1:{self.port}"

    def messages(self) -> str:
        """PJSIP's log, with every message that it sent and received."""
        return (self.folder / "pjsip.log").read_text(errors="replace")

    async def dial(self, uri: str) -> None:
        """Call somebody."""
        await self._do("dial", uri=uri)

    async def answer_calls_with(self, status: int) -> None:
        """How calls are answered from now on."""
        await self._do("answers", status=status)

    async def answer(self, status: int = 200) -> None:
        """Answer the call that rings."""
        await self._do("answer", status=status)

    async def press(self, digits: str, *, info: bool = False) -> None:
        """Press keys: as telephone-events, or as SIP INFO."""
        await self._do("press", digits=digits, info=info)

    async def hold(self) -> None:
        await self._do("hold")

    async def resume(self) -> None:
        await self._do("resume")

    async def play(self, wav: Path) -> None:
        """Play this from now on."""
        await self._do("play", wav=str(wav))

    async def transfer(self, uri: str) -> None:
        """Send the other side of the first call to somebody else (REFER)."""
        await self._do("transfer", uri=uri)

    async def transfer_attended(self) -> None:
        """Connect the other sides of the first and the last call (REFER with Replaces)."""
        await self._do("transfer_attended")

    async def hang_up(self, call: int = 0) -> None:
        """End the first (second …) of the calls that it has."""
        await self._do("hang_up", call=call)

    async def until(self, kind: str, *, seconds: float = 30, **wanted: object) -> Event:
        """The next event of this kind with these values, each seen once: `incoming`, `state` (`CONFIRMED`,
        `DISCONNECTED` …), `media`, `codec`, `digit`, `transfer`, `asked_to_transfer`, `replaced`, `over`."""
        try:
            async with asyncio.timeout(seconds), self._told:
                while True:
                    while self._taken < len(self._events):
                        event = self._events[self._taken]
                        self._taken += 1
                        if event["type"] == kind and wanted.items() <= event.items():
                            return event
                    assert not self._ended, f"the telephone has ended: {self._events}"
                    await self._told.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind} {wanted} within {seconds} s, but {self._events}") from None

    def events(self, kind: str) -> list[Event]:
        """All events of a kind so far."""
        return [event for event in self._events if event["type"] == kind]

    def heard(self, call: int = 1) -> Samples:
        """What it heard in its first (second …) call: mono in [-1, 1], at its rate. Whole but for the last quarter of a
        second once the call is over: PJSIP writes the header of the file, and what it holds, when it comes to it."""
        recorded = (self.folder / f"heard{call}.wav").read_bytes()
        assert int.from_bytes(recorded[24:28], "little") == self._rate
        samples = recorded[44:]
        return np.frombuffer(samples[: len(samples) & ~1], np.int16).astype(np.float64) / 32768

    async def _do(self, what: str, **more: object) -> None:
        self._orders += 1
        number = self._orders
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, "number": number, **more}).encode() + b"\n")
        async with asyncio.timeout(10), self._told:
            await self._told.wait_for(lambda: self._outcome(number) is not None or self._ended)
        outcome = self._outcome(number)
        assert outcome is not None, f"the telephone has ended: {self._events}"
        assert outcome["type"] == "done", f"{what} {more}: {outcome['why']}"

    def _outcome(self, number: int) -> Event | None:
        return next((event for event in self._events if event.get("order") == number), None)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if not line.startswith(b"{"):
                continue  # PJSIP prints before its log is set up
            async with self._told:
                self._events.append(json.loads(line))
                self._told.notify_all()
        async with self._told:
            self._ended = True
            self._told.notify_all()
