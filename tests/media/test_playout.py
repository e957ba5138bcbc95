"""What the peer hears of utterances: from first to last sample, cut with a fade, held, starved, one after the other."""

import itertools
from typing import TYPE_CHECKING

import numpy as np

from offhook.audio.g711 import decode_ulaw, encode_ulaw
from offhook.media.messages import (
    AudioEnd,
    AudioEnded,
    AudioStarted,
    ChangeTerms,
    Codec,
    MediaTerms,
    QueueAudio,
    StopAudio,
    StopOnVoiceOnset,
    VoiceOnset,
)
from offhook.media.shared_audio import Samples

if TYPE_CHECKING:
    from tests.media.conftest import Hand, Peer

LOUD = np.full(160, 12000, np.int16)
QUIET = np.zeros(160, np.int16)
SILENT_ULAW = b"\xff" * 160


def through_ulaw(samples: Samples) -> Samples:
    return decode_ulaw(encode_ulaw(samples))


def sound(peer: "Peer") -> Samples:
    packets = peer.received()
    return np.concatenate([packet.samples for packet in packets]) if packets else np.zeros(0, np.int16)


def heard_part(samples: Samples) -> Samples:
    at = np.flatnonzero(samples)
    return samples[at[0] : at[-1] + 1]


def sine(samples: int, rate: int = 8000, hz: int = 200, level: int = 10000) -> Samples:
    return (level * np.sin(np.arange(samples) * 2 * np.pi * hz / rate)).astype(np.int16)


def test_an_utterance_is_heard_to_its_last_sample_and_start_and_end_are_told(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, speech[:8100])
    hand.tick(60)
    got = heard_part(sound(peer))
    expected = heard_part(through_ulaw(speech[:8100]))
    assert np.array_equal(got, expected)
    assert hand.facts == [AudioStarted(lease, 1), AudioEnded(lease, 1, 8100, AudioEnd.FINISHED)]


def test_start_is_told_in_the_tick_of_the_first_packet_and_end_in_that_of_the_last(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.tick()
    hand.play(lease, 1, sine(320) + np.int16(12000))
    said: list[tuple[bool, list[object]]] = []
    for _ in range(5):
        facts = hand.tick()
        said.append((bool(sound(peer).any()), list(facts)))
    loud = [n for n, (heard, _) in enumerate(said) if heard]
    assert [n for n, (_, facts) in enumerate(said) if AudioStarted(lease, 1) in facts] == [loud[0]]
    assert [n for n, (_, facts) in enumerate(said) if any(isinstance(f, AudioEnded) for f in facts)] == [loud[-1]]
    assert len(loud) == 2


def test_an_utterance_without_samples_starts_and_finishes(hand: "Hand") -> None:
    lease, _ = hand.call()
    hand.play(lease, 1, np.empty(0, np.int16))
    hand.tick(5)
    assert hand.facts == [AudioStarted(lease, 1), AudioEnded(lease, 1, 0, AudioEnd.FINISHED)]


def test_utterances_follow_one_another_without_a_silent_packet(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, np.full(320, 5000, np.int16))
    hand.play(lease, 2, np.full(320, -5000, np.int16))
    hand.tick(10)
    got = heard_part(sound(peer))
    assert len(got) == 640
    assert (got[:320] > 0).all()
    assert (got[320:] < 0).all()
    assert [type(f).__name__ + str(f.utterance) for f in hand.facts if isinstance(f, AudioStarted | AudioEnded)] == [
        "AudioStarted1",
        "AudioEnded1",
        "AudioStarted2",
        "AudioEnded2",
    ]


def test_an_utterance_in_pieces_is_heard_without_a_seam(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for at in range(0, 8000, 250):
        hand.play(lease, 1, speech[at : at + 250], final=at + 250 >= 8000)
        hand.tick()
    hand.tick(30)
    assert np.array_equal(heard_part(sound(peer)), heard_part(through_ulaw(speech[:8000])))


def test_a_starved_utterance_waits_for_a_whole_frame_and_goes_on(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, np.full(400, 5000, np.int16), final=False)
    hand.tick(10)
    assert np.count_nonzero(sound(peer)) == 320, "80 samples wait for more"
    hand.play(lease, 1, np.full(100, 5000, np.int16), final=True)
    hand.tick(5)
    assert np.count_nonzero(sound(peer)) == 180
    assert hand.facts[-1] == AudioEnded(lease, 1, 500, AudioEnd.FINISHED)


def test_the_end_may_come_after_the_last_samples_have_been_played(hand: "Hand") -> None:
    lease, _ = hand.call()
    hand.play(lease, 1, np.full(320, 5000, np.int16), final=False)
    hand.tick(10)
    hand.play(lease, 1, np.empty(0, np.int16), final=True)
    hand.tick(2)
    assert hand.facts == [AudioStarted(lease, 1), AudioEnded(lease, 1, 320, AudioEnd.FINISHED)]


def test_a_stop_fades_the_frame_that_was_prepared_within_8_ms_and_nothing_follows(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, sine(8000))
    hand.tick(20)
    before = sound(peer)
    hand.order(StopAudio(lease, 1))
    assert hand.tick() == [AudioEnded(lease, 1, len(heard_part(before)) + 65, AudioEnd.STOPPED)]
    (ramp,) = peer.received()
    assert ramp.samples[:56].any()
    assert not ramp.samples[64:].any()
    hand.tick(5)
    assert not sound(peer).any()
    joined = np.concatenate([before, ramp.samples]).astype(int)
    assert np.abs(np.diff(joined)).max() < 10000 * 2 * np.pi * 200 / 8000 * 1.3, "no click"


def test_a_stop_before_the_first_packet_tells_nothing(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.tick()
    hand.play(lease, 1, sine(8000))
    hand.order(StopAudio(lease, 1))
    hand.tick(5)
    assert hand.facts == []
    assert not sound(peer).any()


def test_speech_for_a_silent_row_leaves_with_the_very_next_packet(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.tick(3)
    peer.received()
    hand.play(lease, 1, sine(8000))
    hand.tick()
    assert hand.facts == [AudioStarted(lease, 1)]
    assert np.array_equal(sound(peer), through_ulaw(sine(8000)[:160]))


def test_after_a_starved_moment_speech_goes_on_with_the_very_next_packet(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, sine(160), final=False)
    hand.tick(4)
    peer.received()
    hand.play(lease, 1, sine(320), final=True)
    hand.tick()
    assert np.array_equal(sound(peer), through_ulaw(sine(320)[:160]))


def test_only_the_stopped_utterance_ends(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, np.full(1600, 4000, np.int16))
    hand.play(lease, 2, np.full(1600, 8000, np.int16))
    hand.play(lease, 3, np.full(160, 12000, np.int16))
    hand.tick(5)
    hand.order(StopAudio(lease, 2), StopAudio(lease, 1))
    hand.tick(10)
    assert [f for f in hand.facts if isinstance(f, AudioStarted)] == [AudioStarted(lease, 1), AudioStarted(lease, 3)]
    assert sound(peer).max() > 11000
    assert hand.counter(lease, "played") == 3360


def test_what_comes_for_an_utterance_that_is_over_is_passed_over(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, np.full(800, 4000, np.int16), final=False)
    hand.tick(3)
    hand.order(StopAudio(lease, 1))
    hand.tick(2)
    sound(peer)
    hand.play(lease, 1, np.full(8000, 4000, np.int16))
    hand.tick(5)
    assert not sound(peer).any()
    assert hand.counter(lease, "played") == 8800, "its room is free again"
    hand.play(lease, 2, np.full(160, 12000, np.int16))
    hand.tick(3)
    assert sound(peer).max() > 11000


def interrupted(hand: "Hand", peer: "Peer", loud_from: int, ticks: int) -> None:
    """The peer speaks from a tick on."""
    for n in range(ticks):
        peer.say(LOUD if n >= loud_from else QUIET)
        hand.tick()


def test_the_reflex_cuts_in_the_tick_of_the_onset(hand: "Hand") -> None:
    """A barge-in is silent 20 ms after it was heard (ARCHITECTURE.md)."""
    lease, peer = hand.call()
    hand.play(lease, 1, np.full(24000, 9000, np.int16))
    hand.order(StopOnVoiceOnset(lease, 1, 0))
    levels: dict[int, int] = {}
    onset = ended = 0
    for n in range(60):
        peer.say(LOUD if n >= 30 else QUIET)
        for fact in hand.tick():
            if isinstance(fact, VoiceOnset):
                onset = hand.now
            if isinstance(fact, AudioEnded):
                ended = hand.now
                assert fact.end is AudioEnd.BY_VOICE
        levels[hand.now] = int(np.abs(sound(peer)[-20:]).min())
    assert onset
    assert ended == onset + 1
    assert levels[onset] > 8000, "the packet of the onset's tick had left before"
    assert levels[onset + 1] == 0, "the next one fades away at its head"
    assert not any(levels[tick] for tick in range(onset + 2, hand.now + 1))


def test_the_reflex_waits_for_its_time_after_the_first_packet(hand: "Hand") -> None:
    """allow_after_ms (contract D18)."""
    lease, peer = hand.call()
    hand.play(lease, 1, np.full(16000, 9000, np.int16))
    hand.order(StopOnVoiceOnset(lease, 1, 1500))
    interrupted(hand, peer, 10, 20)
    interrupted(hand, peer, 99, 40)
    assert [type(f) for f in hand.facts].count(AudioEnded) == 0
    interrupted(hand, peer, 25, 60)
    ends = [f for f in hand.facts if isinstance(f, AudioEnded)]
    assert [f.end for f in ends] == [AudioEnd.BY_VOICE]


def test_a_reflex_for_another_utterance_does_not_fire(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, np.full(16000, 9000, np.int16))
    hand.order(StopOnVoiceOnset(lease, 2, 0))
    interrupted(hand, peer, 10, 50)
    assert not [f for f in hand.facts if isinstance(f, AudioEnded)]


def test_on_hold_speech_waits_and_then_goes_on_where_it_stopped(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, speech[:8000])
    hand.tick(20)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address, 101, sending=False)))
    hand.tick(10)
    first = peer.received()
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address, 101)))
    hand.tick(60)
    second = peer.received()
    got = np.concatenate([packet.samples for packet in first + second])
    assert np.array_equal(heard_part(got), heard_part(through_ulaw(speech[:8000])))
    assert second[0].marker
    assert (second[0].timestamp - first[-1].timestamp) & 0xFFFFFFFF == 11 * 160
    assert (second[0].sequence - first[-1].sequence) & 0xFFFF == 1


def test_a_stop_on_hold_ends_at_once(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.play(lease, 1, sine(8000))
    hand.tick(10)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address, 101, sending=False)))
    hand.tick(2)
    hand.order(StopAudio(lease, 1))
    assert [type(f) for f in hand.tick()] == [AudioEnded]


def test_another_codec_is_spoken_from_the_next_packet_on(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call(Codec.PCMU)
    hand.play(lease, 1, speech[:8000])
    hand.tick(20)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMA, 8, peer.address, 101)))
    hand.tick(40)
    packets = peer.received()
    assert [packet.payload_type for packet in packets] == [0] * 20 + [8] * 40
    got = heard_part(np.concatenate([packet.samples for packet in packets])).astype(int)
    assert np.abs(got[:8000] - speech[:8000]).max() < 1200


def test_wideband_speech_is_sent_as_it_is(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call(Codec.L16, pair=True)
    hand.play(lease, 1, speech[:16000])
    hand.tick(60)
    assert np.array_equal(heard_part(sound(peer)), heard_part(speech[:16000]))


def test_packets_keep_sequence_and_timestamp_over_their_wrap(hand: "Hand") -> None:
    _, peer = hand.call()
    hand.tick(100)
    packets = peer.received()
    assert len(packets) == 100
    assert [packet.marker for packet in packets] == [True] + [False] * 99
    assert packets[0].sequence == 65534
    assert packets[0].timestamp == 4_294_967_000
    assert all(packet.payload == SILENT_ULAW for packet in packets)
    for before, after in itertools.pairwise(packets):
        assert (after.sequence - before.sequence) & 0xFFFF == 1
        assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 160


def test_after_a_stall_nothing_bursts_and_speech_continues_where_it_stopped(hand: "Hand", speech: Samples) -> None:
    """The RTP timestamp jumps (ARCHITECTURE.md)."""
    lease, peer = hand.call()
    hand.play(lease, 1, speech[:8000])
    hand.tick(20)
    hand.tick(missed=25)
    hand.tick(40)
    packets = peer.received()
    assert len(packets) == 61
    jump = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(packets)]
    assert jump == [160] * 19 + [26 * 160] + [160] * 40
    assert packets[20].marker
    got = np.concatenate([packet.samples for packet in packets])
    assert np.array_equal(heard_part(got), heard_part(through_ulaw(speech[:8000])))


def test_two_calls_do_not_hear_each_other(hand: "Hand") -> None:
    first, first_peer = hand.call()
    _, second_peer = hand.call()
    hand.play(first, 1, np.full(1600, 9000, np.int16))
    hand.tick(20)
    assert sound(first_peer).any()
    assert not sound(second_peer).any()


def test_what_was_queued_in_the_ring_wraps(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    got: list[Samples] = []
    for utterance in range(1, 8):
        hand.play(lease, utterance, speech[:15000])
        hand.tick(95)
        got.append(heard_part(sound(peer)))
    assert all(np.array_equal(part, heard_part(through_ulaw(speech[:15000]))) for part in got)


def test_orders_for_a_lease_that_is_not_open_change_nothing(hand: "Hand") -> None:
    hand.order(QueueAudio(77, 1, 0, 160, True), StopAudio(77, 1))
    assert hand.tick() == []
