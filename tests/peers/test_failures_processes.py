"""A process of the house is killed during a call: the call goes on (ARCHITECTURE.md, "Ownership")."""

import asyncio
import os
import signal
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.peers.known_sound import as_audio, hiss, on_the_wire, says, words
from tests.peers.mortal_app import App
from tests.peers.processes import EAR, MEDIA, VOICE, child, children, gone
from tests.peers.sip_caller import SILENCE, SipCaller, Stream

if TYPE_CHECKING:
    from tests.peers.conftest import Serves
    from tests.peers.service import Service

pytestmark = [pytest.mark.peers, pytest.mark.speech, pytest.mark.timeout(90)]

STORY = "This is a long story. It has several sentences, one after the other. None may be lost. This is its end."
REPLY = "I have heard what you said, thank you."
SPEAK = {"type": "speak", "barge_in": {"strategy": "none"}}
NOTHING_CUTS = {"session_start": [SPEAK | {"text": STORY}], "user_speak": [SPEAK | {"text": REPLY}]}


def kill(service: "Service", module: str) -> float:
    """`kill -9` of a child of the service; when that was, on the loop's clock."""
    os.kill(child(service.process.pid, module), signal.SIGKILL)
    return asyncio.get_running_loop().time()


async def over(caller: SipCaller, app: App) -> None:
    """The caller hangs up, and the app has its last event."""
    await caller.hang_up()
    await app.until_event("session_end")


async def next_turn_works(caller: SipCaller, app: App, count: int) -> None:
    """The caller says something: the app has it, as its `count`-th turn, and its reply is heard."""
    caller.say(words())
    assert (await app.until_event("user_speak", count))["text"]
    before = len(caller.heard)
    await caller.hears_sound(after=before)


async def test_the_media_process_is_killed_while_the_assistant_speaks(serve: "Serves") -> None:
    """Three times. The first packet comes again within a second, of the same stream, from the same port, and what is
    said goes on where it stopped."""
    sound = hiss(4)
    async with App("websocket", NOTHING_CUTS | {"session_start": [as_audio(sound)]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears_sound()
            kills: list[tuple[float, int]] = []
            for _ in range(3):
                await caller.hears(40)
                kills.append((kill(service, MEDIA), len(caller.heard)))
            await app.until_event("assistant_speech_ended")

            jumps = {place: jump for place, _, jump in Stream(caller.heard).breaks()}
            for killed_at, before in kills:
                seam = max(range(before, before + 2), key=lambda place: jumps.get(place, 0))
                last, first = caller.heard[seam - 1 : seam + 1]
                assert first.at - killed_at < 1.0
                assert abs(jumps[seam] / 8000 - (first.at - last.at)) < 0.06  # the timestamp has followed the clock
            assert [line["rows"] for line in service.lines if line["event"] == "media_restarted"] == [1, 1, 1]
            assert Stream(caller.heard).lost() == []
            assert len({packet.ssrc for packet in caller.heard}) == 1
            said = [packet.payload for packet in caller.heard if packet.payload != SILENCE]
            once = [now for then, now in pairwise([b"", *said]) if now != then]  # sent, and killed before it was noted
            assert b"".join(once) == on_the_wire(sound)
            assert len(said) - len(once) <= len(kills)

            await next_turn_works(caller, app, 1)
            await app.until_event("assistant_speech_ended", 2)
            await over(caller, app)
    assert app.types().count("assistant_speak") == 1
    assert app.types().count("assistant_speech_ended") == 2  # one of them of the hiss


async def test_the_media_process_is_killed_while_the_caller_speaks(serve: "Serves") -> None:
    """The turn ends as any other, and so does the next one; background sound goes on."""
    loop = hiss(1, seed=2)
    mixed = as_audio(loop) | {"type": "mix_audio", "volume": 1.0}
    async with App("websocket", {"session_start": [mixed]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears_sound()
            caller.say(np.concatenate([words(), words()]))
            await app.until_event("user_speech_started")
            kill(service, MEDIA)
            assert (await app.until_event("user_speak"))["text"]
            caller.say(words())
            assert (await app.until_event("user_speak", 2))["text"]
            latest = len(caller.heard)
            await caller.hears(75)
            assert on_the_wire(loop) in Stream(caller.heard[latest:]).payload + SILENCE
            await over(caller, app)


async def test_the_voice_is_killed_in_mid_sentence(serve: "Serves") -> None:
    """What was being said is said to its end, and the voice speaks again."""
    async with App("websocket", NOTHING_CUTS) as app:
        service = await serve(app.url)
        voice = child(service.process.pid, VOICE)
        os.kill(voice, signal.SIGSTOP)  # it has been asked to speak, and is killed before a sample comes
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await app.until_event("session_start")
            await caller.hears(20)
            os.kill(voice, signal.SIGKILL)
            await caller.hears_sound()
            kill(service, VOICE)
            ended = await app.until_event("assistant_speech_ended")
            assert ended["session"]["id"]
            assert await says(Stream(caller.heard).payload, STORY)
            heard = len(caller.heard)
            await next_turn_works(caller, app, 1)
            await app.until_event("assistant_speech_ended", 2)
            assert await says(Stream(caller.heard[heard:]).payload, REPLY)
            assert Stream(caller.heard).lost() == []
            await over(caller, app)


async def test_the_recogniser_is_killed_in_mid_turn(serve: "Serves") -> None:
    """That turn may have lost its words, the call has not noticed, and the next turn is understood."""
    async with App("websocket", {"user_speak": [SPEAK | {"text": REPLY}]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears(10)
            caller.say(words())
            await app.until_event("user_speech_started")
            kill(service, EAR)
            await service.until(f"a worker of the embedded ear (pocketsphinx) stopped: {EAR} ended with signal 9")
            await caller.hears(150)
            before = app.types().count("user_speak")
            await next_turn_works(caller, app, before + 1)
            assert Stream(caller.heard).lost() == []
            await over(caller, app)


async def test_a_service_that_is_killed_leaves_no_process_behind(serve: "Serves") -> None:
    """Also while all of them are at work."""
    async with App("websocket", NOTHING_CUTS) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears_sound()
            caller.say(words())
            await app.until_event("user_speech_started")
            left = children(service.process.pid)
            assert len(left) >= 3
            service.process.kill()
            await gone(left, seconds=5)
            await service.process.wait()
            service.lines.clear()  # its call log may end anywhere: there is nothing to replay


async def test_what_callers_hear_fifty_times_a_second_goes_first(serve: "Serves") -> None:
    """The media process before the service, the service before engines; all alike where the right to it is missing."""
    async with App("webhook", NOTHING_CUTS) as app:
        service = await serve(app.url)
        own = service.process.pid
        media, service_niceness, ear, voice = (
            os.getpriority(os.PRIO_PROCESS, pid) for pid in (child(own, MEDIA), own, child(own, EAR), child(own, VOICE))
        )
    may = os.geteuid() == 0
    assert (media < service_niceness < ear == voice) if may else media == service_niceness == ear == voice
