"""`offhook replay`: the same facts give the same orders, and a difference is shown."""

import io
from pathlib import Path

import pytest

from offhook.calls.call_log import CallLog, MemorySink
from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import CallConnected, CallerHungUp, CallOffered, Input, Ms
from offhook.conversation.transcript import parse_call
from offhook.errors import OffhookError
from offhook.service.commands import replay
from offhook.service.commands.options import ReplayOptions
from offhook.service.commands.terminal import Terminal

CALL = """
given {"answer_after_ms": 1000}
0.000 call offered
1.000 time passes
1.010 call answered
1.120 app answers 1: speak "Welcome to our service"
1.400 playback #1 started
2.900 playback #1 finished after 1500 ms
9.000 caller hung up
"""


def recorded(settings: CallSettings, happenings: tuple[tuple[Ms, Input | None], ...]) -> list[str]:
    """A log as a live call writes it: the core is advanced at each tick, not at each deadline's own time."""
    sink = MemorySink()
    log = CallLog(sink, settings, {"flow": "test"})
    core = Conversation(settings)
    facts = [(at, fact) for at, fact in happenings if fact is not None]
    for now in range(0, 12_001, 20):
        while facts and facts[0][0] <= now:
            _, fact = facts.pop(0)
            log.fact(now, fact)
            for order in core.receive(fact, now):
                log.order(now, order)
        if core.next_deadline is not None and core.next_deadline <= now:
            for order in core.advance(now):
                log.order(now, order)
    return sink.lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "call.jsonl"
    file.write_text("\n".join(recorded(*parse_call(CALL))) + "\n", encoding="utf-8")
    return file


def replayed(log: Path) -> tuple[int, str]:
    out = io.StringIO()
    return replay.run(ReplayOptions(log, None), Terminal(out)), out.getvalue()


def test_a_recorded_call_gives_its_orders_again(log: Path) -> None:
    code, said = replayed(log)
    assert code == 0
    assert '> say #1 "Welcome to our service"' in said
    assert "byte for byte" in said
    assert "cut off" not in said


def test_what_it_prints_is_a_transcript_that_gives_the_same_call(log: Path) -> None:
    _, said = replayed(log)
    settings, happenings = parse_call(said)
    assert settings.answer_after_ms == 1000
    assert [type(fact) for _, fact in happenings if fact][:2] == [CallOffered, CallConnected]
    assert isinstance(happenings[-1][1] or happenings[-2][1], CallerHungUp)


def test_another_order_than_the_recorded_one_is_shown(log: Path) -> None:
    log.write_text(
        log.read_text(encoding="utf-8").replace('"type":"Say"', '"type":"Say","louder":true'), encoding="utf-8"
    )
    code, said = replayed(log)
    assert code == 1
    assert [line[0] for line in said.splitlines() if '"type":"Say"' in line] == ["-", "+"]


def test_a_missing_order_is_shown(log: Path) -> None:
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if '"type":"Say"' not in line]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert replayed(log)[0] == 1


APP = """
from offhook import Assistant

assistant = Assistant()


@assistant.on_session_start
def greet(event):
    return "{greeting}"


@assistant.on_user_speak
def answer(event):
    return f"You said {{event.text}}, barged in: {{event.barged_in}}"


@assistant.on_dtmf_received
def key(event):
    return f"Key {{event.digit}}"
"""


def against(tmp_path: Path, log: Path, greeting: str) -> str:
    app = tmp_path / f"app_{abs(hash(greeting))}.py"
    app.write_text(APP.format(greeting=greeting))
    out = io.StringIO()
    assert replay.run(ReplayOptions(log, str(app)), Terminal(out)) == 0
    return out.getvalue()


def test_a_recorded_caller_can_call_a_new_version_of_the_app(log: Path, tmp_path: Path) -> None:
    assert "the app says what it said then" in against(tmp_path, log, "Welcome to our service")
    text = against(tmp_path, log, "Welcome to our new service")
    assert "-Welcome to our service\n+Welcome to our new service" in text


TALK = """
0.000 call offered
0.010 call answered
0.120 app answers 1: speak "Welcome to our service, what can I do for you"
0.400 playback #1 started
1.900 voice started
2.300 partial #1 "I need help"
2.320 playback #1 finished after 1920 ms
2.900 voice stopped at 2.880
3.500 final #1 "I need help"
6.000 key "5"
9.000 caller hung up
"""


def test_the_caller_says_presses_and_interrupts_what_he_did(tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text("\n".join(recorded(*parse_call(TALK))) + "\n", encoding="utf-8")
    text = against(tmp_path, file, "Welcome to our service, what can I do for you")
    assert "You said I need help, barged in: True" in text
    assert "Key 5" in text
    shorter = against(tmp_path, file, "Hi")
    assert "You said I need help, barged in: False" in shorter


def test_a_file_that_is_no_log_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text("hello\n")
    with pytest.raises(OffhookError, match="line 1"):
        replayed(file)


def test_a_file_that_is_not_there_or_is_no_text_is_explained(tmp_path: Path) -> None:
    with pytest.raises(OffhookError, match=r"call log .*missing\.jsonl cannot be read: No such file") as refusal:
        replayed(tmp_path / "missing.jsonl")
    assert "line" not in refusal.value.message
    wav = tmp_path / "call.wav"
    wav.write_bytes(b"RIFF\x24\x00\xff\xffWAVEfmt \n\x80\x00\n")
    with pytest.raises(OffhookError, match="not a line of a call log") as refusal:
        replayed(wav)
    assert "*.jsonl" in refusal.value.remedy


def test_a_log_that_was_cut_off_is_replayed_as_far_as_it_goes(log: Path) -> None:
    whole = log.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole) - 1, 7):
        log.write_bytes(whole[:length])
        code, said = replayed(log)
        assert code == 0, said
        assert "the log was cut off" in said
    log.write_bytes(whole[: first // 2])
    with pytest.raises(OffhookError, match="no line with the call's settings"):
        replayed(log)


def test_a_line_that_is_broken_in_the_middle_of_a_log_is_no_cut(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:3], lines[3][:20], b"\n", *lines[4:]]))
    with pytest.raises(OffhookError, match="line 4"):
        replayed(log)


def test_words_may_hold_whatever_ends_a_line_in_unicode(tmp_path: Path) -> None:
    file = tmp_path / "call.jsonl"
    call = CALL.replace("Welcome to our", "Welcome\\u2028to\\u0085our")
    file.write_text("\n".join(recorded(*parse_call(call))) + "\n", encoding="utf-8")
    assert replayed(file)[0] == 0


def test_a_copy_without_words_and_numbers_replays_too(log: Path, tmp_path: Path) -> None:
    """(contract D43)"""
    copy, out = tmp_path / "copy.jsonl", io.StringIO()
    assert replay.run(ReplayOptions(log, None, copy), Terminal(out)) == 0
    assert str(copy) in out.getvalue()
    code, said = replayed(copy)
    assert code == 0
    assert '> say #1 "xxxxxxx xx xxx xxxxxxx"' in said
    assert "Welcome" in log.read_text(encoding="utf-8")


def test_a_copy_is_never_written_over_the_log(log: Path, tmp_path: Path) -> None:
    before = log.read_text(encoding="utf-8")
    for copy, remedy in ((tmp_path / "." / log.name, "another file"), (tmp_path, "may write")):
        with pytest.raises(OffhookError) as refusal:
            replay.run(ReplayOptions(log, None, copy), Terminal(io.StringIO()))
        assert remedy in refusal.value.remedy
    with pytest.raises(OffhookError, match="calls no app"):
        replay.run(ReplayOptions(log, "app.py", tmp_path / "copy.jsonl"), Terminal(io.StringIO()))
    assert log.read_text(encoding="utf-8") == before
