"""A simulated caller says what its steps say, at the beat of what it hears, and remembers both."""

import asyncio
import struct
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from offhook.audio.wav import wav_bytes
from offhook.errors import OffhookError
from offhook.media.messages import Codec
from offhook.transports.call_leg import LegConnected, LegDigit, LegEnded, LegTermsChanged
from offhook.transports.simulator.hearing import Span
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import (
    HangUp,
    Hold,
    Press,
    Resume,
    Say,
    SayText,
    StepOutcome,
    Wait,
    WaitUntilQuiet,
    WaitUntilSpeaking,
    polite_talk,
    say_wav,
)

if TYPE_CHECKING:
    from tests.transports.simulator.conftest import Ringing

Samples = npt.NDArray[np.int16]

FRAME = 320
WORDS = np.arange(1, 5 * FRAME + 1, dtype=np.int16)


class CountingVoice:
    """Speaks each letter as one frame of its code."""

    async def samples(self, text: str, rate: int) -> Samples:
        return np.repeat(np.array([ord(letter) for letter in text], np.int16), rate // 50)


async def one_turn_of_the_loop() -> None:
    """Let everything run that is ready now."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


# --- its beat


async def test_for_every_20_ms_heard_it_sends_20_ms_at_once(answered: "Ringing") -> None:
    house = await answered()
    for _ in range(100):
        assert [len(packet.payload) for packet in house.tick()] == [640]
    assert house.caller.now_ms == 2000


async def test_its_stream_is_numbered_without_a_gap_across_the_wrap(answered: "Ringing") -> None:
    """RFC 3550 section 5.1: sequence and timestamp count on modulo 2^16 and 2^32."""
    house = await answered()
    packets = house.be_quiet(4000)
    first = packets[0]
    assert first.marker
    assert not any(packet.marker for packet in packets[1:])
    assert {packet.ssrc for packet in packets} == {first.ssrc}
    for count, packet in enumerate(packets):
        assert packet.sequence == (first.sequence + count) & 0xFFFF
        assert packet.timestamp == (first.timestamp + count * FRAME) & 0xFFFF_FFFF
    assert packets[-1].sequence < first.sequence
    assert packets[-1].timestamp < first.timestamp


async def test_the_event_loop_keeps_the_beat_when_nobody_else_does(answered: "Ringing") -> None:
    house = await answered()
    house.send(bytes(640), 96, 0)
    loop, answer_came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(house.socket, answer_came.set)
    await answer_came.wait()
    loop.remove_reader(house.socket)
    assert len(house.receive()) == 1


async def test_packets_that_are_no_audio_of_this_call_are_no_beat(answered: "Ringing") -> None:
    house = await answered()
    house.send(bytes(640), 55, 0)
    house.socket.send(b"")
    house.socket.send(b"\x80\x60")
    house.socket.send(b"\x00" * 700)
    house.caller.exchange()
    assert house.receive() == []
    assert house.caller.now_ms == 0


# --- what it says


@pytest.mark.parametrize("step", [Say(WORDS), Say(WORDS, 16000), say_wav(wav_bytes(WORDS, 16000))])
async def test_it_says_its_samples_unchanged(answered: "Ringing", step: Say) -> None:
    house = await answered(step)
    house.be_quiet(200)
    heard = house.heard()
    assert np.array_equal(heard[: len(WORDS)], WORDS)
    assert not heard[len(WORDS) :].any()


async def test_what_is_no_whole_frame_ends_in_silence(answered: "Ringing") -> None:
    house = await answered(Say(WORDS[: FRAME + 3]), Say(WORDS[:FRAME]))
    house.be_quiet(100)
    expected = np.concatenate([WORDS[: FRAME + 3], np.zeros(FRAME - 3, np.int16), WORDS[:FRAME]])
    assert np.array_equal(house.heard()[: len(expected)], expected)


async def test_samples_of_another_rate_are_resampled(answered: "Ringing") -> None:
    house = await answered(Say(np.full(8000, 1000, np.int16), 8000))
    house.be_quiet(1100)
    assert (house.caller.said[0].start_ms, house.caller.said[0].end_ms) == (0, 1000)
    assert np.abs(house.heard()[4000:12000].astype(int) - 1000).max() < 5


async def test_text_is_spoken_by_the_voice_that_the_listener_was_given() -> None:
    listener = SimulatorListener(CountingVoice())
    await listener.start()
    caller = await listener.call([SayText("ab")])
    leg = await anext(listener.calls())
    leg.answer("127.0.0.1", 0)
    media = leg.media_socket()
    assert media is not None
    sent = []
    for number in range(3):
        media.send(struct.pack(">BBHII", 0x80, 96, number, number * FRAME, 1) + bytes(640))
        caller.exchange()
        sent.append(media.recv(4096)[12:14])
    assert sent == [b"\0a", b"\0b", b"\0\0"]
    await listener.stop()
    media.close()


async def test_text_without_a_voice_is_refused_before_anything_is_dialled(listener: SimulatorListener) -> None:
    with pytest.raises(OffhookError, match="no voice") as refused:
        await listener.call([SayText("hello")])
    assert refused.value.code == "no_voice"
    assert "SimulatorListener" in refused.value.remedy


@pytest.mark.parametrize(
    ("codec", "payload_type", "sample", "code", "silence"),
    [(Codec.PCMU, 0, 8316, 0x9F, 0xFF), (Codec.PCMA, 8, 8448, 0xB5, 0xD5)],
)
async def test_a_narrowband_caller_speaks_and_hears_g711(
    answered: "Ringing", codec: Codec, payload_type: int, sample: int, code: int, silence: int
) -> None:
    house = await answered(Say(np.full(160, sample, np.int16)), codec=codec)
    assert house.caller.rate == 8000
    first, second = house.be_quiet(40)
    assert (first.payload_type, first.payload) == (payload_type, bytes([code]) * 160)
    assert second.payload == bytes([silence]) * 160
    house.speak(100)
    assert house.caller.heard == (Span(40, 140),)
    assert set(house.caller.recording()[320:, 1].tolist()) == {sample}


# --- waiting


async def test_it_waits_as_long_as_it_is_told_on_its_own_timeline(answered: "Ringing") -> None:
    house = await answered(Wait(500), Say(WORDS))
    house.be_quiet(1000)
    assert house.caller.said == (Span(500, 600),)


async def test_it_hears_the_assistant_out_before_it_speaks(answered: "Ringing") -> None:
    house = await answered(WaitUntilQuiet(600), Say(WORDS))
    house.be_quiet(1000)
    house.speak(400)
    house.be_quiet(500)
    house.speak(400)
    house.be_quiet(1000)
    assert house.caller.said == (Span(2880, 2980),)
    assert house.caller.last_heard_ms == 2300


async def test_waiting_for_quiet_needs_speech_since_the_wait_began(answered: "Ringing") -> None:
    """The end of an utterance that the caller interrupted is not the answer."""
    house = await answered(WaitUntilSpeaking(100), Say(WORDS), WaitUntilQuiet(200), HangUp())
    house.speak(160)
    house.be_quiet(2000)
    assert house.caller.is_connected
    house.speak(100)
    house.be_quiet(400)
    assert house.caller.ending is not None
    assert list(house.caller.outcomes) == [StepOutcome.DONE] * 4


async def test_it_interrupts_after_the_assistant_has_spoken_for_a_while(answered: "Ringing") -> None:
    house = await answered(WaitUntilSpeaking(500), Say(WORDS))
    house.be_quiet(300)
    house.speak(200)
    house.be_quiet(100)
    house.speak(600)
    assert house.caller.said[0].start_ms == 300 + 500 - 20
    assert house.caller.heard == (Span(300, 1200),)


@pytest.mark.parametrize("step", [WaitUntilQuiet(100, at_most_ms=400), WaitUntilSpeaking(100, at_most_ms=400)])
async def test_a_wait_for_what_never_comes_is_given_up(
    answered: "Ringing", step: WaitUntilQuiet | WaitUntilSpeaking
) -> None:
    house = await answered(step, Say(WORDS))
    house.be_quiet(1000)
    assert list(house.caller.outcomes) == [StepOutcome.GAVE_UP, StepOutcome.DONE]
    assert house.caller.said[0].start_ms == 400


async def test_who_has_begun_to_speak_is_heard_out_for_longer(answered: "Ringing") -> None:
    hear_out = WaitUntilQuiet(100, at_most_ms=400, speech_at_most_ms=2000)
    house = await answered(hear_out, Say(WORDS), hear_out)
    house.be_quiet(200)
    house.speak(1000)
    house.be_quiet(1000)
    assert list(house.caller.outcomes) == [StepOutcome.DONE, StepOutcome.DONE, StepOutcome.GAVE_UP]
    assert house.caller.said[0].start_ms > 1200


async def test_soft_music_is_quiet_for_a_caller_who_is_told_so(answered: "Ringing") -> None:
    house = await answered(WaitUntilQuiet(200), HangUp(), audible_above_dbfs=-30)
    house.speak(400, level=8000)
    house.speak(400, level=300)
    assert house.caller.ending is not None
    assert house.caller.heard == (Span(0, 400),)


# --- keys


async def test_keys_go_as_telephone_events(answered: "Ringing") -> None:
    """RFC 4733: one timestamp a key, growing duration, marker on the first, the end three times, no audio between."""
    house = await answered(Wait(40), Press("1#"))
    packets = house.be_quiet(600)
    events = [packet for packet in packets if packet.payload_type == 101]
    parts = [struct.unpack(">BBH", packet.payload) for packet in events]
    one = [(1, 10, FRAME * count) for count in range(1, 5)] + [(1, 0x80 | 10, FRAME * 5)] * 3
    assert parts == one + [(11, flags, duration) for _, flags, duration in one]
    assert [packet.marker for packet in events] == ([True] + [False] * 6) * 2
    assert len({packet.timestamp for packet in events[:7]}) == 1
    assert (events[7].timestamp - events[0].timestamp) % 2**32 == 10 * FRAME
    first = packets.index(events[0])
    assert packets[first : first + 7] == events[:7]
    assert [packet.sequence for packet in packets] == [(packets[0].sequence + n) & 0xFFFF for n in range(30)]
    assert packets[first + 7].timestamp == (events[0].timestamp + 7 * FRAME) & 0xFFFF_FFFF


async def test_a_caller_without_telephone_events_presses_by_signalling(answered: "Ringing") -> None:
    house = await answered(Press("4*"), HangUp(), telephone_events=False)
    packets = house.be_quiet(600)
    assert {packet.payload_type for packet in packets} == {96}
    assert await house.facts() == [LegConnected(), LegDigit("4"), LegDigit("*"), LegEnded("caller_hung_up")]


async def test_a_key_that_no_telephone_has_is_refused(answered: "Ringing") -> None:
    house = await answered()
    with pytest.raises(OffhookError, match="x") as refused:
        await house.caller.do(Press("1x"))
    assert refused.value.code == "not_a_key"


async def test_it_hears_the_keys_of_the_assistant_and_its_time_goes_on_meanwhile(answered: "Ringing") -> None:
    house = await answered()
    house.be_quiet(100)
    house.press(5, frames=6)
    house.press(5, frames=6)
    house.press(10, frames=3)
    house.be_quiet(100)
    assert house.caller.keys_heard == "55*"
    assert house.caller.now_ms == 100 + 15 * 20 + 100


# --- live steps


async def test_steps_may_come_while_the_call_goes_on(answered: "Ringing") -> None:
    house = await answered()
    async with asyncio.TaskGroup() as tasks:
        saying = tasks.create_task(house.caller.do(Say(WORDS)))
        waiting = tasks.create_task(house.caller.do(WaitUntilQuiet(100, at_most_ms=200)))
        await one_turn_of_the_loop()
        house.be_quiet(120)
        await one_turn_of_the_loop()
        assert saying.result() is StepOutcome.DONE
        assert not waiting.done()
        house.be_quiet(400)
    assert waiting.result() is StepOutcome.GAVE_UP


async def test_steps_that_the_call_does_not_live_to_see_say_so(answered: "Ringing") -> None:
    house = await answered()
    async with asyncio.TaskGroup() as tasks:
        saying = tasks.create_task(house.caller.do(Wait(10_000)))
        await one_turn_of_the_loop()
        house.be_quiet(100)
        house.leg.hang_up("app_hung_up")
    assert saying.result() is StepOutcome.CALL_OVER
    assert await house.caller.do(Say(WORDS)) is StepOutcome.CALL_OVER


async def test_a_step_whose_waiter_was_cancelled_is_still_done(answered: "Ringing") -> None:
    house = await answered()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(house.caller.do(Say(WORDS)))
        await one_turn_of_the_loop()
        waiting.cancel()
    house.be_quiet(200)
    assert house.caller.said == (Span(0, 100),)


async def test_hold_and_resume_are_told_as_new_terms(answered: "Ringing") -> None:
    house = await answered()
    facts = house.leg.facts()
    assert await anext(facts) == LegConnected()
    assert await house.caller.do(Hold()) is StepOutcome.DONE
    held = await anext(facts)
    assert isinstance(held, LegTermsChanged)
    assert held.held
    assert not held.terms.sending
    assert await house.caller.do(Resume()) is StepOutcome.DONE
    assert await anext(facts) == LegTermsChanged(house.leg.offer.terms, held=False)


# --- what it remembers


async def test_the_recording_lays_both_sides_beside_each_other(answered: "Ringing") -> None:
    house = await answered(Wait(40), Say(WORDS), HangUp())
    for frame in range(8):
        house.tick(np.full(FRAME, frame + 1, np.int16))
    recording = house.caller.recording()
    assert recording.dtype == np.int16
    expected_left = np.concatenate([np.zeros(2 * FRAME), WORDS, np.zeros(FRAME)])
    assert np.array_equal(recording[:, 0], expected_left)
    assert np.array_equal(recording[:, 1], np.repeat(np.arange(1, 9), FRAME))


async def test_a_call_that_is_not_recorded_still_measures(answered: "Ringing") -> None:
    house = await answered(record=False)
    house.be_quiet(60)
    house.speak(100)
    assert house.caller.recording().shape == (0, 2)
    assert (house.caller.first_heard_ms, house.caller.last_heard_ms) == (60, 160)


async def test_who_heard_nothing_says_so(answered: "Ringing") -> None:
    house = await answered()
    house.be_quiet(60)
    assert (house.caller.first_heard_ms, house.caller.last_heard_ms) == (None, None)


async def test_an_outage_shows_as_silence_on_both_sides_and_words_wait(answered: "Ringing") -> None:
    """After a stall the RTP timestamp jumps and speech continues where it stopped (ARCHITECTURE.md)."""
    house = await answered(Say(WORDS))
    house.speak(40)
    house.pass_time(25)
    house.speak(100)
    assert house.caller.now_ms == 640
    assert house.caller.heard == (Span(0, 40), Span(540, 640))
    recording = house.caller.recording()
    assert np.array_equal(recording[: 2 * FRAME, 0], WORDS[: 2 * FRAME])
    assert not recording[2 * FRAME : 27 * FRAME].any()
    assert np.array_equal(recording[27 * FRAME : 30 * FRAME, 0], WORDS[2 * FRAME :])
    before, after = house.got[1], house.got[2]
    assert (after.timestamp - before.timestamp) % 2**32 == 26 * FRAME


async def test_a_few_lost_packets_do_not_stop_its_words(answered: "Ringing") -> None:
    house = await answered(Say(WORDS))
    house.speak(20)
    house.pass_time(3)
    assert len(house.tick()) == 4
    assert np.array_equal(house.heard(), WORDS)


async def test_duplicates_and_late_packets_are_no_beat(answered: "Ringing") -> None:
    house = await answered()
    house.be_quiet(100)
    house.send(bytes(640), 96, (house.timestamp - FRAME) & 0xFFFF_FFFF)
    house.send(bytes(640), 96, (house.timestamp - 3 * FRAME) & 0xFFFF_FFFF)
    house.caller.exchange()
    assert house.receive() == []
    assert house.caller.now_ms == 100


async def test_a_stream_that_begins_anew_is_followed(answered: "Ringing") -> None:
    house = await answered()
    house.be_quiet(100)
    house.ssrc, house.timestamp = 99, 123
    house.speak(100)
    assert house.caller.heard == (Span(100, 200),)


async def test_the_same_call_twice_is_the_same_to_the_last_byte(answered: "Ringing") -> None:
    said = []
    for _ in range(2):
        house = await answered(WaitUntilSpeaking(60), Say(WORDS), Press("5"), Wait(100))
        house.speak(300)
        house.be_quiet(700)
        said.append([(packet.payload, packet.timestamp, packet.sequence) for packet in house.got])
    assert said[0] == said[1]


async def test_a_house_that_takes_no_packets_does_not_stop_the_caller(answered: "Ringing") -> None:
    house = await answered()
    for number in range(1000):
        house.send(bytes(640), 96, number * FRAME)
        house.caller.exchange()
    assert house.caller.now_ms == 20_000
    assert house.caller.packets_refused > 0


async def test_a_polite_talk_hears_out_answers_and_hangs_up(answered: "Ringing") -> None:
    house = await answered(*polite_talk([Say(WORDS), Press("1")], quiet_ms=400))
    for _ in range(3):
        house.speak(300)
        house.be_quiet(700)
    assert house.caller.ending is not None
    assert house.caller.ending.by_caller
    assert house.caller.said == (Span(680, 780),)


# --- the end


async def test_what_was_sent_before_the_assistant_hung_up_is_still_heard(answered: "Ringing") -> None:
    """Contract D6: a hangup never cuts a farewell, not even in the caller's recording."""
    house = await answered()
    for number in range(5):
        house.send(WORDS.astype(">i2").tobytes()[number * 640 : (number + 1) * 640], 96, number * FRAME)
    house.leg.hang_up("app_hung_up")
    assert np.array_equal(house.caller.recording()[:, 1], WORDS)
    ending = await house.caller.over()
    assert (ending.cause, ending.by_caller) == ("app_hung_up", False)


async def test_packets_before_the_answer_are_not_heard(ringing: "Ringing") -> None:
    house = await ringing()
    house.speak(100)
    house.leg.answer("127.0.0.1", 0)
    assert await house.caller.connected()
    house.be_quiet(100)
    assert (house.caller.now_ms, house.caller.first_heard_ms) == (100, None)


async def test_a_refused_caller_knows_why(ringing: "Ringing") -> None:
    house = await ringing(Say(WORDS))
    house.leg.refuse(503, "Service Unavailable", 10)
    assert not await house.caller.connected()
    ending = await house.caller.over()
    assert (ending.status, ending.reason, ending.retry_after_seconds) == (503, "Service Unavailable", 10)
    assert list(house.caller.outcomes) == [StepOutcome.CALL_OVER]


async def test_a_house_that_closes_its_socket_is_no_error_of_the_caller(answered: "Ringing") -> None:
    house = await answered()
    house.send(bytes(640), 96, 0)
    house.socket.close()
    house.caller.exchange()
    assert house.caller.packets_refused == 1
    house.caller.hang_up()
    assert (await house.facts())[-1] == LegEnded("caller_hung_up")


async def test_a_packet_of_another_length_is_one_frame(answered: "Ringing") -> None:
    house = await answered()
    house.tick(np.full(200, 7, np.int16))
    house.tick(np.full(400, 9, np.int16))
    assert house.caller.recording()[:, 1].tolist() == [7] * 200 + [0] * 120 + [9] * 320
