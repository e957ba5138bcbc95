"""Keys both ways (RFC 4733): one fact for each press, whatever is lost or doubled."""

import itertools
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from offhook.media.messages import (
    AudioEnded,
    ChangeTerms,
    Codec,
    KeyPressed,
    MediaTerms,
    SendTelephoneEvent,
    TelephoneEventSent,
)
from offhook.media.shared_audio import Samples

if TYPE_CHECKING:
    from tests.media.conftest import Hand, Peer, Rtp

QUIET = np.zeros(160, np.int16)


def keys(hand: "Hand") -> str:
    return "".join(fact.digit for fact in hand.facts if isinstance(fact, KeyPressed))


def settle(hand: "Hand", peer: "Peer", ticks: int = 5) -> None:
    for _ in range(ticks):
        peer.say(QUIET)
        hand.tick()


def press(hand: "Hand", peer: "Peer", digit: int, *, lose: frozenset[int] = frozenset(), ticks: int = 6) -> None:
    """A press of `ticks` packets and three ends; `lose` names the packets that get lost."""
    for n in range(ticks + 3):
        duration = min(n + 1, ticks) * 160
        if n in lose:
            peer.sequence = (peer.sequence + 1) & 0xFFFF
        else:
            peer.event(digit, duration, end=n >= ticks)
        hand.tick()
    peer.timestamp += (ticks + 3) * 160


def test_each_press_is_one_key(hand: "Hand") -> None:
    _, peer = hand.call()
    settle(hand, peer)
    for digit in range(16):
        press(hand, peer, digit)
        settle(hand, peer, 2)
    assert keys(hand) == "0123456789*#ABCD"


@pytest.mark.parametrize("lost", [{0}, {0, 1, 2, 3, 4, 5}, {6, 7, 8}, {5, 6, 7, 8}, {0, 2, 4, 6, 8}])
def test_lost_packets_neither_lose_nor_double_a_press(hand: "Hand", lost: set[int]) -> None:
    _, peer = hand.call()
    settle(hand, peer)
    for digit in (1, 1, 2, 1):
        press(hand, peer, digit, lose=frozenset(lost))
        settle(hand, peer, 4)
    assert keys(hand) == "1121"


def test_a_key_is_told_with_its_first_packet(hand: "Hand") -> None:
    lease, peer = hand.call()
    settle(hand, peer)
    peer.event(5, 160)
    assert hand.tick() == [KeyPressed(lease, "5")]


def test_doubled_and_reordered_packets_of_a_press_are_one_key(hand: "Hand") -> None:
    _, peer = hand.call()
    settle(hand, peer)
    first = peer.timestamp
    press(hand, peer, 3)
    settle(hand, peer, 2)
    peer.event(3, 960, end=True, timestamp=first)
    peer.event(3, 480, timestamp=first)
    hand.tick()
    press(hand, peer, 4)
    assert keys(hand) == "34"


def test_a_peer_that_renews_the_timestamp_in_every_packet_presses_once(hand: "Hand") -> None:
    _, peer = hand.call()
    settle(hand, peer)
    for n in range(6):
        peer.event(7, 160 * (n + 1))
        peer.timestamp += 160
        hand.tick()
    peer.event(7, 1120, end=True)
    hand.tick()
    settle(hand, peer, 5)
    assert keys(hand) == "7"


def test_a_long_press_in_segments_is_one_key(hand: "Hand") -> None:
    _, peer = hand.call()
    settle(hand, peer)
    for _ in range(2):
        for duration in (0x8000, 0xFFFF):
            peer.event(9, duration)
            hand.tick()
        peer.timestamp += 0xFFFF
    peer.event(9, 160, end=True)
    hand.tick()
    assert keys(hand) == "9"


def test_events_that_are_no_keys_and_events_cut_short_are_ignored(hand: "Hand") -> None:
    _, peer = hand.call()
    settle(hand, peer)
    peer.event(16, 160)
    peer.raw(struct.pack(">BBHII", 0x80, 101, peer.sequence, peer.timestamp, peer.ssrc) + b"\1\n")
    hand.tick()
    assert keys(hand) == ""


def test_time_passes_in_what_is_heard_while_a_key_is_pressed(hand: "Hand") -> None:
    lease, peer = hand.call()
    settle(hand, peer, 10)
    press(hand, peer, 1, ticks=12)
    settle(hand, peer, 10)
    assert len(hand.heard(lease)) == 35 * 160


def sent_events(packets: list["Rtp"]) -> list["Rtp"]:
    return [packet for packet in packets if packet.payload_type == 101]


def test_a_sent_key_has_one_timestamp_growing_durations_and_three_ends(hand: "Hand") -> None:
    lease, peer = hand.call()
    hand.tick(3)
    hand.order(SendTelephoneEvent(lease, "#", 120))
    hand.tick(20)
    packets = peer.received()
    events = sent_events(packets)
    read = [struct.unpack(">BBH", event.payload) for event in events]
    assert {digit for digit, _, _ in read} == {11}
    assert [duration for _, _, duration in read] == [160, 320, 480, 640, 800, 960, 960, 960]
    assert [flags >> 7 for _, flags, _ in read] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert len({event.timestamp for event in events}) == 1
    assert [event.marker for event in events] == [True] + [False] * 7
    assert TelephoneEventSent(lease, "#") in hand.facts
    sequence = [packet.sequence for packet in packets]
    assert [(b - a) & 0xFFFF for a, b in itertools.pairwise(sequence)] == [1] * 22
    first, last = packets[0], packets[-1]
    assert (last.timestamp - first.timestamp) & 0xFFFFFFFF == 22 * 160, "audio goes on in real time after the key"


def test_speech_waits_for_a_key_and_goes_on_where_it_stopped(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    hand.tick()
    peer.received()
    hand.play(lease, 1, speech[:8000])
    hand.tick(20)
    hand.order(SendTelephoneEvent(lease, "1"))
    hand.tick(60)
    packets = peer.received()
    audio = np.concatenate([packet.samples for packet in packets if packet.payload_type == 0])
    begin = int(np.flatnonzero(audio)[0])
    assert np.abs(audio[begin : begin + 7000].astype(int) - speech[:7000]).max() < 1200
    assert len(sent_events(packets)) == 8
    assert [fact.samples for fact in hand.facts if isinstance(fact, AudioEnded)] == [8000]


def test_keys_are_sent_one_after_the_other_with_a_pause(hand: "Hand") -> None:
    lease, peer = hand.call()
    for digit in "12":
        hand.order(SendTelephoneEvent(lease, digit))
    hand.tick(30)
    events = sent_events(peer.received())
    assert len({event.timestamp for event in events}) == 2
    assert [f.digit for f in hand.facts if isinstance(f, TelephoneEventSent)] == ["1", "2"]
    first, second = events[7], events[8]
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == (8 + 2) * 160


def test_what_we_send_is_one_key_for_a_receiver_like_us(hand: "Hand") -> None:
    sender, sender_peer = hand.call()
    _, receiver_peer = hand.call()
    hand.order(SendTelephoneEvent(sender, "4"), SendTelephoneEvent(sender, "4"))
    for _ in range(40):
        hand.tick()
        for packet in sender_peer.received():
            header = struct.pack(">BBHII", 0x80, packet.payload_type, packet.sequence, packet.timestamp, packet.ssrc)
            receiver_peer.raw(header + packet.payload)
    assert keys(hand) == "44"


def test_without_telephone_events_the_peer_hears_the_tones(hand: "Hand") -> None:
    lease, peer = hand.call(telephone_event=None)
    hand.tick(2)
    peer.received()
    hand.order(SendTelephoneEvent(lease, "5"))
    hand.tick(12)
    sound = np.concatenate([packet.samples for packet in peer.received()]).astype(float)
    assert TelephoneEventSent(lease, "5") in hand.facts
    spectrum = np.abs(np.fft.rfft(sound, 8000))
    loudest = sorted(np.argsort(spectrum)[-2:].tolist())
    assert abs(loudest[0] - 770) < 12
    assert abs(loudest[1] - 1336) < 12


def test_on_hold_a_key_waits(hand: "Hand") -> None:
    lease, peer = hand.call(sending=False)
    hand.order(SendTelephoneEvent(lease, "5"))
    hand.tick(20)
    assert not peer.received()
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address, 101)))
    hand.tick(12)
    assert TelephoneEventSent(lease, "5") in hand.facts
