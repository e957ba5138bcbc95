"""Calls that a carrier streams over WebSocket, through the service as a process: greeting, turns, interruption, keys, a
stream that breaks off in mid-sentence, and its end."""

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from offhook.audio.g711 import decode_alaw, encode_ulaw
from offhook.conversation.inputs import CallHeld, CallResumed, PlaybackFinished
from tests.peers.apps import Action, Answer, Event, ScriptedApp
from tests.peers.known_sound import as_audio, hiss, on_the_wire, says, words
from tests.peers.media_stream_client import MediaStreamClient, ask
from tests.peers.processes import child

if TYPE_CHECKING:
    from tests.peers.conftest import Serves
    from tests.peers.service import Service

pytestmark = [pytest.mark.peers, pytest.mark.speech, pytest.mark.timeout(90)]

EDGE = "offhook.transports.media_stream"
PUBLIC = "https://calls.example.com"
TOKEN = "12345"
KEY = "a-secret-of-a-bridge-in-the-test"
CALLED = "+4921155660"
CALLER = "+4930123456"
NUMBERS = {"called": CALLED, "caller": CALLER}
STREAMS = f"""
[media_stream]
listen = "127.0.0.1:0"
public_url = "{PUBLIC}"
grace_seconds = {{grace}}

[[media_stream.account]]
name = "main"
carrier = "twilio"
signing_key = "{TOKEN}"
{{rest}}

[[media_stream.account]]
name = "bridge"
carrier = "bridge"
stream_key = "{KEY}"

[[media_stream.account]]
name = "telnyx"
carrier = "telnyx"
stream_key = "{KEY}"
"""
GREETING = "Welcome to our service. How can I help you today?"
STORY = "Whenever the telephone rang in the hall everybody thought that somebody else would go and answer it at once"
REPLY = "I have heard what you said, thank you."
BRIDGE = f"/media-stream/bridge/{KEY}"
TELNYX = f"/media-stream/telnyx/{KEY}"
HELLO = encode_ulaw(words()).tobytes()


def streams(grace: float = 10, rest: str = "") -> str:
    return STREAMS.format(grace=grace, rest=rest)


def host(service: "Service") -> str:
    """Where the service takes streams."""
    line = next(line for line in service.lines if line.get("event") == "media_streams_listening")
    return str(line["address"])


def speak(text: str, **more: object) -> Action:
    return {"type": "speak", "text": text, **more}


def answering(**answers: Answer) -> ScriptedApp:
    """An app with one answer a type of event."""

    def decide(event: Event) -> Answer:
        return answers.get(event["type"])

    return ScriptedApp(decide)


async def test_a_whole_call_with_barge_in_keys_and_marks(serve: "Serves") -> None:
    """As Twilio does it: asked and signed, streamed to the address in the answer. (contract D3, D18, section 2)"""
    turns = iter([speak(STORY, barge_in={"strategy": "immediate"}), speak(REPLY, barge_in={"strategy": "none"})])

    def decide(event: Event) -> Answer:
        match event["type"]:
            case "session_start":
                return speak(GREETING, barge_in={"strategy": "none"})
            case "user_speak":
                return next(turns)
        return None

    async with ScriptedApp(decide) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service)) as call:
            form = {"CallSid": call.call_sid, "From": CALLER, "To": CALLED, "CallStatus": "ringing"}
            answer = await ask(host(service), PUBLIC, "main", form, token=TOKEN)
            assert answer.verbs == ["Connect", "Redirect"]
            url = answer.stream.attrib["url"]
            assert url.startswith("wss://calls.example.com/media-stream/main/")
            await call.stream(url, answer.parameters)

            start = await app.ledger.until("session_start")
            await app.ledger.until("assistant_speech_ended")
            await call.hears(15)
            assert await says(call.sound, GREETING)

            call.say(HELLO)
            assert (await app.ledger.until("user_speak"))["text"]
            await app.ledger.until("assistant_speak", 2)
            await call.hears_sound(40)
            call.say(HELLO)
            await app.ledger.until("assistant_speech_ended", 2)
            cleared = len(call.heard)
            await call.until(lambda: bool(call.of("clear")))
            assert (await app.ledger.until("user_speak", 2))["barged_in"]
            await app.ledger.until("assistant_speech_ended", 3)
            await call.hears(15)
            assert await says(call.sound[cleared * 160 :], REPLY)

            for key in "42#":
                call.press(key)
            await app.ledger.until("dtmf_received", 3)
            await call.stop()
            await app.ledger.until("session_end")
        await service.stop()
        (log,) = service.calls()

    assert start["session"]["from_phone_number"] == CALLER
    assert start["session"]["to_phone_number"] == CALLED
    assert [event["digit"] for event in app.ledger.of("dtmf_received")] == ["4", "2", "#"]
    assert app.ledger.types == [
        *("session_start", "assistant_speak", "assistant_speech_ended"),
        *("user_speech_started", "user_speak", "assistant_speak"),
        *("user_speech_started", "assistant_speech_ended", "user_speak", "assistant_speak", "assistant_speech_ended"),
        *("dtmf_received", "dtmf_received", "dtmf_received", "session_end"),
    ]
    assert len(call.of("clear")) == 1
    assert call.of("mark")
    assert {message["streamSid"] for message in call.received} == {call.stream_sid}
    assert call.most_ahead * 20 <= 2000
    ends = [fact for _, fact in log.facts if isinstance(fact, PlaybackFinished)]
    assert [end.by_voice for end in ends] == [False, True, False]


async def test_a_stream_that_breaks_off_in_mid_sentence_goes_on_where_it_was(serve: "Serves") -> None:
    """As sipgate's bridge does it: a new socket, `connected` and `start` again, with the same streamSid."""
    sound = hiss(4)
    wire = on_the_wire(sound)
    async with answering(session_start=as_audio(sound), user_speak=speak(REPLY)) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service)) as call:
            await call.stream(BRIDGE, {"From": f"sip:{CALLER}@example.com", "To": f"sip:{CALLED}@example.com"})
            await call.hears_sound(75)
            await call.cut()
            before = b"".join(call.sounding)
            await call.hears(40)
            await call.stream(BRIDGE, {"From": f"sip:{CALLER}@example.com", "To": f"sip:{CALLED}@example.com"})
            await app.ledger.until("assistant_speech_ended")
            await call.hears(15)
            after = b"".join(call.sounding)[len(before) :]

            call.say(HELLO)
            assert (await app.ledger.until("user_speak"))["text"]
            heard = len(call.sound)
            await app.ledger.until("assistant_speech_ended", 2)
            await call.hears(15)
            assert await says(call.sound[heard:], REPLY)
            await call.stop()
            await app.ledger.until("session_end")
        await service.stop()
        (log,) = service.calls()

    assert wire.startswith(before)
    assert wire.endswith(after)
    repeated = len(before) + len(after) - len(wire)
    assert 0 <= repeated <= 8000  # nothing is missing; what had not come back as heard is said again
    assert app.ledger.types.count("session_start") == 1
    assert [type(fact) for _, fact in log.facts if isinstance(fact, CallHeld | CallResumed)] == [CallHeld, CallResumed]


async def test_the_edge_is_killed_in_mid_sentence(serve: "Serves") -> None:
    """Another one listens at the same address; the stream comes there, and the call goes on."""
    sound = hiss(4)
    wire = on_the_wire(sound)
    async with answering(session_start=as_audio(sound), user_speak=speak(REPLY)) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service)) as call:
            await call.stream(BRIDGE, NUMBERS)
            await call.hears_sound(75)
            edge = child(service.process.pid, EDGE)
            os.kill(edge, signal.SIGKILL)
            await call.until(lambda: call.closed is not None)
            await call.cut()
            before = b"".join(call.sounding)
            await call.stream(BRIDGE, NUMBERS)
            await app.ledger.until("assistant_speech_ended")
            await call.hears(15)
            after = b"".join(call.sounding)[len(before) :]
            call.say(HELLO)
            assert (await app.ledger.until("user_speak"))["text"]
            await call.stop()
            await app.ledger.until("session_end")
        assert child(service.process.pid, EDGE) != edge
        service.lines = [line for line in service.lines if line.get("event") != "media_stream_edge_ended"]

    assert wire.startswith(before)
    assert wire.endswith(after)
    assert len(wire) - len(before) - len(after) <= 8000  # what was on its way through the edge that died


async def test_a_call_whose_stream_does_not_come_back_is_over(serve: "Serves") -> None:
    """After `grace_seconds`; and a stream that comes after that is turned away."""
    async with answering(session_start=speak(STORY)) as app:
        service = await serve(app.socket, more=streams(grace=0.5))
        async with MediaStreamClient(host(service)) as call:
            await call.stream(BRIDGE, NUMBERS)
            await call.hears_sound(10)
            await call.cut()
            await app.ledger.until("session_end")
            await call.stream(BRIDGE, NUMBERS)
            await call.until(lambda: call.closed is not None)
            assert call.closed == 1000
    assert app.ledger.types.count("session_start") == 1


@pytest.mark.parametrize("encoding", ["PCMA", "L16"])
async def test_a_call_of_telnyx(serve: "Serves", encoding: str) -> None:
    """In A-law, and in 16-bit samples at 16 kHz, which is more than a telephone line has."""
    reply = speak(REPLY, barge_in={"strategy": "none"})
    async with answering(session_start=reply, dtmf_received=[{"type": "barge_in"}, {"type": "hangup"}]) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service), dialect="telnyx", encoding=encoding) as call:
            await call.stream(TELNYX, NUMBERS)
            await app.ledger.until("assistant_speech_ended")
            await call.hears(15)
            if encoding == "PCMA":
                narrow = decode_alaw(np.frombuffer(call.sound, np.uint8))
            else:
                narrow = np.frombuffer(call.sound, ">i2").astype(np.int16)[::2]
            assert await says(encode_ulaw(narrow).tobytes(), REPLY)
            call.press("1")
            await app.ledger.until("session_end")
            await call.until(lambda: call.closed is not None)
    assert {"stream_id", "streamSid"}.isdisjoint(key for message in call.received for key in message)
    assert app.ledger.events[0]["session"]["from_phone_number"] == CALLER


async def test_a_farewell_is_heard_to_its_end_before_the_stream_is_closed(serve: "Serves") -> None:
    """The socket is closed when the mark behind the last word has come back; asked again, the carrier hangs up."""
    sound = hiss(1)
    async with answering(session_start=[as_audio(sound), {"type": "hangup"}]) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service)) as call:
            form = {"CallSid": call.call_sid, "From": CALLER, "To": CALLED}
            answer = await ask(host(service), PUBLIC, "main", form, token=TOKEN)
            await call.stream(answer.stream.attrib["url"], answer.parameters)
            await call.until(lambda: call.closed is not None)
            assert call.closed == 1000
            assert b"".join(call.sounding) == on_the_wire(sound)
            again = await ask(host(service), PUBLIC, "main", form, token=TOKEN)
            assert again.verbs == ["Hangup"]
            await app.ledger.until("session_end")


async def test_what_no_carrier_sends_does_not_end_a_call(serve: "Serves") -> None:
    """Broken, unknown, repeated, misplaced, and in the wrong order."""
    async with answering(user_speak=speak(REPLY)) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service)) as call:
            await call.stream(BRIDGE, NUMBERS)
            await app.ledger.until("session_start")
            odd: list[str | bytes] = [
                *("", "{", "[]", "null", "1e999", '{"event":7}', '{"event":"weather"}', b"\xff\xfe\x00"),
                *('{"event":"media"}', '{"event":"media","media":{"payload":7}}', '{"event":"media","media":[]}'),
                '{"event":"media","media":{"track":"inbound","chunk":"1","payload":"%%%%"}}',
                '{"event":"media","media":{"track":"outbound","chunk":"1","payload":"AAAA"}}',
                '{"event":"media","media":{"track":"inbound","chunk":"-9999999999999999999999","payload":""}}',
                *('{"event":"mark","mark":{"name":"never sent"}}', '{"event":"mark","mark":{}}', '{"event":"dtmf"}'),
                *('{"event":"dtmf","dtmf":{"digit":"Z"}}', '{"event":"start","start":{}}', '{"event":"connected"}'),
                "[" * 2000,
            ]
            for message in odd:
                call.send(message)
            call.say(HELLO)
            assert (await app.ledger.until("user_speak"))["text"]
            await call.hears_sound(10)
            await call.stop()
            await app.ledger.until("session_end")


async def test_only_whom_the_service_has_told_can_stream(serve: "Serves") -> None:
    """A wrong signature gets 403, so does a wrong or borrowed address; the flow hears of none of them."""
    async with answering() as app:
        service = await serve(app.socket, more=streams())
        where = host(service)
        async with MediaStreamClient(where) as call, MediaStreamClient(where) as thief:
            form = {"CallSid": call.call_sid, "From": CALLER, "To": CALLED}
            assert (await ask(where, PUBLIC, "main", form, signature="0/KCTR6DLpKmkAf8muzZqo1nDgQ=")).status == 403
            assert (await ask(where, PUBLIC, "main", form, token="another")).status == 403
            assert (await ask(where, PUBLIC, "bridge", form, token=KEY)).status == 404
            answer = await ask(where, PUBLIC, "main", form, token=TOKEN)
            path = answer.stream.attrib["url"].removeprefix("wss://calls.example.com")
            for wrong in ("/media-stream/main/x", path[:-2] + "AA", path.replace("/main/", "/bridge/"), BRIDGE + "x"):
                with pytest.raises(Exception, match="HTTP 403"):
                    await thief.stream(wrong, NUMBERS)
            await thief.stream(path, NUMBERS)  # another call than the address was given for
            await thief.until(lambda: thief.closed is not None)
            assert thief.closed == 1008
            assert not app.ledger.events
            await call.stream(path, answer.parameters)
            await app.ledger.until("session_start")
            await call.stop()
            await app.ledger.until("session_end")
        await asyncio.wait_for(service.until("media_stream_bad_signature"), 5)
    assert app.ledger.types == ["session_start", "session_end"]
