"""The WebSocket link against real servers on loopback (contract section 6, D28 to D30, D36)."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from offhook.app_links.app_client import open_client
from offhook.app_links.app_link import ActionsCame, AppFact, LinkLost, LinkNoted
from offhook.app_links.websocket import WebSocketLink
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
SPEAK = Speak(session_id=SESSION.id, text="Hello")
HANGUP = Hangup(session_id=SESSION.id)


def words(text: str) -> UserSpeak:
    return UserSpeak(session=SESSION, text=text, barged_in=False)


Script = Callable[["ScriptedApp", web.WebSocketResponse], Awaitable[None]]


@dataclass
class ScriptedApp:
    """An app that plays one script for each connection, then listens until that connection ends."""

    scripts: list[Script]
    url: str = ""
    requests: list[web.Request] = field(default_factory=list)
    connected: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    events: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    closed: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        ws = web.WebSocketResponse(compress=True)
        await ws.prepare(request)
        self.connected.put_nowait(len(self.requests))
        if self.scripts:
            await self.scripts.pop(0)(self, ws)
        while (await self.next_event(ws)) is not None:
            pass
        self.closed.put_nowait(ws.close_code)
        return ws

    async def next_event(self, ws: web.WebSocketResponse) -> dict[str, Any] | None:
        """The next event, kept in `events` too; None when the connection has ended."""
        message = await ws.receive()
        if message.type is not WSMsgType.TEXT:
            return None
        event: dict[str, Any] = json.loads(message.data)
        self.events.put_nowait(event)
        return event


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server with this handler; its address."""
    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def app_with(*scripts: Script) -> AsyncIterator[ScriptedApp]:
    app = ScriptedApp(list(scripts))
    async with serving(app.serve) as app.url:
        yield app


@asynccontextmanager
async def link_to(url: str, **options: Any) -> AsyncIterator[WebSocketLink]:
    async with open_client() as client, asyncio.TaskGroup() as tasks:
        link = WebSocketLink(url, SESSION.id, client=client, tasks=tasks, **options)
        yield link
        await link.close()


async def told_at_start(url: str, **options: Any) -> list[AppFact]:
    """Everything that comes of a `session_start`, until the link has closed."""
    async with link_to(url, **options) as link:
        link.send(1, START)
        facts = link.facts()
        first = await anext(facts)
        await link.close()
        return [first, *[fact async for fact in facts]]


def says(*texts: str | bytes) -> Script:
    """A script: take one event, then send these, text as text frames and bytes as binary ones."""

    async def script(app: ScriptedApp, ws: web.WebSocketResponse) -> None:
        await app.next_event(ws)
        for text in texts:
            await (ws.send_str(text) if isinstance(text, str) else ws.send_bytes(text))

    return script


async def hangs_up(app: ScriptedApp, ws: web.WebSocketResponse) -> None:
    """A script: take one event, then drop the connection without a word."""
    await app.next_event(ws)
    assert ws._req is not None
    assert ws._req.transport is not None
    ws._req.transport.abort()


# --- connecting


async def test_the_connection_names_the_session_and_carries_the_token_uncompressed() -> None:
    """(contract section 6, D27)"""
    async with app_with() as app, link_to(app.url, token="secret") as link:
        await link.warm()
        await app.connected.get()
    headers = app.requests[0].headers
    assert headers["X-API-TOKEN"] == "secret"
    assert headers["X-Session-Id"] == SESSION.id
    assert headers["User-Agent"].startswith("offhook/")
    assert "Sec-WebSocket-Extensions" not in headers


async def test_warming_opens_the_connection_and_the_first_event_uses_it() -> None:
    """(contract D36)"""
    async with app_with() as app, link_to(app.url) as link:
        await link.warm()
        await app.connected.get()
        assert app.events.empty()
        link.send(1, START)
        assert (await app.events.get())["type"] == "session_start"
        assert len(app.requests) == 1


async def test_an_app_that_nobody_runs_is_lost_with_session_start() -> None:
    """(contract D30, D41)"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/"
    (lost,) = await told_at_start(url)
    assert isinstance(lost, LinkLost)
    assert f"The app at {url} could not be reached" in lost.reason
    assert "Start the app, or correct the flow's app address." in lost.reason


async def test_an_app_that_does_not_finish_the_handshake_in_time_is_lost() -> None:
    """(contract D30)"""
    met: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: met.put_nowait(writer), "127.0.0.1", 0)
    (lost,) = await told_at_start(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", connect_within_ms=60)
    assert isinstance(lost, LinkLost)
    assert "did not accept a connection within 60 ms" in lost.reason
    (await met.get()).close()
    server.close()


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "Compare the flow's token"), (404, "Check the path"), (200, "Check the path")]
)
async def test_an_app_that_refuses_the_handshake_is_lost_at_once_with_a_remedy(status: int, remedy: str) -> None:
    """(contract D30)"""
    seen: list[web.Request] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=status)

    async with serving(refuse) as url:
        (lost,) = await told_at_start(url)
    assert isinstance(lost, LinkLost)
    assert f"answered {status} to the handshake. {remedy}" in lost.reason
    assert len(seen) == 1


async def test_a_redirect_is_not_followed_so_that_the_token_stays_here() -> None:
    """(contract D27)"""

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": other.url.replace("ws:", "http:")})

    async with app_with() as other, serving(elsewhere) as url:
        (lost,) = await told_at_start(url, token="secret")
        assert other.requests == []
    assert isinstance(lost, LinkLost)
    assert "redirects are not followed. Set the flow's app to the final address." in lost.reason


# --- messages


async def test_events_go_out_as_text_frames_in_order_and_the_end_closes_with_1000() -> None:
    """(contract D29)"""
    async with app_with() as app, link_to(app.url) as link:
        events_sent: tuple[Event, ...] = (START, words("one"), words("two"), END)
        for number, event in enumerate(events_sent, start=1):
            link.send(number, event)
        await link.close()
        events = [await app.events.get() for _ in range(4)]
        assert [event["type"] for event in events] == ["session_start", "user_speak", "user_speak", "session_end"]
        assert [event.get("text") for event in events] == [None, "one", "two", None]
        assert await app.closed.get() == WSCloseCode.OK
        assert [fact async for fact in link.facts()] == []


async def test_actions_come_alone_and_in_arrays_at_any_time() -> None:
    """(contract D28)"""
    both = f"[{SPEAK.model_dump_json(exclude_none=True)}, {HANGUP.model_dump_json(exclude_none=True)}]"
    async with app_with(says(SPEAK.model_dump_json(exclude_none=True), both)) as app, link_to(app.url) as link:
        link.send(1, START)
        facts = link.facts()
        assert await anext(facts) == ActionsCame((SPEAK,), ())
        assert await anext(facts) == ActionsCame((SPEAK, HANGUP), ())


async def test_an_invalid_action_is_dropped_alone_and_explained() -> None:
    """(contract D17)"""
    async with app_with(says('[{"type": "transfer"}, {"type": "hangup"}]')) as app, link_to(app.url) as link:
        link.send(1, START)
        async for fact in link.facts():
            if isinstance(fact, ActionsCame):
                break
        assert isinstance(fact, ActionsCame)
        assert fact.actions == (HANGUP,)
        assert len(fact.refused) == 1


@pytest.mark.parametrize(
    "text",
    ['{"type":"connected"}', '{"error": "boom"}', "null", "[]", "OK", "", "[{", b"\x00\x01"],
)
async def test_what_is_no_action_is_noted_and_the_connection_stays(text: str | bytes) -> None:
    """(contract D24, D28)"""
    async with app_with(says(text, '{"type": "hangup"}')) as app, link_to(app.url) as link:
        link.send(1, START)
        facts = link.facts()
        assert isinstance(await anext(facts), LinkNoted)
        assert await anext(facts) == ActionsCame((HANGUP,), ())
        assert len(app.requests) == 1


async def test_a_large_message_is_read_whole_and_in_its_place() -> None:
    """(contract D27)"""
    large = SPEAK.model_copy(update={"text": "a" * 400_000})
    script = says(large.model_dump_json(exclude_none=True), '{"type": "hangup"}')
    async with app_with(script) as app, link_to(app.url) as link:
        link.send(1, START)
        facts = link.facts()
        assert await anext(facts) == ActionsCame((large,), ())
        assert await anext(facts) == ActionsCame((HANGUP,), ())


async def test_more_messages_than_the_call_has_read_all_arrive_in_order() -> None:
    many = [SPEAK.model_copy(update={"text": str(number)}) for number in range(500)]
    async with app_with(says(*(speak.model_dump_json(exclude_none=True) for speak in many))) as app:
        async with link_to(app.url) as link:
            link.send(1, START)
            facts = link.facts()
            assert [await anext(facts) for _ in many] == [ActionsCame((speak,), ()) for speak in many]


async def test_a_ping_of_the_app_is_answered() -> None:
    ponged: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        await ws.ping(b"there?")
        async for message in ws:
            if message.type is WSMsgType.PONG:
                ponged.put_nowait(message.data)
        return ws

    async with serving(serve) as url, link_to(url) as link:
        await link.warm()
        assert await ponged.get() == b"there?"


async def test_the_app_is_pinged_and_its_answers_keep_the_connection() -> None:
    """(contract D29)"""
    pings: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.PING:
                await ws.pong(message.data)
                pings.put_nowait(message.data)
        return ws

    async with serving(serve) as url, link_to(url, ping_every_ms=250) as link:
        link.send(1, START)
        for _ in range(3):
            await pings.get()
        await link.close()
        assert [fact async for fact in link.facts()] == []


async def test_an_app_that_does_not_answer_a_ping_is_connected_again() -> None:
    """(contract D29)"""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        async for _ in ws:
            pass
        return ws

    async with serving(serve) as url, link_to(url, ping_every_ms=50) as link:
        link.send(1, START)
        facts = link.facts()
        dropped, again = await anext(facts), await anext(facts)
        assert isinstance(dropped, LinkNoted)
        assert "did not answer a ping within 50 ms" in dropped.text
        assert isinstance(again, LinkNoted)
        assert "again after" in again.text


# --- dropped


async def test_after_a_drop_the_events_follow_over_a_new_connection_without_session_start() -> None:
    """(contract D29)"""
    async with app_with(hangs_up) as app, link_to(app.url) as link:
        link.send(1, START)
        facts = link.facts()
        dropped = await anext(facts)
        assert isinstance(dropped, LinkNoted)
        assert "Connecting again for 30000 ms." in dropped.text
        link.send(2, words("one"))
        link.send(3, words("two"))
        again = await anext(facts)
        assert isinstance(again, LinkNoted)
        assert f"Connected to the app at {app.url} again after" in again.text
        events = [await app.events.get() for _ in range(3)]
        assert [event.get("text", event["type"]) for event in events] == ["session_start", "one", "two"]
        assert len(app.requests) == 2


async def test_a_message_over_the_limit_ends_that_connection_and_not_the_call() -> None:
    """(contract D27, D29)"""
    async with app_with(says("a" * (BODY_LIMIT + 1))) as app, link_to(app.url) as link:
        link.send(1, START)
        facts = link.facts()
        dropped = await anext(facts)
        assert isinstance(dropped, LinkNoted)
        assert str(BODY_LIMIT) in dropped.text
        again = await anext(facts)
        assert isinstance(again, LinkNoted)
        link.send(2, words("still here"))
        await app.events.get()
        assert (await app.events.get())["text"] == "still here"


async def test_an_app_that_does_not_come_back_is_given_up() -> None:
    """(contract D29)"""
    async with app_with(hangs_up) as app:
        async with link_to(app.url, reconnect_for_ms=1) as link:
            link.send(1, START)
            facts = link.facts()
            assert isinstance(await anext(facts), LinkNoted)
            lost = await anext(facts)
            assert isinstance(lost, LinkLost)
            assert "no connection for 1 ms" in lost.reason


# --- the end


async def read(link: WebSocketLink) -> None:
    async for _ in link.facts():
        pass


async def test_session_end_is_delivered_though_nobody_reads_facts_any_more() -> None:
    """A call cancels its readers before it closes its links (contract D4)."""
    async with app_with() as app, link_to(app.url) as link:
        async with asyncio.TaskGroup() as readers:
            reading = readers.create_task(read(link))
            link.send(1, START)
            link.send(2, END)
            reading.cancel()
        await link.close()
        assert [(await app.events.get())["type"] for _ in range(2)] == ["session_start", "session_end"]


async def test_session_end_that_cannot_be_delivered_ends_within_its_limit() -> None:
    """(contract D29)"""
    async with app_with(hangs_up) as app:
        url = app.url
        async with link_to(url, close_within_ms=300) as link:
            link.send(1, START)
            facts = link.facts()
            assert isinstance(await anext(facts), LinkNoted)
            app.scripts.append(hangs_up)
            link.send(2, END)
            await link.close()


async def test_an_app_that_ignores_the_close_is_not_waited_for_for_ever() -> None:
    """(contract D29)"""
    close_came, test_over = asyncio.Event(), asyncio.Event()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoclose=False)
        await ws.prepare(request)
        while (await ws.receive()).type is not WSMsgType.CLOSE:
            pass
        close_came.set()
        await test_over.wait()
        return ws

    async with serving(serve) as url:
        async with link_to(url, close_within_ms=50) as link:
            link.send(1, END)
            await close_came.wait()
            await link.close()
        test_over.set()


async def test_a_link_that_was_never_used_closes_at_once() -> None:
    async with link_to("ws://127.0.0.1:1/") as link:
        await link.close()
        assert [fact async for fact in link.facts()] == []


async def test_an_address_of_another_kind_is_refused() -> None:
    async with open_client() as client, asyncio.TaskGroup() as tasks:
        with pytest.raises(SettingsInvalid):
            WebSocketLink("http://localhost/", "s", client=client, tasks=tasks)
