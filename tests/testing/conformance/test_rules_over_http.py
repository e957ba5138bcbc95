"""One app for each rule that is wrong in just this: the check finds the rule, and nothing else (contract, all)."""

import asyncio
import base64
import io
import json
import wave
from collections.abc import Callable
from typing import Any

import pytest

from offhook.testing.conformance import RULES, Aim, Report, check_app
from offhook.testing.conformance.rule_book import Over
from tests.testing.conformance import test_rules_over_websocket as over_websocket
from tests.testing.conformance.webhooks import (
    Action,
    Answers,
    Decides,
    Event,
    Reply,
    Request,
    as_reply,
    deciding,
    right,
    takes,
    webhook,
)


async def checked(answers: Answers, *, one_at_a_time: bool = False, **aim: Any) -> Report:
    async with webhook(answers, one_at_a_time=one_at_a_time) as url:
        return await check_app(Aim(url, **{"time_limit": 2.0, "calls_at_once": 8, **aim}))


def found(report: Report) -> set[str]:
    return {finding.rule.number for finding in report.findings}


async def test_an_app_that_does_everything_right_is_not_blamed() -> None:
    report = await checked(deciding(right))
    assert report.findings == ()
    assert report.passed
    assert {rule.number for rule, _ in report.unjudged if rule.over is not Over.WEBSOCKET} == {"C85", "C86"}


# --- what is said to "hello"


def sound(rate: int = 16000, channels: int = 1, frames: bytes = b"\0\0" * 160) -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(frames)
    return base64.b64encode(file.getvalue()).decode()


def speak(**fields: Any) -> Action:
    return {"type": "speak", "text": "Hello.", **fields}


def without_text(**fields: Any) -> Action:
    return {"type": "speak", **fields}


TRANSFER: Action = {
    "type": "transfer",
    "target_phone_number": "+4921155661",
    "caller_id_name": "",
    "caller_id_number": "",
}
HANGUP: Action = {"type": "hangup"}
MP3 = base64.b64encode(b"ID3\x04" + bytes(64)).decode()
CUT_OFF = base64.b64encode(b"RIFF\x04\0\0\0WAVE").decode()

ANSWERS: list[tuple[str, object]] = [
    ("C05", b'{"type": "speak", "text": "Hel'),
    ("C05", b'{"type": "speak", "text": "a"}\n{"type": "hangup"}'),
    ("C05", b'[{"type": "speak", "text": "caf\xe9"}]'),
    ("C06", b'"' + b"x" * (8 << 20) + b'"'),
    ("C20", {"type": "say", "text": "Hello."}),
    ("C20", [{"type": "SPEAK", "text": "Hello."}]),
    ("C21", {"text": "Hello."}),
    ("C21", [{"audio": sound()}]),
    ("C22", {"actions": [speak()]}),
    ("C22", [[speak()]]),
    ("C23", json.dumps(speak(session_id="x"))),
    ("C24", b"Hello, caller."),
    ("C24", "Hello, caller."),
    ("C24", b"<html><body>Sign in</body></html>"),
    ("C25", {"type": "user_speak", "text": "hello", "session": {"id": "x"}}),
    ("C26", {"error": "KeyError: 'name'"}),
    ("C27", speak(session_id="1234")),
    ("C27", speak(session_id=7)),
    ("C30", {"type": "dtmf", "dtmf": "12"}),
    ("C30", {"type": "dtmf"}),
    ("C30", {"type": "mix_audio", "volume": 0.3}),
    ("C31", without_text()),
    ("C31", without_text(text=None)),
    ("C32", speak(ssml="<speak>Hello.</speak>")),
    ("C33", speak(bargein={"strategy": "none"})),
    ("C33", speak(barge_in={"strategy": "none", "allow_after": 300})),
    ("C34", speak(user_input_timeout_seconds="8")),
    ("C34", speak(barge_in="immediate")),
    ("C34", speak(tts="azure")),
    ("C34", without_text(text=42)),
    ("C35", speak(barge_in={"strategy": "minimum_characters", "minimum_characters": 500})),
    ("C35", speak(barge_in={"strategy": "immediate", "allow_after_ms": -1})),
    ("C35", {"type": "mix_audio", "audio": sound(), "volume": 3}),
    ("C35", {**TRANSFER, "timeout": 600}),
    ("C36", speak(barge_in={"strategy": "always"})),
    ("C37", speak(user_input_timeout_seconds=0)),
    ("C38", speak(vad={"end_of_turn_silence_ms": 50})),
    ("C39", {"type": "audio", "audio": base64.b64encode(bytes(640)).decode()}),
    ("C39", {"type": "audio", "audio": "https://example.com/hold.wav"}),
    ("C39", {"type": "audio", "audio": MP3}),
    ("C39", {"type": "mix_audio", "audio": CUT_OFF}),
    ("C40", {"type": "audio", "audio": sound(rate=8000)}),
    ("C40", {"type": "mix_audio", "audio": sound(channels=2, frames=bytes(640))}),
    ("C41", {"type": "audio", "audio": sound(frames=b"")}),
    ("C42", speak(tts={"provider": "google"})),
    ("C43", speak(tts={"provider": "azure", "language": "english"})),
    ("C43", {"type": "configure_transcription", "languages": ["de-DE", "english"]}),
    ("C44", speak(tts={"provider": "azure", "voice": "Jenny"})),
    ("C44", speak(tts={"provider": "azure", "voice": "en-US-JennyNeural", "language": "de-DE"})),
    ("C45", {"type": "configure_transcription", "provider": "WHISPER"}),
    ("C46", {"type": "configure_transcription", "languages": ["de", "en", "fr", "it", "es"]}),
    ("C46", {"type": "configure_transcription", "custom_vocabulary": ["x" * 201]}),
    ("C47", {"type": "configure_transcription"}),
    ("C48", {**TRANSFER, "target_phone_number": "reception"}),
    ("C49", {**TRANSFER, "target_phone_number": "0211 55661"}),
    ("C50", {"type": "transfer", "target_phone_number": "+4921155661"}),
    ("C51", {"type": "gather_dtmf", "audio_url": "prompts/pin.wav"}),
    ("C52", [HANGUP, speak()]),
    ("C52", [TRANSFER, HANGUP]),
    ("C53", [speak(), {"type": "barge_in"}]),
    ("C54", [speak(user_input_timeout_seconds=5), speak()]),
    ("C55", without_text(ssml="<speak>Tom & Jerry</speak>")),
    ("C55", without_text(ssml="<speak><voice name='x'>Hello</speak>")),
    ("C56", speak(text="<speak>Hello.</speak>")),
    ("C57", speak(text=" ")),
]  # fmt: skip


def named(answer: object, session_id: str) -> object:
    """The answer with the session's id in every action that has none."""
    if isinstance(answer, list):
        return [named(item, session_id) for item in answer]
    if isinstance(answer, dict) and isinstance(answer.get("type"), str) and "session" not in answer:
        return {"session_id": session_id, **answer}
    return {key: named(value, session_id) for key, value in answer.items()} if isinstance(answer, dict) else answer


def saying(answer: object) -> Decides:
    def decides(event: Event) -> object:
        if event["type"] != "user_speak":
            return right(event)
        if isinstance(answer, str):
            return Reply(body=json.dumps(answer).encode())
        return named(answer, event["session"]["id"])

    return decides


@pytest.mark.parametrize(("rule", "answer"), ANSWERS)
async def test_a_wrong_answer_is_found_by_its_rule_alone(rule: str, answer: object) -> None:
    report = await checked(deciding(saying(answer)))
    assert found(report) == {rule}, [finding.what for finding in report.findings]


FINE: list[object] = [
    [],
    {},
    b"OK",
    b"null",
    {"success": True},
    speak(provider={"provider": "ELEVEN-LABS", "voice": {"name": "Rachel"}}),
    speak(tts={"provider": "azure", "voice": "en-US-AvaMultilingualNeural", "language": "de-DE"}),
    speak(tts={"provider": "azure", "voice": "en-US-Ava:DragonHDLatestNeural"}),
    speak(tts=None, barge_in=None, ssml=None),
    without_text(ssml='Wait<break time="1s"/> please'),
    without_text(ssml='<speak version="1.0"><mstts:express-as style="sad">Oh.</mstts:express-as></speak>'),
    {"type": "dtmf", "dtmf": 5},
    {"type": "dtmf", "dtmf": "#"},
    {"type": "mix_audio", "stop": True},
    {"type": "gather_dtmf", "num_characters": 4, "audio_url": "https://example.com/pin.wav"},
    {"type": "configure_transcription", "provider": "deepgram", "languages": []},
    {"type": "transfer", "transfer_to": "4921155661", "caller_id_name": "Desk", "caller_id_number": "4921155660"},
    [{**TRANSFER, "timeout": 30}, speak()],
    [{"type": "barge_in"}, speak(user_input_timeout_seconds=2.5), HANGUP],
]  # fmt: skip


@pytest.mark.parametrize("answer", FINE)
async def test_what_the_contract_allows_is_not_blamed(answer: object) -> None:
    """D9, D10, D13, D15, D24: aliases, fragments, nulls, nothing to do. Nothing at all is noted once (C75)."""
    report = await checked(deciding(saying(answer)), only=("§3", "§4", "§5", "§7"))
    assert report.findings == ()


# --- what becomes of an event


def when(applies: Callable[[Event], bool], answer: object = Reply(500)) -> Answers:
    """Right, except where this applies."""
    return deciding(lambda event: answer if applies(event) else right(event))


def is_type(*kinds: str) -> Callable[[Event], bool]:
    return lambda event: event["type"] in kinds


def text_of(event: Event) -> str:
    return str(event.get("text", ""))


def has_strange_keys(event: Event) -> bool:
    session = {"id", "account_id", "phone_number", "direction", "from_phone_number", "to_phone_number"}
    known = {"type", "session", "text", "ssml", "barged_in", "digit", "duration_ms", "speech_started_at"}
    plain = is_type("session_start", "user_speak", "dtmf_received", "assistant_speech_ended")
    return plain(event) and (bool(set(event) - known) or bool(set(event["session"]) - session))


def is_redirected(event: Event) -> bool:
    return True


EVENTS: list[tuple[str, Answers]] = [
    ("C02", when(is_type("user_input_timeout"))),
    ("C02", when(is_type("session_end"), Reply(404))),
    ("C04", when(is_redirected, Reply(307, headers={"Location": "/elsewhere"}))),
    ("C07", when(is_type("dtmf_received"), Reply(cut=True))),
    ("C60", when(has_strange_keys, Reply(422))),
    ("C61", when(lambda event: event["type"] == "caller_mood_changed", Reply(400))),
    ("C62", when(lambda event: event["type"] == "user_speak" and "barged_in" not in event)),
    ("C62", when(lambda event: "account_id" not in event["session"])),
    ("C62", when(lambda event: event["type"] == "assistant_speak" and "text" not in event)),
    ("C63", when(lambda event: not text_of(event).isascii())),
    ("C63", when(lambda event: event["type"] == "user_speak" and len(text_of(event)) < 3)),
    ("C63", when(lambda event: len(text_of(event)) > 8000, Reply(413))),
    ("C64", when(lambda event: event["session"].get("from_phone_number") == "anonymous")),
    ("C64", when(lambda event: event["session"].get("direction") == "outbound", Reply(400))),
    ("C65", when(lambda event: event.get("digit") in {"*", "#"})),
    ("C66", when(lambda event: event.get("barged_in") is True)),
    ("C71", when(is_type("session_end"), b'{"type": "hangup"}')),
    ("C74", when(is_type("session_start"), Reply(204))),
    ("C75", when(is_type("user_speak"), Reply(204))),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "answers"), EVENTS)
async def test_an_event_that_is_not_taken_is_found_by_its_rule_alone(rule: str, answers: Answers) -> None:
    report = await checked(answers)
    without = {"C28"} if rule == "C71" else set()
    assert found(report) - without == {rule}, [finding.what for finding in report.findings]


# --- apps with a memory, and apps that are slow, single-minded or careless


async def test_c01_nobody_is_there() -> None:
    async with webhook(deciding(right)) as url:
        gone = url
    report = await check_app(Aim(gone))
    assert found(report) == {"C01"}
    assert {reason for rule, reason in report.unjudged if rule.number == "C81"} == {"the app was not reached"}


async def test_c03_an_event_is_never_answered() -> None:
    async def answers(request: Request) -> Reply:
        if request.event is not None and request.event["type"] == "dtmf_received":
            await asyncio.Event().wait()
        return await deciding(right)(request)

    assert found(await checked(answers, time_limit=0.5)) == {"C03"}


async def test_c08_callers_wait_for_every_answer() -> None:
    async def answers(request: Request) -> Reply:
        if request.event is not None and request.event["type"] in {"user_speak", "dtmf_received"}:
            await takes(1.02)
        return await deciding(right)(request)

    assert found(await checked(answers, only=("C08",))) == {"C08"}


async def test_c09_actions_are_sent_as_a_page() -> None:
    def decides(event: Event) -> object:
        reply = as_reply(right(event))
        return Reply(reply.status, reply.body, {"Content-Type": "text/html"})

    assert found(await checked(deciding(decides))) == {"C09"}


@pytest.mark.parametrize(("rules", "says_so"), [(set(), True), ({"C11"}, False)])
async def test_c11_the_connection_ends_after_every_answer(rules: set[str], *, says_so: bool) -> None:
    def decides(event: Event) -> object:
        reply = as_reply(right(event))
        return Reply(reply.status, reply.body, closes=True, says_so=says_so)

    assert found(await checked(deciding(decides))) == rules


async def test_c12_one_connection_is_served_after_the_other() -> None:
    report = await checked(deciding(right), one_at_a_time=True, time_limit=0.5)
    assert found(report) == {"C12"}
    assert ("C81", "C12 is broken already") in [(rule.number, reason) for rule, reason in report.unjudged]


async def test_c28_actions_do_not_name_their_session() -> None:
    def decides(event: Event) -> object:
        return [{key: value for key, value in action.items() if key != "session_id"} for action in right(event)]

    report = await checked(deciding(decides))
    assert found(report) == {"C28"}
    assert report.passed, "a note is no failure"


async def test_c67_the_third_silence_is_too_much() -> None:
    silences: dict[str, int] = {}

    def decides(event: Event) -> object:
        key = event["session"]["id"]
        silences[key] = silences.get(key, 0) + (event["type"] == "user_input_timeout")
        return Reply(500) if silences[key] > 2 else right(event)

    assert found(await checked(deciding(decides))) == {"C67"}


async def test_c68_a_caller_who_comes_back_is_refused() -> None:
    known: set[str] = set()

    def decides(event: Event) -> object:
        key = event["session"]["id"]
        if event["type"] == "session_start" and key in known:
            return Reply(409)
        known.add(key)
        return right(event)

    assert found(await checked(deciding(decides))) == {"C68"}


async def test_c69_the_second_delivery_is_refused() -> None:
    known: set[tuple[str, str]] = set()

    async def answers(request: Request) -> Reply:
        key = request.headers["x-session-id"], request.headers["x-event-number"]
        if key in known:
            return Reply(409)
        known.add(key)
        return await deciding(right)(request)

    assert found(await checked(answers)) == {"C69"}


async def test_c70_the_session_has_to_be_known() -> None:
    known: set[str] = set()

    def decides(event: Event) -> object:
        if event["type"] == "session_start":
            known.add(event["session"]["id"])
        return right(event) if event["session"]["id"] in known else Reply(500)

    assert found(await checked(deciding(decides))) == {"C70"}


async def test_c73_the_assistant_never_stops_talking() -> None:
    def decides(event: Event) -> object:
        again = {"type": "speak", "text": "And another thing.", "session_id": event["session"]["id"]}
        return again if event["type"] == "assistant_speech_ended" else right(event)

    assert found(await checked(deciding(decides), calls_at_once=2)) == {"C73"}


async def test_c80_the_session_is_a_global_variable() -> None:
    current = ""

    def decides(event: Event) -> object:
        nonlocal current
        if event["type"] == "session_start":
            current = event["session"]["id"]
        return [{**action, "session_id": current} for action in right(event)]

    assert found(await checked(deciding(decides))) == {"C80"}


async def test_c80_what_callers_say_is_a_global_variable() -> None:
    said: list[str] = []

    def decides(event: Event) -> object:
        if event["type"] == "user_speak" and event["text"].isascii() and len(event["text"]) < 40:
            said.append(event["text"])
            return [{**action, "text": f"So far: {said[-4:]}"} for action in right(event)]
        return right(event)

    assert found(await checked(deciding(decides))) == {"C80"}


async def test_c81_more_than_four_at_once_are_too_many() -> None:
    at_once = 0

    async def answers(request: Request) -> Reply:
        nonlocal at_once
        at_once += 1
        try:
            await takes(0.005)
            return Reply(503) if at_once > 4 else await deciding(right)(request)
        finally:
            at_once -= 1

    assert found(await checked(answers)) == {"C81"}


async def test_c82_the_app_does_not_survive_what_is_no_json() -> None:
    broken = False

    async def answers(request: Request) -> Reply:
        nonlocal broken
        broken = broken or request.event is None
        return Reply(400 if request.event is None else 500) if broken else await deciding(right)(request)

    assert found(await checked(answers)) == {"C82"}


@pytest.mark.parametrize("reply", [Reply(204), Reply(500), Reply(cut=True)])
async def test_c83_what_is_no_json_is_not_refused(reply: Reply) -> None:
    async def answers(request: Request) -> Reply:
        return reply if request.event is None else await deciding(right)(request)

    assert found(await checked(answers)) == {"C83"}


def with_token(token: str) -> Answers:
    async def answers(request: Request) -> Reply:
        return await deciding(right)(request) if request.headers.get("x-api-token") == token else Reply(401)

    return answers


async def test_c84_the_app_wants_a_token_that_nobody_gave() -> None:
    assert found(await checked(with_token("secret"))) == {"C84"}


async def test_c85_any_token_is_let_in() -> None:
    assert found(await checked(with_token("secret"), token="secret")) == set()
    assert found(await checked(deciding(right), token="secret")) == {"C85"}


async def test_c86_any_signature_is_let_in() -> None:
    assert found(await checked(deciding(right), signing_secret="whsec_c2VjcmV0")) == {"C86"}


async def test_requests_are_as_the_service_sends_them() -> None:
    """Section 6, D27: the headers of every event, its number from 1 on within its session, and the signature."""
    requests: list[Request] = []

    async def answers(request: Request) -> Reply:
        requests.append(request)
        return await deciding(right)(request)

    await checked(answers, token="secret", signing_secret="whsec_c2VjcmV0", only=("C02",))
    first, second = requests[:2]
    assert first.event is not None
    session_id = first.event["session"]["id"]
    assert first.headers["x-api-token"] == "secret"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["user-agent"].startswith("offhook/")
    assert [(r.headers["x-session-id"], r.headers["x-event-number"]) for r in (first, second)] == [
        (session_id, "1"),
        (session_id, "2"),
    ]
    assert first.headers["webhook-id"] == f"{session_id}_1"
    assert first.headers["webhook-signature"].startswith("v1,")
    kinds = [r.event["type"] for r in requests if r.event is not None and r.event["session"]["id"] == session_id]
    assert kinds[0] == "session_start"
    assert kinds[-1] == "session_end"


def test_every_rule_has_a_test() -> None:
    """A rule without an app that breaks it is not known to work."""
    tables = {rule for rule, _ in ANSWERS} | {rule for rule, _ in EVENTS} | {rule for rule, _ in over_websocket.DEFECTS}
    names = " ".join(name for name in (*globals(), *vars(over_websocket)) if name.startswith("test_")).upper()
    assert {rule.number for rule in RULES} == {r.number for r in RULES if r.number in tables or r.number in names}
