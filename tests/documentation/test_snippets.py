"""The snippets of README.md and docs/write-an-app/README.md, each in a call."""

import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from offhook import Assistant, ConfigureTranscription, OffhookError
from offhook.testing import Rehearsal


async def test_the_first_three_lines_answer_the_caller() -> None:
    assistant = Assistant()

    @assistant.on_user_speak
    async def answer(event):  # type: ignore[no-untyped-def]  # as on the page
        return f"You said: {event.text}"  # the caller hears this, and may interrupt it

    call = await Rehearsal(assistant).starts()
    await call.says("hello")
    await call.listens()
    assert call.heard == ["You said: hello"]


async def test_the_ten_lines_say_goodbye() -> None:
    # my_app.py
    from offhook import Assistant, Hangup, Speak

    assistant = Assistant()

    @assistant.on_session_start
    def greet(event):  # type: ignore[no-untyped-def]
        return "Welcome. What can I do for you?"

    @assistant.on_user_speak
    async def answer(event):  # type: ignore[no-untyped-def]
        if "bye" in event.text.lower():
            return [Speak(text="Goodbye!"), Hangup()]
        return f"You said: {event.text}"

    call = await Rehearsal(assistant).starts()
    await call.says("bye")
    await call.listens()
    assert call.heard == ["Welcome. What can I do for you?", "Goodbye!"]
    assert call.ended


async def test_a_greeting_names_the_words_that_it_expects() -> None:
    assistant = Assistant()

    @assistant.on_session_start
    def greet(event):  # type: ignore[no-untyped-def]
        expected = ConfigureTranscription(custom_vocabulary=["yes", "no", "bye"])
        return [expected, "Welcome. Shall I call you back?"]

    call = await Rehearsal(assistant).starts()
    assert call.heard == ["Welcome. Shall I call you back?"]
    assert isinstance(call.actions[0], ConfigureTranscription)


async def my_language_model(text: str) -> AsyncIterator[str]:
    yield f"About {text}:"
    yield "nothing."


async def test_a_stream_is_heard_sentence_by_sentence() -> None:
    assistant = Assistant()

    @assistant.on_user_speak(latest_turn_only=True)
    async def answer(event):  # type: ignore[no-untyped-def]
        async for sentence in my_language_model(event.text):
            yield sentence

    call = await Rehearsal(assistant).starts()
    await call.says("cats")
    await call.listens()
    assert call.heard == ["About cats:", "nothing."]


class Service(BaseHTTPRequestHandler):
    """The service's answer to a call that is placed."""

    asked: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Authorization"], body))
        answer = b'{"sessionId": "the-new-call"}'
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""


def test_a_flow_calls_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        monkeypatch.setenv("OFFHOOK_SERVICE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OFFHOOK_SERVICE_KEY", "a-key")
        serving = threading.Thread(target=server.handle_request)
        serving.start()

        assistant = Assistant()  # OFFHOOK_SERVICE_URL and OFFHOOK_SERVICE_KEY say which service
        session_id = assistant.call("reminder", "+4915112345678")  # in async code: await assistant.call_async(…)

        serving.join()
    assert session_id == "the-new-call"
    (asked,) = Service.asked
    assert asked[:2] == ("/v3/ai-flows/reminder/call", "Bearer a-key")
    assert b"+4915112345678" in asked[2]


def test_a_service_is_named_where_the_assistant_is_made() -> None:
    assistant = Assistant(service_url="http://127.0.0.1:8080", service_key="one-of-http-keys")
    with pytest.raises(OffhookError) as refusal:
        Assistant(service_url="http://127.0.0.1:8080")
    assert isinstance(assistant, Assistant)
    assert "OFFHOOK_SERVICE_KEY" in refusal.value.remedy


async def test_every_speak_may_have_a_voice_of_its_own() -> None:
    from offhook import Assistant, Speak, TtsConfig
    from offhook.voices import azure, eleven_labs

    assistant = Assistant()

    @assistant.on_session_start
    def greet(event):  # type: ignore[no-untyped-def]
        return [
            Speak(text="Guten Tag.", tts=TtsConfig(language="de-DE")),  # the flow's own engine, in German
            Speak(text="Good morning.", tts=TtsConfig(voice="en-gb+f3")),  # the same, by another of its voices
            Speak(text="Guten Abend.", tts=azure("de-DE-KatjaNeural")),  # these names are completed in the editor
            Speak(text="Hello.", tts=eleven_labs("Rachel")),
            Speak(text="Hello.", tts=TtsConfig(provider="kokoro", voice="af_bella")),  # an engine of the operator's
        ]

    call = await Rehearsal(assistant).starts()
    asked = [action.tts for action in call.actions if isinstance(action, Speak)]
    assert [(tts.provider, tts.language, tts.voice) for tts in asked if tts is not None] == [
        ("", "de-DE", None),
        ("", None, "en-gb+f3"),
        ("azure", "de-DE", "de-DE-KatjaNeural"),
        ("eleven_labs", None, "21m00Tcm4TlvDq8ikWAM"),
        ("kokoro", None, "af_bella"),
    ]
