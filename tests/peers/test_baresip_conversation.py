"""A person's call from a real telephone to the example apps: what the app received, and what the caller heard."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from offhook.calls.call_log import RecordedCall
from tests.peers.apps import ExampleApp, RecordingProxy
from tests.peers.conftest import Phones, Serves
from tests.peers.sound import RATE, best_match, prompt, silence, spoken_by_the_embedded_voice, write_wav

pytestmark = [pytest.mark.peers, pytest.mark.speech]

GREETING = "Welcome to the echo line. Say something, or press a key."
FAREWELL = "Thank you for calling. Goodbye!"


@dataclass(frozen=True, slots=True)
class Example:
    """An example that runs, seen through the proxy that writes down what it gets."""

    kind: Literal["http", "websocket"]
    proxy: RecordingProxy

    @property
    def url(self) -> str:
        return self.proxy.webhook if self.kind == "http" else self.proxy.socket


@pytest.fixture(params=["http", "websocket"])
async def example(request: pytest.FixtureRequest) -> AsyncIterator[Example]:
    """`examples/02_flask_webhook.py`, then `examples/03_websocket.py`."""
    async with AsyncExitStack() as stack:
        program = "02_flask_webhook.py" if request.param == "http" else "03_websocket.py"
        app = await stack.enter_async_context(ExampleApp(program))
        yield Example(request.param, await stack.enter_async_context(RecordingProxy(app.port)))


def texts_said(call: RecordedCall) -> list[str]:
    """What the voice was given to say, in order. Its breath depends on what it has said before."""
    return [str(order["text"]) for _, order in call.orders if order["type"] == "Say"]


async def test_a_whole_conversation_reaches_the_app_in_order_and_the_caller_in_full(
    example: Example, serve: Serves, phone: Phones, tmp_path: Path
) -> None:
    """Contract section 2, D3, D6, D19, D38: greeting, words, a key during speech, farewell, BYE."""
    service = await serve(example.url)
    caller = await phone()
    app = example.proxy.ledger

    await caller.dial(service.uri())
    await caller.until("CALL_ESTABLISHED")
    await app.until("assistant_speech_ended")
    await caller.play(write_wav(tmp_path / "hello.wav", prompt("hello-world"), silence(120)))
    await app.until("assistant_speak", 2)
    await caller.press("5")
    await app.until("assistant_speech_ended", 3)
    await caller.press("#")
    await caller.until("CALL_CLOSED")
    await app.until("session_end")
    await service.stop()

    onset = ["user_speech_started"] if example.kind == "websocket" else []
    assert app.types == [
        "session_start",
        *("assistant_speak", "assistant_speech_ended"),
        *onset,
        "user_speak",
        *("assistant_speak", "dtmf_received", "assistant_speech_ended"),
        *("assistant_speak", "assistant_speech_ended"),
        "dtmf_received",
        *("assistant_speak", "assistant_speech_ended"),
        "session_end",
    ]
    (session,) = {tuple(event["session"].items()) for event in app.events}
    assert dict(session) == {
        "id": service.calls()[0].settings.session.id,
        "account_id": "local",
        "phone_number": "+4921155660",
        "direction": "inbound",
        "from_phone_number": "+4930123456",
        "to_phone_number": "+4921155660",
    }
    bare = {"session_start", "user_speech_started", "assistant_speech_ended", "session_end"}
    assert all(set(event) == {"type", "session"} for event in app.events if event["type"] in bare)
    (words,) = app.of("user_speak")
    assert {**words, "session": None} == {
        "type": "user_speak",
        "session": None,
        "text": "hello world",
        "barged_in": False,
    }
    assert [key["digit"] for key in app.of("dtmf_received")] == ["5", "#"]
    spoken = app.of("assistant_speak")
    assert [event["text"] for event in spoken] == [GREETING, "You said: hello world", "You pressed 5.", FAREWELL]

    references = await spoken_by_the_embedded_voice(*texts_said(service.calls()[0]))
    assert [event["duration_ms"] for event in spoken] == [len(speech) * 1000 // RATE for speech in references]
    heard = caller.heard()
    greeting, _, pressed, farewell = references
    matches = [best_match(heard, speech) for speech in (greeting, pressed, farewell, farewell[-RATE:])]
    print("correlation and place of what was heard:", [f"{score:.4f} at {at / RATE:.2f} s" for score, at in matches])
    assert all(score >= 0.95 for score, _ in matches)
    places = [at for _, at in matches]
    assert places == sorted(places)


async def test_every_request_says_who_it_is_from(example: Example, serve: Serves, phone: Phones) -> None:
    """Contract section 6, D27: token, session id and user agent on each request or connection; 1000 at the end."""
    service = await serve(example.url)
    caller = await phone(user="anonymous")
    app = example.proxy.ledger

    await caller.dial(service.uri("support"))
    await app.until("assistant_speak")
    await caller.hang_up()
    await app.until("session_end")

    session = app.events[0]["session"]
    assert session["from_phone_number"] == "anonymous"
    assert session["to_phone_number"] == session["phone_number"] == "support"
    for received in app.received:
        assert received.headers["X-API-TOKEN"] == "secret"
        assert received.headers["X-Session-Id"] == session["id"]
        assert received.headers["User-Agent"].startswith("offhook/")
        if example.kind == "http":
            assert received.headers["Content-Type"] == "application/json"
    if example.kind == "websocket":
        assert await app.until_closed() == 1000
        assert "Sec-WebSocket-Extensions" not in app.received[0].headers
