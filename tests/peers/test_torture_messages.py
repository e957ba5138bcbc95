"""The torture messages of RFC 4475, at a service with calls in progress: nobody on the telephone notices."""

import asyncio
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.peers.known_sound import as_audio, hiss, on_the_wire, says, words
from tests.peers.mortal_app import App
from tests.peers.sip_caller import SipCaller, Stream

if TYPE_CHECKING:
    from tests.peers.conftest import Serves

pytestmark = [pytest.mark.peers, pytest.mark.speech, pytest.mark.timeout(60)]

MESSAGES = sorted((Path(__file__).parents[1] / "data" / "rfc4475").glob("*/*.dat"))
BEATS_BETWEEN = 3
REPLY = "I have heard what you said, thank you."


async def send_over_tcp(port: int, data: bytes) -> None:
    """On a connection of its own, which the service may close as it likes."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_no_message_of_rfc_4475_disturbs_a_call(serve: "Serves", monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent over UDP, over TCP, and from the caller's own address; calls that they begin are taken, too."""
    assert len(MESSAGES) == 50
    monkeypatch.setenv("OFFHOOK_LIMITS__DRAIN_SECONDS", "0")
    sound = hiss(len(MESSAGES) * BEATS_BETWEEN * 0.02 + 2)
    answers = {"session_start": [as_audio(sound)], "user_speak": [{"type": "speak", "text": REPLY}]}
    async with App("websocket", answers) as app, App("http") as others:
        everybody = f'\n[[flow]]\nid = "any"\napp = "{others.url}"\nnumbers = ["*"]\n'
        service = await serve(app.url, flow=everybody)
        async with SipCaller(service.udp_port) as caller, SipCaller(service.tcp_port, transport="tcp") as second:
            for each in (caller, second):
                await each.dial()
                await each.hears_sound()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for message in MESSAGES:
                    data = message.read_bytes()
                    stranger.sendto(data, ("127.0.0.1", service.udp_port))
                    caller.send_bytes(data)
                    await send_over_tcp(service.tcp_port, data)
                    await caller.hears(BEATS_BETWEEN)
            second.send_bytes(MESSAGES[0].read_bytes())  # on the connection of a call
            await app.until_event("assistant_speech_ended", 2)
            for number, each in enumerate((caller, second), 1):
                assert on_the_wire(sound) in Stream(each.heard).payload
                assert Stream(each.heard).lost() == []
                heard = len(each.heard)
                each.say(words())
                await app.until_event("user_speak", number)
                await app.until_event("assistant_speech_ended", number + 2)
                assert await says(Stream(each.heard[heard:]).payload, REPLY)
            assert (await caller.ask("OPTIONS")).status == 200
            await caller.hang_up()
            await second.hang_up()
            await app.until_event("session_end", 2)
        service.process.send_signal(signal.SIGTERM)  # calls of the torture messages are still waiting for an ACK
        await service.until("ending_calls")
        service.process.send_signal(signal.SIGTERM)
        assert await service.process.wait() == 0
    assert "session_start" in others.types()
