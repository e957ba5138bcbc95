"""The webhook server of the standard library."""

import http.client
import threading
from collections.abc import Iterator

import pytest

from offhook.protocol.json_codec import BODY_LIMIT
from offhook.sdk.assistant import Assistant
from offhook.sdk.http_server import WebhookServer

EVENT = b'{"type": "session_start", "session": {"id": "s1"}}'


@pytest.fixture
def port() -> Iterator[int]:
    assistant = Assistant(token="secret", on_session_start=lambda event: "hi")
    with WebhookServer(assistant, "127.0.0.1", 0) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


def status(port: int, headers: dict[str, str], body: bytes | None = EVENT) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    found = connection.getresponse().status
    connection.close()
    return found


def test_an_event_is_answered(port: int) -> None:
    assert status(port, {"X-API-TOKEN": "secret", "Content-Length": str(len(EVENT))}) == 200


def test_a_wrong_token_is_refused_before_the_body_is_read(port: int) -> None:
    """Contract D32."""
    assert status(port, {"X-API-TOKEN": "guess", "Content-Length": "1000000"}, None) == 401


def test_a_body_without_length_or_over_the_limit_is_refused(port: int) -> None:
    """Contract D27."""
    assert status(port, {"X-API-TOKEN": "secret"}, None) == 411
    assert status(port, {"X-API-TOKEN": "secret", "Content-Length": str(BODY_LIMIT + 1)}, None) == 413
