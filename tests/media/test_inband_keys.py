"""Keys as tones in the audio (ITU-T Q.23, Q.24): found when they are there, and in nothing that people say or play."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.audio.g711 import decode_alaw, encode_alaw
from offhook.media.heard import Heard
from offhook.media.inband_keys import InbandKeys
from offhook.media.messages import ChangeTerms, Codec, KeyPressed, MediaTerms, SendTelephoneEvent
from offhook.media.shared_audio import SharedTable, TableShape
from offhook.media.telephone_event import COLUMNS_HZ, KEYPAD, ROWS_HZ, tone
from tests.media.conftest import rtp

if TYPE_CHECKING:
    from tests.media.conftest import Hand

Samples = npt.NDArray[np.int16]
ASTERISK = Path("/usr/share/asterisk")


def keys_in(samples: Samples, rate: int = 8000) -> str:
    """The keys that a row hears, given these samples a frame at a time."""
    shared = SharedTable(TableShape(rate, 2))
    heard = Heard(shared)
    heard.open(0, 0)
    keys = InbandKeys(heard)
    keys.listen(0, True)
    frame = rate // 50
    found = ""
    for start in range(0, len(samples) - frame + 1, frame):
        heard.append(np.array([0]), samples[None, start : start + frame])
        found += "".join(digit for _, digit in keys.detect())
    shared.close()
    return found


def press(
    digit: str,
    ms: int,
    *,
    low_dbfs: float = -15.0,
    high_dbfs: float = -15.0,
    off: float = 0.0,
    rate: int = 8000,
) -> Samples:
    """A key's tones, both so loud (rms) and both so far from where they should be."""
    row, column = divmod(KEYPAD.index(digit), 4)
    time = np.arange(rate * ms // 1000) / rate
    waves = [
        np.sqrt(2) * 32768 * 10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * (1 + off) * time + 0.3)
        for hertz, dbfs in ((ROWS_HZ[row], low_dbfs), (COLUMNS_HZ[column], high_dbfs))
    ]
    return np.asarray(np.clip(waves[0] + waves[1], -32768, 32767), np.int16)


def quiet(ms: int, rate: int = 8000) -> Samples:
    return np.zeros(rate * ms // 1000, np.int16)


def through_a_line(*parts: Samples, noise_dbfs: float = -60.0) -> Samples:
    samples = np.concatenate([quiet(100), *parts, quiet(200)]).astype(np.float64)
    samples += np.random.default_rng(3).normal(0, 32768 * 10 ** (noise_dbfs / 20), len(samples))
    return decode_alaw(encode_alaw(np.clip(samples, -32768, 32767).astype(np.int16)))


@pytest.mark.parametrize("digit", KEYPAD)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_each_key_is_one_press_however_long_it_is_held(digit: str, rate: int) -> None:
    for ms in (40, 100, 2000):
        samples = np.concatenate([quiet(100, rate), press(digit, ms, rate=rate), quiet(100, rate)])
        assert keys_in(samples, rate) == digit


@settings(max_examples=300, deadline=None)
@given(
    digit=st.sampled_from(KEYPAD),
    ms=st.integers(40, 300),
    low_dbfs=st.floats(-30, -9),
    twist_db=st.floats(-8, 4),
    off=st.floats(-0.015, 0.015),
    begin=st.integers(0, 159),
)
def test_whatever_q_24_asks_for_is_found(
    digit: str, ms: int, low_dbfs: float, twist_db: float, off: float, begin: int
) -> None:
    """40 ms, 1.5 % beside, the high tone up to 4 dB stronger and 8 dB weaker, -31 dBFS and louder."""
    high_dbfs = max(-31.0, low_dbfs + twist_db)
    sound = press(digit, ms, low_dbfs=low_dbfs, high_dbfs=high_dbfs, off=off)
    assert keys_in(through_a_line(np.zeros(begin, np.int16), sound)) == digit


@settings(max_examples=150, deadline=None)
@given(digit=st.sampled_from(KEYPAD), ms=st.integers(1, 20), begin=st.integers(0, 159), again=st.integers(100, 300))
def test_what_is_too_short_is_no_press(digit: str, ms: int, begin: int, again: int) -> None:
    """Q.24, table A-1: up to 20 ms (Denmark, Brazil; elsewhere 23 to 25, at the edge of which a line decides)."""
    sound = press(digit, ms)
    assert keys_in(through_a_line(np.zeros(begin, np.int16), sound, quiet(again), sound)) == ""


@pytest.mark.parametrize("begin", range(0, 160, 20))
def test_a_break_of_10_ms_does_not_make_two_presses_of_one_and_a_pause_of_40_ms_does(begin: int) -> None:
    before = np.zeros(begin, np.int16)
    sound = press("5", 60)
    assert keys_in(through_a_line(before, sound, quiet(10), sound)) == "5"
    assert keys_in(through_a_line(before, sound, quiet(40), sound)) == "55"
    assert keys_in(through_a_line(before, sound, quiet(40), press("8", 60))) == "58"


def test_a_whole_number_with_noise_behind_it() -> None:
    parts: list[Samples] = []
    for digit in "0123456789*#":
        parts += [press(digit, 60), quiet(60)]
    assert keys_in(through_a_line(*parts, noise_dbfs=-30.0)) == "0123456789*#"


def test_single_tones_are_no_keys() -> None:
    """Dial tones, ringing tones, a fax's, a modem's."""
    time = np.arange(4000) / 8000
    for hertz in (350, 425, 440, 697, 852, 1100, 1209, 1477, 2100, 2225):
        assert keys_in((12000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)) == ""
    for pair in ((350, 440), (440, 480), (480, 620), (697, 852), (1209, 1477), (697 * 1.035, 1209 * 1.035)):
        wave_ = sum(np.sin(2 * np.pi * hertz * time) for hertz in pair)
        assert keys_in((6000 * np.asarray(wave_)).astype(np.int16)) == ""


def recordings() -> Iterator[Path]:
    yield from sorted((ASTERISK / "sounds" / "en_US_f_Allison").rglob("*.wav"))
    yield from sorted((ASTERISK / "moh").glob("*.wav"))


@pytest.mark.speech
def test_nothing_that_people_say_or_play_is_a_key() -> None:
    """70 minutes: every English prompt of Debian's asterisk-core-sounds-en-wav and its music on hold, as they are and
    9 dB louder, all at once on rows of one table."""
    files = list(recordings())
    assert len(files) > 300, "apt-get install asterisk-core-sounds-en-wav asterisk-moh-opsound-wav"
    sounds = []
    for path in files:
        with wave.open(str(path)) as file:
            assert file.getframerate() == 8000
            sounds.append(np.frombuffer(file.readframes(file.getnframes()), np.int16))
    voices = np.concatenate(sounds)
    rows = 64
    length = len(voices) // rows // 160 * 160
    plain = voices[: rows * length].reshape(rows, length)
    shared = SharedTable(TableShape(8000, 2 * rows))
    heard = Heard(shared)
    keys = InbandKeys(heard)
    for row in range(2 * rows):
        heard.open(row, 0)
        keys.listen(row, True)
    found: list[tuple[int, str, int]] = []
    for start in range(0, length, 160):
        frame = plain[:, start : start + 160]
        louder = np.clip(frame.astype(np.int32) * 3, -32768, 32767).astype(np.int16)
        heard.append(np.arange(2 * rows), decode_alaw(encode_alaw(np.vstack([frame, louder]))))
        found += [(row, digit, start // 8) for row, digit in keys.detect()]
    shared.close()
    assert not found


def test_a_row_whose_peer_sends_tones_reports_them(hand: "Hand") -> None:
    lease, peer = hand.call(inband_keys=True)
    _, elsewhere = hand.call()
    sounds = np.concatenate([quiet(200), tone("7", 8000, 100), quiet(200)])
    for start in range(0, len(sounds), 160):
        peer.say(sounds[start : start + 160])
        elsewhere.say(sounds[start : start + 160])
        hand.tick()
    assert hand.facts == [KeyPressed(lease, "7", inband=True)], "and the other row was not asked for"


def test_whether_tones_are_listened_for_can_change_in_a_call(hand: "Hand") -> None:
    lease, peer = hand.call()

    def send() -> list[str]:
        hand.facts.clear()
        sounds = np.concatenate([quiet(200), tone("7", 8000, 100), quiet(200)])
        for start in range(0, len(sounds), 160):
            peer.say(sounds[start : start + 160])
            hand.tick()
        return [fact.digit for fact in hand.facts if isinstance(fact, KeyPressed)]

    assert send() == []
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address, inband_keys=True)))
    assert send() == ["7"]
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address)))
    assert send() == []


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.G722])
def test_keys_that_are_sent_as_tones_are_found_by_the_other_end(hand: "Hand", codec: Codec) -> None:
    """A peer that takes no telephone events is sent tones, which must be keys for a detector."""
    lease, peer = hand.call(codec, telephone_event=None)
    far, end = hand.call(codec, inband_keys=True)
    hand.order(*(SendTelephoneEvent(lease, digit) for digit in "159#"))
    for _ in range(60):
        hand.tick()
        for packet in peer.received():
            if codec is Codec.G722:
                end.raw(rtp(9, packet.sequence, packet.timestamp, packet.ssrc, packet.payload))
            else:
                end.say(packet.samples)
    hand.tick(3)
    assert [fact.digit for fact in hand.facts if isinstance(fact, KeyPressed) and fact.lease == far] == list("159#")
