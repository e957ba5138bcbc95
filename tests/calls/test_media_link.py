"""The way to the media process: by hand, and with a real process that is killed."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.audio.g711 import decode_ulaw, encode_ulaw
from offhook.calls.media_link import InProcessMediaLink, MediaLink, ProcessMediaLink, share
from offhook.calls.media_rows import MediaRows
from offhook.calls.rtp_ports import RtpPorts
from offhook.errors import OffhookError
from offhook.media.messages import (
    AudioEnd,
    AudioEnded,
    AudioStarted,
    Codec,
    Command,
    MediaTerms,
    OpenRow,
    PacketsStopped,
    PlayFrom,
    QueueAudio,
    Report,
    RowFact,
    TelephoneEventSent,
    VoiceOnset,
    VoicePause,
)
from offhook.media.worker import SharedAudio

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Span:
    first: int
    last: int


class Peer:
    """A UDP socket that hears a row and speaks to it."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.terms = MediaTerms(Codec.PCMU, 0, self.sock.getsockname(), 101)
        self.number = 0

    def say(self, port: int, level: int) -> None:
        payload = encode_ulaw(np.full(160, level, np.int16)).tobytes()
        header = struct.pack(">BBHII", 0x80, 0, self.number, self.number * 160, 5)
        self.number += 1
        self.sock.sendto(header + payload, ("127.0.0.1", port))

    def received(self) -> list[tuple[int, int, int, Samples]]:
        """(sequence, timestamp, ssrc, samples) of each packet."""
        packets: list[tuple[int, int, int, Samples]] = []
        while True:
            try:
                data = self.sock.recv(2048)
            except BlockingIOError:
                return packets
            _, kind, sequence, timestamp, ssrc = struct.unpack(">BBHII", data[:12])
            if kind & 0x7F == 0:
                packets.append((sequence, timestamp, ssrc, decode_ulaw(np.frombuffer(data[12:], np.uint8))))


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.sock.close()


class Loudness:
    """Takes for voice whatever is loud."""

    def probabilities(self, chunks: npt.NDArray[np.float32], rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        return np.where(np.abs(chunks).mean(axis=1) > 0.1, np.float32(1), np.float32(0))

    def reset(self, rows: npt.NDArray[np.intp]) -> None:
        pass


@pytest.fixture
async def hand() -> AsyncIterator[InProcessMediaLink]:
    """A link whose clock is driven by the test."""
    link = InProcessMediaLink(ports=Span(23000, 23099), max_calls=4, detector=Loudness())
    await link.start()
    yield link
    await link.end()


@contextmanager
def other_peer() -> Iterator[Peer]:
    made = Peer()
    with made.sock:
        yield made


async def say(link: InProcessMediaLink, peer: Peer, port: int, times: int) -> None:
    for _ in range(times):
        peer.say(port, 8000)
        await link.tick()


async def ticks(link: InProcessMediaLink, times: int) -> list[RowFact]:
    facts: list[RowFact] = []
    for _ in range(times):
        facts += (await link.tick()).facts
    return facts


def noise(samples: int, seed: int = 1) -> Samples:
    return np.random.default_rng(seed).integers(2000, 20000, samples).astype(np.int16)


def test_both_links_are_media_links() -> None:
    kinds: list[type[MediaLink]] = [InProcessMediaLink, ProcessMediaLink]
    assert len(kinds) == 2


async def test_a_row_has_an_even_port_of_the_range_and_closing_frees_it(hand: InProcessMediaLink, peer: Peer) -> None:
    row = hand.open(peer.terms)
    assert (row.host, row.rate) == ("127.0.0.1", 8000)
    assert row.port % 2 == 0
    assert 23000 <= row.port <= 23099
    assert hand.rows_open == 1
    hand.close(row.lease)
    hand.close(row.lease)
    assert hand.rows_open == 0
    await ticks(hand, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", row.port))


async def test_a_leg_may_bring_its_own_socket(hand: InProcessMediaLink) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs:
        row = hand.open(MediaTerms(Codec.L16, 97), ours)
        assert (row.host, row.port, row.rate) == ("", 0, 16000)
        hand.play(row.lease, 1, noise(320), True)
        await ticks(hand, 3)
        theirs.setblocking(False)
        packets = [theirs.recv(2048) for _ in range(3)]
        assert np.array_equal(np.frombuffer(packets[0][12:], ">i2"), noise(320))
        hand.close(row.lease)
        await ticks(hand, 1)
        assert ours.fileno() == -1


async def test_when_all_rows_are_in_use_the_next_call_is_refused(peer: Peer) -> None:
    link = InProcessMediaLink(ports=Span(23100, 23199), max_calls=2, detector=Loudness())
    leases: list[int] = []

    def fill() -> None:
        while True:
            leases.append(link.open(peer.terms).lease)

    with pytest.raises(OffhookError) as refused:
        fill()
    assert refused.value.code == "media_full"
    assert refused.value.retryable
    assert len(leases) >= 2
    for lease in leases:
        link.close(lease)
    await ticks(link, 5)
    link.open(peer.terms)
    await link.end()


async def test_when_no_port_is_free_the_next_call_is_refused(peer: Peer) -> None:
    link = InProcessMediaLink(ports=Span(23201, 23206), max_calls=8, detector=Loudness())
    link.open(peer.terms)
    link.open(peer.terms)
    with pytest.raises(OffhookError) as refused:
        link.open(peer.terms)
    assert refused.value.code == "no_rtp_port"
    await link.end()


async def test_a_row_has_the_ports_that_were_reserved(hand: InProcessMediaLink, peer: Peer) -> None:
    """A call that is placed names its port in the offer, before its codec is known (RFC 3550 section 11)."""
    reserved = hand.reserve()
    assert (reserved.host, reserved.port % 2, hand.rows_open) == ("127.0.0.1", 0, 0)
    row = hand.open(MediaTerms(Codec.G722, 9, peer.sock.getsockname()), reserved.sock)
    assert (row.host, row.port, row.rate) == ("127.0.0.1", reserved.port, 16000)
    rtcp = hand.rtcp_socket(row.lease)
    assert rtcp is not None
    assert rtcp.getsockname() == ("127.0.0.1", reserved.port + 1)
    await ticks(hand, 2)
    peer.sock.setblocking(True)
    assert peer.sock.recvfrom(2048)[1] == ("127.0.0.1", reserved.port), "it sends from there"
    reserved.release()
    assert hand.rtcp_socket(row.lease) is rtcp, "the row keeps them"
    hand.close(row.lease)
    assert hand.rtcp_socket(row.lease) is None
    await ticks(hand, 1)
    bind_both(reserved.port)


async def test_rows_of_either_rate_follow_each_other_on_reserved_ports(hand: InProcessMediaLink, peer: Peer) -> None:
    """Early media in G.711, the answer in G.722."""
    reserved = hand.reserve()
    early = hand.open(peer.terms, reserved.sock)
    peer.say(early.port, 1000)
    await ticks(hand, 2)
    hand.close(early.lease)
    final = hand.open(MediaTerms(Codec.G722, 9, peer.sock.getsockname()), reserved.sock.dup())
    assert (final.port, final.rate) == (early.port, 16000)
    peer.received()
    await ticks(hand, 3)
    peer.sock.setblocking(True)
    assert peer.sock.recv(2048)[1] & 0x7F == 9
    reserved.release()
    hand.close(final.lease)
    await ticks(hand, 1)
    bind_both(reserved.port)


async def test_ports_that_were_reserved_can_be_given_back(hand: InProcessMediaLink) -> None:
    reserved = hand.reserve()
    reserved.release()
    reserved.release()
    bind_both(reserved.port)
    assert hand.reserve().port != reserved.port, "a port rests before it is used again"


async def test_what_is_still_reserved_goes_with_the_link() -> None:
    link = InProcessMediaLink(ports=Span(23600, 23601), max_calls=1, detector=Loudness())
    reserved = link.reserve()
    await link.end()
    assert reserved.sock.fileno() == reserved.rtcp.fileno() == -1


async def test_a_row_that_is_refused_leaves_the_reserved_ports_to_who_reserved_them(peer: Peer) -> None:
    link = InProcessMediaLink(ports=Span(23700, 23799), max_calls=0, detector=Loudness())
    for _ in range(8):
        link.open(peer.terms)
    reserved = link.reserve()
    with pytest.raises(OffhookError):
        link.open(peer.terms, reserved.sock)
    reserved.release()
    bind_both(reserved.port)
    await link.end()


async def test_a_port_whose_neighbour_is_taken_is_not_used() -> None:
    """RTP and RTCP are bound both or neither."""
    link = InProcessMediaLink(ports=Span(23800, 23803), max_calls=1, detector=Loudness())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 23801))
        assert link.reserve().port == 23802
        with pytest.raises(OffhookError) as refused:
            link.reserve()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 23800))
    assert refused.value.code == "no_rtp_port"
    await link.end()


def bind_both(port: int) -> None:
    """Both ports are free."""
    for number in (port, port + 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", number))


async def test_long_speech_is_fed_at_most_two_seconds_ahead_and_heard_in_full(
    hand: InProcessMediaLink, peer: Peer
) -> None:
    row = hand.open(peer.terms)
    long = noise(8000 * 12)
    hand.play(row.lease, 1, long, True)
    got: list[Samples] = []
    facts: list[RowFact] = []
    for _ in range(620):
        peer.say(row.port, 0)
        facts += (await hand.tick()).facts
        got += [samples for *_, samples in peer.received()]
    heard = np.concatenate(got)
    begin = int(np.flatnonzero(heard)[0])
    assert np.array_equal(heard[begin : begin + len(long)], decode_ulaw(encode_ulaw(long)))
    assert facts == [AudioStarted(row.lease, 1), AudioEnded(row.lease, 1, len(long), AudioEnd.FINISHED)]


async def test_stopping_long_speech_forgets_what_waits_of_it_and_lets_the_next_begin(
    hand: InProcessMediaLink, peer: Peer
) -> None:
    row = hand.open(peer.terms)
    hand.play(row.lease, 1, noise(8000 * 10), True)
    hand.play(row.lease, 2, noise(1600), True)
    await ticks(hand, 50)
    hand.stop(row.lease, 1)
    hand.play(row.lease, 1, noise(8000), True)
    facts = await ticks(hand, 20)
    assert [(type(fact), getattr(fact, "utterance", None)) for fact in facts] == [
        (AudioEnded, 1),
        (AudioStarted, 2),
        (AudioEnded, 2),
    ]


async def test_speech_that_was_stopped_before_it_began_is_never_heard_of(hand: InProcessMediaLink, peer: Peer) -> None:
    row = hand.open(peer.terms)
    await ticks(hand, 2)
    hand.play(row.lease, 1, noise(8000), True)
    hand.stop(row.lease, 1)
    hand.play(row.lease, 2, noise(160), True)
    facts = await ticks(hand, 10)
    assert [type(fact) for fact in facts] == [AudioStarted, AudioEnded]


async def test_the_reflex_ends_speech_and_what_was_still_to_come_of_it(hand: InProcessMediaLink, peer: Peer) -> None:
    row = hand.open(peer.terms)
    hand.play(row.lease, 1, noise(8000 * 6), False)
    hand.stop_on_voice(row.lease, 1, 0)
    facts: list[RowFact] = []
    for n in range(40):
        peer.say(row.port, 12000 if n > 20 else 0)
        facts += (await hand.tick()).facts
    hand.play(row.lease, 1, noise(8000), True)
    facts += await ticks(hand, 3)
    assert [type(fact) for fact in facts][:3] == [AudioStarted, VoiceOnset, AudioEnded]
    peer.received()
    await ticks(hand, 20)
    assert not np.concatenate([samples for *_, samples in peer.received()]).any()


async def test_what_was_heard_can_be_copied_by_position(hand: InProcessMediaLink, peer: Peer) -> None:
    row = hand.open(peer.terms)
    for level in range(1, 11):
        peer.say(row.port, level * 1000)
        await hand.tick()
    assert hand.heard_until(row.lease) == 1600
    block = hand.heard(row.lease, 160, 480)
    assert len(block) == 320
    assert abs(int(block[0]) - 2000) < 100
    assert abs(int(block[-1]) - 3000) < 100
    assert len(hand.heard(row.lease, 0)) == 1600
    assert len(hand.heard(row.lease, 1000, 99999)) == 600
    hand.close(row.lease)
    assert not len(hand.heard(row.lease, 0))
    assert hand.heard_until(row.lease) == 0


async def test_the_next_call_on_a_row_begins_with_nothing_heard(peer: Peer) -> None:
    link = InProcessMediaLink(ports=Span(23300, 23399), max_calls=1, detector=Loudness())
    seen: set[int] = set()
    for _ in range(30):
        row = link.open(peer.terms)
        await link.tick()
        assert link.heard_until(row.lease) == 0
        for _ in range(5):
            peer.say(row.port, 5000)
            await link.tick()
        assert link.heard_until(row.lease) == 800
        link.close(row.lease)
        seen.add(row.lease)
    assert len(seen) == 30, "a lease is never used again"
    await link.end()


async def test_orders_for_a_closed_lease_change_nothing(hand: InProcessMediaLink, peer: Peer) -> None:
    lease = hand.open(peer.terms).lease
    hand.close(lease)
    hand.play(lease, 1, noise(160), True)
    hand.stop(lease, 1)
    hand.stop_on_voice(lease, 1, 0)
    hand.loop(lease, noise(160), 0.5)
    hand.rest_loop(lease, True)
    hand.send_digit(lease, "1")
    hand.rearm_voice(lease)
    hand.change_terms(lease, peer.terms)
    assert await ticks(hand, 5) == []


def test_rows_that_were_used_before_are_used_first(peer: Peer) -> None:
    """Memory is what calls at once need, however many there have been."""
    memory, posted = share(20, 1000), list[Command]()
    rows = MediaRows(memory, RtpPorts("127.0.0.1", Span(23600, 23699)), lambda command, _: posted.append(command))
    for number in range(6):
        row = rows.open(peer.terms)
        rows.close(row.lease)
        rows.take((number + 1) * 10, ())
    assert {command.row for command in posted if isinstance(command, OpenRow)} == {0}
    rows.close_all()
    memory.close()


def test_speech_that_comes_in_many_pieces_is_ordered_in_few_once_enough_lies_ahead(peer: Peer) -> None:
    memory, posted = share(1, 1000), list[Command]()
    rows = MediaRows(memory, RtpPorts("127.0.0.1", Span(23700, 23799)), lambda command, _: posted.append(command))
    row, spoken = rows.open(peer.terms), noise(40 * 800)
    for number in range(40):
        rows.play(row.lease, 1, spoken[number * 800 : (number + 1) * 800], False)
    rows.play(row.lease, 1, noise(0), True)
    played = 0
    for tick in range(1, 300):
        for name, value in (("lease", row.lease), ("tick", tick), ("played", played)):
            memory.tables[0].counters[name][0] = value
        rows.take(tick, ())
        orders = [command for command in posted if isinstance(command, QueueAudio)]
        played = min(played + 160, orders[-1].position + orders[-1].samples)
    assert len(orders) <= 16
    assert [order.final for order in orders] == [False] * (len(orders) - 1) + [True]
    assert sum(order.samples for order in orders) == len(spoken)
    rows.close_all()
    memory.close()


class HastyRows(MediaRows):
    """Notes what had been posted whenever it was to be brought at once."""

    def __init__(self, memory: SharedAudio, ports: RtpPorts, posted: list[Command]) -> None:
        super().__init__(memory, ports, lambda command, _: posted.append(command))
        self.posted = posted
        self.hastened: list[Command] = []

    def _hasten(self) -> None:
        self.hastened.append(self.posted[-1])


def test_the_beginning_of_an_utterance_waits_for_no_other_order(peer: Peer) -> None:
    memory = share(1, 1000)
    rows = HastyRows(memory, RtpPorts("127.0.0.1", Span(23700, 23799)), [])
    row = rows.open(peer.terms)
    for _ in range(3):
        rows.play(row.lease, 1, noise(800), False)
    rows.play(row.lease, 2, noise(800), False)  # behind one that has not ended: nothing of it is wanted yet
    assert rows.hastened == [QueueAudio(row.lease, 1, 0, 800, False)]
    rows.close_all()
    memory.close()


async def test_loops_are_shared_replaced_and_their_memory_used_again(peer: Peer) -> None:
    link = InProcessMediaLink(ports=Span(23400, 23499), max_calls=4, detector=Loudness(), loop_samples=3000)
    one, two = link.open(peer.terms), link.open(MediaTerms(Codec.PCMU, 0))
    same = noise(2000)
    link.loop(one.lease, same, 0.5)
    link.loop(two.lease, same.copy(), 0.5)
    with pytest.raises(OffhookError) as refused:
        link.loop(one.lease, noise(2000, seed=2), 0.5)
    assert refused.value.code == "loop_memory_full"
    link.loop(one.lease, None, 0.0)
    link.close(two.lease)
    await ticks(link, 6)
    link.loop(one.lease, noise(2000, seed=3), 0.5)
    await ticks(link, 5)
    assert np.concatenate([samples for *_, samples in peer.received()]).any()
    await link.end()


async def test_a_row_plays_what_another_hears_until_told_otherwise_or_that_one_closes(
    hand: InProcessMediaLink, peer: Peer
) -> None:
    """Early media, or one direction of a transfer (contract D15)."""
    with other_peer() as caller:
        there, here = hand.open(peer.terms), hand.open(caller.terms)
        hand.play_from(here.lease, there.lease)
        await say(hand, peer, there.port, 12)
        assert caller.received()[-1][3].min() > 7000
        hand.play_from(here.lease, None)
        await say(hand, peer, there.port, 4)
        assert not caller.received()[-1][3].any()
        hand.play_from(here.lease, there.lease)
        await say(hand, peer, there.port, 12)
        hand.close(there.lease)
        await ticks(hand, 4)
        assert not caller.received()[-1][3].any()


async def test_a_row_does_not_play_the_next_call_on_the_row_that_it_played(peer: Peer) -> None:
    link = InProcessMediaLink(ports=Span(23500, 23599), max_calls=0, detector=Loudness())
    with other_peer() as caller:
        there, here = link.open(peer.terms), link.open(caller.terms)
        link.play_from(here.lease, there.lease)
        await say(link, peer, there.port, 12)
        link.close(there.lease)
        for _ in range(16):
            again = link.open(peer.terms)
            await say(link, peer, again.port, 4)
            link.close(again.lease)
            await ticks(link, 1)
        assert not any(samples.any() for *_, samples in caller.received()[-60:])
    await link.end()


async def test_orders_to_play_a_row_that_is_closed_change_nothing(hand: InProcessMediaLink, peer: Peer) -> None:
    row = hand.open(peer.terms)
    hand.play_from(row.lease, 99)
    hand.play_from(98, row.lease)
    await ticks(hand, 5)
    assert not peer.received()[-1][3].any()


async def test_a_digit_is_told_when_it_was_sent_and_what_is_no_digit_is_not_sent(
    hand: InProcessMediaLink, peer: Peer
) -> None:
    row = hand.open(peer.terms)
    for digit in ("5", "x", "", "#"):
        hand.send_digit(row.lease, digit)
    facts = await ticks(hand, 30)
    assert facts == [TelephoneEventSent(row.lease, "5"), TelephoneEventSent(row.lease, "#")]


async def test_who_sends_nothing_for_long_is_gone_unless_its_rtcp_comes(peer: Peer) -> None:
    """Silence is told once, and again when nobody is there any more; on hold nobody has to send."""
    link = InProcessMediaLink(ports=Span(23900, 23999), max_calls=4, detector=Loudness(), gone_after_ms=12_000)
    dead, alive, held = (link.open(replace(peer.terms, receiving=receiving)) for receiving in (True, True, False))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as telephone:
        telephone.bind(("127.0.0.1", 0))
        facts: list[RowFact] = []
        link.change_terms(alive.lease, replace(peer.terms, rtcp=telephone.getsockname()))
        for n in range(1600):
            if n % 250 == 0:  # an empty receiver report (RFC 3550 6.4.2)
                telephone.sendto(struct.pack(">BBHI", 0x80, 201, 1, 5), ("127.0.0.1", alive.port + 1))
            facts += (await link.tick()).facts
    assert [fact for fact in facts if fact.lease != dead.lease] == [PacketsStopped(alive.lease, 5000)]
    assert [fact for fact in facts if fact.lease == dead.lease] == [
        PacketsStopped(dead.lease, 5000),
        PacketsStopped(dead.lease, 15_000, gone=True),
    ]
    assert link.gone == 1
    assert held.lease not in {fact.lease for fact in facts}
    await link.end()


async def test_reports_by_hand_are_those_of_each_tick(hand: InProcessMediaLink) -> None:
    reports = hand.reports()
    first = await hand.tick()
    second = await hand.tick(missed=3)
    await hand.end()
    assert [report async for report in reports] == [first, second]
    assert (first.tick, second.tick) == (1, 5)
    assert hand.late_ticks == 3


# --- with a process


@pytest.fixture
async def link() -> AsyncIterator[ProcessMediaLink]:
    """A link with a media process of its own."""
    made = ProcessMediaLink(host="127.0.0.1", ports=Span(24000, 24099), max_calls=4)
    await made.start()
    yield made
    await made.end()


class Watcher:
    """Follows the reports of a link, and what the peer receives meanwhile."""

    def __init__(self, link: ProcessMediaLink, peer: Peer) -> None:
        self.reports = link.reports()
        self.peer = peer
        self.seen: list[Report] = []
        self.packets: list[tuple[int, int, int, int, Samples]] = []

    async def follow(self, ticks: int, *, say: tuple[int, int] | None = None) -> None:
        """Until the ticks have advanced so far; `say`: the peer sends a packet of (port, level) for each report."""
        first = last = self.seen[-1].tick if self.seen else None
        while first is None or last is None or last - first < ticks:
            if say is not None:
                self.peer.say(*say)
            report = await anext(self.reports)
            self.seen.append(report)
            last = report.tick
            first = last if first is None else first
            self.packets += [(last, *packet) for packet in self.peer.received()]

    @property
    def facts(self) -> list[RowFact]:
        return [fact for report in self.seen for fact in report.facts]


async def test_a_call_through_the_process(link: ProcessMediaLink, peer: Peer) -> None:
    row = link.open(peer.terms)
    watcher = Watcher(link, peer)
    spoken = noise(8000)
    link.play(row.lease, 1, spoken, True)
    await watcher.follow(70, say=(row.port, 3000))
    ticks_seen = [report.tick for report in watcher.seen]
    assert ticks_seen == sorted(ticks_seen)
    assert watcher.facts == [
        AudioStarted(row.lease, 1),
        AudioEnded(row.lease, 1, 8000, AudioEnd.FINISHED),
    ]
    heard = np.concatenate([samples for *_, samples in watcher.packets])
    begin = int(np.flatnonzero(heard)[0])
    assert np.array_equal(heard[begin : begin + 8000], decode_ulaw(encode_ulaw(spoken)))
    assert abs(int(link.heard(row.lease, 800, 801)[0]) - 3000) < 150
    link.close(row.lease)
    await watcher.follow(5)
    peer.received()
    await watcher.follow(5)
    assert not peer.received(), "a closed row sends nothing"


async def test_the_process_is_killed_and_the_call_goes_on(link: ProcessMediaLink, peer: Peer) -> None:
    """The same port, SSRC and sequence; speech continues where it stopped; ticks never go back (ARCHITECTURE.md)."""
    row = link.open(peer.terms)
    watcher = Watcher(link, peer)
    spoken = noise(8000 * 3)
    link.play(row.lease, 1, spoken, True)
    link.stop_on_voice(row.lease, 1, 60_000)
    await watcher.follow(50, say=(row.port, 0))
    killed, pid = len(watcher.packets), link.pid
    os.kill(pid, signal.SIGKILL)
    await watcher.follow(190, say=(row.port, 0))
    assert link.restarts == 1
    assert link.pid != pid
    before, after = watcher.packets[killed - 1], watcher.packets[killed + 3]
    assert after[3] == before[3], "the SSRC stays"
    first_again = next(packet for packet in watcher.packets[killed:] if packet[0] > before[0] + 3)
    assert first_again[0] - before[0] <= 50, "first packet again within 1 s"
    assert {b[1] - a[1] for a, b in zip(watcher.packets, watcher.packets[1:], strict=False)} <= {0, 1, -65535}
    elapsed = (watcher.packets[-1][2] - watcher.packets[0][2]) & 0xFFFFFFFF
    assert elapsed % 160 == 0
    assert elapsed > len(watcher.packets) * 160, "the timestamp jumped over the gap"
    heard = np.concatenate([samples for *_, samples in watcher.packets])
    heard = heard[int(np.flatnonzero(heard)[0]) :]
    expected = decode_ulaw(encode_ulaw(spoken))
    agreeing = sum(
        any(np.array_equal(frame, heard[at : at + 160]) for at in range(n * 160 - 320, n * 160 + 321, 160) if at >= 0)
        for n, frame in enumerate(expected.reshape(-1, 160))
    )
    assert agreeing >= 148, "no more than a frame or two is lost or doubled"
    assert [type(fact) for fact in watcher.facts] == [AudioStarted, AudioEnded]
    ticks_seen = [report.tick for report in watcher.seen]
    assert ticks_seen == sorted(ticks_seen)


async def test_a_bridge_outlives_its_media_process(link: ProcessMediaLink, peer: Peer) -> None:
    with other_peer() as other:
        there, here = link.open(peer.terms), link.open(other.terms)
        link.play_from(here.lease, there.lease)
        link.play_from(there.lease, here.lease)
        watcher = Watcher(link, other)
        reports = watcher.reports
        for round_ in range(2):
            for _ in range(40 + 60 * round_):
                peer.say(there.port, 8000)
                other.say(here.port, -5000)
                await anext(reports)
            assert peer.received()[-1][3].max() < -4000
            assert other.received()[-1][3].min() > 7000
            if not round_:
                os.kill(link.pid, signal.SIGKILL)
        assert link.restarts == 1


async def test_a_pause_that_began_before_the_process_died_is_still_told(link: ProcessMediaLink, peer: Peer) -> None:
    """The row was speaking when its process died; afterwards nothing is said: a pause must follow."""
    row = link.open(peer.terms)
    watcher = Watcher(link, peer)
    await watcher.follow(20, say=(row.port, 0))
    link._shared.narrowband.counters["voice_phase"][0] = 1
    os.kill(link.pid, signal.SIGKILL)
    await watcher.follow(60, say=(row.port, 0))
    assert [type(fact) for fact in watcher.facts] == [VoicePause]


async def test_orders_given_while_there_is_no_process_are_obeyed_by_the_next(
    link: ProcessMediaLink, peer: Peer
) -> None:
    row = link.open(peer.terms)
    watcher = Watcher(link, peer)
    await watcher.follow(10)
    os.kill(link.pid, signal.SIGKILL)
    link.play(row.lease, 1, noise(1600), True)
    link.loop(row.lease, noise(800), 0.5)
    link.send_digit(row.lease, "7")
    second = link.open(MediaTerms(Codec.PCMU, 0))
    link.play(second.lease, 1, noise(0), True)
    await watcher.follow(100)
    assert TelephoneEventSent(row.lease, "7") in watcher.facts
    assert {type(fact) for fact in watcher.facts if fact.lease == row.lease} >= {AudioStarted, AudioEnded}
    assert watcher.packets[-1][4].any(), "the loop is heard"


async def test_a_process_that_is_stuck_is_replaced_by_ticks_from_the_clock(link: ProcessMediaLink, peer: Peer) -> None:
    """After 60 ms without a report empty ones come from the steady clock; late reports do not take ticks back."""
    row = link.open(peer.terms)
    watcher = Watcher(link, peer)
    await watcher.follow(10)
    os.kill(link.pid, signal.SIGSTOP)
    link.play(row.lease, 1, noise(160), True)
    await watcher.follow(20)
    os.kill(link.pid, signal.SIGCONT)
    await watcher.follow(20)
    ticks_seen = [report.tick for report in watcher.seen]
    assert ticks_seen == sorted(ticks_seen)
    assert link.restarts == 0
    assert link.late_ticks > 5
    assert [type(fact) for fact in watcher.facts] == [AudioStarted, AudioEnded]
    jumps = [(b[2] - a[2]) & 0xFFFFFFFF for a, b in zip(watcher.packets, watcher.packets[1:], strict=False)]
    assert max(jumps) >= 15 * 160, "nothing bursts"


async def test_the_media_process_ends_with_its_link() -> None:
    link = ProcessMediaLink(host="127.0.0.1", ports=Span(24100, 24199), max_calls=1)
    await link.start()
    pid = link.pid
    await link.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert link.pid == 0


ROW_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "play_from", "stop", "hold", "tick"]), st.integers(0, 5), st.integers(0, 5)
    ),
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(steps=ROW_STEPS)
def test_rows_open_close_and_play_each_other_in_any_order(steps: list[tuple[str, int, int]]) -> None:
    """Nothing breaks, and a replay never names a row that is not open."""
    peer = Peer()

    async def walk() -> None:
        link = InProcessMediaLink(ports=Span(24200, 24299), max_calls=0, detector=Loudness())
        leases: list[int] = []
        narrow: set[int] = set()
        for what, one, other in steps:
            lease, second = (leases[n % len(leases)] if leases else 99 for n in (one, other))
            if what == "open" and len(leases) < 6:
                terms = MediaTerms(Codec.G722, 9, peer.sock.getsockname()) if one % 2 else peer.terms
                leases.append(link.open(terms).lease)
                narrow |= set() if one % 2 else {leases[-1]}
            elif what == "close" and leases:
                leases.remove(lease)
                link.close(lease)
            elif what == "play_from":
                link.play_from(lease, second)
            elif what == "stop":
                link.play_from(lease, None)
            elif what == "hold" and lease in narrow:
                link.change_terms(lease, replace(peer.terms, receiving=bool(other % 2)))
            await link.tick()
            opened = {command.lease for command, _ in link.replay() if isinstance(command, OpenRow)}
            sources = {command.source for command, _ in link.replay() if isinstance(command, PlayFrom)}
            assert sources <= opened == set(leases)
        await link.end()

    asyncio.run(walk())
    peer.sock.close()
