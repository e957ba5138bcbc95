"""A small app for tests, to be killed: `python small_app.py http|websocket PORT < ANSWERS`.

It prints every event as a line of JSON as soon as it has it (`{"listening": port}` first), and then gives the answer
that ANSWERS (JSON) has for the event's type: a list of actions; "never": no answer at all; nothing: nothing to do. The
standard library and `websockets` only, so that what is tested is not talking to itself.
"""

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

NEVER = "never"
OUT = threading.Lock()


def tell(what: dict[str, Any]) -> None:
    with OUT:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256
    answers: dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tell(event)
        answer = self.server.answers.get(event["type"])
        if answer == NEVER:
            threading.Event().wait()
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(204 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Quiet: what counts is printed as events."""


def run_http(port: int, answers: dict[str, Any]) -> None:
    with Server(("127.0.0.1", port), Handler) as server:
        server.answers = answers
        tell({"listening": server.server_address[1]})
        server.serve_forever()


async def run_websocket(port: int, answers: dict[str, Any]) -> None:
    async def converse(connection: ServerConnection) -> None:
        async for message in connection:
            event = json.loads(message)
            tell(event)
            answer = answers.get(event["type"])
            if answer is not None and answer != NEVER:
                await connection.send(json.dumps(answer))

    async with serve_websocket(converse, "127.0.0.1", port, compression=None) as server:
        tell({"listening": next(iter(server.sockets)).getsockname()[1]})
        await server.serve_forever()


if __name__ == "__main__":
    kind, port, given = sys.argv[1], int(sys.argv[2]), json.loads(sys.stdin.readline())
    if kind == "http":
        run_http(port, given)
    else:
        asyncio.run(run_websocket(port, given))
