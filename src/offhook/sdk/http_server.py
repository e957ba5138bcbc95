"""A small webhook server on the standard library, so that an assistant runs with nothing else installed.

For trying things out: one thread a request, no TLS, no WebSocket. In production serve the assistant by an ASGI server.
"""

import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from offhook.protocol.json_codec import BODY_LIMIT, build_models
from offhook.sdk import http_answer
from offhook.sdk.http_answer import HttpAnswer

log = logging.getLogger("offhook.assistant")


class Answers(Protocol):
    """What the server needs of an assistant."""

    def admits(self, token: str | None) -> bool: ...

    def answer_request(self, body: bytes, headers: Any) -> HttpAnswer: ...


class WebhookServer(ThreadingHTTPServer):
    """Serves one assistant; `server_address` tells the port that was really taken."""

    daemon_threads = True
    request_queue_size = 128  # calls come at once; the library's 5 let a sixth connection wait for seconds

    def __init__(self, assistant: Answers, host: str, port: int) -> None:
        self.assistant = assistant
        build_models()
        super().__init__((host, port), _Request)


class _Request(BaseHTTPRequestHandler):
    server: WebhookServer
    protocol_version = "HTTP/1.1"
    server_version = "offhook"
    disable_nagle_algorithm = True  # head and body are two writes; the second would wait for the client's delayed ACK

    def do_GET(self) -> None:  # the name that the library calls
        self._respond(http_answer.WELCOME)

    def do_POST(self) -> None:  # the name that the library calls
        self._respond(self._answer())

    def _answer(self) -> HttpAnswer:
        length = self.headers.get("Content-Length", "")
        if not self.server.assistant.admits(self.headers.get(http_answer.TOKEN_HEADER)):
            self.close_connection = True
            return http_answer.WRONG_TOKEN
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            self.close_connection = True
            return http_answer.TOO_LARGE if length.isdecimal() else http_answer.LENGTH_REQUIRED
        return self.server.assistant.answer_request(self.rfile.read(int(length)), self.headers)

    def _respond(self, answer: HttpAnswer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the library's own parameter name
        log.debug(format, *arguments)
