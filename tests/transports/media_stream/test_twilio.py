"""Twilio's dialect, with the messages of its documentation (websocket-messages), and those of sipgate's bridge."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.media.messages import Codec
from offhook.transports.media_stream.dialect import (
    LONGEST_TEXT,
    MOST_PARAMETERS,
    CarrierComplains,
    Connected,
    KeyCame,
    MarkCame,
    MediaCame,
    NotUnderstood,
    Oddity,
    Started,
    Stopped,
    StreamFact,
)
from offhook.transports.media_stream.twilio import TwilioDialect

STREAM = "MZXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
CALL = "CAXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"


def read(message: dict[str, Any] | str | bytes) -> StreamFact:
    return TwilioDialect().read(json.dumps(message) if isinstance(message, dict) else message)


def start(**changes: Any) -> dict[str, Any]:
    """The start message of the documentation."""
    body = {
        "accountSid": "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "streamSid": STREAM,
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"FirstName": "Jane", "LastName": "Doe", "RemoteParty": "Bob"},
    }
    return {"event": "start", "sequenceNumber": "1", "start": body | changes, "streamSid": STREAM}


def test_connected() -> None:
    assert read({"event": "connected", "protocol": "Call", "version": "1.0.0"}) == Connected()


def test_start_says_which_call_it_is_and_how_it_is_spoken() -> None:
    parameters = {"FirstName": "Jane", "LastName": "Doe", "RemoteParty": "Bob"}
    assert read(start()) == Started(STREAM, CALL, Codec.PCMU, parameters=parameters)


def test_the_numbers_are_parameters_that_the_answer_gave() -> None:
    fact = read(start(customParameters={"called": "+4921155660", "caller": "+4930123456", "callerName": "Jane"}))
    assert isinstance(fact, Started)
    assert (fact.called, fact.caller, fact.caller_name) == ("+4921155660", "+4930123456", "Jane")


def test_sipgates_bridge_gives_the_numbers_as_sip_addresses() -> None:
    fact = read(start(customParameters={"From": "sip:+4915123456789@example.com", "To": "sip:e12345p0@example.com"}))
    assert isinstance(fact, Started)
    assert (fact.called, fact.caller) == ("sip:e12345p0@example.com", "sip:+4915123456789@example.com")


@pytest.mark.parametrize(
    ("encoding", "rate", "codec"),
    [
        ("audio/x-mulaw", 8000, Codec.PCMU),
        ("audio/x-alaw", 8000, Codec.PCMA),
        ("PCMA", "8000", Codec.PCMA),
        ("audio/G722", 16000, Codec.G722),
        ("G722", 8000, Codec.G722),
        ("audio/l16", 16000, Codec.L16),
        ("audio/l16;rate=16000", 16000, Codec.L16),
    ],
)
def test_formats_by_their_names(encoding: str, rate: object, codec: Codec) -> None:
    fact = read(start(mediaFormat={"encoding": encoding, "sampleRate": rate, "channels": 1}))
    assert isinstance(fact, Started)
    assert fact.codec is codec


@pytest.mark.parametrize(
    "form",
    [
        {"encoding": "audio/opus", "sampleRate": 48000, "channels": 1},
        {"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1},
        {"encoding": "audio/l16", "sampleRate": 24000, "channels": 1},
        {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2},
    ],
)
def test_a_format_that_is_not_spoken_here(form: dict[str, Any]) -> None:
    assert read(start(mediaFormat=form)) == NotUnderstood(Oddity.UNKNOWN_FORMAT)


def test_media_of_the_caller() -> None:
    message = {
        "event": "media",
        "sequenceNumber": "3",
        "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": "no+JhoaJjpz="},
        "streamSid": STREAM,
    }
    assert read(message) == MediaCame(1, b"\x9e\x8f\x89\x86\x86\x89\x8e\x9c")


def test_media_of_the_other_side_is_not_for_us() -> None:
    message = {"event": "media", "media": {"track": "outbound", "chunk": "1", "payload": "no+J"}}
    assert read(message) == NotUnderstood(Oddity.OTHER_TRACK)


def test_a_key() -> None:
    message = {
        "event": "dtmf",
        "streamSid": STREAM,
        "sequenceNumber": "5",
        "dtmf": {"track": "inbound_track", "digit": "1"},
    }
    assert read(message) == KeyCame("1")


def test_a_mark_that_came_back() -> None:
    message = {"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": {"name": "my label"}}
    assert read(message) == MarkCame("my label")


def test_stop() -> None:
    message = {
        "event": "stop",
        "sequenceNumber": "5",
        "streamSid": STREAM,
        "stop": {"accountSid": "AC", "callSid": CALL},
    }
    assert read(message) == Stopped()


def test_an_error_is_a_complaint() -> None:
    assert read({"event": "error", "code": 31951, "message": "no such stream"}) == CarrierComplains(
        "31951", "no such stream"
    )


@pytest.mark.parametrize(
    ("message", "oddity"),
    [
        ("", Oddity.NOT_JSON),
        ("[1]", Oddity.NOT_JSON),
        ("null", Oddity.NOT_JSON),
        (b"\xff\x00", Oddity.NOT_JSON),
        ("[" * 100_000, Oddity.NOT_JSON),
        ("{}", Oddity.UNKNOWN_EVENT),
        ('{"event":["media"]}', Oddity.UNKNOWN_EVENT),
        ('{"event":"media","media":{"payload":"a"}}', Oddity.BAD_BASE64),
        ('{"event":"media","media":{"payload":"\\u00e4\\u00e4\\u00e4\\u00e4"}}', Oddity.BAD_BASE64),
        ('{"event":"media","media":{"payload":null}}', Oddity.BAD_FIELD),
        ('{"event":"media"}', Oddity.BAD_FIELD),
        ('{"event":"mark","mark":{"name":""}}', Oddity.BAD_FIELD),
        ('{"event":"dtmf","dtmf":{"digit":"12"}}', Oddity.BAD_FIELD),
        ('{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1"}}', Oddity.BAD_FIELD),
    ],
)
def test_what_no_carrier_sends_is_named(message: str | bytes, oddity: Oddity) -> None:
    assert read(message) == NotUnderstood(oddity)


@pytest.mark.parametrize("chunk", [None, "x", -1, "-1", True, 1.5, "9" * 30])
def test_a_chunk_without_a_usable_number_is_heard_all_the_same(chunk: object) -> None:
    assert read({"event": "media", "media": {"chunk": chunk, "payload": "AAAA"}}) == MediaCame(None, b"\0\0\0")


def test_long_texts_are_cut() -> None:
    fact = read(start(customParameters={"called": "1" * 100_000, **{str(k): "v" for k in range(1000)}}))
    assert isinstance(fact, Started)
    assert fact.called is not None
    assert len(fact.called) == LONGEST_TEXT
    assert len(fact.parameters) == MOST_PARAMETERS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["event", "media", "mark", "dtmf", "start", "payload", "chunk", "digit", "name", "mediaFormat"])


@settings(deadline=None)
@given(st.dictionaries(names, json_values | st.dictionaries(names, json_values)), st.sampled_from(["media", "start"]))
def test_no_message_is_too_odd_to_be_read(message: dict[str, Any], event: str) -> None:
    read({**message, "event": event})


def test_what_is_sent_is_what_the_documentation_shows() -> None:
    dialect = TwilioDialect()
    assert json.loads(dialect.media(STREAM, b"\x9e\x8f\x89")) == {
        "event": "media",
        "streamSid": STREAM,
        "media": {"payload": "no+J"},
    }
    assert json.loads(dialect.mark(STREAM, "my label")) == {
        "event": "mark",
        "streamSid": STREAM,
        "mark": {"name": "my label"},
    }
    assert json.loads(dialect.clear(STREAM)) == {"event": "clear", "streamSid": STREAM}


def test_a_stream_id_cannot_add_to_a_message() -> None:
    """It came from outside."""
    bad = '","event":"x","streamSid":"'
    assert json.loads(TwilioDialect().clear(bad)) == {"event": "clear", "streamSid": bad}
