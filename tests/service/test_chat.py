"""`offhook chat`: a call in text."""

import http.server
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook.errors import SettingsInvalid
from offhook.service.commands import chat
from offhook.service.commands.options import ChatOptions
from offhook.service.commands.terminal import Terminal

pytest_plugins = ["pytester"]

APP = """
from offhook import Assistant, Hangup, Speak, Transfer, TtsConfig

assistant = Assistant()


@assistant.on_session_start
def greet(event):
    return Speak(
        text=f"Welcome {event.session.from_phone_number} to the desk of this large company",
        barge_in={"strategy": "immediate"},
        user_input_timeout_seconds=5,
    )


@assistant.on_user_input_timeout
def again(event):
    return "Are you there?"


@assistant.on_dtmf_received
def key(event):
    return f"You pressed {event.digit}"


@assistant.on_user_speak
def answer(event):
    match event.text:
        case "bye":
            return [Speak(text="Goodbye!"), Hangup()]
        case "a list of mistakes":
            return Speak(text="x", tts=TtsConfig(voices="x"))
        case "in German":
            return Speak(text="Ja", tts=TtsConfig(language="de-DE"))
        case "by nobody":
            return Speak(text="x", tts=TtsConfig(provider="nope"))
        case "crash":
            raise ValueError("no such thing")
        case "somebody":
            return Transfer(target_phone_number="+4921155669", caller_id_name="A", caller_id_number="+49211", timeout=5)
    return f"{'Interrupted by' if event.barged_in else 'You said'} {event.text}"
"""


@pytest.fixture
def app(tmp_path: Path) -> str:
    file = tmp_path / "chat_app_under_test.py"
    file.write_text(APP)
    return str(file)


def said(app: str, *lines: str) -> str:
    out = io.StringIO()
    options = ChatOptions(app, "+4915112345678", "+4921155660", "secret")
    assert chat.run(options, Terminal(out, io.StringIO("".join(f"{line}\n" for line in lines)))) == 0
    return out.getvalue()


def test_each_line_is_a_turn_and_the_assistant_may_hang_up(app: str) -> None:
    text = said(app, "hello", "bye", "too late")
    assert "assistant> Welcome +4915112345678 to the desk" in text
    assert "assistant> You said hello" in text
    assert "assistant> Goodbye!" in text
    assert text.count("\nThe call is over: /again") == 1
    assert "You said too late" not in text
    assert "  ! The call is over: /again" in text


def test_the_same_call_can_be_made_again(app: str) -> None:
    text = said(app, "hello", "bye", "/again")
    assert text.count("assistant> You said hello") == 2
    assert text.count("assistant> Goodbye!") == 2
    assert "you 1> hello\n" in text
    assert said(app, "hello", "how much", "/again 1").count("You said how much") == 1


def test_the_app_is_loaded_again_with_the_call(app: str) -> None:
    class Editor(Terminal):
        """Changes the app before the third line."""

        def ask(self, prompt: str) -> str | None:
            line = super().ask(prompt)
            if (line or "").startswith("/again"):
                Path(app).write_text(APP.replace("You said", "You really said"))
            return line

    out = io.StringIO()
    chat.run(ChatOptions(app, "+49", "+4921155660"), Editor(out, io.StringIO("hello\n/again\n")))
    assert "assistant> You said hello" in out.getvalue()
    assert "assistant> You really said hello" in out.getvalue()


def test_an_app_that_is_broken_by_now_is_explained(app: str) -> None:
    class Editor(Terminal):
        def ask(self, prompt: str) -> str | None:
            line = super().ask(prompt)
            if (line or "").startswith("/again"):
                Path(app).write_text("assistant = (")
            return line

    out = io.StringIO()
    chat.run(ChatOptions(app, "+49", "+4921155660"), Editor(out, io.StringIO("hello\n/again\nstill there\n")))
    assert "! The app cannot be loaded: " in out.getvalue()
    assert "assistant> You said still there" in out.getvalue()


def test_any_turn_can_be_edited(app: str) -> None:
    text = said(app, "hello", "how much", "/edit 1 good morning")
    assert "assistant> You said good morning" in text
    assert text.count("assistant> You said how much") == 2
    text = said(app, "hello", "how much", "/edit 2 /press 5", "bye")
    assert "you 2> /press 5\n" in text
    assert "assistant> You pressed 5" in text
    assert "assistant> Goodbye!" in text


def test_the_last_turn_can_be_taken_back(app: str) -> None:
    text = said(app, "hello", "bye", "/undo", "how much")
    assert text.index("assistant> Goodbye!") < text.index("(a new call)") < text.index("assistant> You said how much")


def test_what_could_not_be_done_is_no_turn(app: str) -> None:
    text = said(app, "/ended", "/silence long", "hello", "/again")
    assert text.count("has not answered") == 1
    assert "you 1> hello\n" in text


def test_a_talk_is_saved_as_a_test(pytester: pytest.Pytester) -> None:
    file = pytester.path / "my_app.py"
    file.write_text(APP)
    saved = pytester.path / "tests" / "test_by_hand.py"
    text = said(str(file), "hello", "/press 1", "/silence 6", "bye", f"/save {saved}", f"/save {saved}")
    assert f"written: {saved}" in text
    assert "is there already" in text
    assert saved.read_text().endswith(
        """
async def test_by_hand(rehearse):
    call = await rehearse("../my_app.py").starts()
    await call.says("hello")
    await call.presses("1")
    await call.stays_silent(6.0)
    await call.says("bye")
    await call.listens()
    assert call.heard == [
        "Welcome +4915112345678 to the desk of this large company",
        "You said hello",
        "You pressed 1",
        "Goodbye!",
    ]
    assert call.ended
"""
    )
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


def test_what_cannot_be_saved_is_explained(app: str, url: str, tmp_path: Path) -> None:
    assert "A test cannot be written of an app at http" in said(url, f"/save {tmp_path / 'tests'}")
    text = said(app, "crash", f"/save {tmp_path / 'tests'}")
    assert text.count("no such thing") == 2
    assert not (tmp_path / "tests").exists()


def test_a_caller_can_hang_up_and_stay(app: str) -> None:
    text = said(app, "/hangup", "hello?", "/again", "/timeline")
    assert len(re.findall(r"^(you 1> )?The call is over: /again", text, re.MULTILINE)) == 2
    assert "you 1> /hangup\n" in text


def test_the_end_of_the_input_hangs_up(app: str) -> None:
    assert said(app).endswith("The call is over.\n") or "Welcome" in said(app)


def test_keys_can_be_pressed(app: str) -> None:
    text = said(app, "/press 1#")
    assert "assistant> You pressed 1" in text
    assert "assistant> You pressed #" in text


def test_silence_lets_the_input_timeout_come(app: str) -> None:
    """(contract D23)"""
    assert "Are you there?" not in said(app, "/silence 4")
    assert "assistant> Are you there?" in said(app, "/silence 6")


def test_an_interruption_cuts_what_is_being_said(app: str) -> None:
    """(contract D19)"""
    text = said(app, "/interrupt stop it")
    assert "(cut: " in text
    assert "assistant> Interrupted by stop it" in text


def test_a_handler_that_raises_does_not_end_the_call(app: str) -> None:
    """(contract D33)"""
    text = said(app, "crash", "hello")
    assert "no such thing" in text
    assert "assistant> You said hello" in text


def test_what_is_wrong_with_a_value_is_listed_line_by_line(app: str) -> None:
    text = said(app, "a list of mistakes")
    assert "1 mistake.\n    - voices: There is no such field." in text.replace("      - ", "    - ")
    assert "\\n" not in text


def test_the_voice_that_is_asked_for_is_shown(app: str) -> None:
    text = said(app, "in German", "by nobody")
    assert "assistant> Ja\n  [voice de-DE]\n" in text
    assert "  [voice nope: a service without an engine 'nope' speaks with the flow's own]\n" in text


def test_a_transfer_can_fail_and_come_back(app: str) -> None:
    """(contract D15)"""
    text = said(app, "somebody", "/failed")
    assert "[transfer to +4921155669" in text
    assert text.count("Welcome") == 2
    assert "'cause': 'busy'" in said(app, "somebody", "/failed busy", "/timeline")


def test_the_target_of_a_transfer_can_answer_and_hang_up(app: str) -> None:
    """(contract D15)"""
    assert "The call is over" in said(app, "somebody", "/answered", "/ended")
    assert "has not answered" in said(app, "/ended")


def test_commands_that_make_no_sense_are_explained(app: str) -> None:
    assert "\n  /silence 8 " in said(app, "/help")
    for line in (
        "/press",
        "/press x",
        "/silence",
        "/silence long",
        "/interrupt",
        "/failed me",
        "/edit 1 x",
        "/again 1",
        "/save",
    ):
        assert f"{line.split()[0]} wants" in said(app, line)
    assert "/undo takes back a turn, and there is none." in said(app, "/undo")
    assert "There is no /dance. /help" in said(app, "/dance")


SOUNDS = """
import base64, io, wave
from offhook import Assistant, Audio, MixAudio

file = io.BytesIO()
with wave.open(file, "wb") as sound:
    sound.setparams((1, 2, 16_000, 0, "NONE", ""))
    sound.writeframes(bytes(32_000))
SECOND = base64.b64encode(file.getvalue()).decode()
WITHOUT_FORMAT = base64.b64encode(b"RIFF" + (12).to_bytes(4, "little") + b"WAVEdata" + bytes(4)).decode()
assistant = Assistant()


@assistant.on_session_start
def greet(event):
    return [MixAudio(audio=SECOND, volume=0.3), Audio(audio=SECOND)]


@assistant.on_user_speak
def broken(event):
    return Audio(audio=WITHOUT_FORMAT)
"""


def test_a_sound_is_shown_as_its_size(tmp_path: Path) -> None:
    file = tmp_path / "chat_sounds.py"
    file.write_text(SOUNDS)
    text = said(str(file), "hello")
    assert "[mix_audio (32 kB WAV) volume=0.3]" in text
    assert "assistant> [audio (32 kB WAV)]" in text
    assert "UklGR" not in text


def test_a_wav_without_a_format_is_dropped_as_the_service_does(tmp_path: Path) -> None:
    """(contract D17)"""
    file = tmp_path / "chat_sounds.py"
    file.write_text(SOUNDS)
    assert "! dropped" in said(str(file), "hello")
    assert "! dropped" not in said(str(file))


def test_what_cannot_be_done_now_is_said(app: str) -> None:
    assert "  ! " in said(app, "/failed")


def test_the_timeline_shows_events(app: str) -> None:
    assert "\n        > event session_start\n" in said(app, "/timeline")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, body = 204, b""
        if self.headers["X-API-TOKEN"] != "secret":
            status = 401
        elif event["type"] == "session_start":
            status, body = 200, b'[{"type": "speak", "text": "Hello from far away"}, {"type": "speak"}]'
        elif event["type"] == "user_speak":
            status, body = (500, b"") if event["text"] == "crash" else (200, b"[{")
        elif event["type"] == "user_speech_started":
            status, body = 200, b'{"type": "hangup"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/webhook?a=b"
        server.shutdown()
        thread.join()


def test_a_webhook_can_be_talked_to(url: str) -> None:
    text = said(url, "crash", "nonsense")
    assert "assistant> Hello from far away" in text
    assert "  ! [1]" in text, "a refused action is shown with its path"
    assert "answered 500" in text
    assert "cannot be read" in text


def test_a_webhook_that_is_not_there_is_explained() -> None:
    assert "did not answer" in said("http://127.0.0.1:1/")


def test_a_wrong_token_is_explained(url: str) -> None:
    out = io.StringIO()
    chat.run(ChatOptions(url, "1", "2"), Terminal(out, io.StringIO("")))
    assert "--token" in out.getvalue()


@pytest.mark.parametrize("app", ["ws://localhost/", "http:///webhook"])
def test_other_addresses_are_explained(app: str) -> None:
    with pytest.raises(SettingsInvalid, match="cannot talk"):
        said(app)


def test_what_is_no_assistant_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "no_assistant.py"
    file.write_text("app = 5\n")
    with pytest.raises(SettingsInvalid, match="int, not an Assistant"):
        said(str(file))
