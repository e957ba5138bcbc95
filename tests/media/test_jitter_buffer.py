"""What a row hears of packets that are late, lost, doubled, out of order, of odd lengths, or no packets at all."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.audio.g711 import decode_ulaw, encode_ulaw
from offhook.media.heard import Heard
from offhook.media.jitter_buffer import JitterBuffer
from offhook.media.messages import ChangeTerms, Codec, MediaTerms
from offhook.media.rtp import Kind
from offhook.media.shared_audio import Samples, SharedTable, TableShape

if TYPE_CHECKING:
    from tests.media.conftest import Hand


def through_ulaw(samples: Samples) -> Samples:
    return decode_ulaw(encode_ulaw(samples))


def frames(samples: Samples, size: int = 160) -> list[Samples]:
    return [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]


def test_what_the_peer_sends_is_heard_in_full_over_the_wrap_of_sequence_and_timestamp(
    hand: "Hand", speech: Samples
) -> None:
    lease, peer = hand.call()
    for frame in frames(speech):
        peer.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech))


def test_wideband_samples_pass_a_socket_pair_unchanged(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call(Codec.L16, pair=True)
    for frame in frames(speech, 320):
        peer.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease), speech)


@pytest.mark.parametrize("ms", [10, 20, 30, 40, 60])
def test_frames_of_any_usual_length_are_heard(hand: "Hand", speech: Samples, ms: int) -> None:
    lease, peer = hand.call()
    sent = 0
    for tick in range(100):
        while sent + ms <= tick * 20:
            peer.say(speech[sent * 8 : (sent + ms) * 8])
            sent += ms
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[: sent * 8]))


def test_both_laws_are_heard_whatever_was_negotiated(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call(Codec.PCMU)
    for n, frame in enumerate(frames(speech[:3200])):
        peer.raw(peer.packet(frame, codec=Codec.PCMA if n % 3 == 0 else Codec.PCMU))
        hand.tick()
    heard = hand.heard(lease).astype(int)
    assert len(heard) == 3200
    assert np.abs(heard - speech[:3200]).max() < 600


def test_packets_that_swap_places_are_heard_in_order(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    packets = [peer.packet(frame) for frame in frames(speech)]
    for k in range(10, len(packets) - 1, 5):
        packets[k], packets[k + 1] = packets[k + 1], packets[k]
    for packet in packets:
        peer.raw(packet)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech))


def test_doubled_packets_are_heard_once(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech):
        packet = peer.packet(frame)
        peer.raw(packet)
        peer.raw(packet)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech))


def test_a_lost_packet_is_concealed_and_what_follows_stays_in_its_place(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for n, frame in enumerate(frames(speech)):
        packet = peer.packet(frame)
        if n != 50:
            peer.raw(packet)
        hand.tick()
    heard, sent = hand.heard(lease), through_ulaw(speech)
    assert np.array_equal(heard[: 50 * 160], sent[: 50 * 160])
    assert np.array_equal(heard[51 * 160 :], sent[51 * 160 :])
    concealed = heard[50 * 160 : 51 * 160]
    assert concealed[0] == heard[50 * 160 - 1], "what conceals joins without a step"
    assert 0.3 < np.abs(concealed).mean() / np.abs(sent[49 * 160 : 50 * 160]).mean() < 1


def test_a_packet_that_comes_after_it_was_concealed_is_dropped(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    late = b""
    for n, frame in enumerate(frames(speech)):
        packet = peer.packet(frame)
        if n == 50:
            late = packet
        else:
            peer.raw(packet)
        if n == 60:
            peer.raw(late)
        hand.tick()
    heard, sent = hand.heard(lease), through_ulaw(speech)
    assert len(heard) == len(sent)
    assert np.array_equal(heard[51 * 160 :], sent[51 * 160 :])


def test_a_burst_after_a_stall_of_the_network_is_heard_in_full(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    packets = [peer.packet(frame) for frame in frames(speech)]
    for packet in packets[:50]:
        peer.raw(packet)
        hand.tick()
    hand.tick(4)
    for packet in packets[50:55]:
        peer.raw(packet)
    for packet in packets[55:]:
        peer.raw(packet)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech))


def test_a_second_of_packets_that_waited_in_the_socket_is_heard_in_full(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:8000]):
        peer.say(frame)
        hand.tick()
    for frame in frames(speech[8000:16000]):
        peer.say(frame)
    hand.tick(2, missed=50)
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:16000]))


def test_silence_is_heard_when_nothing_comes_and_speech_when_it_comes_again(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:8000]):
        peer.say(frame)
        hand.tick()
    hand.tick(50)
    assert len(hand.heard(lease)) == 8000 + 45 * 160
    peer.timestamp += 50 * 160
    for frame in frames(speech[8000:16000]):
        peer.say(frame)
        hand.tick()
    heard = hand.heard(lease)
    assert len(heard) == 16000 + 50 * 160, "the time in between counts in full"
    assert not heard[8000 + 480 : 8000 + 45 * 160].any()
    assert np.array_equal(heard[-8000:], through_ulaw(speech[8000:16000]))


def test_a_jump_of_the_timestamp_is_not_filled_with_minutes_of_silence(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for n, frame in enumerate(frames(speech[:16000])):
        if n == 50:
            peer.timestamp += 1_000_000
        peer.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:16000]))


def test_a_jump_of_the_sequence_is_a_new_beginning(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for n, frame in enumerate(frames(speech[:16000])):
        if n == 50:
            peer.sequence = (peer.sequence + 20000) & 0xFFFF
        peer.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:16000]))


def test_on_hold_nothing_is_heard(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for frame in frames(speech[:8000]):
        peer.say(frame)
        hand.tick()
    held = MediaTerms(Codec.PCMU, 0, peer.address, 101, sending=True, receiving=False)
    hand.order(ChangeTerms(lease, held))
    for frame in frames(speech[8000:16000]):
        peer.say(frame)
        hand.tick()
    assert len(hand.heard(lease)) == 8000
    hand.order(ChangeTerms(lease, MediaTerms(Codec.PCMU, 0, peer.address, 101)))
    for frame in frames(speech[16000:]):
        peer.say(frame)
        hand.tick()
    assert np.array_equal(hand.heard(lease)[-8000:], through_ulaw(speech[16000:]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fates=st.lists(
        st.tuples(st.sampled_from(["arrives", "arrives", "arrives", "lost", "doubled"]), st.integers(0, 2)),
        min_size=20,
        max_size=60,
    )
)
def test_whatever_the_network_does_each_frame_is_heard_at_its_place_or_not_at_all(
    fates: list[tuple[str, int]],
) -> None:
    shared = SharedTable(TableShape(8000, 2))
    heard = Heard(shared)
    buffer = JitterBuffer(heard, shared.counters)
    row = np.array([1])
    buffer.restart(1, 100, 5000)
    arrivals: dict[int, list[int]] = {}
    fates = [("arrives", 0), *fates, *([("arrives", 0)] * 8)]
    for n, (fate, delay) in enumerate(fates):
        if fate != "lost":
            arrivals.setdefault(n + delay, []).append(n)
        if fate == "doubled":
            arrivals.setdefault(n + delay + 1, []).append(n)
    for tick in range(len(fates) + 2):
        came = np.array(arrivals.get(tick, []), np.int64)
        if len(came):
            kinds, lengths = np.full(len(came), Kind.PCMU, np.uint8), np.full(len(came), 160)
            codes = np.tile((came % 100 + 1).astype(np.uint8)[:, None], 160)
            buffer.take(row.repeat(len(came)), kinds, came + 100, came * 160 + 5000, lengths, codes)
        buffer.wait(row)
    heard_frames = shared.heard[1, : heard.count[1]].reshape(-1, 160)
    assert len(heard_frames) == len(fates)
    for n, (frame, (fate, _)) in enumerate(zip(heard_frames, fates, strict=True)):
        right = np.all(frame == decode_ulaw(np.array([n % 100 + 1], np.uint8))[0])
        assert right or fate == "lost", f"frame {n} that {fate} was not heard in its place"
    shared.close()


def test_more_packets_of_a_row_at_once_than_a_tick_has_are_heard_in_full(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    other, calm = hand.call()
    for frame in frames(speech[:800]):
        peer.say(frame)
        calm.say(frame)
        hand.tick()
    for frame in frames(speech[800:8000]):
        peer.say(frame)
    calm.say(speech[800:960])
    hand.tick()
    assert np.array_equal(hand.heard(lease), through_ulaw(speech[:8000]))
    assert np.array_equal(hand.heard(other), through_ulaw(speech[:960]))


def test_a_packet_of_another_law_or_an_event_in_between_takes_its_place(hand: "Hand", speech: Samples) -> None:
    lease, peer = hand.call()
    for n, frame in enumerate(frames(speech[:3200])):
        peer.raw(peer.packet(frame, codec=Codec.PCMA if n % 3 else Codec.PCMU))
        if n == 10:
            peer.event(5, 160, end=True)
        hand.tick()
    assert len(hand.heard(lease)) == 3200
    assert hand.counter(lease, "given_up") == 0
