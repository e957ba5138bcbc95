"""Whose packets a row hears, and that garbage is never heard."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from offhook.audio.g711 import decode_ulaw, encode_ulaw
from offhook.media.messages import ChangeTerms, Codec, KeyPressed, MediaTerms, PacketsStopped
from offhook.media.shared_audio import Samples

if TYPE_CHECKING:
    from tests.media.conftest import Hand


def frames(samples: Samples) -> list[Samples]:
    return [samples[at : at + 160] for at in range(0, len(samples), 160)]


def through_ulaw(samples: Samples) -> Samples:
    return decode_ulaw(encode_ulaw(samples))


LOUD = np.full(160, 20000, np.int16)


def test_nothing_is_heard_before_three_packets_and_then_these_too(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:320]):
        peer.say(frame)
        hand.tick()
    assert not len(hand.heard(lease))
    peer.say(speech[320:480])
    hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:480]))


def test_thirty_seconds_of_random_bytes_are_never_heard(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    stranger = hand.stranger(peer)
    random = np.random.default_rng(1)
    said = np.concatenate([speech] * 10)
    heard: list[Samples] = []
    for frame in frames(said):
        for thrower in (stranger, peer):
            for _ in range(3):
                thrower.raw(random.bytes(int(random.integers(0, 400))))
        peer.say(frame)
        hand.tick()
        heard.append(hand.heard(lease)[-160:])
    assert hand.counter(lease, "heard") == len(said)
    assert np.array_equal(np.concatenate(heard[2:]), through_ulaw(said)[320:])
    assert not [fact for fact in hand.facts if isinstance(fact, KeyPressed)]


def test_random_bytes_before_the_first_packet_settle_nothing(hand: "Hand") -> None:
    lease, peer = hand.call()
    random = np.random.default_rng(2)
    for _ in range(500):
        for _ in range(5):
            peer.raw(b"\x80\x00" + random.bytes(170))
        hand.tick()
    assert not len(hand.heard(lease))


def test_headers_that_lie_are_not_heard(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:1600]):
        peer.say(frame)
        hand.tick()
    for first in (0x00, 0x40, 0xC0, 0x8F, 0x90, 0xA0, 0xBF):
        lying = bytearray(peer.packet(LOUD[:20]))
        lying[0] = first
        lying[-1] = 0xFF
        peer.raw(bytes(lying))
        peer.raw(bytes(lying[:12]))
        peer.raw(b"")
        hand.tick()
    assert np.array_equal(hand.heard(lease)[:1600], through_ulaw(speech[:1600]))
    assert np.abs(hand.heard(lease)[1760:].astype(int)).max(initial=0) < 20000


def test_extensions_contributing_sources_and_padding_are_taken_out(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:3200]):
        plain = bytearray(peer.packet(frame))
        header, payload = plain[:12], plain[12:]
        header[0] = 0x80 | 0x20 | 0x10 | 2
        extension = b"\xbe\xde\x00\x01\x10\xff\x00\x00"
        peer.raw(bytes(header) + b"\0" * 8 + extension + bytes(payload) + b"\0\0\0\4")
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:3200]))


def test_a_stranger_with_proper_packets_is_not_heard_once_the_peer_is_known(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    stranger = hand.stranger(peer)
    for n, frame in enumerate(frames(speech)):
        peer.say(frame)
        if n > 5:
            stranger.say(LOUD)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech))
    assert not stranger.received()


def test_a_new_ssrc_from_the_known_source_is_heard_after_three_packets_of_it(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for n, frame in enumerate(frames(speech)):
        if n == 50:
            peer.ssrc, peer.sequence, peer.timestamp = 0x9999, 7, 12345
        peer.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech))


@pytest.mark.parametrize("burst", [1, 5])
def test_another_ssrc_from_the_known_source_is_not_heard_while_the_known_one_goes_on(
    hand: "Hand", speech: Samples, burst: int
) -> None:
    lease, peer = hand.call()
    other = 0
    for n, frame in enumerate(frames(speech)):
        peer.say(frame)
        if n > 5:
            known = peer.ssrc, peer.sequence, peer.timestamp
            for _ in range(burst):
                other += 1
                peer.ssrc, peer.sequence, peer.timestamp = 0x9999, other, other * 160
                peer.say(LOUD)
            peer.ssrc, peer.sequence, peer.timestamp = known
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech))


def test_packets_go_to_where_the_peer_really_sends_from(hand: "Hand", speech: Samples) -> None:
    _, peer = hand.call(remote=("127.0.0.1", 9))
    hand.tick(3)
    assert not peer.received()
    for frame in frames(speech[:800]):
        peer.say(frame)
        hand.tick()
    assert peer.received()


def test_a_renegotiated_address_is_learned_anew(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:8000]):
        peer.say(frame)
        hand.tick()
    moved = hand.stranger(peer)
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, moved.address, 101)))
    hand.tick()
    peer.received()
    for frame in frames(speech[8000:16000]):
        moved.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:16000]))
    assert moved.received()
    assert not peer.received()


@pytest.mark.parametrize("first", ["the one before", "the new one"])
def test_who_was_replaced_is_not_heard_again_though_he_still_sends(hand: "Hand", speech: Samples, first: str) -> None:
    """Another telephone has taken the leg's place; the one before hangs up later, and a hold does not bring it back."""
    lease, peer = hand.call()
    for frame in frames(speech[:8000]):
        peer.say(frame)
        hand.tick()
    new = hand.stranger(peer)
    terms = MediaTerms(Codec.PCMU, 0, new.address, 101)
    hand.order(ChangeTerms(lease, terms, new_peer=True))
    hand.order(ChangeTerms(lease, replace(terms, remote=("127.0.0.1", 9))))
    hand.tick()
    peer.received()
    for frame in frames(speech[8000:16000]):
        for each in (peer, new) if first == "the one before" else (new, peer):
            each.say(frame if each is new else LOUD)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:16000]))
    assert new.received()
    assert not peer.received()


def test_silence_of_the_peer_is_reported_every_5_s_and_another_source_may_speak(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:8000]):
        peer.say(frame)
        hand.tick()
    hand.tick(600)
    assert hand.facts == [PacketsStopped(lease, 5000), PacketsStopped(lease, 10000)]
    moved = hand.stranger(peer)
    for frame in frames(speech[8000:16000]):
        moved.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease)[-8000:], through_ulaw(speech[8000:16000]))
    hand.tick(300)
    assert hand.facts[2:] == [PacketsStopped(lease, 5000)], "each silence for itself"


def test_a_peer_that_comes_back_is_again_the_only_one(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:800]):
        peer.say(frame)
        hand.tick()
    hand.tick(300)
    before = hand.counter(lease, "heard")
    stranger = hand.stranger(peer)
    for n, frame in enumerate(frames(speech[:8000])):
        peer.say(frame)
        if n > 3:
            stranger.say(LOUD)
        hand.tick()
    assert np.array_equal(hand.heard(lease, since=before), through_ulaw(speech[:8000]))


def test_a_peer_whose_port_is_closed_for_a_while_does_not_disturb_the_others(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    other, other_peer = hand.call()
    for frame in frames(speech[:1600]):
        peer.say(frame)
        other_peer.say(frame)
        hand.tick()
    peer.sock.close()
    for frame in frames(speech[1600:8000]):
        other_peer.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(other), through_ulaw(speech[:8000]))
    assert len(other_peer.received()) == 50
    assert len(hand.heard(lease)) > 1600


def test_a_peer_that_never_sends_is_reported_and_one_on_hold_is_not(hand: "Hand") -> None:
    silent, _ = hand.call()
    hand.call(receiving=False)
    hand.tick(400)
    assert hand.facts == [PacketsStopped(silent, 5000)]
