"""Random bytes and foreign audio on the SIP and RTP ports for thirty seconds of a call: heard by nobody."""

import random
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from offhook.audio.g711 import encode_ulaw
from tests.peers.known_sound import FRAME, as_audio, hiss, on_the_wire, says, words
from tests.peers.mortal_app import App
from tests.peers.sip_caller import SipCaller, Stream

if TYPE_CHECKING:
    from tests.peers.conftest import Serves
    from tests.peers.service import Service

pytestmark = [pytest.mark.peers, pytest.mark.speech, pytest.mark.timeout(90)]

SECONDS = 30
REPLY = "I have heard what you said, thank you."


class Nuisance:
    """Sends, at each beat of the call, what nobody should hear: from the caller's own addresses, from another port and
    from another address of this machine."""

    def __init__(self, service: "Service", caller: SipCaller) -> None:
        self._random = random.Random(4475)
        self._caller = caller
        self._sip = ("127.0.0.1", service.udp_port)
        self._others = [_socket_on("127.0.0.1"), _socket_on("127.0.0.2")]
        self._tcp = ("127.0.0.1", service.tcp_port)
        self._stream = socket.create_connection(self._tcp)
        self._speech = encode_ulaw(words()).tobytes()
        self._beats = 0

    def close(self) -> None:
        for each in (*self._others, self._stream):
            each.close()

    def __call__(self) -> None:
        self._beats += 1
        if self._beats % 100 < 50:  # a second of noise and voices, a second of voices alone
            self._send_noise()
        for number, other in enumerate(self._others):
            other.sendto(self._voice(0x1000 + number), self._caller.rtp_target)
            other.sendto(self._voice(self._caller.ssrc), self._caller.rtp_target)  # the right stream, the wrong place
        self._caller.send_rtp(self._voice(0x2000))  # the right place, the wrong stream

    def _send_noise(self) -> None:
        sizes = (1, 11, 12, 40, 172, 400, 1400)
        noise = [self._random.randbytes(self._random.choice(sizes)) for _ in range(3)]
        almost = [b"\x80" + noise[0], b"\x80\x00" + noise[1] + bytes(160), b"INVITE sip:x SIP/2.0\r\n" + noise[2]]
        for data in (*noise, *almost):
            self._caller.send_bytes(data)
            self._caller.send_rtp(data)
            for other in self._others:
                other.sendto(data, self._sip)
                other.sendto(data, self._caller.rtp_target)
        if self._beats % 10 == 0:
            self._send_on_a_stream(noise[0])

    def _voice(self, ssrc: int) -> bytes:
        """Somebody speaking without end, as RTP that is right in every other way."""
        at = self._beats * FRAME % (len(self._speech) - FRAME)
        header = struct.pack("!BBHII", 0x80, 0, self._beats & 0xFFFF, self._beats * FRAME, ssrc)
        return header + self._speech[at : at + FRAME]

    def _send_on_a_stream(self, data: bytes) -> None:
        """Random bytes over TCP; the service may close the connection, then there is another one."""
        try:
            self._stream.sendall(data)
        except OSError:
            self._stream.close()
            self._stream = socket.create_connection(self._tcp)


def _socket_on(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


async def test_random_bytes_and_foreign_audio_are_heard_by_nobody(serve: "Serves") -> None:
    """Neither by the recogniser nor by the caller; and the next turn is like any other."""
    sound = hiss(SECONDS + 2)
    answers = {"session_start": [as_audio(sound)], "user_speak": [{"type": "speak", "text": REPLY}]}
    async with App("websocket", answers) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears_sound()
            nuisance = Nuisance(service, caller)
            caller.at_each_beat(nuisance)
            await caller.hears(SECONDS * 50, seconds=SECONDS * 2)
            caller.at_each_beat(None)
            nuisance.close()
            await app.until_event("assistant_speech_ended")
            assert app.types() == ["session_start", "assistant_speech_ended"]
            assert on_the_wire(sound) in Stream(caller.heard).payload
            assert Stream(caller.heard).lost() == []
            heard = len(caller.heard)
            caller.say(words())
            await app.until_event("user_speak")
            await app.until_event("assistant_speech_ended", 2)
            assert await says(Stream(caller.heard[heard:]).payload, REPLY)
            await caller.hang_up()
            await app.until_event("session_end")
