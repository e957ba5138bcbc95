"""baresip as a caller: a real SIP telephone without a sound card (playing WAVs, recording what it hears)."""

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

MODULES = Path("/usr/lib/baresip/modules")

# Its one call is answered and ended by commands; the audio player is a bridge with nobody on it, a sink.
CONFIG = """
sip_listen            127.0.0.1:{sip_port}
module_path           {modules}
audio_source          aufile,{source}
audio_player          aubridge,x{sip_port}
audio_alert           aubridge,x{sip_port}
ausrc_srate           {rate}
auplay_srate          {rate}
rtp_ports             {rtp_first}-{rtp_last}
jitter_buffer_delay   2-10
ctrl_tcp_listen       127.0.0.1:{control_port}
snd_path              {folder}/rec
statmode_default      off
module                g711.so
module                g722.so
module                aufile.so
module                aubridge.so
module                sndfile.so
module                uuid.so
module_tmp            account.so
module_app            menu.so
module_app            ctrl_tcp.so
{modules_more}
"""

ACCOUNT = "<sip:{user}@{host}:{sip_port}>;regint=0;answermode={answers};audio_codecs={codecs}{more}\n"

Event: TypeAlias = dict[str, Any]
Samples: TypeAlias = NDArray[np.float64]


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_sip_port() -> int:
    """A port that is free for UDP and TCP, and the one above it for TLS: baresip takes all three."""
    while True:
        with ExitStack() as stack:
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind(("127.0.0.1", 0))
            port = int(udp.getsockname()[1])
            try:
                for taken in (port, port + 1):
                    tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                    tcp.bind(("127.0.0.1", taken))
            except (OSError, OverflowError):
                continue
            return port


class Baresip:
    """One baresip process. Use it as `async with Baresip(folder, source=wav) as phone`.

    Args:
        folder: for its configuration and recordings; must exist, one a telephone.
        source: a WAV (at `rate`, mono, 16 bit) that is played once from the answer on; None: ten minutes of silence.
        user: the number it calls from.
        codecs: what it offers, in baresip's spelling.
        rate: at which it plays and records, in Hz; 16000 for a call in G.722.
        modules: further modules, such as `srtp.so`.
        account: further parameters of its account, such as `mediaenc=srtp-mand`.
        answers: how it takes calls: `auto` at once, `manual` when told so.
        config: further lines of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        source: Path | None = None,
        user: str = "caller",
        codecs: str = "PCMU/8000/1",
        rate: int = 8000,
        modules: Sequence[str] = (),
        account: str = "",
        answers: str = "auto",
        config: Sequence[str] = (),
    ) -> None:
        if shutil.which("baresip") is None:
            raise RuntimeError("baresip is missing. Remedy: apt-get install baresip-core")
        self.folder: Final = folder
        self._rate: Final = rate
        self.port: Final = free_sip_port()
        self._control: Final = free_port(socket.SOCK_STREAM)
        self._events: Final[list[Event]] = []
        self._answers: Final[dict[str, Event]] = {}
        self._taken = 0
        self._token = 0
        self._told: Final = asyncio.Condition()
        self._ended = False
        self._said: Final[list[str]] = []
        (folder / "rec").mkdir(parents=True)
        (folder / "contacts").touch()
        if source is None:
            source = folder / "silence.wav"
            soundfile.write(source, np.zeros(600 * rate, dtype=np.int16), rate, subtype="PCM_16")
        rtp = 24000 + self.port % 2000 * 4
        self.rtp_ports: Final = range(rtp, rtp + 4)
        (folder / "config").write_text(
            CONFIG.format(
                sip_port=self.port,
                modules=MODULES,
                source=source,
                rate=rate,
                rtp_first=rtp,
                rtp_last=rtp + 3,
                control_port=self._control,
                folder=folder,
                modules_more="".join(f"{line}\n" for line in (*(f"module {name}" for name in modules), *config)),
            )
        )
        (folder / "accounts").write_text(
            ACCOUNT.format(
                user=user,
                host="127.0.0.1",
                sip_port=self.port,
                codecs=codecs,
                more=f";{account}" if account else "",
                answers=answers,
            )
        )

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "baresip", "-4", "-f", str(self.folder), stdout=asyncio.subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        while "baresip is ready" not in (line := (await self._output.readline()).decode(errors="replace")):
            self._said.append(line)
            assert line, f"baresip ended: {self.said()}"
        self._printing = asyncio.ensure_future(self._read_output())
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._control)
        self._reading = asyncio.ensure_future(self._read_control())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._printing
        await self._reading

    def said(self) -> str:
        """What it has printed so far."""
        return "".join(self._said)

    # --- commands and events

    async def command(self, command: str, params: str = "") -> str:
        """Give one command and wait until baresip has taken it. Gives what it prints about it."""
        self._token += 1
        token = str(self._token)
        body = json.dumps({"command": command, "params": params, "token": token}).encode()
        self._writer.write(b"%d:%s," % (len(body), body))
        async with asyncio.timeout(10), self._told:
            await self._told.wait_for(lambda: token in self._answers or self._ended)
        assert token in self._answers, f"baresip has ended: {self.said()}"
        answer = self._answers.pop(token)
        assert answer["ok"], f"baresip refused {command} {params}: {answer}"
        return str(answer.get("data", ""))

    async def dial(self, uri: str) -> None:
        """Call somebody."""
        await self.command("dial", uri)

    async def accept(self) -> None:
        """Take the call that rings."""
        await self.command("accept")

    async def press(self, digit: str) -> None:
        """Press a key, and let it go (telephone-event, RFC 4733)."""
        await self.command("sndcode", digit)

    async def play(self, wav: Path) -> None:
        """Play another WAV from now on, from its beginning; after its end no audio is sent at all."""
        await self.command("ausrc", f"aufile,{wav}")

    async def hang_up(self) -> None:
        """End the call, or give up before it is answered."""
        await self.command("hangup")

    async def until(self, *kinds: str, seconds: float = 60) -> Event:
        """The next event of one of these kinds (CALL_RINGING, CALL_ESTABLISHED, CALL_CLOSED …), each seen once."""
        async with asyncio.timeout(seconds), self._told:
            while True:
                while self._taken < len(self._events):
                    event = self._events[self._taken]
                    self._taken += 1
                    if event.get("type") in kinds:
                        return event
                assert not self._ended, f"baresip has ended: {self.said()}"
                await self._told.wait()

    # --- recordings

    def heard(self, call: int = 1) -> Samples:
        """What the telephone heard of its first (second …) call: mono, at its rate. Whole once the call is closed."""
        return self._recording("dec", call)

    def spoken(self, call: int = 1) -> Samples:
        """What the telephone sent."""
        return self._recording("enc", call)

    def _recording(self, which: str, call: int) -> Samples:
        paths = sorted((self.folder / "rec").glob(f"dump-*-{which}.wav"))
        samples, rate = soundfile.read(paths[call - 1], dtype="float64")
        assert rate == self._rate
        return np.asarray(samples, dtype=np.float64)

    # --- reading

    async def _read_output(self) -> None:
        while line := await self._output.readline():
            self._said.append(line.decode(errors="replace"))

    async def _read_control(self) -> None:
        try:
            while True:
                length = await self._reader.readuntil(b":")
                message = json.loads(await self._reader.readexactly(int(length[:-1])))
                await self._reader.readexactly(1)
                async with self._told:
                    if "token" in message:
                        self._answers[str(message["token"])] = message
                    else:
                        self._events.append(message)
                    self._told.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            async with self._told:
                self._ended = True
                self._told.notify_all()
