"""More replies than one behind a webhook, pushed to the real REST API over real sockets (contract D31, D33, D35)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from offhook.calls.outbound import CallWish, NotPlaced
from offhook.control.control_app import control_app
from offhook.protocol.actions import Action, Hangup, Speak
from offhook.protocol.events import Event
from offhook.protocol.json_codec import RefusedAction, event_to_json
from offhook.protocol.session import Session
from offhook.sdk.assistant import Assistant
from offhook.sdk.http_server import WebhookServer
from offhook.service.http_server import HttpServer
from offhook.service.setting_types import HostPort

KEY = "k1"


class Calls:
    """One call; what was pushed to it."""

    def __init__(self) -> None:
        self.pushed: list[tuple[list[str], int | None]] = []
        self.arrived = asyncio.Event()

    def sessions(self) -> list[Session]:
        return [Session(id="s1")]

    def act(
        self,
        session_id: str,
        actions: tuple[Action, ...],
        refused: tuple[RefusedAction, ...],
        after: int | None = None,
    ) -> bool:
        texts = [str(action.text) if isinstance(action, Speak) else action.type for action in actions]
        self.pushed.append((texts, after))
        self.arrived.set()
        return True

    def has_ended(self, session_id: str) -> bool:
        return False

    def place(self, wish: CallWish) -> NotPlaced:
        raise AssertionError(f"no call is placed here: {wish}")

    async def until(self, count: int) -> None:
        while len(self.pushed) < count:
            self.arrived.clear()
            await self.arrived.wait()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The address of an ASGI app on loopback."""
    server = HttpServer(app, HostPort("127.0.0.1", 0))
    where = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        try:
            yield f"http://{where}"
        finally:
            server.stop()


@asynccontextmanager
async def service(calls: Calls) -> AsyncIterator[str]:
    async with served(control_app(calls, keys=(KEY,))) as url:
        yield url


class Stream:
    """Replies that come when the test lets them."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[Any] = asyncio.Queue()
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, event: Any) -> AsyncIterator[Any]:
        self.begun.set()
        try:
            while (reply := await self.replies.get()) is not None:
                if isinstance(reply, Exception):
                    raise reply
                yield reply
        finally:
            self.over.set()

    def give(self, *replies: Any) -> None:
        for reply in replies:
            self.replies.put_nowait(reply)


Post = Callable[[Event], Coroutine[Any, Any, httpx.Response]]


@asynccontextmanager
async def app_and_service(handlers: dict[str, Any], **options: Any) -> AsyncIterator[tuple[Post, Calls]]:
    """An assistant behind a webhook, the service that it pushes to, and a way to send events as the service does."""
    calls = Calls()
    async with service(calls) as url:
        assistant = Assistant(service_url=url, service_key=KEY, **{"answer_within_seconds": 60, **options}, **handlers)
        async with served(assistant) as app, httpx.AsyncClient() as client:

            async def post(event: Event) -> httpx.Response:
                return await client.post(app, content=event_to_json(event), headers={"X-Event-Number": "5"})

            yield post, calls


async def test_the_first_reply_is_the_answer_and_each_later_one_is_pushed_as_it_comes(events: Any) -> None:
    """(contract D31)"""
    stream = Stream()
    async with app_and_service({"on_user_speak": stream}) as (post, calls):
        stream.give("one")
        answer = await post(events.words("hi"))
        assert (answer.status_code, answer.json()["text"]) == (200, "one")
        assert not stream.over.is_set()
        assert calls.pushed == []
        stream.give(["two", Hangup()])
        await calls.until(1)
        stream.give("three", "four", None)
        await stream.over.wait()
        await calls.until(3)
    assert calls.pushed == [(["two", "hangup"], 5), (["three"], 5), (["four"], 5)]


async def test_a_stream_without_replies_is_nothing_to_do(events: Any) -> None:
    """(contract D32)"""
    stream = Stream()
    stream.give([], None)
    async with app_and_service({"on_user_speak": stream}) as (post, calls):
        assert (await post(events.words("hi"))).status_code == 204
    assert calls.pushed == []


async def test_a_reply_that_is_late_is_pushed_behind_an_answer_without_one(events: Any) -> None:
    """(contract D26: a slow app is not a dead app)"""
    stream = Stream()
    async with app_and_service({"on_user_speak": stream}, answer_within_seconds=0.01) as (post, calls):
        assert (await post(events.words("hi"))).status_code == 204
        stream.give("one", "two", None)
        await calls.until(2)
    assert calls.pushed == [(["one"], 5), (["two"], 5)]


async def test_events_behind_a_stream_are_answered_in_time_and_handled_in_order(events: Any) -> None:
    """(contract D26, D35)"""
    stream = Stream()
    handlers = {"on_user_speak": stream, "on_dtmf_received": lambda event: f"key {event.digit}"}
    async with app_and_service(handlers, answer_within_seconds=0.01) as (post, calls):
        assert (await post(events.words("hi"))).status_code == 204
        assert (await post(events.key("7"))).status_code == 204
        stream.give("one", None)
        await calls.until(2)
    assert [texts for texts, _ in calls.pushed] == [["one"], ["key 7"]]


async def test_an_event_that_nobody_handles_waits_for_nobody(events: Any) -> None:
    stream = Stream()
    async with app_and_service({"on_user_speak": stream}) as (post, _):
        stream.give("one")
        await post(events.words("hi"))
        assert (await post(events.key("7"))).status_code == 204
        assert not stream.over.is_set()
        stream.give(None)


@pytest.mark.parametrize("after_the_first_reply", [False, True])
async def test_a_stream_that_raises(events: Any, caplog: pytest.LogCaptureFixture, after_the_first_reply: bool) -> None:
    """(contract D33)"""
    stream = Stream()
    stream.give(*(["one", "two"] if after_the_first_reply else []), ZeroDivisionError("a mistake in the app"))
    async with app_and_service({"on_user_speak": stream}) as (post, calls):
        assert (await post(events.words("hi"))).status_code == (200 if after_the_first_reply else 500)
        await stream.over.wait()
    assert [texts for texts, _ in calls.pushed] == ([["two"]] if after_the_first_reply else [])
    assert "session s1: on_user_speak failed" in caplog.messages


async def test_the_end_of_the_session_ends_the_stream(events: Any) -> None:
    """(contract D35)"""
    stream = Stream()
    async with app_and_service({"on_user_speak": stream}) as (post, calls):
        stream.give("one")
        await post(events.words("hi"))
        assert (await post(events.end())).status_code == 204
        assert stream.over.is_set()
    assert calls.pushed == []


async def test_a_newer_turn_ends_a_stream_for_the_latest_turn_only(events: Any) -> None:
    """(contract D35)"""
    streams = {"first": Stream(), "second": Stream()}
    calls = Calls()
    async with service(calls) as url:
        assistant = Assistant(service_url=url, service_key=KEY)

        @assistant.on_user_speak(latest_turn_only=True)
        async def answer(event: Any) -> AsyncIterator[Any]:
            async for reply in streams[event.text](event):
                yield reply

        async with served(assistant) as app, httpx.AsyncClient() as client:
            streams["first"].give("one")
            await client.post(app, content=event_to_json(events.words("first")))
            streams["second"].give("two", "three", None)
            answered = await client.post(app, content=event_to_json(events.words("second")))
            assert answered.json()["text"] == "two"
            assert streams["first"].over.is_set()
            await calls.until(1)
    assert calls.pushed == [(["three"], None)]


# --- other ways in


async def test_a_sync_framework_has_its_answer_at_once_and_the_rest_is_pushed(events: Any) -> None:
    calls = Calls()

    async def handler(event: Any) -> AsyncIterator[str]:
        for text in ("one", "two", "three"):
            yield text

    async with service(calls) as url:
        assistant = Assistant(service_url=url, service_key=KEY, on_user_speak=handler)
        body = event_to_json(events.words("hi"))
        answer = await asyncio.to_thread(assistant.answer_request, body, {"X-Event-Number": "2"})
        assert b'"text":"one"' in answer.body
        await calls.until(2)
        with WebhookServer(assistant, "127.0.0.1", 0) as server:
            serving = asyncio.to_thread(server.handle_request)
            async with asyncio.TaskGroup() as tasks, httpx.AsyncClient() as client:
                tasks.create_task(serving)
                answered = await client.post(f"http://127.0.0.1:{server.server_port}/", content=body)
                assert answered.json()["text"] == "one"
                await calls.until(4)
    assert calls.pushed == [(["two"], 2), (["three"], 2), (["two"], None), (["three"], None)]


async def test_an_async_framework_says_where_a_stream_lives_on_else_it_is_collected(events: Any) -> None:
    calls, stream = Calls(), Stream()
    async with service(calls) as url:
        assistant = Assistant(service_url=url, service_key=KEY, on_user_speak=stream)
        body = event_to_json(events.words("hi"))
        stream.give("one", "two", None)
        assert (await assistant.answer(body, {})).body.count(b'"speak"') == 2
        assert calls.pushed == []
        async with asyncio.TaskGroup() as tasks:
            stream.give("one")
            assert (await assistant.answer(body, {}, tasks)).body.count(b'"speak"') == 1
            stream.give("two", None)
        assert calls.pushed == [(["two"], None)]
        async with asyncio.TaskGroup() as tasks:
            assert (await assistant.answer(b"no event", {}, tasks)).status == 400


async def test_without_a_service_a_stream_is_collected(events: Any) -> None:
    """(contract D31)"""
    stream = Stream()
    stream.give("one", "two", None)
    async with served(Assistant(on_user_speak=stream)) as app, httpx.AsyncClient() as client:
        answered = await client.post(app, content=event_to_json(events.words("hi")))
    assert [action["text"] for action in answered.json()] == ["one", "two"]


async def test_what_the_service_does_not_take_is_logged_and_the_stream_goes_on(
    events_of: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stream = Stream()
    stream.give("one", "two", "three", None)
    async with app_and_service({"on_user_speak": stream}) as (post, calls):
        assert (await post(events_of("unknown").words("hi"))).json()["text"] == "one"
        await stream.over.wait()
    assert calls.pushed == []
    refused = [record for record in caplog.records if "refused pushed actions (404)" in record.message]
    assert len(refused) == 2
    assert "Is service_url the address of the service that has this call?" in refused[0].message
