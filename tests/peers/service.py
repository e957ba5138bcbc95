"""`offhook serve` as a process of its own: started on free ports, watched through its log, stopped by SIGTERM."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

from offhook.calls.call_log import RecordedCall, read_call_log
from offhook.service.commands.replay import against_core

LogLine: TypeAlias = dict[str, Any]
ROOT = Path(__file__).parents[2]
ONE_DECODER = {"OFFHOOK_SPEECH__RECOGNISER_TURNS": "1"}
"""One caller of a test speaks at a time: each decoder is half a second of a core, loaded beside the test."""

SETTINGS = """
[http]
listen = "127.0.0.1:0"
{http}

[sip]
listen = ["udp:{host}:{port}", "tcp:{host}:{port}"]
rtp_ports = "{rtp_first}-{rtp_last}"
{sip}

[logging]
level = "info"
format = "json"

[storage]
call_logs = "{logs}"

[limits]
drain_seconds = 5
{more}

[[flow]]
id = "test"
app = "{app}"
token = "secret"
numbers = ["+4921155660", "support"]

{flow}
"""


def toml(path: str, section: Mapping[str, Any]) -> str:
    """A section as TOML, the tables in it last."""
    lines = [
        f"[{path}]",
        *(f"{key} = {json.dumps(value)}" for key, value in section.items() if not isinstance(value, dict)),
    ]
    below = [toml(f"{path}.{key}", value) for key, value in section.items() if isinstance(value, dict)]
    return "\n".join([*lines, *below])


class Service:
    """One service process. Use it as `async with Service(folder, app=url) as service`.

    Args:
        folder: for its settings and call logs; must exist, one a service.
        app: URL of the app of its one flow, which has the numbers `+4921155660` and `support` and the token `secret`.
        flow: more TOML of that flow (`answer_after_seconds = 1`, `[flow.barge_in]` …; tables last).
        more: TOML before the flow (`[limits]` cannot be given again).
        sip: more TOML of `[sip]`.
        http: more TOML of `[http]`.
        port: of SIP; 0: any.
        arguments: more of the command line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        app: str,
        flow: str = "",
        more: str = "",
        host: str = "0.0.0.0",
        sip: str = "",
        http: str = "",
        port: int = 0,
        arguments: Sequence[str] = (),
    ) -> None:
        self._arguments = tuple(arguments)
        self.logs = folder / "call-logs"
        self._settings = folder / "offhook.toml"
        rtp = 12000 + os.getpid() % 40 * 200
        self._settings.write_text(
            SETTINGS.format(
                rtp_first=rtp,
                rtp_last=rtp + 999,
                logs=self.logs,
                app=app,
                flow=flow,
                more=more,
                host=host,
                sip=sip,
                http=http,
                port=port,
            )
        )
        self.lines: list[LogLine] = []
        self._told = asyncio.Condition()
        self._ended = False

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "offhook",
            "serve",
            "-c",
            str(self._settings),
            *self._arguments,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=ONE_DECODER | os.environ,
        )
        self._reader = asyncio.ensure_future(self._read())
        ready = await self.until("ready", seconds=30, where=lambda line: "node" not in line)
        listening = next(line for line in self.lines if line.get("event") == "sip_listening")
        ports = {address.partition(":")[0]: int(address.rpartition(":")[2]) for address in listening["addresses"]}
        self.udp_port, self.tcp_port = ports["udp"], ports["tcp"]
        self.http = f"http://{ready['http']}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop (again: nothing), and wait until it has. Gives its exit status."""
        if self.process.returncode is None and not self._ended:
            self.process.send_signal(how)
        status = await self.process.wait()
        await self._reader
        return status

    def uri(self, number: str = "+4921155660", transport: str = "udp") -> str:
        """What a telephone dials to reach this number here."""
        port = self.udp_port if transport == "udp" else self.tcp_port
        return f"sip:{number}@127.0.0.1:{port}" + ("" if transport == "udp" else f";transport={transport}")

    async def until(
        self, event: str, *, seconds: float = 30, after: int = 0, where: Callable[[LogLine], bool] = lambda _: True
    ) -> LogLine:
        """The first line of the service's log with this `event` (from the line with index `after` on), waited for."""
        async with asyncio.timeout(seconds), self._told:
            while True:
                for line in self.lines[after:]:
                    if line.get("event") == event and where(line):
                        return line
                assert not self._ended, f"the service has ended: {self.text()}"
                await self._told.wait()

    def text(self) -> str:
        """Its log so far, for messages."""
        return "\n".join(json.dumps(line) for line in self.lines)

    def failures(self) -> list[LogLine]:
        """What its log says at `error`: nothing, in a service that works."""
        return [line for line in self.lines if line.get("level") in {"error", "critical"}]

    def calls(self) -> list[RecordedCall]:
        """The call logs, in the order in which the calls began. They are complete once the service has stopped."""
        offered = [line["session_id"] for line in self.lines if line.get("event") in {"call_offered", "call_placed"}]
        return [read_call_log(self.logs / f"{session_id}.jsonl") for session_id in offered]

    def replay_differences(self) -> dict[str, tuple[str, ...]]:
        """Calls whose facts give other orders in a replay than they gave live, with the differences: must be none."""
        replayed = {call.settings.session.id: against_core(call).differences for call in self.calls()}
        return {session_id: differences for session_id, differences in replayed.items() if differences}

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while raw := await self.process.stderr.readline():
            text = raw.decode(errors="replace").rstrip()
            line = json.loads(text) if text.startswith("{") else {"event": text}
            async with self._told:
                self.lines.append(line)
                self._told.notify_all()
        async with self._told:
            self._ended = True
            self._told.notify_all()
