"""Events: strict out, and read by an app that ignores what it does not know."""

import json

import pytest

from offhook.protocol.events import (
    EVENT_TYPES,
    AssistantSpeak,
    AssistantSpeechEnded,
    DtmfReceived,
    Event,
    RecognisedWord,
    SessionEnd,
    SessionStart,
    TransferFailure,
    UserInputTimeout,
    UserSpeak,
    UserSpeechStarted,
)
from offhook.protocol.json_codec import EventInvalid, EventTypeUnknown, event_to_json, read_event
from offhook.protocol.session import Session

SESSION = Session(
    id="550e8400-e29b-41d4-a716-446655440000",
    account_id="account-123",
    phone_number="+4921155660",
    direction="inbound",
    from_phone_number="anonymous",
    to_phone_number="+4921155660",
)
ONE_OF_EACH: list[Event] = [
    SessionStart(session=SESSION),
    SessionStart(session=SESSION, transfer_failed=TransferFailure(cause="busy", sip_code=486)),
    UserSpeechStarted(session=SESSION),
    UserSpeak(session=SESSION, text="Grüße \U0001f44b", barged_in=True),
    UserSpeak(session=SESSION, text="12", gathered_dtmf=True),
    UserSpeak(
        session=SESSION,
        text="ja",
        language="de-DE",
        confidence=0.9,
        words=(RecognisedWord(text="ja", start_ms=1, end_ms=2, confidence=0.9),),
    ),
    DtmfReceived(session=SESSION, digit="#"),
    AssistantSpeak(session=SESSION, text="", duration_ms=0, speech_started_at=1_700_000_000_000),
    AssistantSpeechEnded(session=SESSION, spoken_text="Hel"),
    UserInputTimeout(session=SESSION),
    SessionEnd(session=SESSION),
]


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.type)
def test_an_event_survives_the_wire(event: Event) -> None:
    assert read_event(event_to_json(event)) == event


def test_every_type_is_covered_above() -> None:
    assert {event.type for event in ONE_OF_EACH} == set(EVENT_TYPES)


def test_type_comes_first_all_six_session_keys_are_there_and_nothing_is_null() -> None:
    found = json.loads(event_to_json(UserSpeak(session=SESSION, text="hi")))
    assert list(found) == ["type", "session", "text", "barged_in"]
    assert list(found["session"]) == [
        "id",
        "account_id",
        "phone_number",
        "direction",
        "from_phone_number",
        "to_phone_number",
    ]
    assert b"null" not in b"".join(event_to_json(event) for event in ONE_OF_EACH)


def test_a_reader_requires_only_the_session_id() -> None:
    event = read_event('{"type": "session_end", "session": {"id": "x", "account_id": null}}')
    assert event == SessionEnd(session=Session(id="x"))


def test_a_reader_ignores_unknown_keys() -> None:
    """Contract D5."""
    event = read_event('{"type": "user_speak", "text": "hi", "mood": "good", "session": {"id": "x", "tenant": 1}}')
    assert event == UserSpeak(session=Session(id="x"), text="hi")


def test_every_mistake_of_a_body_is_listed() -> None:
    """Contract D32."""
    with pytest.raises(EventInvalid) as caught:
        read_event('{"type": "assistant_speak", "session": {}, "duration_ms": "long"}')
    assert [mistake.path for mistake in caught.value.mistakes] == ["session.id", "duration_ms", "speech_started_at"]


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"5", b"\xff\xfe\x00", b"{}", b'{"type": 5}', b"[" * 100_000])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    """Contract D32."""
    with pytest.raises(EventInvalid):
        read_event(body)


def test_an_unknown_type_is_another_outcome_than_a_mistake() -> None:
    """Contract D32."""
    with pytest.raises(EventTypeUnknown) as caught:
        read_event('{"type": "caller_smiled", "session": {"id": "x"}}')
    assert (caught.value.event_type, caught.value.session_id) == ("caller_smiled", "x")
