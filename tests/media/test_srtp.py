"""Encrypted rows (RFC 3711): authentic packets are heard, all others are not there; keys change; a media process that
is started again goes on with the same keys and never uses an index twice."""

import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pylibsrtp import Error, Session

from offhook.audio.g711 import decode_ulaw
from offhook.media.messages import SRTP_KEY_BYTES, ChangeTerms, Codec, MediaTerms, SendTelephoneEvent, SrtpKeys
from offhook.media.shared_audio import Samples
from offhook.media.srtp import NotProtected, ReceivingStream, SendingStream, session

if TYPE_CHECKING:
    from tests.media.conftest import Hand, Peer

SUITE = "AES_CM_128_HMAC_SHA1_80"


def rtp(payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    return struct.pack(">BBHII", 0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def keys(suite: str = SUITE) -> SrtpKeys:
    return SrtpKeys(suite, os.urandom(SRTP_KEY_BYTES[suite]), os.urandom(SRTP_KEY_BYTES[suite]))


def mirrored(ours: SrtpKeys) -> SrtpKeys:
    return SrtpKeys(ours.suite, ours.receiving, ours.sending)


def packet(index: int, ssrc: int = 7, payload: bytes = b"payload") -> bytes:
    return rtp(0, index, index * 160, ssrc, payload)


class SecurePeer:
    """The other end of an encrypted row, by the library itself."""

    def __init__(self, peer: "Peer", ours: SrtpKeys) -> None:
        self.peer = peer
        self.use(ours)

    def use(self, ours: SrtpKeys) -> None:
        """The row's keys, as agreed on."""
        self._sending = session(ours.suite, ours.receiving, sending=True)
        self._receiving = session(ours.suite, ours.sending, sending=False)

    def say(self, samples: Samples) -> bytes:
        """Send the next packet; returns it as it went over the wire."""
        datagram = self._sending.protect(self.peer.packet(samples))
        self.peer.raw(datagram)
        return datagram

    def received(self) -> list[bytes]:
        """All that came, decrypted. Raises pylibsrtp.Error for what is not authentic or came twice."""
        packets = []
        while True:
            try:
                packets.append(self._receiving.unprotect(self.peer.sock.recv(4096)))
            except BlockingIOError:
                return packets


def secure_call(hand: "Hand", suite: str = SUITE, codec: Codec = Codec.PCMU) -> tuple[int, SecurePeer, SrtpKeys]:
    ours = keys(suite)
    lease, peer = hand.call(codec, srtp=ours)
    return lease, SecurePeer(peer, ours), ours


def terms_of(peer: "Peer", ours: SrtpKeys | None) -> MediaTerms:
    return MediaTerms(Codec.PCMU, 0, peer.address, 101, srtp=ours)


class TestTheLibrary:
    def test_the_packet_of_libsrtps_own_reference(self) -> None:
        """The master key and salt are those of RFC 3711 B.3."""
        key = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6")
        plain = bytes.fromhex("800f1234decafbadcafebabe" + "ab" * 16)
        encrypted = bytes.fromhex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
        assert SendingStream(SrtpKeys(SUITE, key, key), 0xCAFEBABE).protect(plain) == encrypted
        assert ReceivingStream(SrtpKeys(SUITE, key, key)).unprotect(encrypted) == plain

    @pytest.mark.parametrize(
        ("suite", "overhead"),
        [
            ("AES_CM_128_HMAC_SHA1_80", 10),
            ("AES_CM_128_HMAC_SHA1_32", 4),
            ("AEAD_AES_128_GCM", 16),
            ("AEAD_AES_256_GCM", 16),
        ],
    )
    def test_every_suite(self, suite: str, overhead: int) -> None:
        ours = keys(suite)
        encrypted = SendingStream(ours, 7).protect(packet(1))
        assert len(encrypted) == len(packet(1)) + overhead
        assert ReceivingStream(mirrored(ours)).unprotect(encrypted) == packet(1)


class TestIndexes:
    @pytest.mark.parametrize("index", [0, 1, 32766, 32767, 32768, 65535, 65536, 65537, 98304, 200_000, 1_000_000])
    def test_a_stream_goes_on_after_any_index(self, index: int) -> None:
        ours = keys()
        first = SendingStream(ours, 7)
        for number in range(index % 20_000, index, 20_000):
            first.protect(packet(number))
        second = SendingStream(ours, 7, index)
        assert second.protect(packet(index + 1)) == first.protect(packet(index + 1))

    def test_an_index_is_never_used_twice(self) -> None:
        stream = SendingStream(keys(), 7, 70_000)
        with pytest.raises(NotProtected):
            stream.protect(packet(70_000))

    @pytest.mark.parametrize("index", [5, 32768, 65535, 65536, 300_000])
    def test_receiving_goes_on_and_still_takes_nothing_twice(self, index: int) -> None:
        ours = keys()
        theirs = SendingStream(mirrored(ours), 7, index)
        stream = ReceivingStream(ours, 7, index)
        encrypted = theirs.protect(packet(index + 1))
        assert stream.unprotect(encrypted) == packet(index + 1)
        assert stream.unprotect(encrypted) is None
        assert (stream.ssrc, stream.index) == (7, index + 1)

    def test_the_index_is_counted_as_the_library_does(self) -> None:
        ours = keys()
        theirs, stream = SendingStream(mirrored(ours), 7), ReceivingStream(ours)
        for index in [*range(65_500, 65_600), 65_590 + 10, *range(65_601, 131_200, 13)]:
            stream.unprotect(theirs.protect(packet(index)))
        assert stream.index == 65_601 + (131_199 - 65_601) // 13 * 13


class TestRows:
    @pytest.mark.parametrize("suite", list(SRTP_KEY_BYTES))
    def test_what_is_said_is_heard_both_ways(self, hand: "Hand", speech: Samples, suite: str) -> None:
        lease, peer, _ = secure_call(hand, suite)
        hand.play(lease, 1, speech[:1600])
        for start in range(0, 3200, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
        assert len(hand.heard(lease)) == 3200
        got = decode_ulaw(np.frombuffer(b"".join(each[12:] for each in peer.received()), np.uint8))
        assert np.corrcoef(got[:1600], speech[:1600])[0, 1] > 0.95

    def test_wideband_too(self, hand: "Hand", speech: Samples) -> None:
        lease, peer, _ = secure_call(hand, codec=Codec.G722)
        for start in range(0, 3200, 320):
            peer.say(speech[start : start + 320])
            hand.tick()
        assert len(hand.heard(lease)) == 3200
        assert {each[1] & 0x7F for each in peer.received()} == {9}

    def test_keys_that_are_pressed_are_encrypted(self, hand: "Hand") -> None:
        lease, peer, _ = secure_call(hand)
        hand.order(SendTelephoneEvent(lease, "5"))
        hand.tick(15)
        packets = peer.received()
        assert 101 in {each[1] & 0x7F for each in packets}
        numbers = [int.from_bytes(each[2:4], "big") for each in packets]
        assert numbers == [(numbers[0] + n) & 0xFFFF for n in range(len(numbers))]

    def test_what_is_not_authentic_is_not_there(self, hand: "Hand", speech: Samples) -> None:
        lease, peer, _ = secure_call(hand)
        stranger = hand.stranger(peer.peer)
        for start in range(0, 1600, 160):
            stranger.say(speech[start : start + 160])
            peer.peer.raw(rtp(0, 10 + start // 160, start, 9, bytes(160)))
            peer.peer.raw(b"\x80\x00 noise")
            hand.tick()
        assert len(hand.heard(lease)) == 0
        assert hand.counter(lease, "unauthentic") == 30
        datagram = peer.say(speech[:160])
        for start in range(160, 1600, 160):
            peer.peer.raw(datagram)
            datagram = peer.say(speech[start : start + 160])
            hand.tick()
        assert len(hand.heard(lease)) == 1600
        assert hand.counter(lease, "unauthentic") == 39

    def test_another_ssrc_under_the_same_key_is_taken_over(self, hand: "Hand", speech: Samples) -> None:
        lease, peer, _ = secure_call(hand)
        for ssrc in (1, 2):
            peer.peer.ssrc = ssrc
            for start in range(0, 1600, 160):
                peer.say(speech[start : start + 160])
                hand.tick()
        assert len(hand.heard(lease)) == 3200

    def test_other_rows_stay_plain(self, hand: "Hand", speech: Samples) -> None:
        secure_call(hand)
        lease, peer = hand.call()
        for start in range(0, 1600, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
        assert len(hand.heard(lease)) == 1600
        assert all(len(each.payload) == 160 for each in peer.received())


class TestNewKeys:
    def test_they_hold_from_the_next_packet_on_and_old_ones_are_heard_until_then(
        self, hand: "Hand", speech: Samples
    ) -> None:
        lease, peer, _ = secure_call(hand)
        for start in range(0, 1600, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
        assert len(peer.received()) == 10
        after = keys()
        hand.order(ChangeTerms(lease, terms_of(peer.peer, after)))
        for start in range(1600, 3200, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
        assert len(hand.heard(lease)) == 3200
        with pytest.raises(Error):
            peer.received()
        peer.use(after)
        peer.peer.received()
        for start in range(3200, 4800, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
        assert len(hand.heard(lease)) == 4800
        assert len(peer.received()) == 10

    def test_the_same_keys_again_change_nothing(self, hand: "Hand", speech: Samples) -> None:
        lease, peer, ours = secure_call(hand)
        for start in range(0, 1600, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
            hand.order(ChangeTerms(lease, replace(terms_of(peer.peer, ours), sending=start % 320 == 0)))
        hand.order(ChangeTerms(lease, terms_of(peer.peer, ours)))
        hand.tick()
        assert len(hand.heard(lease)) == 1600
        assert peer.received()

    def test_a_call_may_become_plain(self, hand: "Hand", speech: Samples) -> None:
        lease, peer, _ = secure_call(hand)
        hand.order(ChangeTerms(lease, terms_of(peer.peer, None)))
        for start in range(0, 1600, 160):
            peer.peer.say(speech[start : start + 160])
            hand.tick()
        assert len(hand.heard(lease)) == 1600


class TestTheProcessStartedAgain:
    def test_both_ways_go_on_beyond_a_rollover_and_no_index_comes_twice(self, hand: "Hand", speech: Samples) -> None:
        lease, peer, _ = secure_call(hand)  # the row begins at 65534, the peer at 65530
        for round_ in range(3):
            for start in range(0, 1600, 160):
                peer.say(speech[start : start + 160])
                hand.tick()
            assert len(hand.heard(lease)) == 1600 * (round_ + 1)
            peer.received()  # would raise for an index that was used before, and for a rollover that was forgotten
            hand.start_worker_again()

    def test_keys_that_changed_while_it_was_dead_begin_anew(self, hand: "Hand", speech: Samples) -> None:
        lease, peer, _ = secure_call(hand)
        for start in range(0, 1600, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
        after = keys()
        peer.received()
        hand.start_worker_again(srtp=after)
        peer.use(after)
        for start in range(1600, 3200, 160):
            peer.say(speech[start : start + 160])
            hand.tick()
        assert len(hand.heard(lease)) == 3200
        assert len(peer.received()) == 10


def test_a_library_session_tells_what_is_wrong() -> None:
    made: Session = session(SUITE, bytes(30), sending=True)
    with pytest.raises(Error):
        made.protect(b"short")
