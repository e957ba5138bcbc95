"""G.722 by itself and on a row of the wideband table: what is heard, what is sent, and how its timestamps count."""

import itertools
import struct
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from offhook.audio.resample import resample
from offhook.media.g722 import G722Rows
from offhook.media.messages import (
    ChangeTerms,
    Codec,
    KeyPressed,
    MediaTerms,
    SendTelephoneEvent,
    StopAudio,
    TelephoneEventSent,
)
from offhook.media.shared_audio import Samples

if TYPE_CHECKING:
    from tests.media.conftest import Hand, Rtp

Floats: TypeAlias = npt.NDArray[np.float64]

FRAME = 320
SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
# From an encoder's input to its decoder's output: the two quadrature mirror filters of 24 taps.
DELAY = 22


@pytest.fixture(scope="module")
def voice() -> Samples:
    """Three seconds at 16 kHz that resemble nothing else, with as little above 4 kHz as a voice has."""
    noise = np.random.default_rng(3).normal(0, 1, 48000)
    smooth = np.convolve(noise, np.hanning(9) / np.hanning(9).sum(), mode="same")
    samples: Samples = (smooth / np.abs(smooth).max() * 12000).astype(np.int16)
    return samples


def frames(samples: Samples, size: int = FRAME) -> list[Samples]:
    return [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]


def signal_to_noise(sent: Samples, heard: Samples) -> float:
    """In dB; what is heard comes DELAY samples later."""
    wanted, got = sent[: len(heard) - DELAY].astype(float), heard[DELAY:].astype(float)
    return float(10 * np.log10(np.mean(wanted**2) / np.mean((wanted - got) ** 2)))


def spectra(samples: Samples) -> Floats:
    """Loudness between 800 and 3400 Hz by 32 ms, at 8 kHz: the twins went through a high-pass that turned their
    phases and took the lowest notes away."""
    blocks = np.stack(frames(samples, 256)).astype(float) * np.hanning(256)
    loudness: Floats = np.abs(np.fft.rfft(blocks))[:, 26:110]
    return loudness


def decoded(packets: "list[Rtp]") -> Samples:
    decoder = G722Rows()
    return np.concatenate([decoder.decode(0, np.frombuffer(each.payload, np.uint8)) for each in packets])


def test_what_is_encoded_is_decoded_to_nearly_the_same(voice: Samples) -> None:
    codec = G722Rows()
    codes = [codec.encode(4, frame) for frame in frames(voice)]
    assert {len(each) for each in codes} == {160}
    assert signal_to_noise(voice, np.concatenate([codec.decode(4, each) for each in codes])) > 15


def test_rows_know_nothing_of_each_other_and_a_forgotten_one_begins_anew(voice: Samples) -> None:
    alone, crowd = G722Rows(), G722Rows()
    for frame in frames(voice[:3200]):
        crowd.encode(2, frame[::-1])
        assert np.array_equal(alone.encode(1, frame), crowd.encode(1, frame))
    crowd.forget(2)
    assert np.array_equal(G722Rows().encode(1, voice[:FRAME]), crowd.encode(2, voice[:FRAME]))


@pytest.mark.speech
@pytest.mark.parametrize("name", ["hello-world", "vm-goodbye", "conf-onlyperson", "demo-congrats"])
def test_recordings_that_another_encoder_made_are_decoded(name: str) -> None:
    """Debian's asterisk-core-sounds-en-g722 beside its twin at 8 kHz (asterisk-core-sounds-en-wav)."""
    codes = np.frombuffer((SOUNDS / f"{name}.g722").read_bytes(), np.uint8)
    wideband = G722Rows().decode(0, codes)
    twin, rate = soundfile.read(SOUNDS / f"{name}.wav", dtype="int16")
    assert rate == 8000
    ours, theirs = spectra(resample(wideband, 16000, 8000)), spectra(twin)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98
    assert 10 * abs(np.log10(np.sum(ours**2) / np.sum(theirs**2))) < 0.5


@pytest.mark.parametrize("ms", [10, 20, 30, 40, 60])
def test_packets_of_any_usual_length_are_heard_at_16_khz(hand: "Hand", voice: Samples, ms: int) -> None:
    lease, peer = hand.call(Codec.G722)
    sent = 0
    for tick in range(100):
        while sent + ms <= tick * 20:
            peer.say(voice[sent * 16 : (sent + ms) * 16])
            sent += ms
        hand.tick()
    heard = hand.heard(lease)
    assert len(heard) == sent * 16
    assert signal_to_noise(voice[: sent * 16], heard) > 15


def test_lost_packets_are_concealed_in_their_length_and_forgotten_soon(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.G722)
    for n, frame in enumerate(frames(voice)):
        packet = peer.packet(frame)
        if n not in {30, 31, 60}:
            peer.raw(packet)
        hand.tick()
    heard = hand.heard(lease)
    assert len(heard) == len(voice)
    assert heard[30 * FRAME : 31 * FRAME].any()
    assert signal_to_noise(voice[: 30 * FRAME], heard[: 30 * FRAME]) > 15
    assert signal_to_noise(voice[80 * FRAME :], heard[80 * FRAME :]) > 15


def test_time_in_which_nothing_is_sent_counts_in_full(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.G722)
    for n, frame in enumerate(frames(voice)):
        if n == 50:
            hand.tick(25)
            peer.timestamp += 25 * 160
        peer.say(frame)
        hand.tick()
    assert len(hand.heard(lease)) == len(voice) + 25 * FRAME


def test_speech_leaves_as_160_bytes_and_160_timestamps_a_tick(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.G722)
    hand.play(lease, 1, voice[: 90 * FRAME])
    hand.tick(100)
    packets = peer.received()
    assert {(each.payload_type, len(each.payload)) for each in packets} == {(9, 160)}
    steps = {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(packets)}
    assert steps == {160}
    heard = decoded(packets)
    begin = next(at for at in range(0, len(heard), FRAME) if np.abs(heard[at : at + FRAME]).max() > 1000)
    assert signal_to_noise(voice[: 90 * FRAME], heard[begin : begin + 90 * FRAME]) > 15


def test_a_cut_fades_the_frame_that_was_prepared_without_a_noise(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.G722)
    hand.play(lease, 1, voice)
    hand.tick(40)
    hand.order(StopAudio(lease, 1))
    hand.tick(20)
    packets = peer.received()
    levels = [float(np.abs(frame.astype(int)).mean()) for frame in frames(decoded(packets))]
    assert max(levels[:39]) > 1000
    assert max(levels[44:]) < 40, "what was encoded is what was sent, so that the far decoder follows"


def test_a_key_lasts_as_long_as_the_clock_of_timestamps_says(hand: "Hand") -> None:
    """RFC 4733 2.5: an event's clock is that of the audio it stands beside."""
    lease, peer = hand.call(Codec.G722)
    hand.tick(2)
    hand.order(SendTelephoneEvent(lease, "7", 100))
    hand.tick(12)
    durations = [struct.unpack(">BBH", each.payload)[2] for each in peer.received() if each.payload_type == 101]
    assert durations == [160, 320, 480, 640, 800, 800, 800]
    for _ in range(3):
        peer.say(np.zeros(FRAME, np.int16))
        hand.tick()
    peer.event(5, 160)
    assert hand.tick() == [KeyPressed(lease, "5")]


def test_a_peer_without_events_hears_the_tones(hand: "Hand") -> None:
    lease, peer = hand.call(Codec.G722, telephone_event=None)
    hand.order(SendTelephoneEvent(lease, "5"))
    hand.tick(14)
    spectrum = np.abs(np.fft.rfft(decoded(peer.received()).astype(float), 16000))
    assert TelephoneEventSent(lease, "5") in hand.facts
    loudest = sorted(np.argsort(spectrum)[-2:].tolist())
    assert abs(loudest[0] - 770) < 12
    assert abs(loudest[1] - 1336) < 12


def test_after_a_hold_the_stream_goes_on_at_its_time(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.G722)
    hand.tick(5)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.G722, 9, peer.address, 101, sending=False)))
    hand.tick(50)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.G722, 9, peer.address, 101)))
    hand.tick(5)
    packets = peer.received()
    assert (packets[-1].timestamp - packets[0].timestamp) & 0xFFFFFFFF == 59 * 160
