"""What telephones do with a call: hold it, press keys, call again, give up, dial wrong numbers."""

from pathlib import Path

import numpy as np
import pytest

from offhook.conversation.inputs import CallConnected, CallHeld, CallOffered, CallResumed
from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Phones, Serves
from tests.peers.sound import RATE, Samples, best_match, prompt, silence, spoken_by_the_embedded_voice, write_wav
from tests.peers.wire import Packet, Wire

pytestmark = [pytest.mark.peers, pytest.mark.speech]

STORY = "Whenever the telephone rang everybody thought that somebody else would go."
# Longer than a second: a baresip names its recordings by the second.
SHORT = "Good morning. This is nobody."


def tells_a_story(event: Event) -> Answer:
    """An app that tells a story, greets the caller `+49301` shortly, and repeats words."""
    match event["type"]:
        case "session_start":
            return {"type": "speak", "text": SHORT if is_from_the_other(event) else STORY}
        case "user_speak":
            return {"type": "speak", "text": f"You said {event['text']}."}
        case _:
            return None


def is_from_the_other(event: Event) -> bool:
    """Whether the caller who is greeted shortly is meant."""
    return bool(event["session"]["from_phone_number"] == "+49301")


def sound_of(packets: list[Packet]) -> Samples:
    """What a telephone without any buffer would play of these packets."""
    return np.concatenate([packet.samples for packet in packets]) / 32768


async def test_a_call_on_hold_rests_and_goes_on_where_it_was(serve: Serves, phone: Phones, tmp_path: Path) -> None:
    """re-INVITE with a=sendonly and back: nothing is sent meanwhile, no word is lost, and the caller is heard again."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.webhook)
        caller, other = await phone(), await phone(user="+49301")
        with Wire(caller.rtp_ports) as wire:
            await caller.dial(service.uri())
            await app.ledger.until("assistant_speak")
            await caller.command("hold")
            # Another call in its full length is what time passes with.
            await other.dial(service.uri())
            await app.ledger.until(
                "assistant_speech_ended", where=lambda e: e["session"]["from_phone_number"] == "+49301"
            )
            await other.hang_up()
            await caller.command("resume")
            await app.ledger.until("assistant_speech_ended", where=lambda event: not is_from_the_other(event))
            told = wire.received()
            await caller.play(write_wav(tmp_path / "hello.wav", silence(0.1), prompt("hello-world"), silence(60)))
            words = await app.ledger.until("user_speak")
            await caller.hang_up()
            await app.ledger.until("session_end", 2)
        await service.stop()

    call = service.calls()[0]
    held = next(at for at, fact in call.facts if isinstance(fact, CallHeld))
    resumed = next(at for at, fact in call.facts if isinstance(fact, CallResumed))
    times = [packet.at * 1000 - call.settings.began_at for packet in told]
    assert not [at for at in times if held + 40 < at < resumed - 20]
    assert resumed - held > 500
    again = next(packet for packet, at in zip(told, times, strict=True) if at > resumed - 20)
    before = next(packet for packet, at in zip(reversed(told), reversed(times), strict=True) if at < held + 40)
    assert again.marker
    assert again.sequence == (before.sequence + 1) & 0xFFFF
    passed = ((again.timestamp - before.timestamp) & 0xFFFFFFFF) * 1000 // RATE
    assert abs(passed - (again.at - before.at) * 1000) <= 100
    (story,) = await spoken_by_the_embedded_voice(STORY)
    assert best_match(sound_of(told), story)[0] >= 0.95
    assert (words["text"], words["barged_in"]) == ("hello world", False)


async def test_a_key_during_speech_arrives_at_once_and_interrupts_nothing(serve: Serves, phone: Phones) -> None:
    """Contract D38, and two calls one after the other, each a session of its own."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.webhook)
        caller = await phone(user="+49301")
        for number in (1, 2):
            await caller.dial(service.uri())
            await app.ledger.until("assistant_speak", number)
            await caller.press("*")
            await app.ledger.until("assistant_speech_ended", number)
            await caller.hang_up()
            await caller.until("CALL_CLOSED")
            await app.ledger.until("session_end", number)
        await service.stop()

    one_call = [
        *("session_start", "assistant_speak", "dtmf_received", "assistant_speech_ended", "session_end"),
    ]
    assert app.ledger.types == one_call * 2
    assert [key["digit"] for key in app.ledger.of("dtmf_received")] == ["*", "*"]
    ids = [event["session"]["id"] for event in app.ledger.events]
    assert len(set(ids[:5])) == len(set(ids[5:])) == 1
    assert ids[0] != ids[5]
    (greeting,) = await spoken_by_the_embedded_voice(SHORT)
    for number in (1, 2):
        score, at = best_match(caller.heard(number), greeting)
        assert score >= 0.95, f"call {number}: {score} at {at}"


async def test_who_gives_up_while_it_rings_leaves_no_trace_at_the_app(serve: Serves, phone: Phones) -> None:
    """Contract D36: CANCEL before the flow's time to answer; the next call is answered when that time has come."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.webhook, flow="answer_after_seconds = 1.2")
        caller = await phone()
        await caller.dial(service.uri())
        await caller.until("CALL_RINGING")
        await caller.hang_up()
        await caller.until("CALL_CLOSED")
        await service.until("call_ended")
        assert app.ledger.events == []

        await caller.dial(service.uri())
        await caller.until("CALL_ESTABLISHED")
        await app.ledger.until("assistant_speak")
        await caller.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    given_up, answered = service.calls()
    assert not [fact for _, fact in given_up.facts if isinstance(fact, CallConnected)]
    offered = next(at for at, fact in answered.facts if isinstance(fact, CallOffered))
    connected = next(at for at, fact in answered.facts if isinstance(fact, CallConnected))
    assert 1200 <= connected - offered <= 1700


async def test_a_number_without_a_flow_is_not_found(serve: Serves, phone: Phones) -> None:
    """Contract D41."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.webhook)
        caller = await phone()
        await caller.dial(service.uri("+4989000000"))
        closed = await caller.until("CALL_CLOSED")
        refused = await service.until("call_refused")
        await service.stop()

    assert closed["param"].startswith("404")
    assert refused["status"] == 404
    assert app.ledger.events == []
    assert service.calls() == []


async def test_a_call_over_tcp_in_a_law_sounds_the_same(serve: Serves, phone: Phones) -> None:
    """SIP over TCP, PCMA, and a name instead of a number on either side (contract D2)."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.socket)
        caller = await phone(user="alice", codecs="PCMA/8000/1")
        await caller.dial(service.uri("support", "tcp"))
        await app.ledger.until("assistant_speech_ended")
        await caller.hang_up()
        await app.ledger.until("session_end")
        assert await app.ledger.until_closed() == 1000
        await service.stop()

    session = app.ledger.events[0]["session"]
    assert (session["from_phone_number"], session["to_phone_number"]) == ("alice", "support")
    (story,) = await spoken_by_the_embedded_voice(STORY)
    score, at = best_match(caller.heard(), story)
    assert score >= 0.95, (score, at)
