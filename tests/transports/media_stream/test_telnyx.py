"""Telnyx's dialect, with the messages of its documentation (media-streaming)."""

import json
from typing import Any

import pytest

from offhook.media.messages import Codec
from offhook.transports.media_stream.dialect import (
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
from offhook.transports.media_stream.telnyx import TelnyxDialect

STREAM = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC"
CALL = "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"


def read(message: dict[str, Any]) -> StreamFact:
    return TelnyxDialect().read(json.dumps(message))


def start(**changes: Any) -> dict[str, Any]:
    body = {
        "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
        "call_control_id": CALL,
        "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
        "from": "+13122010094",
        "to": "+13122123456",
        "tags": ["TAG1", "TAG2"],
        "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
        "custom_parameters": {"customer_id": "customer_123"},
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    }
    return {"event": "start", "sequence_number": "1", "stream_id": STREAM, "start": body | changes}


def test_connected() -> None:
    assert read({"event": "connected", "version": "1.0.0"}) == Connected()


def test_start_says_who_calls_whom() -> None:
    assert read(start()) == Started(
        STREAM, CALL, Codec.PCMU, "+13122123456", "+13122010094", "", {"customer_id": "customer_123"}
    )


@pytest.mark.parametrize(
    ("encoding", "rate", "codec"),
    [
        ("PCMA", 8000, Codec.PCMA),
        ("G722", 8000, Codec.G722),
        ("L16", 16000, Codec.L16),
        ("audio/x-mulaw", 8000, Codec.PCMU),
    ],
)
def test_codecs(encoding: str, rate: int, codec: Codec) -> None:
    fact = read(start(media_format={"encoding": encoding, "sample_rate": rate, "channels": 1}))
    assert isinstance(fact, Started)
    assert fact.codec is codec


@pytest.mark.parametrize("encoding", ["OPUS", "AMR-WB"])
def test_codecs_that_are_not_spoken_here(encoding: str) -> None:
    form = {"encoding": encoding, "sample_rate": 16000, "channels": 1}
    assert read(start(media_format=form)) == NotUnderstood(Oddity.UNKNOWN_FORMAT)


def test_media() -> None:
    media = {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": "no+JhoaJjpz="}
    assert read({"event": "media", "sequence_number": "4", "media": media, "stream_id": STREAM}) == MediaCame(
        2, b"\x9e\x8f\x89\x86\x86\x89\x8e\x9c"
    )


def test_a_mark_that_came_back() -> None:
    message = {"event": "mark", "stream_id": STREAM, "sequence_number": "5", "mark": {"name": "some_mark_name"}}
    assert read(message) == MarkCame("some_mark_name")


def test_a_key() -> None:
    message = {
        "event": "dtmf",
        "stream_id": STREAM,
        "occurred_at": "2025-06-05T08:54:19.698408Z",
        "sequence_number": "5",
        "dtmf": {"digit": "1"},
    }
    assert read(message) == KeyCame("1")


def test_stop() -> None:
    stop = {"user_id": "3E6F995F-85F7-4705-9741-53B116D28237", "call_control_id": CALL}
    assert read({"event": "stop", "sequence_number": "5", "stop": stop, "stream_id": STREAM}) == Stopped()


def test_an_error_is_a_complaint() -> None:
    payload = {"code": 100003, "title": "malformed_frame", "detail": "Received frame was not formed correctly"}
    assert read({"event": "error", "payload": payload, "stream_id": STREAM}) == CarrierComplains(
        "100003", "Received frame was not formed correctly"
    )


def test_a_start_without_a_call_is_none() -> None:
    assert read(start(call_control_id=None)) == NotUnderstood(Oddity.BAD_FIELD)


def test_what_is_sent_is_what_the_documentation_shows() -> None:
    dialect = TelnyxDialect()
    assert json.loads(dialect.media(STREAM, b"\x9e\x8f\x89")) == {"event": "media", "media": {"payload": "no+J"}}
    assert json.loads(dialect.mark(STREAM, "m")) == {"event": "mark", "mark": {"name": "m"}}
    assert json.loads(dialect.clear(STREAM)) == {"event": "clear"}
