"""The app dies, hangs, or was never there: what the caller hears then (contract D26, D29, D30, D41)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.peers.baresip import free_port
from tests.peers.known_sound import as_audio, hiss, on_the_wire, says, words
from tests.peers.mortal_app import App
from tests.peers.sip_caller import SipCaller, Stream

if TYPE_CHECKING:
    from tests.peers.conftest import Serves

pytestmark = [pytest.mark.peers, pytest.mark.timeout(90)]

APOLOGY = "Sorry, something went wrong. Please call again later."
GREETING = {"type": "speak", "text": "Welcome to our service. Please tell me your name."}
IMPATIENT = "answer_within_seconds = 1\nconnect_within_seconds = 1"


@asynccontextmanager
async def hanging_server() -> AsyncIterator[int]:
    """A server that accepts connections and never says a word; its port."""
    never = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        await never.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])
        never.set()


async def hears_the_apology_and_then_the_bye(caller: SipCaller) -> None:
    """D26: never silence; the apology is heard to its end."""
    await caller.until_hung_up()
    assert await says(Stream(caller.heard).payload, APOLOGY)


async def test_the_app_is_not_there_or_never_answers(serve: "Serves") -> None:
    """D26, D30, D41: the call is answered, and the caller is told; time limits are the flow's, here one second."""
    async with hanging_server() as hanging:
        nobody = free_port(socket.SOCK_STREAM)
        apps = [f"{scheme}://127.0.0.1:{port}/app" for scheme in ("http", "ws") for port in (nobody, hanging)]
        flows = [
            f'\n[[flow]]\nid = "flow{number}"\napp = "{app}"\nnumbers = ["caller{number}"]\n{IMPATIENT}\n'
            for number, app in enumerate(apps)
        ]
        service = await serve(apps[0], flow="".join(flows))

        async def call(number: int) -> None:
            async with SipCaller(service.udp_port, number=f"caller{number}") as caller:
                assert (await caller.dial()).status == 200
                await hears_the_apology_and_then_the_bye(caller)

        await asyncio.gather(*(call(number) for number in range(len(apps))))


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_app_is_killed_at_session_start(serve: "Serves", kind: str) -> None:
    """D26: a failing `session_start` is enough. On a WebSocket the app had it, so it is waited for (D29)."""
    async with App(kind, {"session_start": "never"}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await app.until_event("session_start")
            await app.kill()
            if kind == "http":
                await hears_the_apology_and_then_the_bye(caller)
                return
            async with App(kind, {"dtmf_received": [GREETING]}, port=app.port) as restarted:
                caller.press("1")
                await restarted.until_event("assistant_speech_ended")
                await caller.hang_up()
                await restarted.until_event("session_end")
    assert restarted.types()[0] == "dtmf_received"


async def test_the_webhook_is_killed_during_a_call(serve: "Serves") -> None:
    """D26: the call goes on until the third failure in a row; what is being said is not disturbed by the first."""
    sound = hiss(1.5)
    async with App("http", {"session_start": [as_audio(sound)]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears_sound()
            await app.kill()
            caller.press("1")
            await caller.hears(100)
            assert on_the_wire(sound) in Stream(caller.heard).payload
            assert caller.byes == 0
            caller.press("2")
            caller.press("3")
            await hears_the_apology_and_then_the_bye(caller)
            assert Stream(caller.heard).lost() == []


async def test_the_webhook_hangs_during_a_call(serve: "Serves") -> None:
    """D26: time-outs in a row are failures in a row."""
    async with App("http", {"session_start": [GREETING], "dtmf_received": "never"}) as app:
        service = await serve(app.url, flow=IMPATIENT)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await app.until_event("assistant_speech_ended")
            for digit in "123":
                caller.press(digit)
            await hears_the_apology_and_then_the_bye(caller)
    assert app.types().count("dtmf_received") == 3


async def test_the_webhook_is_killed_and_comes_back_before_the_third_failure(serve: "Serves") -> None:
    """D26: an answer ends the row of failures."""
    async with App("http", {"session_start": [GREETING]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await app.until_event("assistant_speech_ended")
            await app.kill()
            caller.press("1")
            await caller.hears(50)
            async with App("http", {"dtmf_received": [GREETING, {"type": "hangup"}]}, port=app.port) as restarted:
                heard = len(caller.heard)
                caller.press("2")
                await restarted.until_event("dtmf_received")
                await caller.until_hung_up()
                assert await says(Stream(caller.heard[heard:]).payload, str(GREETING["text"]))
                await restarted.until_event("session_end")


async def test_a_second_app_takes_over(serve: "Serves") -> None:
    """D26: the flow's second URL is told of the call as if it began."""
    async with App("http", {"session_start": "never"}) as app, App("http", {"session_start": [GREETING]}) as second:
        service = await serve(app.url, flow=f'[flow.fallback]\nurl = "{second.url}"')
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await app.until_event("session_start")
            await app.kill()
            await second.until_event("assistant_speech_ended")
            assert await says(Stream(caller.heard).payload, str(GREETING["text"]))
            assert caller.byes == 0
            await caller.hang_up()
            await second.until_event("session_end")


async def test_the_websocket_app_is_killed_and_started_again(serve: "Serves") -> None:
    """D29: events are kept and come in order, `session_start` is not repeated, the caller notices nothing."""
    sound = hiss(4)
    answers: dict[str, Sequence[dict[str, Any]]] = {"session_start": [as_audio(sound)]}
    async with App("websocket", answers) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears_sound()
            await app.kill()
            for digit in "123456789":
                caller.press(digit)
            await caller.hears(220)  # the sound and the keys are over, and nobody was told
            async with App("websocket", {"dtmf_received": [], "user_speak": [GREETING]}, port=app.port) as restarted:
                await restarted.until_event("dtmf_received", 9)
                heard = len(caller.heard)
                caller.say(words())
                await restarted.until_event("assistant_speech_ended", 2)
                assert await says(Stream(caller.heard[heard:]).payload, str(GREETING["text"]))
                await caller.hang_up()
                await restarted.until_event("session_end")
            assert on_the_wire(sound) in Stream(caller.heard).payload
            assert Stream(caller.heard).lost() == []
    assert app.types() == ["session_start"]
    keys = [event["digit"] for event in restarted.events if event["type"] == "dtmf_received"]
    assert keys == list("123456789")
    kept = restarted.types()
    assert kept.index("assistant_speech_ended") < kept.index("user_speech_started") < kept.index("user_speak")
    assert [kind for kind in kept if kind in {"session_start", "session_end"}] == ["session_end"]
    sessions = {event["session"]["id"] for event in (*app.events, *restarted.events)}
    assert len(sessions) == 1
