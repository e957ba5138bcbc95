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

pytest_plugins = ["pytester"]

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
    text = against(tmp_path, log, "Welcome to our service")
    assert "the app does what it did then" in text
    assert not [line for line in text.splitlines() if line[0] in "-+"]
    text = against(tmp_path, log, "Welcome to our new service")
    assert "the app does something else" in text
    assert [line for line in text.splitlines() if line[0] in "-+"] == [
        "-   1.120           ← speak 'Welcome to our service'",
        "-   1.400           ○ Welcome to our service",
        "+            1.000  ← speak 'Welcome to our new service'",
        "+            1.000  ○ Welcome to our new service",
    ]


def test_both_calls_stand_beside_each_other_in_time(log: Path, tmp_path: Path) -> None:
    lines = against(tmp_path, log, "Welcome to our service").splitlines()
    assert lines[0].split() == ["then", "now"]
    assert "    1.020    1.000  → session_start" in lines
    assert "    1.400    1.000  ○ Welcome to our service" in lines
    assert "    9.000    8.567    the caller hangs up" in lines


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
    assert "○ You said I need help, barged in: True" in text
    assert "○ Key 5" in text
    shorter = against(tmp_path, file, "Hi")
    assert "○ You said I need help, barged in: False" in shorter


def test_the_app_is_told_the_words_that_it_was_told_then(tmp_path: Path) -> None:
    """Final words that came too late for their turn were told to nobody (contract D40)."""
    late = TALK.replace('3.500 final #1 "I need help"', '4.600 time passes\n4.700 final #1 "I knead help"')
    file = tmp_path / "talk.jsonl"
    file.write_text("\n".join(recorded(*parse_call(late))) + "\n", encoding="utf-8")

    text = against(tmp_path, file, "Welcome to our service, what can I do for you")

    assert "knead" not in text
    [said] = [line for line in text.splitlines() if "● I need help" in line]
    assert said[0] not in "-+", "as then, so now"
    assert "○ You said I need help, barged in: True" in text


# --- the call as a test


def written(folder: Path, transcript: str, app: str = "Welcome to our service, what can I do for you") -> Path:
    """A folder with a recorded call, `talk.jsonl`, and the app, `my_app.py`."""
    (folder / "talk.jsonl").write_text("\n".join(recorded(*parse_call(transcript))) + "\n", encoding="utf-8")
    (folder / "my_app.py").write_text(APP.format(greeting=app))
    return folder / "talk.jsonl"


def save(log: Path, where: Path) -> str:
    out = io.StringIO()
    options = ReplayOptions(log, str(log.parent / "my_app.py"), None, where)
    assert replay.run(options, Terminal(out)) == 0
    return out.getvalue()


def test_a_recorded_call_is_written_as_a_test_that_passes(pytester: pytest.Pytester) -> None:
    log = written(pytester.path, TALK)
    file = pytester.path / "tests" / "test_talk.py"
    assert f"# written: {file}" in save(log, file.parent)
    text = file.read_text()
    assert text.endswith(
        """
async def test_talk(rehearse):
    call = await rehearse("../my_app.py").starts()
    await call.interrupts_after(1.5, "I need help")
    await call.listens()
    await call.presses("5")
    await call.listens()
    await call.hangs_up()
    assert call.heard == [
        "Welcome to our service, what…",
        "You said I need help, barged in: True",
        "Key 5",
    ]
"""
    )
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)
    (pytester.path / "my_app.py").write_text(APP.format(greeting="Good morning, and welcome to something else"))
    result = pytester.runpytest_subprocess("-p", "no:asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*rehearsed call 1*"])


def test_a_redacted_call_is_written_as_a_test_too(pytester: pytest.Pytester) -> None:
    """(contract D43)"""
    log = written(pytester.path, TALK)
    copy = pytester.path / "redacted.jsonl"
    replay.run(ReplayOptions(log, None, copy), Terminal(io.StringIO()))
    save(copy, pytester.path / "tests")
    text = (pytester.path / "tests" / "test_redacted.py").read_text()
    assert "put words in the place of the masked ones" in text
    assert '"x xxxx xxxx"' in text
    assert "help" not in text
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


CALLER_WHO_IS_KNOWN = """
from offhook import Assistant, Transfer

assistant = Assistant()


@assistant.on_session_start
def greet(event):
    if event.transfer_failed:
        return "Nobody is there"
    return f'Hello "{event.session.from_phone_number}"'


@assistant.on_user_speak
def answer(event):
    return Transfer(target_phone_number="+4921155669", caller_id_name="A", caller_id_number="+49211", timeout=5)


@assistant.on_user_input_timeout
def silent(event):
    return "Are you there?"
"""

TRANSFER = """
0.000 call offered
0.010 call answered
0.120 app answers 1: speak "Hello"
0.400 playback #1 started
1.900 playback #1 finished after 1500 ms
2.900 voice started
3.900 voice stopped at 3.880
4.500 final #1 "somebody"
6.000 app: {"type": "transfer", "target_phone_number": "+4921155669", "caller_id_name": "", "caller_id_number": "+49"}
8.000 transfer failed "busy" 486
12.000 caller hung up
"""


def test_numbers_of_the_call_are_written_only_where_the_app_knows_them(pytester: pytest.Pytester) -> None:
    log = written(pytester.path, TALK)
    save(log, pytester.path / "tests")
    assert "SETTINGS" not in (pytester.path / "tests" / "test_talk.py").read_text()
    log = written(pytester.path, TRANSFER)
    (pytester.path / "my_app.py").write_text(CALLER_WHO_IS_KNOWN)
    save(log, pytester.path / "tests" / "test_known.py")
    text = (pytester.path / "tests" / "test_known.py").read_text()
    assert '        from_phone_number="+491701234567",\n' in text
    assert text.endswith(
        """
async def test_known(rehearse):
    call = await rehearse("../my_app.py", SETTINGS).starts()
    await call.says("somebody")
    await call.transfer_fails("busy", 486)
    await call.listens()
    await call.hangs_up()
    assert call.heard == [
        'Hello "+491701234567"',
        "Nobody is there",
    ]
    assert call.transferred_to("+4921155669")
"""
    )
    (pytester.path / "tests" / "test_talk.py").unlink()
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


def test_a_test_is_never_written_over_another_file(tmp_path: Path) -> None:
    log = written(tmp_path, TALK)
    save(log, tmp_path / "tests")
    before = (tmp_path / "tests" / "test_talk.py").read_text()
    for where in (tmp_path / "tests", tmp_path / "tests" / "test_talk.py"):
        with pytest.raises(OffhookError, match="is there already"):
            save(log, where)
    (tmp_path / "tests" / "test_talk.py").write_text("mine")
    with pytest.raises(OffhookError, match="is there already"):
        save(log, tmp_path / "tests")
    assert (tmp_path / "tests" / "test_talk.py").read_text() == "mine" != before


def test_an_app_that_never_says_the_same_is_not_written(tmp_path: Path) -> None:
    log = written(tmp_path, TALK)
    (tmp_path / "my_app.py").write_text(
        "import itertools, sys\n"
        + APP.format(greeting="x").replace('return "x"', 'return f"Caller {next(COUNT)}"')
        + "\nCOUNT = sys.__dict__.setdefault('_count_of_callers', itertools.count())\n"
    )
    with pytest.raises(OffhookError, match="does not say the same"):
        save(log, tmp_path / "tests")
    assert not (tmp_path / "tests").exists()


def test_what_cannot_be_saved_is_explained(log: Path, tmp_path: Path) -> None:
    with pytest.raises(OffhookError, match="none is named") as refusal:
        replay.run(ReplayOptions(log, None, None, tmp_path), Terminal(io.StringIO()))
    assert "my_app.py" in refusal.value.remedy


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
