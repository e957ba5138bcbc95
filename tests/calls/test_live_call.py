"""Whole calls by hand: the simulator dials, a scripted ear and voice, an app in memory."""

import json
from pathlib import Path

import numpy as np

from offhook.app_links.app_link import ActionsCame, AnswerFailed, LinkLost, LinkNoted
from offhook.calls.call_log import read_call_log
from offhook.conversation.defaults import Fallback
from offhook.conversation.record import order_to_record, replay_steps
from offhook.media.messages import PacketsStopped, Report
from offhook.protocol.actions import Speak
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings
from offhook.transports.simulator.leg import LegState
from offhook.transports.simulator.steps import Hold, Press, Resume, Wait, WaitUntilQuiet, WaitUntilSpeaking
from tests.calls.hand_house import LOOP_SAMPLES, HandHouse, Json, on, speak, talk, tone, wav

IMMEDIATE = {"strategy": "immediate"}


def level(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float64))))) if samples.size else 0.0


async def test_a_call_from_the_greeting_to_the_last_event() -> None:
    answers = on(session_start=[speak("Good morning")], user_speak=[speak("Goodbye to you"), {"type": "hangup"}])
    async with HandHouse(answers, words=["I need help"]) as house:
        caller = await house.dial(WaitUntilQuiet(300), talk())
        await house.until(lambda: caller.ending is not None)
        assert house.events() == [
            "session_start",
            "assistant_speak",
            "assistant_speech_ended",
            "user_speak",
            "assistant_speak",
            "assistant_speech_ended",
            "session_end",
        ]
        assert house.app.received[3] | {"session": None} == {
            "type": "user_speak",
            "text": "I need help",
            "barged_in": False,
            "session": None,
        }
        assert house.app.warmed
        assert house.app.closed
        session = house.app.received[0]["session"]
        assert session["phone_number"] == "+4921155660"
        assert session["from_phone_number"] == "+491701234567"


async def test_a_farewell_is_heard_to_its_end_before_the_hangup() -> None:
    """(contract D6)"""
    async with HandHouse(on(session_start=[speak("A rather long farewell"), {"type": "hangup"}])) as house:
        caller = await house.dial()
        await house.until(lambda: caller.ending is not None)
        (span,) = caller.heard
        assert span.end_ms - span.start_ms >= len("A rather long farewell") * 20 - 20


async def test_last_words_get_the_time_to_leave_the_telephones_buffer() -> None:
    """(contract D6) A BYE empties that buffer unheard, so it comes 200 ms after the farewell; without one, at once."""
    farewell = [speak("Bye"), {"type": "hangup"}]
    async with HandHouse(on(session_start=farewell)) as house:
        caller = await house.dial()
        await house.until(lambda: caller.ending is not None)
        at = {line["fact"]["type"]: line["at"] for line in house.log() if "fact" in line}
        assert at["CallerHungUp"] - at["PlaybackFinished"] == 200
    async with HandHouse(on(session_start=[{"type": "hangup"}])) as house:
        caller = await house.dial()
        await house.until(lambda: caller.ending is not None)
        at = {line["fact"]["type"]: line["at"] for line in house.log() if "fact" in line}
        assert at["CallerHungUp"] - at["ActionsArrived"] <= 20


async def test_an_immediate_interruption_silences_the_assistant_within_two_ticks() -> None:
    """(contract D18, D19; ARCHITECTURE.md: a barge-in is silent 20 ms after it was heard)"""
    answers = on(session_start=[speak("x" * 300, barge_in=IMMEDIATE)])
    async with HandHouse(answers, words=["stop"]) as house:
        caller = await house.dial(WaitUntilSpeaking(500), talk(800))
        await house.until(lambda: "user_speak" in house.events())
        spoke, heard = caller.said[0].start_ms, caller.heard[0].end_ms
        assert heard - spoke <= 130  # two detector chunks, two ticks
        spoken = house.app.received[house.events().index("user_speak")]
        assert spoken["barged_in"] is True


async def test_the_speech_after_an_interruption_is_dropped_and_the_answer_is_heard() -> None:
    """(contract D8)"""
    answers = on(
        session_start=[speak("x" * 200, barge_in=IMMEDIATE), speak("never heard")], user_speak=[speak("all right")]
    )
    async with HandHouse(answers, words=["stop"]) as house:
        await house.dial(WaitUntilSpeaking(300), talk(500))
        await house.until(lambda: house.events().count("assistant_speech_ended") == 2)
        texts = [event["text"] for event in house.app.received if event["type"] == "assistant_speak"]
        assert texts == ["x" * 200, "all right"]


async def test_keys_reach_the_app_and_the_bridge_back() -> None:
    answers = on(dtmf_received=[{"type": "barge_in"}, speak("key"), {"type": "dtmf", "dtmf": 7}])
    async with HandHouse(answers) as house:
        caller = await house.dial(Wait(200), Press("5"))
        await house.until(lambda: caller.keys_heard == "7")
        assert [e["digit"] for e in house.app.received if e["type"] == "dtmf_received"] == ["5"]


async def test_audio_is_played_at_the_rows_rate_and_counted_as_an_utterance() -> None:
    """(contract D3, D11)"""
    answers = on(session_start=[{"type": "audio", "audio": wav(tone(300, 500)[::2], 8000)}, {"type": "hangup"}])
    async with HandHouse(answers) as house:
        caller = await house.dial()
        await house.until(lambda: caller.ending is not None)
        (span,) = caller.heard
        assert abs(span.end_ms - span.start_ms - 500) <= 40
        assert house.events() == ["session_start", "assistant_speech_ended", "session_end"]


async def test_a_background_loop_goes_on_under_silence_and_stops_when_told() -> None:
    """(contract D12)"""
    loop = {"type": "mix_audio", "audio": wav(tone(300, 1000)), "volume": 0.5}
    answers = on(session_start=[loop], dtmf_received=[{"type": "mix_audio", "stop": True}])
    async with HandHouse(answers) as house:
        caller = await house.dial(Wait(3000), Press("1"), Wait(1000))
        await house.tick(150)
        loud = caller.recording()[16000:40000, 1]
        assert min(level(frame) for frame in np.split(loud, 75)) > 1000
        await house.tick(100)
        assert level(caller.recording()[-8000:, 1]) < 5


async def test_a_loop_that_is_no_audio_is_noted_and_the_call_goes_on() -> None:
    broken = {"type": "mix_audio", "audio": wav(tone(300, 100))[:64] + "AAAA"}
    async with HandHouse(on(session_start=[broken, speak("still here")])) as house:
        caller = await house.dial()
        await house.until(lambda: bool(caller.heard))
        assert "assistant_speak" in house.events()


async def test_a_loop_for_which_there_is_no_room_is_noted_and_the_call_goes_on() -> None:
    endless = {"type": "mix_audio", "audio": wav(np.zeros(LOOP_SAMPLES + 1, np.int16))}
    async with HandHouse(on(session_start=[endless], dtmf_received=[speak("still here")])) as house:
        caller = await house.dial(Wait(500), Press("1"))
        await house.until(lambda: bool(caller.heard))
        assert any("background loop not played" in str(record.get("note")) for record in house.log())


async def test_a_key_that_also_comes_by_signalling_is_pressed_once() -> None:
    """A telephone that sends events and SIP INFO of each press (contract D16, D38)."""
    async with HandHouse() as house:
        caller = await house.dial(Wait(200), Press("5"), Wait(300), Press("5"))
        await house.until(lambda: house.events().count("dtmf_received") == 1)
        caller.leg.far_end_presses("5")
        await house.until(lambda: house.events().count("dtmf_received") == 2)
        caller.leg.far_end_presses("5")
        await house.tick(30)
        assert house.events().count("dtmf_received") == 2


async def test_gathered_digits_arrive_as_one_turn() -> None:
    """(contract D16)"""
    gather = {"type": "gather_dtmf", "num_characters": 3, "audio_url": "https://example.net/prompt.wav"}
    async with HandHouse(on(session_start=[gather])) as house:
        await house.dial(WaitUntilQuiet(300), Press("123"))
        await house.until(lambda: "user_speak" in house.events())
        gathered = house.app.received[house.events().index("user_speak")]
        assert gathered["text"] == "123"
        assert gathered["gathered_dtmf"] is True


async def test_hold_and_resume() -> None:
    async with HandHouse(on(session_start=[speak("x" * 100)])) as house:
        caller = await house.dial(WaitUntilSpeaking(200), Hold(), Resume(), Wait(500))
        await house.until(lambda: "assistant_speech_ended" in house.events())
        facts = [record["fact"]["type"] for record in house.log() if "fact" in record]
        assert facts.index("CallHeld") < facts.index("CallResumed")
        assert caller.is_connected


async def test_a_failing_voice_is_a_fact_and_the_call_goes_on() -> None:
    """(contract D10)"""
    answers = on(session_start=[speak("hello")], dtmf_received=[{"type": "hangup"}])
    mute = ScriptedSynthesizer(ScriptedVoiceSettings(failure="at_once"))
    async with HandHouse(answers, voice=mute) as house:
        caller = await house.dial(Wait(400), Press("1"))
        await house.until(lambda: caller.ending is not None)
        assert house.events() == ["session_start", "dtmf_received", "session_end"]
        assert "SpeechFailed" in [record["fact"]["type"] for record in house.log() if "fact" in record]


async def test_what_the_link_says_unasked_is_done_and_what_it_notes_is_logged() -> None:
    """(contract D28)"""
    async with HandHouse() as house:
        caller = await house.dial()
        session = house.app.received[0]["session"]["id"]
        house.app.tell(LinkNoted("the app said hello"))
        house.app.tell(ActionsCame((Speak(text="unasked", session_id=session),), ()))
        await house.until(lambda: bool(caller.heard))
        assert "the app said hello" in [record.get("note") for record in house.log()]


async def test_a_lost_app_is_an_apology_and_the_end() -> None:
    """(contract D26)"""
    async with HandHouse(fallback=Fallback(apology="We are sorry")) as house:
        caller = await house.dial()
        house.app.tell(AnswerFailed(1, "500"))
        house.app.tell(LinkLost("three failures"))
        await house.until(lambda: caller.ending is not None)
        assert [request.text for request in house.voice.requests] == ["We are sorry"]
        assert caller.heard


async def test_a_second_app_takes_over() -> None:
    """(contract D26)"""
    async with HandHouse(on(session_start=[speak("hello")]), fallback=Fallback(url="http://second/")) as house:
        await house.dial()
        house.app.tell(LinkLost("gone"))
        await house.until(lambda: len(house.apps) == 2)
        await house.until(lambda: "assistant_speech_ended" in house.events())
        assert house.events()[0] == "session_start"


async def test_every_recorded_call_replays_to_the_same_orders(tmp_path: Path) -> None:
    answers = on(session_start=[speak("x" * 100, barge_in=IMMEDIATE)], user_speak=[speak("yes"), {"type": "hangup"}])
    async with HandHouse(answers, words=["wait"]) as house:
        caller = await house.dial(WaitUntilSpeaking(300), talk(500), Press("1"))
        await house.until(lambda: caller.ending is not None)
    path = tmp_path / "call.jsonl"
    (sink,) = house.logs.sinks.values()
    path.write_text("\n".join(sink.lines))
    recorded = read_call_log(path)
    again = [
        json.loads(json.dumps(order_to_record(order)))
        for _, _, orders in replay_steps(recorded.settings, recorded.facts)
        for order in orders
    ]
    assert again == [order for _, order in recorded.orders]
    assert len(again) > 8


async def test_gathered_keys_are_masked_in_the_log_and_the_log_replays(tmp_path: Path) -> None:
    """(contract D16, D43)"""
    gather = {"type": "gather_dtmf", "num_characters": 4, "audio_url": "https://example.net/prompt.wav"}
    async with HandHouse(on(session_start=[gather], user_speak=[{"type": "hangup"}])) as house:
        caller = await house.dial(WaitUntilSpeaking(100), Press("4711"))
        await house.until(lambda: caller.ending is not None)
    told = [event.get("digit") or event.get("text") for event in house.app.received]
    assert [text for text in told if text] == ["4", "7", "1", "1", "4711"]
    (sink,) = house.logs.sinks.values()
    pressed = [json.dumps(json.loads(line)) for line in sink.lines if "igit" in line or "gathered_dtmf" in line]
    assert len(pressed) == 9
    assert all('"masked": true' in line and ('"0"' in line or '"0000"' in line) for line in pressed)
    path = tmp_path / "call.jsonl"
    path.write_text("\n".join(sink.lines))
    recorded = read_call_log(path)
    again = replay_steps(recorded.settings, recorded.facts)
    assert [order_to_record(order) for _, _, orders in again for order in orders] == [o for _, o in recorded.orders]


async def test_a_fault_in_one_call_ends_that_call_only() -> None:
    """The outer wall (house rule 7)."""

    def answers(event: Json) -> list[Json]:
        if event["type"] == "dtmf_received":
            raise ZeroDivisionError("a fault in here")
        return []

    async with HandHouse(answers) as house:
        well = await house.dial()
        faulty = await house.dial(Wait(100), Press("1"))
        await house.until(lambda: faulty.ending is not None)
        assert house.events()[-1] == "session_end"
        assert well.is_connected
        assert any("internal error" in str(record.get("note")) for record in house.log())


class BrokenWatcher:
    """Fails at the first order it is shown, and at everything after that."""

    def fact(self, at: int, fact: object) -> None:
        """Facts are fine."""

    def order(self, at: int, order: object) -> None:
        raise OSError("nobody reads")

    def note(self, at: int, text: str) -> None:
        raise OSError("nobody reads")

    def close(self) -> None:
        raise OSError("nobody reads")


async def test_what_breaks_while_a_broken_call_is_ended_reaches_no_other_call() -> None:
    """The outer wall (house rule 7)."""
    async with HandHouse() as house:
        well = await house.dial()
        house.watch = lambda _: BrokenWatcher()
        broken = await house.dial()
        await house.until(lambda: broken.ending is not None)
        await house.until(lambda: house.register.calls_in_progress() == 1)
        await house.tick(10)
        assert well.is_connected
        assert house.link.rows_open == 1


async def test_a_caller_whose_telephone_is_dead_is_hung_up_on() -> None:
    """A dead telephone says no goodbye (limits.media_timeout_seconds); `session_end` as ever (contract D4)."""
    async with HandHouse() as house:
        caller = await house.dial(Wait(60_000))
        await house.tick(50)
        house.register.take(Report(house.link.ticks, (PacketsStopped(1, 5000),), 0.0, 0.0))
        await house.settle()
        assert "session_end" not in house.events()
        house.register.take(Report(house.link.ticks, (PacketsStopped(1, 60_000, gone=True),), 0.0, 0.0))
        await house.settle()
        assert house.events()[-1] == "session_end"
        assert caller.leg.state is LegState.ENDED
        assert "no audio from the caller for 60000 ms" in house.notes()
        assert "no_media" in house.told()
