"""The assistant as an ASGI application: HTTP, WebSocket, lifespan (contract D31 to D35a)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from offhook.protocol.json_codec import BODY_LIMIT, event_to_json
from offhook.sdk.assistant import Assistant

# --- HTTP


async def test_one_action_comes_as_an_object_several_as_an_array_none_as_204(events: Any, serve: Any) -> None:
    """Contract D32."""
    replies: dict[str, Any] = {"one": "hi", "two": ["a", "b"], "none": None}
    server = serve(Assistant(on_user_speak=lambda event: replies[event.text]))
    assert await server.post(events.words("one")) == (200, {"type": "speak", "session_id": "s1", "text": "hi"})
    status, body = await server.post(events.words("two"))
    assert (status, [action["text"] for action in body]) == (200, ["a", "b"])
    assert await server.post(events.words("none")) == (204, None)


async def test_a_body_that_is_no_event_is_400_with_every_mistake(serve: Any) -> None:
    """Contract D32."""
    status, body, _ = await serve(Assistant()).request(b'{"type": "user_speak", "session": {}}')
    assert status == 400
    assert [mistake["path"] for mistake in body["mistakes"]] == ["session.id", "text"]


async def test_an_unknown_event_type_is_204_and_a_log_line(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Contract D32."""
    caplog.set_level(logging.INFO)
    status, _, _ = await serve(Assistant()).request(b'{"type": "caller_smiled", "session": {"id": "s9"}}')
    assert status == 204
    assert any("caller_smiled" in record.message and "s9" in record.message for record in caplog.records)


async def test_a_wrong_token_is_401_before_the_body_is_read(events: Any, serve: Any) -> None:
    """Contract D32."""
    server = serve(Assistant(token="secret"))
    assert (await server.post(events.start(), headers={"X-API-TOKEN": "guess"}))[0] == 401
    assert (await server.post(events.start()))[0] == 401
    assert server.reads == 0


async def test_the_right_token_is_welcome(events: Any, serve: Any) -> None:
    assert await serve(Assistant(api_key="secret")).post(events.start(), headers={"X-API-TOKEN": "secret"}) == (
        204,
        None,
    )


async def test_without_a_token_everybody_is_welcome_with_one_warning(
    events: Any, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Contract D35a."""
    server = serve(Assistant())
    for _ in range(3):
        assert (await server.post(events.start()))[0] == 204
    assert [record.message for record in caplog.records].count(
        "No token is configured: every request is accepted. Set Assistant(token=…)."
    ) == 1


async def test_a_handler_that_raises_is_500_and_the_next_event_is_answered(events: Any, serve: Any) -> None:
    """Contract D33."""
    server = serve(Assistant(on_user_speak=lambda event: 1 / 0, on_session_start=lambda event: "hi"))  # type: ignore[arg-type, return-value]  # it raises
    assert (await server.post(events.words("x")))[0] == 500
    assert (await server.post(events.start()))[0] == 200


async def test_a_body_over_the_limit_is_413(serve: Any) -> None:
    """Contract D27."""
    status, _, _ = await serve(Assistant()).request(b"x", headers={"Content-Length": str(BODY_LIMIT + 1)})
    assert status == 413
    status, _, _ = await serve(Assistant()).request(b" " * (BODY_LIMIT + 1))
    assert status == 413


async def test_a_body_in_pieces_is_put_together(events: Any, serve: Any) -> None:
    server = serve(Assistant(on_user_speak=lambda event: event.text))
    status, body, _ = await server.request(event_to_json(events.words("Grüße")), chunk=7)
    assert (status, body["text"]) == (200, "Grüße")


async def test_a_client_that_leaves_gets_no_answer(serve: Any) -> None:
    server = serve(Assistant())
    server.inbox.put_nowait({"type": "http.disconnect"})
    await server.assistant(server.scope("http", method="POST"), server.receive, server.send)
    assert server.sent == []


async def test_a_visitor_is_told_what_this_is(serve: Any) -> None:
    status, body, _ = await serve(Assistant(token="secret")).request(method="GET")
    assert status == 200
    assert "POST events here" in body["message"]
    assert (await serve(Assistant()).request(method="HEAD"))[:2] == (200, None)
    status, _, headers = await serve(Assistant()).request(method="DELETE")
    assert (status, headers["allow"]) == (405, "GET, POST")


async def test_a_stream_over_http_is_collected_into_one_answer(events: Any, serve: Any) -> None:
    """Contract D31."""

    async def stream(event: Any) -> AsyncIterator[str]:
        yield "one"
        yield "two"

    status, body = await serve(Assistant(on_session_start=stream)).post(events.start())
    assert (status, [action["text"] for action in body]) == (200, ["one", "two"])


async def test_an_independent_http_client_is_served(events: Any) -> None:
    assistant = Assistant(token="t", on_session_start=lambda event: "hi")
    transport = httpx.ASGITransport(assistant)
    async with httpx.AsyncClient(transport=transport, base_url="http://app", headers={"X-API-TOKEN": "t"}) as client:
        answer = await client.post("/webhook", content=event_to_json(events.start()))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json()["text"] == "hi"
        assert (await client.get("/")).status_code == 200


async def test_lifespan_is_answered(serve: Any) -> None:
    server = serve(Assistant())
    server.inbox.put_nowait({"type": "lifespan.startup"})
    server.inbox.put_nowait({"type": "lifespan.shutdown"})
    await server.assistant(server.scope("lifespan"), server.receive, server.send)
    assert [one["type"] for one in server.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# --- WebSocket


async def test_events_in_actions_out_over_a_websocket(events: Any, serve: Any) -> None:
    server = serve(Assistant(on_session_start=lambda event: "hi", on_user_speak=lambda event: ["a", "b"]))
    server.open_websocket()
    server.message(events.start())
    server.message(events.words("x"))
    server.message(events.key("1"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.websocket())
        await server.until(lambda: len(server.texts) == 2)
        server.message(events.end())
        server.close_websocket()
    assert server.sent[0] == {"type": "websocket.accept"}
    assert server.texts[0] == {"type": "speak", "session_id": "s1", "text": "hi"}
    assert [action["text"] for action in server.texts[1]] == ["a", "b"]


async def test_each_reply_of_a_stream_is_sent_as_it_comes(events: Any, serve: Any) -> None:
    """Contract D31."""
    heard = asyncio.Event()

    async def stream(event: Any) -> AsyncIterator[Any]:
        yield "one"
        await heard.wait()
        yield ["two", {"type": "hangup"}]

    server = serve(Assistant(on_user_speak=stream))
    server.open_websocket()
    server.message(events.words("x"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.websocket())
        await server.until(lambda: len(server.texts) == 1)
        assert server.texts[0]["text"] == "one"
        heard.set()
        await server.until(lambda: len(server.texts) == 2)
        server.close_websocket()
    assert [action["type"] for action in server.texts[1]] == ["speak", "hangup"]


async def test_a_websocket_survives_what_is_no_event_and_what_raises(events: Any, serve: Any) -> None:
    """Contract D32, D33."""
    server = serve(Assistant(on_user_speak=lambda event: 1 / 0, on_session_start=lambda event: "hi"))  # type: ignore[arg-type, return-value]  # it raises
    server.open_websocket()
    for message in ("no json", '{"type": "new", "session": {"id": "s"}}', events.words("x"), events.start()):
        server.message(message)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.websocket())
        await server.until(lambda: len(server.texts) == 2)
        server.close_websocket()
    assert "error" in server.texts[0]
    assert "type" not in server.texts[0]
    assert server.texts[1]["text"] == "hi"


async def test_a_wrong_token_refuses_the_handshake(serve: Any) -> None:
    """Contract D32."""
    server = serve(Assistant(token="secret"))
    server.open_websocket()
    await server.websocket()
    assert [(one["type"], one["code"]) for one in server.sent] == [("websocket.close", 1008)]
    server = serve(Assistant(token="secret"))
    server.open_websocket()
    await server.websocket(extensions={"websocket.http.response": {}})
    assert server.sent[0]["status"] == 401


async def test_the_last_handler_may_finish_after_the_connection_is_gone(events: Any, serve: Any) -> None:
    """Contract D35: the service closes right after `session_end`."""
    inside, out = asyncio.Event(), asyncio.Event()

    async def clean_up(event: Any) -> None:
        inside.set()
        await out.wait()

    server = serve(Assistant(on_session_end=clean_up))
    server.open_websocket()
    server.message(events.end())
    server.close_websocket()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.websocket())
        await inside.wait()
        out.set()
    assert serving.exception() is None


async def test_a_reply_after_the_connection_is_gone_is_dropped(events: Any, serve: Any) -> None:
    out = asyncio.Event()
    inside = asyncio.Event()

    async def late(event: Any) -> str:
        inside.set()
        await out.wait()
        return "too late"

    server = serve(Assistant(on_user_speak=late))
    server.open_websocket()
    server.message(events.words("x"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.websocket())
        await inside.wait()
        server.close_websocket()
        await server.until(lambda: server.taken == 3)
        out.set()
    assert server.texts == []
