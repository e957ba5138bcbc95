"""Onsets and pauses: when they are told, and where they say that the words begin and end."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from offhook.media.heard import Heard
from offhook.media.messages import ChangeTerms, Codec, MediaTerms, RearmVoice, VoiceOnset, VoicePause
from offhook.media.shared_audio import SharedTable, TableShape
from offhook.media.voice_activity import VoiceActivity
from offhook.media.voice_detector import VoiceDetector

if TYPE_CHECKING:
    from tests.media.conftest import Floats, Hand, Peer, Rows

CHUNK = 256


def talk(hand: "Hand", peer: "Peer", pattern: str) -> None:
    """One frame a letter: `x` is voice, `.` is not."""
    size = peer.codec.rate // 50
    for letter in pattern:
        peer.say(np.full(size, 12000 if letter == "x" else 0, np.int16))
        hand.tick()


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.L16])
def test_an_onset_says_where_the_words_begin(hand: "Hand", codec: Codec) -> None:
    lease, peer = hand.call(codec)
    size = codec.rate // 50
    talk(hand, peer, "." * 30 + "x" * 10)
    (onset,) = hand.facts
    assert isinstance(onset, VoiceOnset)
    assert onset.lease == lease
    begin = 30 * size
    assert begin - CHUNK * codec.rate // 8000 < onset.heard <= begin + size


def test_an_onset_comes_within_three_chunks(hand: "Hand") -> None:
    _, peer = hand.call()
    talk(hand, peer, "." * 30)
    talk(hand, peer, "x" * 5)
    assert [type(fact) for fact in hand.facts] == [VoiceOnset]


def test_a_single_positive_chunk_is_no_onset(hand: "Hand") -> None:
    _, peer = hand.call()
    talk(hand, peer, "." * 30 + "x" + "." * 30)
    assert hand.facts == []


def test_a_pause_says_when_the_last_voice_was(hand: "Hand") -> None:
    lease, peer = hand.call()
    talk(hand, peer, "." * 30 + "x" * 20)
    last = hand.now
    talk(hand, peer, "." * 10)
    onset, pause = hand.facts
    assert isinstance(onset, VoiceOnset)
    assert isinstance(pause, VoicePause)
    assert pause.lease == lease
    assert last - 1 <= pause.last_voice_tick <= last + 2


def test_short_gaps_between_words_are_no_pause(hand: "Hand") -> None:
    _, peer = hand.call()
    talk(hand, peer, "." * 30 + ("x" * 10 + "..") * 5)
    assert [type(fact) for fact in hand.facts] == [VoiceOnset]


def test_within_a_pause_one_chunk_is_voice_again(hand: "Hand") -> None:
    _, peer = hand.call()
    talk(hand, peer, "." * 30 + "x" * 10 + "." * 12 + "xx" + "." * 12)
    assert [type(fact) for fact in hand.facts] == [VoiceOnset, VoicePause, VoiceOnset, VoicePause]


def test_when_the_turn_is_over_the_full_evidence_is_needed_again(hand: "Hand") -> None:
    lease, peer = hand.call()
    talk(hand, peer, "." * 30 + "x" * 10 + "." * 12)
    hand.order(RearmVoice(lease))
    talk(hand, peer, "x" + "." * 12)
    assert [type(fact) for fact in hand.facts] == [VoiceOnset, VoicePause]
    talk(hand, peer, "x" * 6)
    assert [type(fact) for fact in hand.facts] == [VoiceOnset, VoicePause, VoiceOnset]


def test_two_seconds_of_pause_end_the_turn_for_the_detector(hand: "Hand") -> None:
    _, peer = hand.call()
    talk(hand, peer, "." * 30 + "x" * 10 + "." * 115 + "x" + "." * 12)
    assert [type(fact) for fact in hand.facts] == [VoiceOnset, VoicePause]


def test_a_peer_that_stops_sending_while_speaking_has_paused(hand: "Hand") -> None:
    _, peer = hand.call()
    talk(hand, peer, "." * 30 + "x" * 10)
    hand.tick(20)
    assert [type(fact) for fact in hand.facts] == [VoiceOnset, VoicePause]


def test_hold_while_speaking_is_a_pause(hand: "Hand") -> None:
    lease, peer = hand.call()
    talk(hand, peer, "." * 30 + "x" * 10)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address, 101, receiving=False)))
    assert [type(fact) for fact in hand.tick()] == [VoicePause]


class CountingDetector:
    """Counts the chunks of each call; hears nothing."""

    def __init__(self) -> None:
        self.work: list[int] = []
        self.last: Floats = np.empty((0, CHUNK), np.float32)

    def probabilities(self, chunks: "Floats", rows: "Rows") -> "Floats":
        self.work.append(len(rows))
        self.last = chunks.copy()
        return np.zeros(len(rows), np.float32)

    def reset(self, rows: "Rows") -> None:
        pass


def test_the_work_is_about_the_same_in_every_tick() -> None:
    shared = SharedTable(TableShape(8000, 200))
    heard, detector = Heard(shared), CountingDetector()
    voice = VoiceActivity((heard,), detector)
    rows = np.arange(200)
    for row in rows:
        voice.open(0, int(row), int(row))
    for tick in range(100):
        heard.append(rows, np.full((len(rows), 160), 200, np.int16))
        voice.detect(tick)
    assert max(detector.work[8:]) <= 0.7 * 200
    assert sum(detector.work) == pytest.approx(200 * 100 * 160 / CHUNK, rel=0.02)
    shared.close()


def test_a_row_that_was_behind_catches_up_without_more_than_its_share_a_tick() -> None:
    shared = SharedTable(TableShape(8000, 50))
    heard, detector = Heard(shared), CountingDetector()
    voice = VoiceActivity((heard,), detector)
    rows = np.arange(50)
    for row in rows:
        voice.open(0, int(row), int(row))
    for _ in range(20):
        heard.append(rows, np.full((len(rows), 160), 200, np.int16))
    for tick in range(300):
        heard.append(rows, np.full((len(rows), 160), 200, np.int16))
        before = sum(detector.work)
        voice.detect(tick)
        assert sum(detector.work) - before <= 35
    assert sum(detector.work) == pytest.approx(50 * 320 * 160 / CHUNK, rel=0.02)
    shared.close()


def test_the_detector_is_not_asked_about_silence_that_lasts_but_at_once_when_it_ends() -> None:
    shared = SharedTable(TableShape(8000, 1))
    heard, detector = Heard(shared), CountingDetector()
    voice = VoiceActivity((heard,), detector)
    voice.open(0, 0, 1)
    rows = np.array([0])
    for tick in range(100):
        heard.append_silence(rows, 160)
        voice.detect(tick)
    assert sum(detector.work) == 8
    heard.append(rows, np.full((1, 320), 60, np.int16))
    voice.detect(100)
    assert sum(detector.work) == 9
    shared.close()


@pytest.mark.parametrize(("hz", "expected"), [(300, 1.0), (3000, 1.0), (5000, 0.0), (7000, 0.0)])
def test_wideband_rows_are_decimated_through_a_proper_filter(hz: int, expected: float) -> None:
    shared = SharedTable(TableShape(16000, 1))
    heard, detector = Heard(shared), CountingDetector()
    voice = VoiceActivity((heard,), detector)
    voice.open(0, 0, 1)
    tone = (16000 * np.sin(np.arange(6400) * 2 * np.pi * hz / 16000)).astype(np.int16)
    for tick in range(20):
        heard.append(np.array([0]), tone[None, tick * 320 : tick * 320 + 320])
        voice.detect(tick)
    level = float(np.sqrt((detector.last**2).mean())) / (16000 / 32768 / np.sqrt(2))
    assert level == pytest.approx(expected, abs=0.03)
    shared.close()


def test_a_chunk_at_8_khz_is_the_same_for_both_rates() -> None:
    """The detector hears one voice, whichever table its row lies in."""
    chunks = []
    for rate in (8000, 16000):
        shared = SharedTable(TableShape(rate, 1))
        heard, detector = Heard(shared), CountingDetector()
        voice = VoiceActivity((heard,), detector)
        voice.open(0, 0, 1)
        tone = (16000 * np.sin(np.arange(rate) * 2 * np.pi * 250 / rate)).astype(np.int16)
        for tick in range(16):
            heard.append(np.array([0]), tone[None, tick * rate // 50 : (tick + 1) * rate // 50])
            voice.detect(tick)
        chunks.append(detector.last[0])
        shared.close()
    spectra = [np.abs(np.fft.rfft(chunk)) for chunk in chunks]
    assert np.abs(spectra[0] - spectra[1]).max() < 0.02 * spectra[0].max()


def test_the_real_detector_stays_silent_on_silence_and_noise() -> None:
    shared = SharedTable(TableShape(8000, 4))
    heard = Heard(shared)
    voice = VoiceActivity((heard,), VoiceDetector(4))
    rows = np.arange(4)
    for row in rows:
        voice.open(0, int(row), int(row))
    noise = np.random.default_rng(5).normal(0, 300, (4, 160 * 100)).astype(np.int16)
    noise[0] = 0
    facts = []
    for tick in range(100):
        heard.append(rows, noise[:, tick * 160 : (tick + 1) * 160])
        facts += voice.detect(tick)
    assert facts == []
    shared.close()
