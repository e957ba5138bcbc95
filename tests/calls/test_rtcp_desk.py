"""RTCP over real sockets: legs report to their peers and learn from them, encrypted where the leg is; the counters of
their rows are those of what was sent and lost."""

import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from offhook.calls.media_link import InProcessMediaLink, Row
from offhook.calls.quality import LineQuality
from offhook.calls.rtcp_packets import Compound, ReportBlock, SenderInfo, middle, ntp_of, read, report
from offhook.media.clock import unix_now_ns
from offhook.media.messages import Codec, MediaTerms, SrtpKeys
from offhook.media.srtp import ControlKeys

SSRC = 5
REPORTS = 300
"""Ticks within which a leg has reported, 6 s."""


@dataclass(frozen=True)
class Span:
    first: int
    last: int


class Peer:
    """A telephone with two neighbouring ports."""

    def __init__(self) -> None:
        while True:
            self.rtp = bound(0)
            try:
                self.rtcp = bound(self.rtp.getsockname()[1] + 1)
            except OSError:
                self.rtp.close()
                continue
            break
        self.number = 0
        self.heard: list[bytes] = []
        self.keys: ControlKeys | None = None
        self.terms = MediaTerms(Codec.PCMU, 0, self.rtp.getsockname(), 101)

    def say(self, row: Row, *, times: int = 1) -> None:
        """The next packet; `times` 0: it is lost."""
        header = struct.pack(">BBHII", 0x80, 0, self.number & 0xFFFF, self.number * 160, SSRC)
        self.number += 1
        for _ in range(times):
            self.rtp.sendto(header + bytes(160), (row.host, row.port))

    def tell(self, row: Row, data: bytes, sock: socket.socket | None = None) -> None:
        """A datagram to the row's RTCP port."""
        secured = data if self.keys is None else self.keys.protect(data)
        (sock or self.rtcp).sendto(secured, (row.host, row.port + 1))

    def told(self) -> list[Compound]:
        """What came to the RTCP port."""
        compounds: list[Compound] = []
        while True:
            try:
                data = self.rtcp.recv(2048)
            except BlockingIOError:
                return compounds
            plain = data if self.keys is None else self.keys.unprotect(data)
            compound = None if plain is None else read(plain)
            assert compound is not None
            compounds.append(compound)

    def listen(self) -> None:
        """Take the RTP that has come."""
        while True:
            try:
                self.heard.append(self.rtp.recv(2048))
            except BlockingIOError:
                return

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


class Silence:
    def probabilities(self, chunks: object, rows: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> object:
        return np.zeros(len(rows), np.float32)

    def reset(self, rows: object) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
async def link() -> AsyncIterator[InProcessMediaLink]:
    made = InProcessMediaLink(
        ports=Span(24000, 27999),
        max_calls=4,
        detector=Silence(),  # type: ignore[arg-type]  # hears nothing, whatever the arrays are called
        loop_samples=1 << 16,
    )
    await made.start()
    yield made
    await made.end()


def quality(link: InProcessMediaLink, row: Row) -> LineQuality:
    line = link.quality(row.lease)
    assert line is not None
    return line


async def talk(link: InProcessMediaLink, peer: Peer, row: Row, ticks: int) -> None:
    for _ in range(ticks):
        peer.say(row)
        await link.tick()
        peer.listen()


class TestReports:
    async def test_a_leg_reports_what_it_sends_and_hears(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        await talk(link, peer, row, REPORTS)
        said = peer.told()
        assert len(said) >= 1
        [sender] = said[-1].senders
        [block] = said[-1].blocks
        assert sender.ssrc == int.from_bytes(peer.heard[0][8:12], "big")
        assert sender.octets == 160 * sender.packets > 0
        assert (block.ssrc, block.lost, block.fraction_lost) == (SSRC, 0, 0)
        last = int.from_bytes(peer.heard[sender.packets - 1][4:8], "big")
        assert (sender.timestamp - last) & 0xFFFFFFFF in {0, 160}

    async def test_the_last_report_says_goodbye(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        await talk(link, peer, row, 20)
        link.close(row.lease)
        assert peer.told()[-1].byes

    async def test_loss_is_reported_and_recorded(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        for n in range(REPORTS):
            peer.say(row, times=0 if n % 10 == 5 else 1)
            await link.tick()
        line = quality(link, row)
        assert line.lost == 30
        assert line.loss == pytest.approx(0.1, abs=0.005)
        assert (line.given_up, line.gaps, line.unconcealed) == (30, 30, 0)
        assert line.mos is not None
        assert line.mos < 3.6
        assert peer.told()[-1].blocks[0].lost > 0

    async def test_long_gaps_are_more_than_is_concealed(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        for n in range(100):
            peer.say(row, times=0 if 50 <= n < 60 else 1)
            await link.tick()
        line = quality(link, row)
        assert (line.lost, line.gaps, line.unconcealed) == (10, 1, 7)

    async def test_doubles_are_no_loss(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        for n in range(100):
            peer.say(row, times=2 if n % 10 == 5 else 1)
            await link.tick()
        line = quality(link, row)
        assert (line.lost, line.duplicates, line.late) == (0, 10, 0)

    async def test_what_comes_too_late_is_neither_lost_nor_doubled(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        await talk(link, peer, row, 20)
        late = peer.number
        peer.number += 1
        await talk(link, peer, row, 10)
        peer.number, after = late, peer.number
        peer.say(row)
        peer.number = after
        await talk(link, peer, row, 10)
        line = quality(link, row)
        assert (line.lost, line.duplicates, line.late, line.given_up) == (0, 0, 1, 1)

    async def test_a_leg_that_brings_its_own_socket_has_no_line(self, link: InProcessMediaLink, peer: Peer) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        row = link.open(replace(peer.terms, remote=None), ours)
        with theirs:
            await link.tick()
            assert link.quality(row.lease) is None
            link.close(row.lease)

    async def test_lines_that_are_over_are_counted(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        await talk(link, peer, row, 100)
        link.close(row.lease)
        assert link.quality(row.lease) is None
        assert sum(link.lines.codecs[Codec.PCMU].mos.counts) == 1


class TestWhatPeersTell:
    async def test_round_trip_and_loss_of_the_far_end(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        said: list[Compound] = []
        while not said:
            await talk(link, peer, row, 1)
            said = peer.told()
        sender = said[-1].senders[0]
        a_second_earlier = (middle(sender.ntp) - 65536) & 0xFFFFFFFF
        block = ReportBlock(sender.ssrc, 13, 15, 0, 80, a_second_earlier, 65536 * 9 // 10)
        peer.tell(row, report(SSRC, "them", None, [block], bye=False))
        await link.tick()
        far = quality(link, row).far
        assert (far.reports, far.lost) == (1, 15)
        assert far.round_trip_ms == pytest.approx(100, abs=90)
        assert quality(link, row).far_loss == 15 / quality(link, row).sent
        assert quality(link, row).far_jitter_ms == 10.0

    async def test_strangers_and_noise_are_not_believed(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        await talk(link, peer, row, REPORTS)
        ssrc = peer.told()[-1].senders[0].ssrc
        elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        elsewhere.bind(("127.0.0.2", 0))
        with elsewhere:
            peer.tell(row, report(SSRC, "x", None, [ReportBlock(ssrc, 255, 10, 0, 0, 0, 0)], bye=False), elsewhere)
            peer.tell(row, b"noise")
            peer.tell(row, bytes((0x9F, 200)) + bytes(40))
            await link.tick()
        assert quality(link, row).far.reports == 0

    async def test_answers_go_to_where_reports_come_from(self, link: InProcessMediaLink, peer: Peer) -> None:
        row = link.open(peer.terms)
        await talk(link, peer, row, 5)
        with bound(0) as translated:
            theirs = SenderInfo(SSRC, ntp_of(unix_now_ns()), 0, 5, 800)
            peer.tell(row, report(SSRC, "them", theirs, [], bye=False), translated)
            await talk(link, peer, row, REPORTS)
            said = read(translated.recv(2048))
        assert said is not None
        assert said.blocks[0].last_report == middle(theirs.ntp)

    async def test_a_port_that_was_named_is_used(self, link: InProcessMediaLink, peer: Peer) -> None:
        with bound(0) as named:
            row = link.open(replace(peer.terms, rtcp=named.getsockname()))
            await talk(link, peer, row, REPORTS)
            assert read(named.recv(2048)) is not None
        assert peer.told() == []


class TestEncrypted:
    async def test_what_an_encrypted_leg_reports_is_encrypted(self, link: InProcessMediaLink, peer: Peer) -> None:
        ours = SrtpKeys("AES_CM_128_HMAC_SHA1_32", os.urandom(30), os.urandom(30))
        row = link.open(replace(peer.terms, srtp=ours))
        for _ in range(REPORTS):
            await link.tick()
        datagram = peer.rtcp.recv(2048)
        assert ControlKeys(SrtpKeys(ours.suite, ours.receiving, ours.sending)).unprotect(datagram) is not None
        assert len(datagram) >= 8 + 20 + 4 + 10
        assert quality(link, row).srtp == "AES_CM_128_HMAC_SHA1_32"

    async def test_only_authentic_reports_are_believed(self, link: InProcessMediaLink, peer: Peer) -> None:
        ours = SrtpKeys("AES_CM_128_HMAC_SHA1_80", os.urandom(30), os.urandom(30))
        row = link.open(replace(peer.terms, srtp=ours))
        for _ in range(REPORTS):
            await link.tick()
        peer.keys = ControlKeys(SrtpKeys(ours.suite, ours.receiving, ours.sending))
        ssrc = peer.told()[-1].senders[0].ssrc
        data = report(SSRC, "them", None, [ReportBlock(ssrc, 0, 7, 0, 0, 0, 0)], bye=False)
        peer.rtcp.sendto(data, (row.host, row.port + 1))
        await link.tick()
        assert quality(link, row).far.reports == 0
        peer.tell(row, data)
        await link.tick()
        assert quality(link, row).far.lost == 7
