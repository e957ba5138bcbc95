"""A log without words and numbers: still the same call (contract D43)."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.calls.call_log import CallLog, MemorySink, read_call_log
from offhook.calls.redaction import masked_text, redacted_log
from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings, Fallback
from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    CallConnected,
    CallerHungUp,
    CallOffered,
    DigitPressed,
    EndRequested,
    FinalWords,
    Input,
    Ms,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    SpeechDurationKnown,
    SpeechFailed,
    VoiceStarted,
    VoiceStopped,
)
from offhook.conversation.record import order_to_record, replay
from offhook.errors import OffhookError
from offhook.protocol.actions import (
    Audio,
    ConfigureTranscription,
    Dtmf,
    GatherDtmf,
    MixAudio,
    Speak,
    Transfer,
)
from offhook.protocol.events import RecognisedWord
from offhook.protocol.json_codec import RefusedAction
from offhook.protocol.session import Session
from offhook.protocol.speech_options import TtsConfig
from tests.calls.hand_house import tone, wav
from tests.conversation.conftest import World, any_fact

SESSION = Session(
    id="7b8e6c1a-0000-4000-8000-000000000001",
    account_id="account",
    phone_number="+4921155660",
    direction="inbound",
    from_phone_number="+491701234567",
    to_phone_number="+4921155660",
)
FLOW = CallSettings(
    SESSION,
    1_700_000_000_000,
    reports_spoken_text=True,
    reports_words=True,
    time_limit_notice="Time is up, Mrs Miller",
    fallback=Fallback("Sorry, Mrs Miller", "https://miller.example/second", "+4930123456"),
    custom_vocabulary=("Miller",),
)


def log_of(flow: CallSettings, facts: list[tuple[Ms, Input]], folder: Path, until: Ms = 0) -> Path:
    """A log as a live call writes it."""
    sink, core = MemorySink(), Conversation(flow)
    log = CallLog(sink, flow, {"flow": "support", "transport": "sip"})
    for at, fact in facts:
        for order in core.advance(at):
            log.order(at, order)
        log.fact(at, fact, core.masked(fact))
        for order in core.receive(fact, at):
            log.order(at, order)
    log.note(until, "Mrs Miller called from +491701234567")
    for order in core.advance(until):
        log.order(until, order)
    path = folder / "call.jsonl"
    path.write_text("\n".join(sink.lines) + "\n", encoding="utf-8")
    return path


def redacted(log: Path) -> Path:
    path = log.with_name(f"redacted-{log.name}")
    path.write_text("\n".join(redacted_log(log)) + "\n", encoding="utf-8")
    return path


def check_that_it_replays(log: Path) -> None:
    call = read_call_log(log)
    until = max((at for at, _ in (*call.facts, *call.orders)), default=0)
    again = [json.dumps(order_to_record(order)) for order in replay(call.settings, call.facts, until)]
    assert again == [json.dumps(record) for _, record in call.orders]


def check_redaction(flow: CallSettings, facts: list[tuple[Ms, Input]], until: Ms) -> None:
    with TemporaryDirectory() as folder:
        log = log_of(flow, facts, Path(folder), until)
        check_that_it_replays(log)
        copy = redacted(log)
        check_that_it_replays(copy)
        before, after = read_call_log(log), read_call_log(copy)
        assert [(at, type(fact)) for at, fact in before.facts] == [(at, type(fact)) for at, fact in after.facts]
        assert [(at, one["type"]) for at, one in before.orders] == [(at, one["type"]) for at, one in after.orders]
        assert redacted_log(copy) == copy.read_text(encoding="utf-8").splitlines()


chances = st.integers(0, 2**32).map(Random)
flows = st.sampled_from([FLOW, replace(FLOW, sends_speech_started=True, max_call_ms=8000), CallSettings(SESSION, 0)])
walks = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@walks
@given(flow=flows, chance=chances, steps=st.integers(5, 50))
def test_any_call_is_the_same_call_when_it_is_redacted(flow: CallSettings, chance: Random, steps: int) -> None:
    world = World(flow, chance)
    world.walk(steps)
    check_redaction(flow, world.facts, world.now)


@walks
@given(flow=flows, chance=chances, steps=st.integers(1, 50))
def test_any_facts_in_any_order_can_be_redacted(flow: CallSettings, chance: Random, steps: int) -> None:
    facts: list[tuple[Ms, Input]] = []
    now = 0
    for _ in range(steps):
        now += chance.choice([0, 20, 300, 2000])
        facts.append((now, any_fact(chance)))
    check_redaction(flow, facts, now + 100_000)


TELLTALE = wav(tone(300, 100))
SECRETS = ("miller", "pin", "4711", "555", "170", "2115", "3012", TELLTALE[60:120])
WORDS = (
    RecognisedWord(text="I am Mrs", start_ms=900, end_ms=1200, confidence=0.95),
    RecognisedWord(text="Miller,", start_ms=1200, end_ms=1400, confidence=0.9),
    RecognisedWord(text="555", start_ms=1400, end_ms=1480),
)
TALK: list[tuple[Ms, Input]] = [
    (0, CallOffered()),
    (20, CallConnected()),
    (
        100,
        ActionsArrived(
            (
                Speak(text="Good morning Mrs Miller", tts=TtsConfig(provider="azure", voice="en-US-JennyNeural")),
                Speak(ssml="<speak>Your <say-as interpret-as='digits'>PIN 555</say-as></speak>"),
                Audio(audio=TELLTALE),
                MixAudio(audio=TELLTALE),
                ConfigureTranscription(languages=("en-US",), custom_vocabulary=("Miller", "PIN")),
                GatherDtmf(num_characters=4, audio_url="https://miller.example/pin.wav"),
                Dtmf(dtmf="9"),
                Transfer(target_phone_number="+49 30/123456", caller_id_name="Miller", caller_id_number="+4930123457"),
            ),
            1,
            (RefusedAction("no_phone_number", "[9].target_phone_number", "'Miller 555' is no number.", "Use E.164."),),
        ),
    ),
    (200, PlaybackStarted(1)),
    (210, SpeechDurationKnown(1, 2000)),
    (900, VoiceStarted()),
    (1100, PartialWords(1, "I am Mrs")),
    (1120, PlaybackFinished(1, 920)),
    (1500, VoiceStopped(1480)),
    (2200, FinalWords(1, "I am Mrs Miller, 555", "en-US", 0.9, WORDS)),
    (2300, ActionsArrived((Speak(text="Enter your PIN, Mrs Miller"), GatherDtmf(num_characters=4)), 4)),
    (2400, SpeechFailed(7, "'Enter your PIN, Mrs Miller' cannot be said")),
    (2500, DigitPressed("4")),
    (2600, DigitPressed("7")),
    (2700, DigitPressed("1")),
    (2800, DigitPressed("1")),
    (2900, AppFailed(5, "Mrs Miller's app answered 555")),
    (3000, DigitPressed("9")),
    (3500, EndRequested("drain", "Goodbye Mrs Miller")),
    (4000, CallerHungUp("caller_hung_up")),
]


def test_no_word_no_number_and_no_sound_is_left(tmp_path: Path) -> None:
    log = log_of(FLOW, TALK, tmp_path, 5000)
    assert all(secret in log.read_text(encoding="utf-8").lower() for secret in ("miller", "pin", "170", "2115"))
    copy = redacted(log)
    text = copy.read_text(encoding="utf-8").lower().replace("1700000000000", "").replace("1700000000", "")
    assert [secret for secret in SECRETS if secret.lower() in text] == []
    check_that_it_replays(copy)


def test_what_nobody_has_said_stays(tmp_path: Path) -> None:
    call = read_call_log(redacted(log_of(FLOW, TALK, tmp_path, 5000)))
    assert call.about == {"flow": "support", "transport": "sip", "redacted": True}
    assert call.settings.session.id == SESSION.id
    assert call.settings.session.from_phone_number == "+000000000000"
    assert call.settings.fallback.url == "https://xxxxxx.xxxxxxx/xxxxxx"
    assert call.notes == ()
    arrived = call.facts[2][1]
    assert isinstance(arrived, ActionsArrived)
    assert isinstance(arrived.actions[0], Speak)
    assert arrived.actions[0].text == "xxxx xxxxxxx xxx xxxxxx"
    assert arrived.actions[0].tts == TtsConfig(provider="azure", voice="en-US-JennyNeural")
    assert arrived.refused[0].code == "no_phone_number"
    keys = [fact.digit for _, fact in call.facts if isinstance(fact, DigitPressed)]
    assert keys == ["0"] * 5


def test_of_words_one_by_one_the_times_stay(tmp_path: Path) -> None:
    """(contract D5, D43)"""
    call = read_call_log(redacted(log_of(FLOW, TALK, tmp_path, 5000)))
    (heard,) = [fact for _, fact in call.facts if isinstance(fact, FinalWords)]
    (told,) = [event for _, event in call.events if event["type"] == "user_speak" and "words" in event]
    assert [(word.text, word.start_ms, word.end_ms, word.confidence) for word in heard.words] == [
        ("x xx xxx", 900, 1200, 0.95),
        ("xxxxxx,", 1200, 1400, 0.9),
        ("000", 1400, 1480, None),
    ]
    assert told["confidence"] == heard.confidence == 0.9
    assert [word["text"] for word in told["words"]] == ["x xx xxx", "xxxxxx,", "000"]


def test_a_caller_without_a_number_stays_one(tmp_path: Path) -> None:
    flow = replace(FLOW, session=Session(id="one", from_phone_number="anonymous"))
    assert read_call_log(redacted(log_of(flow, TALK, tmp_path))).settings.session.from_phone_number == "anonymous"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grüße, 4 Bücher!", "xxxxx, 0 xxxxxx!"),
        ("<break time='500ms'/>", "<xxxxx xxxx='000xx'/>"),
        ("+49 (0)211/556", "+00 (0)000/000"),
        ("https://example.net/a?b=1", "https://xxxxxxx.xxx/x?x=0"),
        ("你好 ☎ ½ ٣", "xx x 0 0"),
        ("", ""),
    ],
)
def test_a_text_keeps_its_shape(text: str, expected: str) -> None:
    assert masked_text(text) == expected


def test_an_order_that_differs_from_the_core_still_differs_and_says_nothing(tmp_path: Path) -> None:
    """A log of another version: what it shows of the difference is kept."""
    log = log_of(FLOW, TALK, tmp_path, 5000)
    lines = log.read_text(encoding="utf-8").splitlines()
    said = next(index for index, line in enumerate(lines) if '"type":"Say"' in line)
    lines[said] = lines[said].replace("Good morning Mrs Miller", "Good night Mrs Miller")
    del lines[-2]
    log.write_text("\n".join(lines), encoding="utf-8")
    copy = redacted(log)
    assert "iller" not in copy.read_text(encoding="utf-8")
    records = [json.loads(line) for line in copy.read_text(encoding="utf-8").splitlines()]
    changed = next(record["order"] for record in records if record.get("order", {}).get("type") == "Say")
    assert changed["text"] == "xxxx xxxxx xxx xxxxxx"
    with pytest.raises(AssertionError):
        check_that_it_replays(copy)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(OffhookError, match="line 1"):
        redacted_log(path)


def test_how_a_call_ended_stays_in_the_copy(tmp_path: Path) -> None:
    """What became known of a call later is kept as the first line's `about` is."""
    path = tmp_path / "call.jsonl"
    sink = MemorySink()
    log = CallLog(sink, CallSettings(session=Session(id="s-1"), began_at=0), {"flow": "desk"})
    log.fact(0, CallerHungUp("busy", 486))
    log.about(5, {"outcome": "busy", "sip_code": 486, "trunk": "desk", "who": "Ada"})
    path.write_text("\n".join(sink.lines) + "\n")
    last = json.loads(redacted_log(path)[-1])
    assert last == {"at": 5, "about": {"outcome": "busy", "sip_code": 486, "trunk": "desk", "who": "xxx"}}
