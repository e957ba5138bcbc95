"""The webhook link against real servers on loopback (contract section 6, D17, D24 to D27, D36)."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from offhook.app_links.app_client import USER_AGENT, open_client
from offhook.app_links.app_link import AnswerCame, AnswerFailed, AppFact, LinkLost, LinkNoted
from offhook.app_links.webhook import WebhookLink
from offhook.errors import SettingsInvalid
from offhook.protocol.actions import Hangup, Speak
from offhook.protocol.events import Event, SessionEnd, SessionStart, UserSpeak
from offhook.protocol.json_codec import BODY_LIMIT
from offhook.protocol.session import Session

SESSION = Session(
    id="3f1c",
    account_id="a",
    phone_number="+4921155660",
    direction="inbound",
    from_phone_number="+491511234567",
    to_phone_number="+4921155660",
)
START = SessionStart(session=SESSION)
END = SessionEnd(session=SESSION)
SPEAK = {"type": "speak", "session_id": SESSION.id, "text": "Hello"}


def words(text: str = "hello") -> Event:
    return UserSpeak(session=SESSION, text=text, barged_in=False)


def answer(body: bytes, status: str = "200 OK", content_type: str = "application/json", more: str = "") -> bytes:
    """A whole HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
HANG = b"hang"
RESET = b"reset"
CUT_OFF = answer(b"[]").replace(b"HTTP/1.1", b"HTTP/1.0")[:-1]


@dataclass
class Request:
    """One request as the app got it; `connection` counts the app's connections."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedApp:
    """An app that gives its answers byte by byte, one after the other, and 204 when they are used up."""

    answers: list[bytes]
    url: str = ""
    connections: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Queue[Request] = field(default_factory=asyncio.Queue)
    dropped: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        self.connected.set()
        try:
            while await self.exchange(connection, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.dropped.put_nowait(connection)
            writer.close()

    async def exchange(self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection is over."""
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers.get("Content-Length", "0")))
        request = Request(connection, line, headers, body)
        self.requests.append(request)
        self.arrived.put_nowait(request)
        reply = self.answers.pop(0) if self.answers else NOTHING
        if reply == HANG:
            return bool(await reader.read())
        if reply == RESET:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return False
        writer.write(reply)
        await writer.drain()
        return b"HTTP/1.0" not in reply


@asynccontextmanager
async def app_with(*answers: bytes) -> AsyncIterator[ScriptedApp]:
    app = ScriptedApp(list(answers))
    server = await asyncio.start_server(app.serve, "127.0.0.1", 0)
    app.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield app
    finally:
        server.close()
        while app.dropped.qsize() < app.connections:
            await app.dropped.get()
            app.connections -= 1


def unused_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/hook"


@asynccontextmanager
async def link_to(url: str, **options: Any) -> AsyncIterator[WebhookLink]:
    async with open_client() as client, asyncio.TaskGroup() as tasks:
        link = WebhookLink(url, SESSION.id, client=client, tasks=tasks, **options)
        yield link
        await link.close()


async def told(url: str, *events: Event, **options: Any) -> list[AppFact]:
    """Everything that comes of these events, until the link has closed."""
    async with link_to(url, **options) as link:
        for number, event in enumerate(events, start=1):
            link.send(number, event)
        await link.close()
        return [fact async for fact in link.facts()]


async def failure(url: str, event: Event | None = None, **options: Any) -> str:
    """The reason why one event failed."""
    failed = [fact for fact in await told(url, event or words(), **options) if not isinstance(fact, LinkNoted)]
    assert [type(fact) for fact in failed] == [AnswerFailed]
    assert isinstance(failed[0], AnswerFailed)
    return failed[0].reason


# --- the request


async def test_an_event_is_posted_as_json_with_its_headers() -> None:
    """(contract section 6, D27)"""
    async with app_with() as app:
        await told(app.url, START, token="secret")
    (request,) = app.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-API-TOKEN"] == "secret"
    assert request.headers["X-Session-Id"] == SESSION.id
    assert request.headers["X-Event-Number"] == "1"
    assert request.headers["User-Agent"] == USER_AGENT
    assert USER_AGENT.startswith("offhook/")
    assert json.loads(request.body) == {"type": "session_start", "session": SESSION.model_dump()}


async def test_without_token_and_secret_there_are_no_such_headers() -> None:
    async with app_with() as app:
        await told(app.url, START)
    assert not {"X-API-TOKEN", "webhook-id", "webhook-signature"} & set(app.requests[0].headers)


async def test_a_signing_secret_signs_what_is_sent() -> None:
    """(contract section 6, HTTP)"""
    key = b"a key of twenty-four byt"
    async with app_with() as app:
        await told(app.url, START, words("größer"), signing_secret="whsec_" + base64.b64encode(key).decode())
    assert len({request.headers["webhook-id"] for request in app.requests}) == 2
    for request in app.requests:
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"


async def test_events_arrive_in_order_over_one_connection() -> None:
    """(contract D25, section 6: keep-alive)"""
    async with app_with(answer(b"[]"), NOTHING, answer(b"OK", content_type="text/plain")) as app:
        facts = await told(app.url, START, words("one"), words("two"), words("three"), END)
        assert [json.loads(request.body)["type"] for request in app.requests] == [
            "session_start",
            "user_speak",
            "user_speak",
            "user_speak",
            "session_end",
        ]
        assert {request.connection for request in app.requests} == {1}
    assert [fact.number for fact in facts if isinstance(fact, AnswerCame)] == [1, 2, 3, 4, 5]


async def test_calls_share_the_connections_of_one_client_and_no_cookies() -> None:
    async with app_with(answer(b"", more="Set-Cookie: who=first\r\n"), NOTHING) as app:
        async with open_client() as client, asyncio.TaskGroup() as tasks:
            for session_id in ("s1", "s2"):
                link = WebhookLink(app.url, session_id, client=client, tasks=tasks)
                link.send(1, START)
                await link.close()
        assert [request.connection for request in app.requests] == [1, 1]
        assert "Cookie" not in app.requests[1].headers


async def test_warming_opens_a_connection_without_a_word_and_the_first_event_uses_it() -> None:
    """(contract D36)"""
    async with app_with() as app, link_to(app.url) as link:
        await link.warm()
        await app.connected.wait()
        assert app.requests == []
        link.send(1, START)
        assert isinstance(await anext(link.facts()), AnswerCame)
        assert app.connections == 1
        assert app.requests[0].connection == 1


async def test_a_first_event_that_comes_at_once_waits_for_the_warm_connection() -> None:
    """A second connection would starve behind the first at a server that serves one at a time (contract D36)."""
    async with app_with() as app, link_to(app.url) as link:
        await link.warm()
        link.send(1, START)
        assert isinstance(await anext(link.facts()), AnswerCame)
        assert app.connections == 1


async def test_an_app_that_cannot_be_reached_while_it_rings_is_noted() -> None:
    """(contract D36, D41)"""
    url = unused_url()
    async with link_to(url) as link:
        await link.warm()
        noted = await anext(link.facts())
        assert isinstance(noted, LinkNoted)
        assert noted.text.startswith(f"The app at {url} could not be reached while the call rang: ")


# --- answers that mean nothing to do


@pytest.mark.parametrize(
    "reply",
    [
        NOTHING,
        answer(b""),
        answer(b"null"),
        answer(b"[]"),
        answer(b"{}"),
        answer(b"OK", content_type="text/plain"),
        answer(b"<html>fine</html>", content_type="text/html"),
        answer(b'{"success": true}'),
        answer(json.dumps({"type": "user_speak", "session": SESSION.model_dump(), "text": "hello"}).encode()),
        answer(b"", status="201 Created"),
        b"HTTP/1.0 200 OK\r\n\r\n",
    ],
)
async def test_answers_that_hold_no_action_mean_nothing_to_do(reply: bytes) -> None:
    """(contract D24)"""
    async with app_with(reply) as app:
        facts = await told(app.url, words())
    came = [fact for fact in facts if not isinstance(fact, LinkNoted)]
    assert [(type(fact), getattr(fact, "actions", None), getattr(fact, "refused", None)) for fact in came] == [
        (AnswerCame, (), ())
    ]


# --- answers with actions


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/html; charset=latin-1", "nonsense"])
async def test_json_is_read_whatever_its_content_type(content_type: str) -> None:
    """(contract D24)"""
    async with app_with(answer(json.dumps(SPEAK).encode(), content_type=content_type)) as app:
        (came,) = await told(app.url, words())
    assert isinstance(came, AnswerCame)
    assert came.actions == (Speak(session_id=SESSION.id, text="Hello"),)


async def test_an_invalid_action_is_dropped_alone_and_explained() -> None:
    """(contract D17)"""
    body = json.dumps([SPEAK, {"type": "transfer"}, {"type": "hangup"}]).encode()
    async with app_with(answer(body)) as app:
        facts = await told(app.url, words())
    came = facts[-1]
    assert isinstance(came, AnswerCame)
    assert came.actions == (Speak(session_id=SESSION.id, text="Hello"), Hangup(session_id=SESSION.id))
    assert len(came.refused) == 1
    assert came.refused[0].path.startswith("[1]")


async def test_an_action_for_another_session_is_refused() -> None:
    """(contract D17)"""
    async with app_with(answer(json.dumps({**SPEAK, "session_id": "other"}).encode())) as app:
        came = (await told(app.url, words()))[-1]
    assert isinstance(came, AnswerCame)
    assert came.actions == ()
    assert len(came.refused) == 1


async def test_a_large_answer_is_read_whole() -> None:
    """(contract D27)"""
    body = json.dumps([{**SPEAK, "text": "a" * 400_000}, {"type": "hangup"}]).encode()
    async with app_with(answer(body)) as app:
        came = (await told(app.url, words()))[-1]
    assert isinstance(came, AnswerCame)
    assert came.actions[-1] == Hangup(session_id=SESSION.id)


async def test_a_packed_answer_is_unpacked() -> None:
    body = gzip.compress(json.dumps(SPEAK).encode())
    async with app_with(answer(body, more="Content-Encoding: gzip\r\n")) as app:
        (came,) = await told(app.url, words())
    assert isinstance(came, AnswerCame)
    assert len(came.actions) == 1


async def test_a_chunked_answer_of_a_web_framework_is_read() -> None:
    async def hook(request: web.Request) -> web.StreamResponse:
        event = await request.json()
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in ('[{"type": "speak", ', f'"session_id": "{event["session"]["id"]}", "text": "Hello"}}]'):
            await response.write(part.encode())
        return response

    application = web.Application()
    application.router.add_post("/hook", hook)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        (came,) = await told(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", words())
    finally:
        await runner.cleanup()
    assert isinstance(came, AnswerCame)
    assert came.actions == (Speak(session_id=SESSION.id, text="Hello"),)


# --- failures


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(b"boom", status="500 Oops"), "answered 500 to user_speak #1. Remedy: See the app's log."),
        (answer(b"", status="401 No"), "answered 401 to user_speak #1. Remedy: Compare the flow's token"),
        (answer(b"", status="404 No"), "answered 404 to user_speak #1. Remedy: Check the path"),
        (answer(b"", status="405 No"), "answered 405 to user_speak #1. Remedy: The app has to take POST"),
        (
            answer(b"", status="302 Found", more="Location: /login\r\n"),
            "answered 302 to user_speak #1, pointing to /login",
        ),
        (answer(b"[{"), "answered user_speak #1 with something unreadable: it begins like JSON, but"),
        (answer(b'{"text": "gr\xfc\xdf"}'), "with something unreadable: it is not UTF-8"),
        (answer(b"a" * (BODY_LIMIT + 1)), f"answered user_speak #1 with more than {BODY_LIMIT} bytes"),
        (CUT_OFF, "broke off before user_speak #1 was answered"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "answered user_speak #1 with something that is no HTTP"),
        (RESET, "broke off before user_speak #1 was answered"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else "",
)
async def test_a_failure_is_told_with_its_remedy_and_not_sent_again(reply: bytes, expected: str) -> None:
    """(contract D26, D27)"""
    async with app_with(reply) as app:
        reason = await failure(app.url)
        assert len(app.requests) == 1
    assert expected in reason
    assert "Remedy: " in reason
    assert app.url in reason


async def test_a_packed_answer_that_unpacks_to_too_much_is_refused() -> None:
    """(contract D27: the limit holds for what is unpacked)"""
    body = gzip.compress(b"a" * (BODY_LIMIT + 1))
    async with app_with(answer(body, more="Content-Encoding: gzip\r\n")) as app:
        assert "with more than" in await failure(app.url)


async def test_an_app_that_hangs_is_waited_for_until_its_time_limit() -> None:
    """(contract D26)"""
    async with app_with(HANG) as app:
        reason = await failure(app.url, time_limit_ms=60)
        assert len(app.requests) == 1
    assert f"The app at {app.url} did not answer user_speak #1 within 60 ms" in reason


async def test_a_refused_connection_is_tried_once_more_and_explained() -> None:
    """(contract D26)"""
    attempts: list[object] = []

    async def connecting(*_: object) -> None:
        attempts.append(_)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(connecting)
    trace.freeze()
    url = unused_url()
    async with open_client() as client, asyncio.TaskGroup() as tasks:
        client.trace_configs.append(trace)
        link = WebhookLink(url, SESSION.id, client=client, tasks=tasks)
        link.send(1, words())
        failed = await anext(link.facts())
        await link.close()
    assert len(attempts) == 2
    assert isinstance(failed, AnswerFailed)
    assert failed.reason.startswith(f"The app at {url} could not be reached")
    assert failed.reason.endswith("Remedy: Start the app, or correct the flow's app address.")


async def test_a_connection_that_the_app_closed_while_idle_is_not_used_again() -> None:
    """(contract D26)"""
    async with app_with(answer(b"[]", more="Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")) as app:
        async with link_to(app.url) as link:
            facts = link.facts()
            link.send(1, START)
            assert isinstance(await anext(facts), AnswerCame)
            assert await app.dropped.get() == 1
            app.dropped.put_nowait(1)
            link.send(2, words())
            assert isinstance(await anext(facts), AnswerCame)
        assert [request.connection for request in app.requests] == [1, 2]


async def test_a_failing_session_start_loses_the_app() -> None:
    """(contract D26)"""
    async with app_with(answer(b"", status="503 Down")) as app:
        failed, lost = await told(app.url, START)
    assert isinstance(failed, AnswerFailed)
    assert isinstance(lost, LinkLost)
    assert "answered 503 to session_start #1" in lost.reason


async def test_an_app_that_nobody_runs_is_lost_with_session_start() -> None:
    """(contract D26, D41)"""
    failed, lost = await told(unused_url(), START)
    assert isinstance(failed, AnswerFailed)
    assert isinstance(lost, LinkLost)


async def test_an_app_that_hangs_at_session_start_is_lost() -> None:
    """(contract D26)"""
    async with app_with(HANG) as app:
        _failed, lost = await told(app.url, START, time_limit_ms=60)
    assert isinstance(lost, LinkLost)
    assert "did not answer session_start #1 within 60 ms" in lost.reason


# --- the end


async def read(link: WebhookLink) -> None:
    async for _ in link.facts():
        pass


async def test_session_end_is_delivered_though_nobody_reads_facts_any_more() -> None:
    """A call cancels its readers before it closes its links (contract D4)."""
    async with app_with() as app, link_to(app.url) as link:
        async with asyncio.TaskGroup() as readers:
            reading = readers.create_task(read(link))
            link.send(1, END)
            reading.cancel()
        await link.close()
        assert [json.loads(request.body)["type"] for request in app.requests] == ["session_end"]


async def test_session_end_reaches_an_app_that_was_given_up() -> None:
    """(contract D4, D26)"""
    async with app_with(answer(b"", status="500 Oops")) as app:
        facts = await told(app.url, START, words("dropped"), END)
        assert [json.loads(request.body)["type"] for request in app.requests] == ["session_start", "session_end"]
    assert [type(fact) for fact in facts] == [AnswerFailed, LinkLost]


async def test_a_link_that_was_never_used_closes_at_once() -> None:
    assert await told(unused_url()) == []


@pytest.mark.parametrize(
    "options",
    [{"url": "ws://localhost/"}, {"token": "a\nb"}, {"signing_secret": "whsec_%"}],
)
async def test_settings_that_cannot_be_used_are_refused_before_anything_is_started(options: dict[str, str]) -> None:
    async with open_client() as client, asyncio.TaskGroup() as tasks:
        build: Callable[..., WebhookLink] = WebhookLink
        with pytest.raises(SettingsInvalid):
            build(**{"url": "http://localhost/", "session_id": "s", "client": client, "tasks": tasks, **options})
