"""Rows that play what other rows hear, through real sockets: a transfer's two legs, and early media."""

import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from offhook.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from offhook.media.g722 import G722Rows
from offhook.media.messages import CloseRow, Codec, PlayFrom

if TYPE_CHECKING:
    from tests.media.conftest import Hand, Peer, Rtp

Samples = npt.NDArray[np.int16]
SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def prompt() -> Samples:
    """Eight seconds of a person reading, 8 kHz."""
    parts = []
    for name in ("demo-congrats", "agent-pass"):
        with wave.open(str(SOUNDS / f"{name}.wav")) as file:
            parts.append(np.frombuffer(file.readframes(file.getnframes()), np.int16))
    return np.concatenate(parts)[:64000]


def wide(narrow: Samples) -> Samples:
    """The same at 16 kHz, by an interpolation that is not ours: in the frequency domain."""
    spectrum = np.fft.rfft(narrow.astype(np.float64))
    samples = np.fft.irfft(np.concatenate([spectrum, np.zeros(len(narrow) // 2)]), 2 * len(narrow)) * 2
    return np.clip(samples, -32768, 32767).astype(np.int16)


def played(peer: "Peer", codec: Codec) -> Samples:
    """All that the peer has been sent since the last time, decoded."""
    return decoded(peer.received(), codec)


def decoded(packets: "list[Rtp]", codec: Codec) -> Samples:
    if codec is Codec.G722:
        decoder = G722Rows()
        return np.concatenate([decoder.decode(0, np.frombuffer(p.payload, np.uint8)) for p in packets])
    return np.concatenate([p.samples for p in packets])


def correlation(sent: Samples, got: Samples) -> float:
    """How alike they are, at the delay at which they are most alike."""
    a, b = sent.astype(np.float64), got.astype(np.float64)
    size = 1 << int(np.ceil(np.log2(len(a) + len(b))))
    product: Floats = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    delay = int(np.argmax(product[: len(b)]))
    n = min(len(a), len(b) - delay)
    return float(np.corrcoef(a[:n], b[delay : delay + n])[0, 1])


def talk(hand: "Hand", mouth: "Peer", samples: Samples, ear: "Peer") -> Samples:
    """A packet a tick, and a second more for what is on its way; returns what the other peer has been sent."""
    frame = mouth.codec.rate // 50
    got: list[Rtp] = []
    for start in range(-15 * frame, len(samples) + 35 * frame, frame):
        here = samples[max(0, start) : max(0, start + frame)]
        mouth.say(np.concatenate([here, np.zeros(frame - len(here), np.int16)]))
        hand.tick()
        got += ear.received()
    return decoded(got, ear.codec)


@pytest.mark.speech
@pytest.mark.parametrize(
    ("there", "here", "at_least"),
    [
        (Codec.PCMU, Codec.PCMU, 0.9999),
        (Codec.PCMA, Codec.PCMA, 0.9999),
        (Codec.PCMU, Codec.PCMA, 0.999),
        (Codec.PCMA, Codec.PCMU, 0.999),
        (Codec.PCMU, Codec.G722, 0.99),
        (Codec.G722, Codec.PCMU, 0.99),
        (Codec.PCMA, Codec.G722, 0.99),
        (Codec.G722, Codec.G722, 0.99),
        (Codec.L16, Codec.L16, 0.9999),
        (Codec.L16, Codec.PCMU, 0.99),
        (Codec.PCMU, Codec.L16, 0.99),
    ],
)
def test_a_voice_passes_through_a_bridge(
    hand: "Hand", prompt: Samples, there: Codec, here: Codec, at_least: float
) -> None:
    (speaker, mouth), (listener, ear) = hand.call(there), hand.call(here)
    hand.tick()
    hand.order(PlayFrom(listener, speaker), PlayFrom(speaker, listener))
    said = wide(prompt) if there.rate == 16000 else prompt
    heard = talk(hand, mouth, said, ear)
    expected = wide(prompt) if here.rate == 16000 else prompt
    figure = correlation(expected, heard)
    assert figure >= at_least, f"{there} to {here}: {figure:.5f}"


@pytest.mark.speech
def test_narrowband_of_the_same_codec_is_the_same_bytes(hand: "Hand", prompt: Samples) -> None:
    """Nothing is filtered, scaled or rounded on the way."""
    (speaker, mouth), (listener, ear) = hand.call(), hand.call()
    hand.order(PlayFrom(listener, speaker))
    heard, said = talk(hand, mouth, prompt, ear), decode_ulaw(encode_ulaw(prompt))
    begin = int(np.flatnonzero(np.abs(said) > 1000)[0])
    again = int(np.flatnonzero(np.abs(heard) > 1000)[0])
    assert np.array_equal(heard[again : again + len(said) - begin], said[begin:])


def test_it_arrives_about_two_frames_later(hand: "Hand", speech: Samples) -> None:
    """From the tick in which a packet came in to the one in which it goes out."""
    (speaker, mouth), (listener, ear) = hand.call(), hand.call()
    hand.order(PlayFrom(listener, speaker))
    silence = np.zeros(160, np.int16)
    for _ in range(10):
        mouth.say(silence)
        hand.tick()
    ear.received()
    mouth.say(np.full(160, 8000, np.int16))
    ticks = 0
    while not any(np.abs(packet.samples).max() > 4000 for packet in ear.received()):
        hand.tick()
        mouth.say(silence)
        ticks += 1
    assert ticks <= 4, "the tick that takes it, the slack of one frame, the tick that sends it"


def test_early_media_goes_one_way_only(hand: "Hand", speech: Samples) -> None:
    (callee, mouth), (caller, ear) = hand.call(), hand.call()
    hand.order(PlayFrom(caller, callee))
    for n in range(40):
        mouth.say(speech[n * 160 : (n + 1) * 160])
        ear.say(speech[n * 160 : (n + 1) * 160])
        hand.tick()
    assert played(ear, Codec.PCMU).any()
    assert not played(mouth, Codec.PCMU).any()


def test_it_is_mixed_with_the_rows_own_speech_and_loop(hand: "Hand") -> None:
    (speaker, mouth), (listener, ear) = hand.call(), hand.call()
    hand.order(PlayFrom(listener, speaker))
    constant = np.full(160, 4000, np.int16)
    hand.loop(listener, np.full(1600, 2000, np.int16), 1.0)
    hand.play(listener, 1, np.full(16000, 8000, np.int16))
    for _ in range(30):
        mouth.say(constant)
        hand.tick()
    last = ear.received()[-1].samples
    assert np.all(np.abs(last.astype(int) - 14000) < 500)


def test_what_is_too_loud_together_is_bent_and_not_broken(hand: "Hand") -> None:
    (speaker, mouth), (listener, ear) = hand.call(), hand.call()
    hand.order(PlayFrom(listener, speaker))
    wave_ = (np.sin(np.arange(160) / 160 * 2 * np.pi * 4) * 28000).astype(np.int16)
    hand.play(listener, 1, np.tile(wave_, 100))
    for _ in range(30):
        mouth.say(wave_)
        hand.tick()
    last = np.concatenate([packet.samples for packet in ear.received()[-5:]]).astype(int)
    assert np.abs(last).max() > 28000
    assert np.abs(np.diff(last)).max() < 16000, "no sample jumps to the other end of the scale"


def test_it_ends_with_a_ramp_when_told_and_when_the_other_row_closes(hand: "Hand") -> None:
    for closing in (False, True):
        (speaker, mouth), (listener, ear) = hand.call(), hand.call()
        hand.order(PlayFrom(listener, speaker))
        loud = np.full(160, 8000, np.int16)
        for _ in range(20):
            mouth.say(loud)
            hand.tick()
        ear.received()
        hand.order(CloseRow(speaker) if closing else PlayFrom(listener, None))
        hand.tick(10)
        heard = played(ear, Codec.PCMU).astype(int)
        assert heard[:160].min() > 7000, "what was prepared"
        assert np.abs(np.diff(heard)).max() < 600, "no step"
        assert not heard[-1200:].any()


def test_it_begins_without_a_step(hand: "Hand") -> None:
    (speaker, mouth), (listener, ear) = hand.call(), hand.call()
    loud = np.full(160, 8000, np.int16)
    for n in range(40):
        if n == 20:
            hand.order(PlayFrom(listener, speaker))
        mouth.say(loud)
        hand.tick()
    heard = played(ear, Codec.PCMU).astype(int)
    assert heard.max() > 7500
    assert np.abs(np.diff(heard)).max() < 600


def test_another_source_takes_the_place_of_the_first_without_a_step(hand: "Hand") -> None:
    (one, first), (two, second), (listener, ear) = hand.call(), hand.call(), hand.call()
    hand.order(PlayFrom(listener, one))
    for n in range(60):
        if n == 30:
            hand.order(PlayFrom(listener, two))
        first.say(np.full(160, 8000, np.int16))
        second.say(np.full(160, -8000, np.int16))
        hand.tick()
    heard = played(ear, Codec.PCMU).astype(int)
    assert heard.max() > 7500
    assert heard[-160:].max() < -7500
    assert np.abs(np.diff(heard)).max() < 900


def test_a_source_that_is_on_hold_is_silent_and_heard_again(hand: "Hand") -> None:
    (speaker, mouth), (listener, ear) = hand.call(), hand.call()
    hand.order(PlayFrom(listener, speaker))
    loud = np.full(160, 8000, np.int16)
    for _ in range(20):
        mouth.say(loud)
        hand.tick()
    hand.tick(40)
    ear.received()
    hand.tick(5)
    assert not played(ear, Codec.PCMU).any(), "nothing arrives, nothing is heard"
    for _ in range(20):
        mouth.say(loud)
        hand.tick()
    assert played(ear, Codec.PCMU)[-160:].min() > 7000


def test_orders_about_rows_that_are_not_open_change_nothing(hand: "Hand") -> None:
    listener, ear = hand.call()
    hand.order(PlayFrom(listener, 77), PlayFrom(78, listener))
    hand.tick(5)
    assert not played(ear, Codec.PCMU).any()


def test_alaw_survives_as_alaw(hand: "Hand", speech: Samples) -> None:
    (speaker, mouth), (listener, ear) = hand.call(Codec.PCMA), hand.call(Codec.PCMA)
    hand.order(PlayFrom(listener, speaker))
    heard = talk(hand, mouth, speech, ear)
    coded = decode_alaw(encode_alaw(speech))
    assert correlation(coded, heard) > 0.99999


def test_callers_who_speak_with_each_other_are_not_asked_about_their_voices(hand: "Hand", speech: Samples) -> None:
    """No turns are taken while two legs are bridged (contract D15); afterwards they are again."""
    (one, first), (two, second) = hand.call(), hand.call()
    loud = np.full(160, 20000, np.int16)

    def speak(ticks: int) -> list[str]:
        facts = []
        for _ in range(ticks):
            first.say(loud)
            second.say(loud)
            facts += [f"{type(fact).__name__} {fact.lease}" for fact in hand.tick()]
        return facts

    assert sorted(speak(30)) == [f"VoiceOnset {one}", f"VoiceOnset {two}"]
    hand.order(PlayFrom(one, two))
    assert not speak(30), "early media: the caller's voice still counts"
    hand.order(PlayFrom(two, one))
    assert sorted(speak(30)) == [f"VoicePause {one}", f"VoicePause {two}"]
    hand.order(CloseRow(two))
    assert speak(30) == [f"VoiceOnset {one}"]
