"""The frames and messages that the callers of the benchmark speak, against the library and the edge that hear them."""

import base64
import json
from typing import Any

import pytest
from bench.beside.twilio_words import CLOSE, TEXT, Frames, Stream, frame, read
from websockets.frames import Frame, Opcode


def served(data: bytes) -> bytes:
    """As a server sends it."""
    return Frame(Opcode.TEXT, data).serialize(mask=False)


@pytest.mark.parametrize("size", [0, 125, 126, 65535])
def test_a_frame_is_one_of_rfc_6455(size: int) -> None:
    whole = frame(b"x" * size)
    ((kind, content),) = Frames().take(whole[:1] + bytes([whole[1] & 0x7F]) + whole[2:].replace(bytes(4), b"", 1))
    assert (kind, content) == (TEXT, b"x" * size)
    assert whole[1] & 0x80


def test_frames_come_in_pieces_and_together() -> None:
    frames = Frames()
    data = served(b"one") + served(b"x" * 300) + Frame(Opcode.CLOSE, b"").serialize(mask=False)
    found = [one for at in range(len(data)) for one in frames.take(data[at : at + 1])]
    assert found == [(TEXT, b"one"), (TEXT, b"x" * 300), (CLOSE, b"")]
    assert Frames().take(data) == found


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_messages_of_either_peer_are_read(separators: tuple[str, str]) -> None:
    def said(message: dict[str, Any]) -> bytes:
        return json.dumps(message, separators=separators).encode()

    sound = bytes(range(160))
    media: dict[str, Any] = {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": base64.b64encode(sound).decode()},
    }
    assert read(said(media)).sound == sound
    assert read(said({"event": "mark", "streamSid": "MZ1", "mark": {"name": "7"}})).name == "7"
    assert read(said({"event": "clear", "streamSid": "MZ1"})).event == "clear"


def test_a_call_opens_speaks_and_ends_in_order() -> None:
    stream = Stream("1", {"called": "+49", "caller": "+49301"})
    payload = base64.b64encode(b"\xff" * 160).decode()
    data = stream.opening() + stream.media(payload) + stream.mark("3") + stream.stop()
    messages = []
    while data:
        size, start = data[1] & 0x7F, 6
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 8
        messages.append(json.loads(data[start : start + size]))
        data = data[start + size :]
    assert [message["event"] for message in messages] == ["connected", "start", "media", "mark", "stop"]
    assert [message["sequenceNumber"] for message in messages[1:]] == ["1", "2", "3", "4"]
    assert messages[1]["start"]["customParameters"] == {"called": "+49", "caller": "+49301"}
    assert messages[2]["media"]["payload"] == payload
    assert {message["streamSid"] for message in messages[1:]} == {"MZ1"}
