"""Each example runs as it stands."""

import asyncio
import base64
import io
import itertools
import json
import os
import struct
import subprocess
import sys
import threading
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from offhook.control.control_app import control_app
from offhook.protocol.json_codec import read_actions
from offhook.service.http_server import HttpServer
from offhook.service.setting_types import HostPort
from offhook.testing import Rehearsal
from offhook.transports.simulator.callee import Reception
from offhook.transports.simulator.steps import WaitUntilQuiet
from tests.calls.hand_house import HandHouse, talk

EXAMPLES = Path(__file__).parents[2] / "examples"
Example = Callable[[str], ModuleType]


# --- 01


async def test_the_echo_repeats_and_says_goodbye(example: Example) -> None:
    call = Rehearsal(example("01_echo").assistant)
    await call.starts()
    await call.says("good morning")
    await call.says("bye bye")
    await call.listens()
    assert call.heard == ["Welcome. What can I do for you?", "You said: good morning", "Goodbye!"]
    assert call.ended


def test_the_echo_needs_nothing_but_offhook() -> None:
    """Run as a script it serves webhooks; here it only has to start and to answer."""
    code = (
        "import runpy, sys, threading\n"
        f"echo = runpy.run_path({str(EXAMPLES / '01_echo.py')!r})\n"
        "allowed = {'flask', 'uvicorn', 'starlette', 'websockets', 'aiohttp', 'numpy'}\n"
        "assert not allowed & set(sys.modules), sorted(allowed & set(sys.modules))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_webhook_of_the_standard_library_answers(example: Example) -> None:
    from offhook.sdk.http_server import WebhookServer

    with WebhookServer(example("01_echo").assistant, "127.0.0.1", 0) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
                assert "POST events here" in client.get("/").json()["message"]
                event = {"type": "user_speak", "text": "hi", "session": {"id": "s1"}}
                assert client.post("/", json=event).json()["text"] == "You said: hi"
                assert client.post("/", json={"type": "session_end", "session": {"id": "s1"}}).status_code == 204
                assert client.post("/", content=b"nonsense").status_code == 400
        finally:
            server.shutdown()
            serving.join()


# --- 02, 03: plain JSON


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "session": {"id": "s1"}, **fields}


def test_the_flask_webhook_echoes_words_and_keys(example: Example) -> None:
    client = example("02_flask_webhook").create_app().test_client()

    def post(sent: dict[str, Any]) -> list[str]:
        answer = client.post("/webhook", json=sent)
        found = read_actions(answer.get_data(), "s1")
        assert (found.refused, found.notes, found.nonsense) == ((), (), None)
        return [getattr(action, "text", None) or action.type for action in found.actions]

    assert post(event("session_start")) == ["Welcome to the echo line. Say something, or press a key."]
    assert post(event("user_speak", text="good morning")) == ["You said: good morning"]
    assert post(event("dtmf_received", digit="5")) == ["barge_in", "You pressed 5."]
    assert post(event("user_input_timeout")) == ["Are you still there? Say bye to end the call."]
    assert post(event("user_speak", text="Bye")) == ["Thank you for calling. Goodbye!", "hangup"]
    assert post(event("dtmf_received", digit="#")) == ["barge_in", "Thank you for calling. Goodbye!", "hangup"]
    for kind in ("assistant_speak", "assistant_speech_ended", "session_end"):
        assert client.post("/webhook", json=event(kind)).status_code == 204
    assert client.get("/health").status_code == 200


def test_the_flask_webhook_asks_for_its_token(example: Example) -> None:
    client = example("02_flask_webhook").create_app(token="secret").test_client()
    assert client.post("/webhook", json=event("session_start")).status_code == 401
    welcome = client.post("/webhook", json=event("session_start"), headers={"X-API-TOKEN": "secret"})
    assert welcome.status_code == 200


async def test_the_websocket_app_echoes_words_and_keys(example: Example) -> None:
    server = await example("03_websocket").start_server("127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connect(f"ws://127.0.0.1:{port}") as service:

        async def exchange(sent: dict[str, Any], answers: int) -> list[str]:
            await service.send(json.dumps(sent))
            texts = [await service.recv() for _ in range(answers)]
            actions = [action for text in texts for action in read_actions(text, "s1").actions]
            return [getattr(action, "text", None) or action.type for action in actions]

        assert await exchange(event("session_start"), 1) == ["Welcome to the echo line. Say something, or press a key."]
        assert await exchange(event("assistant_speech_ended"), 0) == []
        assert await exchange(event("user_speak", text="good morning"), 1) == ["You said: good morning"]
        assert await exchange(event("dtmf_received", digit="5"), 2) == ["barge_in", "You pressed 5."]
        assert await exchange(event("user_speak", text="bye"), 2) == ["Thank you for calling. Goodbye!", "hangup"]


async def test_the_websocket_app_asks_for_its_token(example: Example) -> None:
    server = await example("03_websocket").start_server("127.0.0.1", 0, "secret")
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(InvalidStatus, match="401"):
            await connect(f"ws://127.0.0.1:{port}")
        async with connect(f"ws://127.0.0.1:{port}", additional_headers={"X-API-TOKEN": "secret"}) as service:
            await service.send(json.dumps(event("session_start")))
            assert json.loads(await service.recv())["type"] == "speak"


# --- 04


async def _at_once(half_day: str, offered: int) -> str:
    return f"{('Tuesday', 'Thursday')[offered]} {half_day}"


@pytest.fixture
def desk(example: Example, rehearse: Callable[..., Rehearsal]) -> Rehearsal:
    return rehearse(example("04_appointment_desk").create_assistant(look_up=_at_once))


async def test_an_appointment_is_booked_by_voice(desk: Rehearsal) -> None:
    await desk.starts()
    await desk.says("yes please")
    await desk.says("in the morning")
    music = [desk.background]
    await desk.listens()
    assert [*music, desk.background] == [True, False]
    await desk.says("yes")
    await desk.listens()
    assert desk.heard == [
        "Welcome to the appointment desk. Would you like to book an appointment? Please say yes or no.",
        "Good. Shall it be in the morning or in the afternoon? You can also press 1 for morning, 2 for afternoon.",
        "One moment please, I am looking for a free slot in the morning.",
        "I can offer you Tuesday morning. Does that suit you? Please say yes or no.",
        "Your appointment is booked for Tuesday morning. Thank you for calling. Goodbye!",
    ]
    assert desk.ended
    assert desk.dropped == []


async def test_an_appointment_is_booked_by_keypad_into_the_prompts(desk: Rehearsal) -> None:
    await desk.starts()
    await desk.presses("1")
    await desk.presses("2")
    assert desk.background
    await desk.listens()
    await desk.presses("1")
    await desk.listens()
    assert desk.heard[-3:] == [
        "One moment please, I am looking for a free slot in the afternoon.",
        "I can offer you Tuesday afternoon. Does that suit you? Please say yes or no.",
        "Your appointment is booked for Tuesday afternoon. Thank you for calling. Goodbye!",
    ]
    assert desk.ended


async def test_the_greeting_can_be_interrupted(desk: Rehearsal) -> None:
    await desk.starts()
    await desk.interrupts_after(1.5, "yes")
    assert desk.heard[0] == "Welcome to the…"
    assert desk.heard[1].startswith("Good. Shall it be")


async def test_silence_is_asked_about_and_then_ends_the_call(desk: Rehearsal) -> None:
    await desk.starts()
    for _ in range(3):
        await desk.stays_silent(8)
    await desk.listens()
    assert [text.split(".")[0] for text in desk.heard[1:]] == [
        "Sorry, I did not get that",
        "Sorry, I did not get that",
        "I am sorry, I could not understand you",
    ]
    assert desk.ended


async def test_another_slot_is_found_once(desk: Rehearsal) -> None:
    await desk.starts()
    await desk.says("yes")
    for answer in ("morning", "no", "afternoon", "no thank you"):
        await desk.says(answer)
        await desk.listens()
    assert "Thursday afternoon" in desk.heard[-2]
    assert desk.heard[-1] == "I have no other slot this week. Please call again. Goodbye!"
    assert desk.ended


@pytest.mark.parametrize("words", ["no", "goodbye"])
async def test_a_caller_may_leave(desk: Rehearsal, words: str) -> None:
    await desk.starts()
    await desk.says(words)
    await desk.listens()
    assert desk.heard[-1].endswith("Goodbye!")
    assert desk.ended


@pytest.mark.parametrize(
    ("text", "step", "meaning"),
    [
        ("Yes, please.", "book", "yes"),
        ("no thank you", "book", "no"),
        ("i would like an appointment", "book", "yes"),
        ("in the mornings", "time", "morning"),
        ("after noon", "time", "afternoon"),
        ("two", "time", "afternoon"),
        ("one", "confirm", "yes"),
        ("morning or afternoon", "time", None),
        ("uh", "book", None),
        ("", "book", None),
    ],
)
def test_few_words_are_enough(example: Example, text: str, step: str, meaning: str | None) -> None:
    assert example("04_appointment_desk").meaning_of(text, step) == meaning


def test_the_hold_music_is_soft_and_has_no_seam(example: Example) -> None:
    content = base64.b64decode(example("04_appointment_desk").hold_music())
    with wave.open(io.BytesIO(content)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (16_000, 1, 2)
        samples = struct.unpack(f"<{wav.getnframes()}h", wav.readframes(wav.getnframes()))
    assert 11_000 < max(abs(sample) for sample in samples) <= 12_000
    inside = max(abs(one - other) for one, other in itertools.pairwise(samples))
    assert abs(samples[0] - samples[-1]) <= inside
    assert len(content) < 150_000


# --- 05


async def test_the_caller_of_somebody_asks_and_takes_the_answer(example: Example) -> None:
    """Run as it stands, against the REST API of a house whose recipient is simulated (contract section 6)."""
    assistant = example("05_call_somebody").assistant

    def answers(event: dict[str, Any]) -> list[dict[str, Any]]:
        answer = assistant.answer_request(json.dumps(event).encode(), {})
        told = json.loads(answer.body) if answer.body else []
        return told if isinstance(told, list) else [told]

    recipient = Reception(answers_after_ms=500, script=(WaitUntilQuiet(300), talk()))
    async with (
        HandHouse(answers, words=["yes I will"], flow_id="reminder", receives=lambda _: recipient) as house,
        served(control_app(house.register, keys=("k1",))) as url,
    ):
        told = await run_example("05_call_somebody", "+4915112345678", url=url, key="k1")
        (session,) = house.register.sessions()
        assert told == f"It rings, session {session.id}\n"
        await house.until(lambda: house.register.calls_in_progress() == 0)
        spoken = [event["text"] for event in house.app.received if event["type"] == "assistant_speak"]
        assert spoken == [
            "Good morning. You have an appointment tomorrow at nine. Will you come?",
            "See you tomorrow. Goodbye.",
        ]
        house.forbidden.add("+90123456")
        assert "dial.allow" in await run_example("05_call_somebody", "+90123456", url=url, key="k1")


async def run_example(name: str, *arguments: str, url: str, key: str) -> str:
    """What an example says when it is run as a script."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OFFHOOK_SERVICE_URL": url, "OFFHOOK_SERVICE_KEY": key},
    )
    said, _ = await process.communicate()
    return said.decode()


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
