"""The app of `language_model.py`: an assistant whose models are scripted, served on a WebSocket until stdin ends.

`python language_model_app.py FIRST REPLY TOKENS_A_SECOND`: prints its port, and at the end the CPU seconds it took.
"""

import asyncio
import json
import logging
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from offhook import Assistant, ScriptedModel, UserSpeak, stream_sentences

FIRST, REPLY, EVERY = sys.argv[1], sys.argv[2], 1 / float(sys.argv[3])
given: dict[str, float] = {}
interrupted: set[str] = set()
drawn_after: Counter[str] = Counter()
assistant = Assistant()


class Connection:
    """Notes an interruption the moment it comes off the socket, before the assistant has it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.request = connection.request

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for message in self._connection:
            if '"barged_in":true' in str(message):
                interrupted.add(json.loads(message)["session"]["id"])
            yield message

    async def send(self, message: str) -> None:
        await self._connection.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._connection.close(code, reason)


async def tokens(session: str, talk: list[dict[str, str]]) -> AsyncIterator[str]:
    """The model's tokens, evenly; the time of the last one of the first sentence is noted."""
    due = time.monotonic() + random.random() * EVERY

    async def rest() -> None:
        nonlocal due
        due += EVERY
        await asyncio.sleep(max(0.0, due - time.monotonic()))

    said = 0
    async for token in ScriptedModel({"": REPLY}, rest)(talk):
        said += len(token)
        drawn_after[session] += session in interrupted
        if said == len(FIRST):
            given[session] = time.monotonic()
        yield token


@assistant.on_user_speak(latest_turn_only=True)
async def answer(event: UserSpeak) -> Any:
    session = event.session.id
    if event.barged_in:
        return json.dumps({"given": given[session], "drawn": drawn_after[session]})
    return stream_sentences(tokens(session, event.session.history))


async def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    logging.basicConfig(level=logging.ERROR)

    async def handle(connection: ServerConnection) -> None:
        await assistant.handle_websocket(Connection(connection))

    async with serve(handle, "127.0.0.1", 0, compression=None, backlog=2000, open_timeout=60) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
