"""The rules that only a connection shows, each by an app that breaks just this one."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any, TypeAlias

import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from offhook.testing.conformance import Aim, Report, check_app
from tests.testing.conformance.webhooks import Action, Event, right, takes

Handles: TypeAlias = Callable[[web.WebSocketResponse, Event], Awaitable[None]]


async def send(socket: web.WebSocketResponse, actions: list[Action]) -> None:
    for action in actions:
        await socket.send_str(json.dumps(action))


async def handle_right(socket: web.WebSocketResponse, event: Event) -> None:
    await send(socket, right(event))


@asynccontextmanager
async def socket_app(
    handle: Handles = handle_right,
    *,
    admit: Callable[[web.Request], int | None] = lambda _: None,
    pongs: bool = True,
    one_at_a_time: bool = False,
) -> AsyncIterator[str]:
    """Serve it; gives its URL. `admit`: the status that a handshake is refused with."""
    turn = asyncio.Lock()
    open_ones: set[web.WebSocketResponse] = set()

    async def talk(request: web.Request, socket: web.WebSocketResponse) -> None:
        await socket.prepare(request)
        open_ones.add(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                try:
                    event = json.loads(message.data)
                except ValueError:
                    continue
                await handle(socket, event)

    async def serve(request: web.Request) -> web.StreamResponse:
        status = admit(request)
        if status is not None:
            return web.Response(status=status)
        socket = web.WebSocketResponse(autoping=pongs, compress=False)
        with suppress(ConnectionResetError):
            async with turn if one_at_a_time else nullcontext():
                await talk(request, socket)
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await asyncio.gather(*(socket.close() for socket in open_ones))
        await runner.cleanup()


async def checked(url: str, **aim: Any) -> Report:
    return await check_app(Aim(url, **{"time_limit": 1.0, "calls_at_once": 8, "quiet_seconds": 0.1, **aim}))


def found(report: Report) -> set[str]:
    return {finding.rule.number for finding in report.findings}


async def test_an_app_that_does_everything_right_is_not_blamed() -> None:
    async with socket_app() as url:
        report = await checked(url)
    assert report.findings == ()
    assert report.passed


async def in_binary(socket: web.WebSocketResponse, event: Event) -> None:
    if event["type"] == "user_input_timeout":
        await socket.send_bytes(json.dumps(right(event)).encode())
    else:
        await handle_right(socket, event)


async def closing_early(socket: web.WebSocketResponse, event: Event) -> None:
    await handle_right(socket, event)
    if event["type"] == "dtmf_received":
        await socket.close(code=WSCloseCode.INTERNAL_ERROR)


async def at_the_onset(socket: web.WebSocketResponse, event: Event) -> None:
    if event["type"] == "user_speech_started":
        await send(socket, [{"type": "barge_in", "session_id": event["session"]["id"]}])
    await handle_right(socket, event)


async def after_the_end(socket: web.WebSocketResponse, event: Event) -> None:
    if event["type"] == "session_end":
        await send(socket, [{"type": "speak", "text": "Goodbye.", "session_id": event["session"]["id"]}])
    await handle_right(socket, event)


async def reporting_errors(socket: web.WebSocketResponse, event: Event) -> None:
    if event["type"] == "user_speak":
        await socket.send_str('{"error": "the handler failed"}')
    else:
        await handle_right(socket, event)


async def too_much(socket: web.WebSocketResponse, event: Event) -> None:
    if event["type"] == "user_input_timeout":
        await socket.send_str('"' + "x" * (8 << 20) + '"')
    else:
        await handle_right(socket, event)


async def in_a_wrong_order(socket: web.WebSocketResponse, event: Event) -> None:
    if event["type"] == "user_speak":
        named = {"session_id": event["session"]["id"]}
        await socket.send_str(json.dumps([{"type": "speak", "text": "Hello.", **named}, {"type": "barge_in", **named}]))
    else:
        await handle_right(socket, event)


DEFECTS: list[tuple[str, Handles]] = [
    ("C06", too_much),
    ("C13", in_binary),
    ("C14", closing_early),
    ("C26", reporting_errors),
    ("C53", in_a_wrong_order),
    ("C71", after_the_end),
    ("C72", at_the_onset),
]


@pytest.mark.parametrize(("rule", "handle"), DEFECTS)
async def test_a_wrong_message_is_found_by_its_rule_alone(rule: str, handle: Handles) -> None:
    async with socket_app(handle) as url:
        report = await checked(url)
    assert found(report) == {rule}, [finding.what for finding in report.findings]


async def test_c04_the_handshake_is_redirected() -> None:
    async with socket_app(admit=lambda _: 302) as url:
        assert found(await checked(url)) == {"C04"}


async def test_c12_a_connection_that_waits_holds_up_the_others() -> None:
    async with socket_app(one_at_a_time=True) as url:
        assert found(await checked(url, time_limit=0.3)) == {"C12"}


async def test_c15_pings_are_not_answered() -> None:
    async with socket_app(pongs=False) as url:
        assert found(await checked(url)) == {"C15"}


async def test_c16_the_second_connection_of_a_call_is_refused() -> None:
    """D29."""
    known: set[str] = set()

    def admit(request: web.Request) -> int | None:
        session_id = request.headers["X-Session-Id"]
        if session_id in known:
            return 409
        known.add(session_id)
        return None

    async with socket_app(admit=admit) as url:
        assert found(await checked(url)) == {"C16"}


async def test_c17_two_events_in_one_moment_are_too_much() -> None:
    """D22."""
    busy: set[str] = set()

    async with asyncio.TaskGroup() as tasks:

        async def handle(socket: web.WebSocketResponse, event: Event) -> None:
            key = event["session"]["id"]
            if event["type"] == "user_speak" and key in busy:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION)
                return
            if event["type"] == "user_speech_started":
                return
            if event["type"] == "user_speak":
                busy.add(key)
                tasks.create_task(rests(key))
            await handle_right(socket, event)

        async def rests(key: str) -> None:
            await takes(0.003)
            busy.discard(key)

        async with socket_app(handle) as url:
            assert found(await checked(url)) == {"C17"}


async def test_c70_the_session_has_to_be_known() -> None:
    known: set[str] = set()

    async def handle(socket: web.WebSocketResponse, event: Event) -> None:
        if event["type"] == "session_start":
            known.add(event["session"]["id"])
        if event["session"]["id"] not in known:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION)
            return
        await handle_right(socket, event)

    async with socket_app(handle) as url:
        assert found(await checked(url)) == {"C70"}


async def test_c81_the_fifth_connection_is_not_answered() -> None:
    open_ones: set[str] = set()

    async def handle(socket: web.WebSocketResponse, event: Event) -> None:
        key = event["session"]["id"]
        if event["type"] == "session_end":
            open_ones.discard(key)
        elif len(open_ones) < 4 or key in open_ones:
            open_ones.add(key)
            await handle_right(socket, event)

    async with socket_app(handle) as url:
        assert found(await checked(url, time_limit=0.5)) == {"C81"}


@pytest.mark.parametrize("status", [401, 403])
async def test_c84_c85_the_token_decides(status: int) -> None:
    def admit(request: web.Request) -> int | None:
        return None if request.headers.get("X-API-TOKEN") == "secret" else status

    async with socket_app(admit=admit) as url:
        assert found(await checked(url, only=("C84", "C85"))) == {"C84"}
        assert found(await checked(url, token="secret", only=("C84", "C85"))) == set()
    async with socket_app() as url:
        assert found(await checked(url, token="secret", only=("C84", "C85"))) == {"C85"}


async def test_c85_a_stranger_may_be_let_in_and_shown_out() -> None:
    """D32: a framework that cannot refuse a handshake closes the connection."""
    strangers: set[str] = set()

    def admit(request: web.Request) -> int | None:
        if request.headers.get("X-API-TOKEN") != "secret":
            strangers.add(request.headers["X-Session-Id"])
        return None

    async def handle(socket: web.WebSocketResponse, event: Event) -> None:
        if event["session"]["id"] in strangers:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION)
        else:
            await handle_right(socket, event)

    async with socket_app(handle, admit=admit) as url:
        assert found(await checked(url, token="secret", only=("C85",))) == set()
