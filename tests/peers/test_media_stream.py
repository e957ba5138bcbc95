"""Calls that a carrier streams over WebSocket, through the service as a process: greeting, turns, interruption, keys, a
stream that breaks off in mid-sentence, and its end."""

import asyncio
import base64
import os
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from G722 import G722
from numpy.typing import NDArray

from offhook.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from offhook.audio.resample import resample
from offhook.conversation.inputs import CallHeld, CallResumed, PlaybackFinished
from tests.peers.apps import Action, Answer, Event, ScriptedApp
from tests.peers.known_sound import as_audio, hiss, on_the_wire, says, words
from tests.peers.media_stream_client import Answer as Told
from tests.peers.media_stream_client import MediaStreamClient, ask
from tests.peers.processes import MEDIA, child, gone
from tests.peers.sound import piecewise_match, prompt, silence, write_wav

if TYPE_CHECKING:
    from tests.peers.conftest import Phones, Serves
    from tests.peers.service import Service

pytestmark = [pytest.mark.peers, pytest.mark.speech, pytest.mark.timeout(90)]

EDGE = "offhook.transports.media_stream"
PUBLIC = "https://calls.example.com"
TOKEN = "12345"
KEY = "a-secret-of-a-bridge-in-the-test"
CALLED = "+4921155660"
TARGET = "+4930999999"
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


def narrowed(sound: bytes, encoding: str) -> bytes:
    """What was heard, in u-law."""
    if encoding == "PCMA":
        return encode_ulaw(decode_alaw(np.frombuffer(sound, np.uint8))).tobytes()
    if encoding == "G722":
        wide = np.frombuffer(G722(16000, 64000, use_numpy=False).decode(sound), np.int16)
    else:
        wide = np.frombuffer(sound, ">i2").astype(np.int16)
    return encode_ulaw(resample(wide, 16000, 8000)).tobytes()


def in_this(samples: NDArray[np.int16], encoding: str) -> bytes:
    """Samples at 8 kHz as a carrier sends them."""
    if encoding == "PCMA":
        return encode_alaw(samples).tobytes()
    wide = resample(samples, 8000, 16000)
    wide = wide[: len(wide) // 320 * 320]
    if encoding == "G722":
        return bytes(G722(16000, 64000, use_numpy=False).encode(wide))
    return wide.astype(">i2").tobytes()


def speak(text: str, **more: object) -> Action:
    return {"type": "speak", "text": text, **more}


def answering(**answers: Answer) -> ScriptedApp:
    """An app with one answer a type of event."""

    def decide(event: Event) -> Answer:
        return answers.get(event["type"])

    return ScriptedApp(decide)


class TelnyxKey:
    """A key as Telnyx has one, made and used by OpenSSL in this folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("genpkey", "-algorithm", "ed25519", "-out", "key.pem")
        self.public = base64.b64encode(self._run("pkey", "-in", "key.pem", "-pubout", "-outform", "DER")[-32:]).decode()

    def sign(self, text: bytes) -> str:
        """What stands in the header."""
        (self._folder / "text").write_bytes(text)
        return base64.b64encode(self._run("pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "text")).decode()

    def _run(self, *command: str) -> bytes:
        return subprocess.run(["openssl", *command], check=True, capture_output=True, cwd=self._folder).stdout


@pytest.mark.alone
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
            await call.hears_sound(20)
            await app.ledger.until("assistant_speech_ended", 2)
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


@pytest.mark.alone
@pytest.mark.parametrize("encoding", ["PCMA", "G722", "L16"])
async def test_a_call_of_telnyx(serve: "Serves", encoding: str) -> None:
    """In A-law, and at 16 kHz."""
    reply = speak(REPLY, barge_in={"strategy": "none"})
    async with answering(session_start=reply, dtmf_received=[{"type": "barge_in"}, {"type": "hangup"}]) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service), dialect="telnyx", encoding=encoding) as call:
            await call.stream(TELNYX, NUMBERS)
            await app.ledger.until("assistant_speech_ended")
            await call.hears(15)
            assert await says(narrowed(call.sound, encoding), REPLY)
            call.say(in_this(words(), encoding))
            assert (await app.ledger.until("user_speak"))["text"]
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


async def test_a_call_that_the_app_ends_is_ended_at_its_carrier(serve: "Serves") -> None:
    """By REST, where there is a key for it; the stream is closed then."""
    asked: list[tuple[str, str, str]] = []

    async def rest(request: web.Request) -> web.Response:
        asked.append((request.path, (await request.text()), request.headers["Authorization"]))
        return web.json_response({"status": "completed"})

    api = web.AppRunner(server := web.Application())
    server.router.add_post("/{path:.*}", rest)
    await api.setup()
    await web.TCPSite(api, "127.0.0.1", 0).start()
    keys = f'rest_user = "AC1"\nrest_key = "{TOKEN}"\napi_url = "http://127.0.0.1:{api.addresses[0][1]}"'
    async with answering(session_start={"type": "hangup"}) as app:
        service = await serve(app.socket, more=streams(rest=keys))
        async with MediaStreamClient(host(service)) as call:
            form = {"CallSid": call.call_sid, "From": CALLER, "To": CALLED}
            answer = await ask(host(service), PUBLIC, "main", form, token=TOKEN)
            await call.stream(answer.stream.attrib["url"], answer.parameters)
            await call.until(lambda: call.closed is not None)
            await app.ledger.until("session_end")
    await api.cleanup()
    authorization = "Basic " + base64.b64encode(f"AC1:{TOKEN}".encode()).decode()
    assert asked == [(f"/2010-04-01/Accounts/AC1/Calls/{call.call_sid}.json", "Status=completed", authorization)]


async def test_telnyx_asks_with_its_own_signature(serve: "Serves", tmp_path: Path) -> None:
    """Ed25519, made by OpenSSL: developers.telnyx.com, "Webhook signing"."""
    key = TelnyxKey(tmp_path)
    account = f'[[media_stream.account]]\nname = "texml"\ncarrier = "telnyx"\nsigning_key = "{key.public}"\n'
    async with answering() as app:
        service = await serve(app.socket, more=streams() + account)
        async with MediaStreamClient(host(service), dialect="telnyx") as call, aiohttp.ClientSession() as client:
            body = urlencode({"CallSid": call.call_sid, "From": CALLER, "To": CALLED}).encode()
            timestamp = str(int(time.time()))
            headers = {
                "Content-Type": "application/x-www-form-urlencoded",
                "telnyx-timestamp": timestamp,
                "telnyx-signature-ed25519": key.sign(timestamp.encode() + b"|" + body),
            }
            url = f"http://{host(service)}/media-stream/texml/answer"
            async with client.post(url, data=body, headers=headers) as response:
                answer = Told(response.status, await response.text())
            async with client.post(url, data=body + b"&To=x", headers=headers) as response:
                assert response.status == 403
            assert answer.stream.attrib["bidirectionalMode"] == "rtp"
            await call.stream(answer.stream.attrib["url"], answer.parameters)
            assert (await app.ledger.until("session_start"))["session"]["to_phone_number"] == CALLED
            await call.stop()
            await app.ledger.until("session_end")


async def test_the_media_process_is_killed_in_mid_sentence(serve: "Serves") -> None:
    """The stream does not notice."""
    sound = hiss(3)
    async with answering(session_start=as_audio(sound)) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service)) as call:
            await call.stream(BRIDGE, NUMBERS)
            await call.hears_sound(50)
            os.kill(child(service.process.pid, MEDIA), signal.SIGKILL)
            await app.ledger.until("assistant_speech_ended")
            await call.hears(15)
            await call.stop()
            await app.ledger.until("session_end")
    once = [now for then, now in pairwise([b"", *call.sounding]) if now != then]
    missing = len(on_the_wire(sound)) // 160 - len(once)
    assert missing <= 1  # counted, and killed before it was sent
    assert set(once) <= {on_the_wire(sound)[at : at + 160] for at in range(0, len(on_the_wire(sound)), 160)}


async def test_a_service_that_is_killed_leaves_no_edge_behind(serve: "Serves") -> None:
    """Nor does it leave a carrier without an end of its stream."""
    async with answering(session_start=speak(STORY)) as app:
        service = await serve(app.socket, more=streams())
        async with MediaStreamClient(host(service)) as call:
            await call.stream(BRIDGE, NUMBERS)
            await call.hears_sound()
            edge = child(service.process.pid, EDGE)
            service.process.kill()
            await gone([edge], seconds=5)
            await call.until(lambda: call.closed is not None)
        await service.process.wait()
        service.lines.clear()  # its call log may end anywhere: there is nothing to replay


@pytest.mark.alone
async def test_a_streamed_caller_is_transferred_to_a_telephone(
    serve: "Serves", phone: "Phones", tmp_path: Path
) -> None:
    """Called by a trunk and bridged here, as for a caller by SIP (contract D15)."""
    theirs = prompt("vm-goodbye")
    target = await phone(write_wav(tmp_path / "target.wav", silence(1), theirs, silence(60)), user=TARGET)
    trunk = f'[[trunk]]\nname = "desk"\nproxy = "127.0.0.1:{target.port}"\n[outbound]\nallow = ["+4930"]\n'
    async with answering(session_start={"type": "transfer", "target_phone_number": TARGET, "timeout": 20}) as app:
        service = await serve(app.socket, more=streams() + trunk)
        async with MediaStreamClient(host(service)) as call:
            await call.stream(BRIDGE, NUMBERS)
            await target.until("CALL_ESTABLISHED")
            answered = len(call.sound)
            call.say(encode_ulaw(np.zeros(8000, np.int16)).tobytes() + HELLO)
            await call.hears(150)
            await call.stop()
            await target.until("CALL_CLOSED")
            await app.ledger.until("session_end")
    heard = decode_ulaw(np.frombuffer(call.sound[answered:], np.uint8)).astype(np.float64) / 32768
    assert piecewise_match(heard, theirs) >= 0.95
    assert piecewise_match(target.heard(), prompt("hello-world")) >= 0.95
    assert app.ledger.types == ["session_start", "session_end"]


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
