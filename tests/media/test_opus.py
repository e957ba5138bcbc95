"""Opus by itself and on a row of the wideband table: what is heard, what is sent, and how its timestamps count."""

import ctypes
import itertools
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from offhook.audio.resample import resample
from offhook.media.messages import ChangeTerms, Codec, KeyPressed, MediaTerms, PlayFrom, SendTelephoneEvent, SrtpKeys
from offhook.media.opus import LARGEST_PAYLOAD, OpusDecoders, OpusEncoders, samples_in
from offhook.media.shared_audio import Samples
from offhook.media.srtp import ReceivingStream

if TYPE_CHECKING:
    from tests.media.conftest import Hand, Rtp

pytestmark = pytest.mark.speech

FRAME = 320
# From an encoder's input to its decoder's output: 6.5 ms.
DELAY = 103
SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")


@pytest.fixture(scope="module")
def voice() -> Samples:
    """Three seconds of a person at 16 kHz, from Debian's asterisk-core-sounds-en-wav."""
    return person("demo-congrats")[8000:56000]


def person(name: str) -> Samples:
    samples, rate = soundfile.read(SOUNDS / f"{name}.wav", dtype="int16")
    return resample(samples, rate, 16000)


def frames(samples: Samples, size: int = FRAME) -> list[Samples]:
    return [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]


def likeness(sent: Samples, heard: Samples) -> float:
    """The correlation; what is heard comes DELAY samples later."""
    got = heard[DELAY:]
    return float(np.corrcoef(sent[: len(got)], got)[0, 1])


def decoded(packets: "list[Rtp]") -> Samples:
    decoder = OpusDecoders()
    return np.concatenate([decoder.decode(0, each.payload) for each in packets])


def coded(samples: Samples) -> list[bytes]:
    encoder = OpusEncoders()
    return [encoder.encode(0, frame).tobytes() for frame in frames(samples)]


@pytest.mark.parametrize("name", ["vm-goodbye", "conf-onlyperson", "demo-congrats"])
def test_a_person_is_decoded_to_nearly_the_same(name: str) -> None:
    said, decoder = person(name), OpusDecoders()
    heard = np.concatenate([decoder.decode(0, payload) for payload in coded(said)])
    assert likeness(said, heard) > 0.95


def test_speech_takes_about_the_bits_that_are_set(voice: Samples) -> None:
    lengths = [len(payload) for payload in coded(voice)]
    assert 40 < np.mean(lengths) < 120
    assert max(lengths) <= LARGEST_PAYLOAD
    assert len(set(lengths)) > 5


def test_rows_know_nothing_of_each_other_and_a_forgotten_one_begins_anew(voice: Samples) -> None:
    crowd, alone = OpusEncoders(), coded(voice[:3200])
    for frame, expected in zip(frames(voice[:3200]), alone, strict=True):
        crowd.encode(2, frame[::-1])
        assert crowd.encode(1, frame).tobytes() == expected
    crowd.forget(2)
    assert crowd.encode(2, voice[:FRAME]).tobytes() == alone[0]


@given(payload=st.binary(min_size=1, max_size=400))
def test_no_payload_upsets_a_decoder(payload: bytes) -> None:
    decoder = OpusDecoders()
    assert len(decoder.decode(0, payload)) == samples_in(payload) <= 1920
    assert len(decoder.conceal(0, 960, payload)) == 960
    assert len(decoder.conceal(0, 7)) == 7


def test_noise_as_payloads_leaves_the_row_as_it_was(hand: "Hand", voice: Samples) -> None:
    """Whatever a stranger or a broken peer sends, the process goes on and so does the time on the row."""
    lease, peer = hand.call(Codec.OPUS)
    random = np.random.default_rng(7)
    for n, frame in enumerate(frames(voice)):
        packet = peer.packet(frame)
        if n in range(20, 60):
            noise = random.bytes(int(random.integers(1, 300)))
            packet = packet[:12] + noise
        peer.raw(packet)
        hand.tick()
    hand.tick(5)
    heard = hand.heard(lease)
    assert len(heard) >= len(voice) - 120 * FRAME
    assert best_likeness(voice[-50 * FRAME : -FRAME], heard) > 0.9


@pytest.mark.parametrize("ms", [20, 40, 60])
def test_packets_of_any_usual_length_are_heard_at_16_khz(hand: "Hand", voice: Samples, ms: int) -> None:
    lease, peer = hand.call(Codec.OPUS)
    sent = 0
    for tick in range(100):
        while sent + ms <= tick * 20:
            peer.say(voice[sent * 16 : (sent + ms) * 16])
            sent += ms
        hand.tick()
    heard = hand.heard(lease)
    assert len(heard) == sent * 16
    assert likeness(voice[: sent * 16], heard) > 0.95


def test_lost_packets_are_made_up_in_their_length_and_forgotten_soon(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.OPUS)
    for n, frame in enumerate(frames(voice)):
        packet = peer.packet(frame)
        if n not in {30, 31, 60, *range(90, 100)}:
            peer.raw(packet)
        hand.tick()
    heard = hand.heard(lease)
    assert len(heard) == len(voice)
    assert heard[30 * FRAME : 31 * FRAME].any()
    assert likeness(voice[: 30 * FRAME], heard[: 30 * FRAME]) > 0.95
    assert likeness(voice[110 * FRAME :], heard[110 * FRAME :]) > 0.95


def test_a_lost_frame_that_the_next_packet_repeats_is_heard(voice: Samples) -> None:
    """Forward error correction in band (RFC 6716 2.1.7), which we take and do not send."""
    at = max(range(30, 100), key=lambda n: float(np.abs(frames(voice)[n].astype(int)).sum()))
    payloads = repeating(voice)
    whole, gap, blind = OpusDecoders(), OpusDecoders(), OpusDecoders()
    for payload in payloads[:at]:
        for decoder in (whole, gap, blind):
            decoder.decode(0, payload)
    said = whole.decode(0, payloads[at])
    assert np.corrcoef(said, gap.conceal(0, FRAME, payloads[at + 1]))[0, 1] > 0.8
    assert not np.array_equal(gap.conceal(0, FRAME), blind.conceal(0, FRAME))


def repeating(samples: Samples) -> list[bytes]:
    """What a peer sends that counts on a fifth of its packets being lost."""
    library = ctypes.CDLL("libopus.so.0")
    library.opus_encoder_ctl.argtypes = (ctypes.c_void_p, ctypes.c_int)
    encoder = ctypes.create_string_buffer(library.opus_encoder_get_size(1))
    assert library.opus_encoder_init(encoder, 16000, 1, 2048) == 0
    for what, value in ((4012, 1), (4014, 20)):  # in-band FEC, expected loss
        assert library.opus_encoder_ctl(encoder, what, ctypes.c_int(value)) == 0
    payload = ctypes.create_string_buffer(400)
    sizes = (library.opus_encode(encoder, frame.tobytes(), FRAME, payload, 400) for frame in frames(samples))
    return [payload.raw[:size] for size in sizes]


def test_time_in_which_nothing_is_sent_counts_in_full(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.OPUS)
    for n, frame in enumerate(frames(voice)):
        if n == 50:
            hand.tick(25)
            peer.timestamp += 25 * 960
        peer.say(frame)
        hand.tick()
    assert len(hand.heard(lease)) == len(voice) + 25 * FRAME


def test_speech_leaves_in_packets_of_their_own_length_and_960_timestamps_a_tick(hand: "Hand", voice: Samples) -> None:
    """RFC 7587 4.1."""
    lease, peer = hand.call(Codec.OPUS)
    hand.play(lease, 1, voice[: 90 * FRAME])
    hand.tick(100)
    packets = peer.received()
    assert {each.payload_type for each in packets} == {111}
    assert len({len(each.payload) for each in packets}) > 5
    assert {samples_in(each.payload) for each in packets} == {FRAME}
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(packets)} == {960}
    heard = decoded(packets)
    begin = next(at for at in range(0, len(heard), FRAME) if np.abs(heard[at : at + FRAME]).max() > 1000)
    assert likeness(voice[: 89 * FRAME], heard[begin : begin + 89 * FRAME + DELAY]) > 0.95


def test_encrypted_packets_are_all_of_one_length(hand: "Hand", voice: Samples) -> None:
    """RFC 6562: lengths that vary tell something of what is said."""
    keys = SrtpKeys("AES_CM_128_HMAC_SHA1_80", bytes(range(30)), bytes(range(30, 60)))
    lease, peer = hand.call(Codec.OPUS, srtp=keys)
    hand.play(lease, 1, voice)
    hand.tick(100)
    far = ReceivingStream(SrtpKeys(keys.suite, keys.receiving, keys.sending))
    plain = []
    while True:
        try:
            plain.append(far.unprotect(peer.sock.recv(4096)))
        except BlockingIOError:
            break
    assert len(plain) >= 99
    assert {len(packet or b"") for packet in plain} == {12 + 80}


def test_what_an_opus_row_hears_is_played_on_a_narrow_one_and_back(hand: "Hand", voice: Samples) -> None:
    wide, opus = hand.call(Codec.OPUS)
    narrow, ulaw = hand.call(Codec.PCMU)
    hand.order(PlayFrom(wide, narrow))
    hand.order(PlayFrom(narrow, wide))
    narrowly = resample(voice, 16000, 8000)
    for wideband, narrowband in zip(frames(voice), frames(narrowly, 160), strict=True):
        opus.say(wideband)
        ulaw.say(narrowband)
        hand.tick()
    at_ulaw = np.concatenate([each.samples for each in ulaw.received()])
    at_opus = decoded(opus.received())
    for heard, said, rate in ((at_ulaw, narrowly, 8000), (at_opus, voice, 16000)):
        for at in (rate // 4, rate, 2 * rate):  # the bridge takes out silence in between
            assert best_likeness(said[at : at + rate // 2], heard) > 0.9


def best_likeness(said: Samples, heard: Samples) -> float:
    """The correlation of `said` with where it is in `heard`."""
    at = int(np.argmax(np.correlate(heard.astype(float), said.astype(float), "valid")))
    return float(np.corrcoef(heard[at : at + len(said)], said)[0, 1])


@pytest.mark.parametrize(("clock", "step"), [(None, 960), (8000, 160)])
def test_a_key_lasts_as_long_as_the_clock_of_its_events_says(hand: "Hand", clock: int | None, step: int) -> None:
    """RFC 4733 2.1; telephones that know events in 8000 Hz only, beside Opus, too."""
    lease, peer = hand.call(Codec.OPUS, telephone_event_clock=clock)
    hand.tick(2)
    hand.order(SendTelephoneEvent(lease, "7", 100))
    hand.tick(12)
    durations = [struct.unpack(">BBH", each.payload)[2] for each in peer.received() if each.payload_type == 101]
    assert durations == [step * n for n in (1, 2, 3, 4, 5, 5, 5)]
    for _ in range(3):
        peer.say(np.zeros(FRAME, np.int16))
        hand.tick()
    peer.event(5, 160)
    assert hand.tick() == [KeyPressed(lease, "5")]


def test_a_codec_may_change_in_a_call_both_ways(hand: "Hand", voice: Samples) -> None:
    lease, peer = hand.call(Codec.G722)
    hand.play(lease, 1, voice)
    hand.tick(20)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.OPUS, 111, peer.address, 101)))
    hand.tick(20)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.G722, 9, peer.address, 101)))
    hand.tick(20)
    packets = peer.received()
    assert [kind for kind, _ in itertools.groupby(packets, lambda each: each.payload_type)] == [9, 111, 9]
    assert {len(each.payload) for each in packets if each.payload_type == 9} == {160}
    assert all(samples_in(each.payload) == FRAME for each in packets if each.payload_type == 111)
