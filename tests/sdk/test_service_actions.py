"""The service's REST API as the SDK uses it: what can go wrong on the way (contract D31)."""

import http.server
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from offhook.errors import OffhookError
from offhook.protocol.actions import Speak
from offhook.sdk.assistant import Assistant
from offhook.sdk.service_actions import CallRefused, ServiceActions
from offhook.sdk.service_place import KEY_VARIABLE, URL_VARIABLE, configured_service

HELLO = (Speak(text="hello", session_id="s/1"),)


class Recorded(http.server.ThreadingHTTPServer):
    """Answers every request with one status, and keeps what came."""

    daemon_threads = True

    def __init__(self, status: int, location: str = "", said: bytes = b"said") -> None:
        self.status = status
        self.said = said
        self.location = location
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Recorded

    def do_GET(self) -> None:  # the name that the library calls
        self.do_POST()

    def do_POST(self) -> None:  # the name that the library calls
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.said)))
        self.end_headers()
        self.wfile.write(self.server.said)

    def log_message(self, *_: object) -> None:
        """Nothing to the terminal."""


@contextmanager
def answering(status: int, location: str = "", said: bytes = b"said") -> Iterator[Recorded]:
    with Recorded(status, location, said) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


async def test_a_push_is_one_post_with_the_key() -> None:
    with answering(202) as server:
        await ServiceActions(f"{server.url}/behind/a/proxy/", "k1").push("s/1", HELLO, "7")
    ((method, path, headers, body),) = server.requests
    assert (method, path) == ("POST", "/behind/a/proxy/v1/sessions/s%2F1/actions?after=7")
    assert headers["Authorization"] == "Bearer k1"
    assert headers["Content-Type"] == "application/json"
    assert body == b'[{"type":"speak","session_id":"s/1","text":"hello"}]'


@pytest.mark.parametrize(
    ("status", "level", "remedy"),
    [
        (401, logging.ERROR, "http.keys"),
        (404, logging.ERROR, "that has this call"),
        (409, logging.INFO, "call is over"),
        (422, logging.ERROR, "said"),
        (500, logging.ERROR, "said"),
    ],
)
async def test_a_refusal_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture, status: int, level: int, remedy: str
) -> None:
    caplog.set_level(logging.INFO)
    with answering(status) as server:
        await ServiceActions(server.url, "k1").push("s1", HELLO, None)
    ((name, at, message),) = caplog.record_tuples
    assert (name, at) == ("offhook.assistant", level)
    assert "session s1" in message
    assert remedy in message
    assert "hello" not in message


async def test_a_service_that_is_not_there_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    with Recorded(202) as server:
        url = server.url
    await ServiceActions(url, "k1").push("s1", HELLO, None)
    assert "does it run?" in caplog.text


async def test_the_key_follows_no_redirect(caplog: pytest.LogCaptureFixture) -> None:
    with answering(202) as other, answering(302, other.url) as server:
        await ServiceActions(server.url, "k1").push("s1", HELLO, None)
    assert len(server.requests) == 1
    assert other.requests == []
    assert "(302)" in caplog.text


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ws://127.0.0.1/", "http://", "http://127.0.0.1/?x", "ftp://host", "file:///etc/passwd"]
)
def test_an_address_that_cannot_be_used_is_a_mistake(url: str) -> None:
    with pytest.raises(OffhookError, match="service's address"):
        Assistant(service_url=url, service_key="k1")


@pytest.mark.parametrize("key", [None, "", "two words", "line\nend", "Schlüssel"])
def test_an_address_without_a_usable_key_is_a_mistake(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(OffhookError) as refused:
        Assistant(service_url="http://127.0.0.1:8080", service_key=key)
    assert KEY_VARIABLE in refused.value.remedy


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setenv(KEY_VARIABLE, "k1")
    assert configured_service(None, None) is None
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:8080")
    assert isinstance(configured_service(None, None), ServiceActions)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(OffhookError, match="service_key"):
        configured_service(None, None)


# --- calls (contract section 6)


def test_a_call_is_one_post_and_gives_the_session() -> None:
    with answering(201, said=b'{"sessionId": "s-7"}') as server:
        assistant = Assistant(service_url=server.url, service_key="k1")
        assert assistant.call("my desk", "+4915112345678", billing_device="p0") == "s-7"
    ((method, path, headers, body),) = server.requests
    assert (method, path) == ("POST", "/v3/ai-flows/my%20desk/call")
    assert headers["Authorization"] == "Bearer k1"
    assert body == b'{"toPhoneNumber": "+4915112345678", "billingDevice": "p0"}'


async def test_async_code_calls_without_holding_up_its_loop() -> None:
    with answering(201, said=b'{"sessionId": "s-7"}') as server:
        assistant = Assistant(service_url=server.url, service_key="k1")
        assert await assistant.call_async("desk", "+4915112345678") == "s-7"
    assert server.requests[0][3] == b'{"toPhoneNumber": "+4915112345678"}'


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [(400, "no_number", False), (403, "not_allowed", False), (404, "no_flow", False), (429, "full", True)],
)
def test_a_refused_call_says_why_in_the_service_s_words(status: int, code: str, retryable: bool) -> None:
    said = f'{{"error": {{"code": "{code}", "message": "Because.", "remedy": "Do this."}}}}'
    with answering(status, said=said.encode()) as server:
        assistant = Assistant(service_url=server.url, service_key="k1")
        with pytest.raises(CallRefused, match="Because") as refused:
            assistant.call("desk", "+4915112345678")
    told = refused.value
    assert (told.code, told.status, told.remedy, told.retryable) == (code, status, "Do this.", retryable)


def test_every_mistake_in_a_call_is_told() -> None:
    said = b"""{"error": {"code": "invalid_call", "message": "Not so.", "remedy": "Mend it.",
        "mistakes": [{"code": "invalid", "path": "toPhoneNumber", "message": "It is empty.", "remedy": "Fill it."}]}}"""
    with answering(422, said=said) as server:
        with pytest.raises(CallRefused, match=r"Not so\. It is empty\. Fill it\."):
            Assistant(service_url=server.url, service_key="k1").call("desk", "")


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [(401, b"", "http.keys"), (502, b"<html>", "log of the service"), (201, b"{}", "service_url"), (201, b"x", "url")],
)
def test_what_is_not_the_service_s_answer_is_explained(status: int, said: bytes, hint: str) -> None:
    with answering(status, said=said) as server:
        with pytest.raises(CallRefused) as refused:
            Assistant(service_url=server.url, service_key="k1").call("desk", "+4915112345678")
    assert hint in refused.value.remedy


def test_a_call_by_a_service_that_is_not_there_may_be_tried_again() -> None:
    with Recorded(201) as server:
        url = server.url
    with pytest.raises(CallRefused, match="cannot be reached") as refused:
        Assistant(service_url=url, service_key="k1").call("desk", "+4915112345678")
    assert refused.value.retryable


def test_without_a_service_no_call_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with pytest.raises(OffhookError) as missing:
        Assistant().call("desk", "+4915112345678")
    assert missing.value.code == "service_url_missing"
