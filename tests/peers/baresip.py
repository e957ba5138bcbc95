"""baresip as a caller: a real SIP telephone without a sound card (playing a WAV, recording what it hears)."""

import asyncio
import json
import shutil
import socket
import subprocess
from collections import deque
from pathlib import Path
from typing import Any, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

MODULES = Path("/usr/lib/baresip/modules")

CONFIG = """
sip_listen            127.0.0.1:{sip_port}
module_path           {modules}
audio_source          aufile,{source}
audio_player          aubridge,x{sip_port}
audio_alert           aubridge,x{sip_port}
ausrc_srate           8000
auplay_srate          8000
rtp_ports             {rtp_first}-{rtp_last}
jitter_buffer_delay   2-10
ctrl_tcp_listen       127.0.0.1:{control_port}
snd_path              {folder}/rec
statmode_default      off
module                g711.so
module                aufile.so
module                aubridge.so
module                sndfile.so
module                uuid.so
module_tmp            account.so
module_app            menu.so
module_app            ctrl_tcp.so
"""

ACCOUNT = "<sip:{user}@127.0.0.1:{sip_port}>;regint=0;answermode=auto;audio_codecs={codecs}\n"


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Baresip:
    """One baresip process. Use it as `async with Baresip(folder, source=wav) as phone`."""

    def __init__(self, folder: Path, *, source: Path, user: str = "caller", codecs: str = "PCMU/8000/1") -> None:
        if shutil.which("baresip") is None:
            raise RuntimeError("baresip is missing. Remedy: apt-get install baresip-core")
        self.folder = folder
        self._port = free_port()
        self._control = free_port(socket.SOCK_STREAM)
        self._seen: deque[dict[str, Any]] = deque()
        self._token = 0
        (folder / "rec").mkdir(parents=True)
        (folder / "contacts").touch()
        rtp = 24000 + self._port % 2000 * 4
        (folder / "config").write_text(
            CONFIG.format(
                sip_port=self._port,
                modules=MODULES,
                source=source,
                rtp_first=rtp,
                rtp_last=rtp + 3,
                control_port=self._control,
                folder=folder,
            )
        )
        (folder / "accounts").write_text(ACCOUNT.format(user=user, sip_port=self._port, codecs=codecs))

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "baresip", "-4", "-f", str(self.folder), stdout=asyncio.subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        self._said: list[str] = []
        while "baresip is ready" not in (line := (await self._output.readline()).decode(errors="replace")):
            self._said.append(line)
            assert line, f"baresip ended: {''.join(self._said)}"
        self._drain = asyncio.ensure_future(self._read_output())
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._control)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._drain

    async def _read_output(self) -> None:
        while line := await self._output.readline():
            self._said.append(line.decode(errors="replace"))

    async def command(self, command: str, params: str = "") -> None:
        """Give one command and wait until baresip has taken it."""
        self._token += 1
        body = json.dumps({"command": command, "params": params, "token": str(self._token)}).encode()
        self._writer.write(b"%d:%s," % (len(body), body))
        while (answer := await self._message()).get("token") != str(self._token):
            self._seen.append(answer)

    async def dial(self, uri: str) -> None:
        await self.command("dial", uri)

    async def until(self, *kinds: str, seconds: float = 60) -> dict[str, Any]:
        """The next event of one of these kinds: CALL_ESTABLISHED, CALL_CLOSED …"""
        async with asyncio.timeout(seconds):
            while True:
                event = self._seen.popleft() if self._seen else await self._message()
                if event.get("type") in kinds:
                    return event

    async def _message(self) -> dict[str, Any]:
        length = await self._reader.readuntil(b":")
        body = await self._reader.readexactly(int(length[:-1]))
        await self._reader.readexactly(1)
        message: dict[str, Any] = json.loads(body)
        return message

    def heard(self) -> NDArray[np.float64]:
        """What the telephone heard of the (only) call: mono, 8 kHz."""
        return self._recording("dec")

    def spoken(self) -> NDArray[np.float64]:
        """What the telephone sent."""
        return self._recording("enc")

    def _recording(self, which: str) -> NDArray[np.float64]:
        (path,) = (self.folder / "rec").glob(f"dump-*-{which}.wav")
        samples, rate = soundfile.read(path, dtype="float64")
        assert rate == 8000
        return np.asarray(samples, dtype=np.float64)
