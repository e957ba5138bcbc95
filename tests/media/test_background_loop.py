"""The background loop (contract D12): without a gap, without a click, under everything."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from offhook.audio.g711 import decode_ulaw, encode_ulaw
from offhook.media.background_loop import soft_limit
from offhook.media.messages import Codec, RestLoop, SetLoop, StopAudio
from offhook.media.shared_audio import Samples

if TYPE_CHECKING:
    from tests.media.conftest import Hand, Peer


def sound(peer: "Peer") -> Samples:
    return np.concatenate([packet.samples for packet in peer.received()])


def sine(samples: int, hz: float, level: int, rate: int = 16000) -> Samples:
    return (level * np.sin(np.arange(samples) * 2 * np.pi * hz / rate)).astype(np.int16)


def steepest(samples: Samples) -> int:
    return int(np.abs(np.diff(samples.astype(int))).max())


@pytest.mark.parametrize("length", [100, 319, 320, 1000, 4321])
def test_it_loops_without_a_gap(hand: "Hand", length: int) -> None:
    lease, peer = hand.call(Codec.L16, pair=True)
    loop = np.random.default_rng(3).integers(-8000, 8000, length).astype(np.int16)
    hand.loop(lease, loop, 1.0, at=777)
    hand.tick(60)
    got = sound(peer)[640:]
    expected = np.tile(loop, 60 * 320 // length + 2)[320 : 320 + len(got)]
    assert np.array_equal(got, expected)


def test_its_volume_is_the_one_that_was_asked_for(hand: "Hand") -> None:
    lease, peer = hand.call(Codec.L16, pair=True)
    hand.loop(lease, np.full(1000, 10000, np.int16), 0.25)
    hand.tick(10)
    assert set(sound(peer)[640:]) == {2500}


def test_it_comes_rests_returns_changes_and_goes_in_ramps_of_20_ms(hand: "Hand") -> None:
    lease, peer = hand.call(Codec.L16, pair=True)
    tone = sine(1600, 200, 8000)
    flat = 8000 * 2 * np.pi * 200 / 16000
    hand.loop(lease, tone, 1.0)
    hand.tick(10)
    hand.order(RestLoop(lease, True))
    hand.tick(10)
    hand.order(RestLoop(lease, False))
    hand.tick(10)
    hand.loop(lease, sine(3200, 100, 8000), 0.5, at=5000)
    hand.tick(10)
    hand.order(SetLoop(lease, None, 0, 0.0))
    hand.tick(10)
    got = sound(peer)
    assert steepest(got) < flat * 1.6
    loud = np.abs(got.reshape(-1, 320)).max(axis=1) > 0
    assert loud.tolist() == [False] + [True] * 11 + [False] * 9 + [True] * 21 + [False] * 8


def test_it_goes_on_after_a_rest_where_it_stood(hand: "Hand") -> None:
    lease, peer = hand.call(Codec.L16, pair=True)
    ramp = np.arange(16000, dtype=np.int16)
    hand.loop(lease, ramp, 1.0)
    hand.tick(10)
    hand.order(RestLoop(lease, True))
    hand.tick(20)
    hand.order(RestLoop(lease, False))
    hand.tick(10)
    frames = sound(peer).reshape(-1, 320)
    assert frames[10][0] == 9 * 320, "one more frame was prepared already; the next fades out"
    assert frames[31][-1] == 11 * 320 + 319, "it has faded in again"
    assert frames[32][0] == 12 * 320


def test_speech_is_heard_over_it_and_a_cut_of_speech_leaves_it_alone(hand: "Hand") -> None:
    """contract D8: an interruption leaves `mix_audio` alone."""
    lease, peer = hand.call(Codec.L16, pair=True)
    hand.loop(lease, np.full(1000, 1000, np.int16), 1.0)
    hand.tick(5)
    hand.play(lease, 1, np.full(16000, 3000, np.int16))
    hand.tick(5)
    hand.order(StopAudio(lease, 1))
    hand.tick(5)
    frames = sound(peer).reshape(-1, 320)
    assert set(frames[8]) == {4000}
    assert frames[10][0] == 4000
    assert frames[10][-1] == 1000
    assert set(frames[12]) == {1000}


def test_two_loud_voices_are_bent_and_never_wrap(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.loop(lease, np.full(1000, 30000, np.int16), 1.0)
    hand.play(lease, 1, np.full(8000, 30000, np.int16))
    hand.tick(10)
    assert sound(peer).min() >= 0


def test_the_soft_limit_keeps_order_sign_and_everything_below_its_knee() -> None:
    ramp = np.arange(-70000, 70000, 7, dtype=np.float32)
    out = soft_limit(ramp).astype(int)
    assert (np.diff(out) >= 0).all()
    assert np.array_equal(out, -soft_limit(-ramp).astype(int))
    low = np.abs(ramp) <= 26000
    assert np.array_equal(out[low], ramp[low].astype(int))
    assert out.max() <= 32767


def test_speech_alone_is_not_touched_by_the_mixer(hand: "Hand") -> None:
    lease, peer = hand.call()
    loud = np.full(1600, 32000, np.int16)
    hand.play(lease, 1, loud)
    hand.tick(8)
    assert decode_ulaw(encode_ulaw(loud))[0] in sound(peer)
