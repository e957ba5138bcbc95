"""Frames as RFC 6455 has them, from every cut of the bytes."""

import struct

import pytest

from offhook.protocol.json_codec import BODY_LIMIT
from offhook.testing.conformance.websocket_frames import FrameReader, FramesBroken, MessageTooLong, Opcode, frame


def unmasked(sent: bytes) -> tuple[int, bytes]:
    """Opcode and payload of one frame of a client."""
    size, at = sent[1] & 0x7F, 2
    if size == 126:
        (size,), at = struct.unpack_from("!H", sent, 2), 4
    elif size == 127:
        (size,), at = struct.unpack_from("!Q", sent, 2), 10
    mask, payload = sent[at : at + 4], sent[at + 4 :]
    assert len(payload) == size
    return sent[0] & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_client_masks_what_it_sends(size: int) -> None:
    payload = bytes(i % 251 for i in range(size))
    sent = frame(Opcode.TEXT, payload)
    assert sent[0] & 0x80
    assert sent[1] & 0x80
    assert unmasked(sent) == (Opcode.TEXT, payload)


def server_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    size = len(payload)
    width = bytes([size]) if size < 126 else struct.pack("!BH", 126, size)
    return bytes([(0x80 if final else 0) | opcode]) + width + payload


def test_messages_come_out_whatever_the_pieces_are() -> None:
    data = (
        server_frame(Opcode.TEXT, b"one", final=False)
        + server_frame(Opcode.PING, b"?")
        + server_frame(Opcode.CONTINUATION, b" two")
        + server_frame(Opcode.BINARY, bytes(300))
        + server_frame(Opcode.CLOSE, (1001).to_bytes(2, "big"))
    )
    expected = [
        (Opcode.PING, b"?"),
        (Opcode.TEXT, b"one two"),
        (Opcode.BINARY, bytes(300)),
        (Opcode.CLOSE, b"\x03\xe9"),
    ]
    for step in (1, 2, 7, len(data)):
        reader = FrameReader()
        came = [m for at in range(0, len(data), step) for m in reader.feed(data[at : at + step])]
        assert [(message.opcode, message.payload) for message in came] == expected
    assert came[-1].close_code == 1001


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1\x00",  # compressed, and nobody agreed to that
        b"\x83\x00",  # an opcode that is none
        b"\x81\x80abcd",  # masked by a server
        server_frame(Opcode.CONTINUATION, b"x"),
        server_frame(Opcode.TEXT, b"x", final=False) + server_frame(Opcode.TEXT, b"y"),
    ],
)
def test_what_breaks_the_protocol_is_said(data: bytes) -> None:
    with pytest.raises(FramesBroken):
        list(FrameReader().feed(data))


def test_d27_a_message_has_its_limit() -> None:
    with pytest.raises(MessageTooLong):
        list(FrameReader().feed(b"\x81\x7f" + struct.pack("!Q", BODY_LIMIT + 1)))
