"""The app of the callers, by webhook and by WebSocket: python talking_app.py LEDGER [same]. It prints its port.

Answers at once, and appends to LEDGER what came, when, and when the answer left (ns of Unix time), a line an event.
`same`: it tells all callers the same, so that their speech is found in the cache.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final, TextIO

from aiohttp import WSMsgType, web

GREETING: Final = "Welcome to the clinic."
ANSWERS: Final = (
    "Caller {caller}, which day suits you?",
    "Caller {caller}, on Monday there is nine, half past ten, two, a quarter to four and half past five.",
    "Caller {caller}, it is done.",
)


class TalkingApp:
    """What each call has been told."""

    def __init__(self, ledger: TextIO, *, same: bool) -> None:
        self._ledger: Final = ledger
        self._same: Final = same
        self._turns: Final[dict[str, int]] = {}

    async def webhook(self, request: web.Request) -> web.Response:
        """One event, one answer."""
        came = time.time_ns()
        event = json.loads(await request.read())
        action = self._answer(event)
        body = b"" if action is None else json.dumps(action).encode()
        self._note(event, came)
        status = 204 if action is None else 200
        return web.Response(status=status, body=body, content_type="application/json")

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """A call a connection."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                came = time.time_ns()
                event = json.loads(message.data)
                action = self._answer(event)
                self._note(event, came)
                if action is not None:
                    await socket.send_str(json.dumps(action))
        return socket

    def _answer(self, event: dict[str, Any]) -> dict[str, Any] | None:
        session = event["session"]
        kind, number = event["type"], session["id"]
        if kind == "session_start":
            self._turns[number] = 0
            return {"type": "speak", "session_id": number, "text": GREETING}
        if kind == "session_end":
            self._turns.pop(number, None)
        if kind != "user_speak" or self._turns.get(number, len(ANSWERS)) >= len(ANSWERS):
            return None
        text = ANSWERS[self._turns[number]].format(caller="" if self._same else session["from_phone_number"])
        self._turns[number] += 1
        return {"type": "speak", "session_id": number, "text": text}

    def _note(self, event: dict[str, Any], came: int) -> None:
        line = {
            "caller": event["session"]["from_phone_number"],
            "session": event["session"]["id"],
            "type": event["type"],
            "text": event.get("text"),
            "digit": event.get("digit"),
            "came": came,
            "answered": time.time_ns(),
        }
        self._ledger.write(json.dumps(line) + "\n")


async def serve(ledger: TextIO, *, same: bool) -> None:
    """Serve until the process is ended."""
    told = TalkingApp(ledger, same=same)
    app = web.Application()
    app.router.add_post("/webhook", told.webhook)
    app.router.add_get("/socket", told.socket)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a", buffering=1, encoding="utf-8") as lines:
        asyncio.run(serve(lines, same="same" in sys.argv[2:]))
