"""A webhook whose answers a test decides, to the byte and to the connection; and an app that does everything right."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Event: TypeAlias = dict[str, Any]
Action: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What came. `event` is None when it is no JSON object; names of headers are in lower case."""

    body: bytes
    headers: Mapping[str, str]

    @property
    def event(self) -> Event | None:
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Reply:
    """What is answered. `cut`: the connection breaks instead. `closes`: it ends afterwards, and `says_so` or not."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    cut: bool = False
    closes: bool = False
    says_so: bool = True


Answers: TypeAlias = Callable[[Request], Awaitable[Reply]]
Decides: TypeAlias = Callable[[Event], object]


def right(event: Event) -> list[Action]:
    """What an app answers that does everything right."""
    named = {"session_id": event["session"]["id"]}
    match event["type"]:
        case "session_start":
            return [{"type": "speak", "text": "Welcome.", "user_input_timeout_seconds": 8, **named}]
        case "user_speak":
            return [{"type": "speak", "text": f"You said: {event['text']}", **named}]
        case "dtmf_received":
            return [{"type": "barge_in", **named}, {"type": "speak", "text": f"Key {event['digit']}.", **named}]
        case "user_input_timeout":
            return [{"type": "speak", "text": "Are you there?", "user_input_timeout_seconds": 8, **named}]
        case _:
            return []


def as_reply(answer: object) -> Reply:
    """A Reply as it is; bytes as the body; None or an empty list as 204; all else as JSON."""
    if isinstance(answer, Reply):
        return answer
    if isinstance(answer, bytes):
        return Reply(body=answer)
    return Reply(body=json.dumps(answer).encode()) if answer else Reply(204)


def deciding(decides: Decides) -> Answers:
    """An app that decides by the event, and answers what is none by 400."""

    async def answers(request: Request) -> Reply:
        return Reply(400) if request.event is None else as_reply(decides(request.event))

    return answers


@asynccontextmanager
async def webhook(answers: Answers, *, one_at_a_time: bool = False) -> AsyncIterator[str]:
    """Serve it; gives its URL. `one_at_a_time`: the next connection is served when the one before has ended."""
    turn = asyncio.Lock()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            if one_at_a_time:
                async with turn:
                    await _requests(reader, writer, answers)
            else:
                await _requests(reader, writer, answers)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        await asyncio.wait_for(server.wait_closed(), 5)


async def _requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Answers) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:] if line}
        reply = await answers(Request(await reader.readexactly(int(headers.get("content-length", "0"))), headers))
        if reply.cut:
            writer.transport.abort()
            return
        lines = [f"HTTP/1.1 {reply.status} Whatever", *(f"{name}: {value}" for name, value in reply.headers.items())]
        if reply.status != 204:
            lines.append(f"Content-Length: {len(reply.body)}")
        if reply.closes and reply.says_so:
            lines.append("Connection: close")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + reply.body)
        await writer.drain()
        if reply.closes:
            return


async def takes(seconds: float) -> None:
    """Work that takes so long."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, done.set)
    await done.wait()
