"""A WebSocket app with the `websockets` package, plain JSON, without the SDK.

Run it: `python examples/03_websocket.py --port 3001`. The service opens one connection for each call. The token is read
from AI_FLOW_SHARED_SECRET; without it everybody is let in.
"""

import argparse
import asyncio
import hmac
import json
import os
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

Action = dict[str, Any]


async def handle_call(connection: ServerConnection) -> None:
    """One call: events come in, actions go out, until the service closes the connection."""
    async for message in connection:
        event = json.loads(message)
        for action in answer(event):
            await connection.send(json.dumps({**action, "session_id": event["session"]["id"]}))


def answer(event: dict[str, Any]) -> list[Action]:
    """The actions that answer one event."""
    match event["type"]:
        case "session_start":
            return [
                {
                    "type": "speak",
                    "text": "Welcome to the echo line. Say something, or press a key.",
                    "barge_in": {"strategy": "immediate"},
                    "user_input_timeout_seconds": 8,
                }
            ]
        case "user_speak" if "bye" in event["text"].lower().split():
            return farewell()
        case "user_speak":
            return [speak(f"You said: {event['text']}")]
        case "dtmf_received" if event["digit"] == "#":
            return [{"type": "barge_in"}, *farewell()]
        case "dtmf_received":
            return [{"type": "barge_in"}, speak(f"You pressed {event['digit']}.")]
        case "user_input_timeout":
            return [speak("Are you still there? Say bye to end the call.")]
        case _:
            return []


def speak(text: str) -> Action:
    return {"type": "speak", "text": text, "user_input_timeout_seconds": 8}


def farewell() -> list[Action]:
    return [
        {"type": "speak", "text": "Thank you for calling. Goodbye!", "barge_in": {"strategy": "none"}},
        {"type": "hangup"},
    ]


async def start_server(host: str, port: int, token: str | None = None) -> Server:
    """Listen; port 0 takes a free one. `token` is what the service must send as X-API-TOKEN."""

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        given = request.headers.get("X-API-TOKEN", "")
        if token and not hmac.compare_digest(given.encode(), token.encode()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "wrong token\n")
        return None

    return await serve(handle_call, host, port, process_request=admit, compression=None)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3001)
    options = parser.parse_args()
    server = await start_server(options.host, options.port, os.environ.get("AI_FLOW_SHARED_SECRET"))
    print(f"Waiting for calls on ws://{options.host}:{options.port}/", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
