"""RTCP of all legs: their sockets, their deadlines on the heartbeat, what was learned from their peers.

Reports are made of the counters that media publishes for every row. One poll a tick looks at all sockets. A leg whose
RTP is encrypted sends and takes SRTCP only (RFC 3711 3.4).
"""

import heapq
import random
import select
import socket
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from offhook.calls.quality import LineQuality
from offhook.calls.rtcp_packets import LARGEST_PACKET
from offhook.calls.rtcp_session import Counted, FarEnd, RtcpSession
from offhook.media.clock import unix_now_ns
from offhook.media.messages import TICK_MS, MediaTerms
from offhook.media.reception import JITTER_UNIT
from offhook.media.shared_audio import SharedTable
from offhook.media.srtp import ControlKeys
from offhook.media.wire import arrived_ns

Address = tuple[str, int]

_EVENT_BYTES: Final = 4
_AT_ONCE: Final = 8
"""So many datagrams of a leg are read in a tick."""


class CountedRow(Protocol):
    """A row that is open, as its counters tell."""

    @property
    def number(self) -> int: ...
    @property
    def shared(self) -> SharedTable: ...
    @property
    def row(self) -> int: ...
    @property
    def terms(self) -> MediaTerms: ...


@dataclass(slots=True)
class _Leg:
    row: CountedRow
    sock: socket.socket
    session: RtcpSession
    source: Address | None = None
    keys: ControlKeys | None = None
    heard_at: int | None = None

    def counter(self, name: str) -> int:
        return counter(self.row, name)

    @property
    def peer(self) -> Address | None:
        """Where the peer's RTP comes from, or is expected from."""
        port = self.counter("remote_port")
        if port:
            return self.row.shared.counters["remote_host"][self.row.row].decode(), port
        return self.row.terms.remote

    @property
    def destination(self) -> Address | None:
        """Where reports go: to where the peer's own come from, else where it said, else the port above its RTP."""
        if self.source is not None:
            return self.source
        told, peer = self.row.terms.remote, self.peer
        if self.row.terms.rtcp is not None and (peer is None or told is None or peer[0] == told[0]):
            return self.row.terms.rtcp
        return None if peer is None or peer[1] >= 65535 else (peer[0], peer[1] + 1)

    def expects(self, source: Address) -> bool:
        """Whether reports may come from there: from the host of the peer's RTP, or where it said."""
        hosts = {each[0] for each in (self.peer, self.row.terms.rtcp) if each is not None}
        return source[0] in hosts


class RtcpDesk:
    """All legs that have a socket for RTCP. `unsent` counts reports that could not leave, `refused` datagrams that
    were not authentic, from elsewhere, or no RTCP."""

    def __init__(self) -> None:
        self._poll: Final = select.epoll()
        self._legs: Final[dict[int, _Leg]] = {}
        self._by_descriptor: Final[dict[int, int]] = {}
        self._due: Final[list[tuple[float, int]]] = []
        self._tick = 0
        self.unsent = 0
        self.refused = 0

    def open(self, row: CountedRow, sock: socket.socket) -> None:
        """Report for this row through this socket, until `close`."""
        arrived_ns(sock.fileno())  # from now on the kernel notes it
        leg = self._legs[row.number] = _Leg(row, sock, RtcpSession(self._tick * TICK_MS, random.random()))
        self._by_descriptor[sock.fileno()] = row.number
        self._poll.register(sock.fileno(), select.EPOLLIN)
        heapq.heappush(self._due, (leg.session.next_report, row.number))

    def close(self, row: CountedRow) -> None:
        """Say goodbye; the socket, which is still open, is left alone from now on."""
        leg = self._legs.pop(row.number, None)
        if leg is None:
            return
        self._speak(leg, bye=True)
        self._poll.unregister(leg.sock.fileno())
        del self._by_descriptor[leg.sock.fileno()]

    def tick(self, tick: int) -> None:
        """Take what has come, and say what is due."""
        self._tick = tick
        for descriptor, _ in self._poll.poll(0):
            self._hear(self._legs[self._by_descriptor[descriptor]])
        while self._due and self._due[0][0] <= tick * TICK_MS:
            _, lease = heapq.heappop(self._due)
            leg = self._legs.get(lease)
            if leg is not None:
                self._speak(leg)
                heapq.heappush(self._due, (leg.session.next_report, lease))

    def quality(self, row: CountedRow) -> LineQuality | None:
        """How good the row's line has been until now; None: it has no socket here, its packets take no network."""
        leg = self._legs.get(row.number)
        return None if leg is None else line_quality(row, leg.session.far_end)

    def heard_at(self, row: CountedRow) -> int | None:
        """The tick in which a report of the peer came last; None: none has come."""
        leg = self._legs.get(row.number)
        return None if leg is None else leg.heard_at

    def _speak(self, leg: _Leg, *, bye: bool = False) -> None:
        counted = _counted(leg, self._tick)
        data = leg.session.speak(counted, self._tick * TICK_MS, unix_now_ns(), random.random(), bye=bye)
        destination = leg.destination
        if destination is None or not leg.counter("tick"):
            return
        try:
            keys = _keys(leg)
            leg.sock.sendto(data if keys is None else keys.protect(data), destination)
        except OSError:
            self.unsent += 1

    def _hear(self, leg: _Leg) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, source = leg.sock.recvfrom(LARGEST_PACKET)
            except OSError:
                return
            arrived = arrived_ns(leg.sock.fileno()) or unix_now_ns()
            if not self._take(leg, data, (source[0], source[1]), arrived):
                self.refused += 1

    def _take(self, leg: _Leg, data: bytes, source: Address, arrived: int) -> bool:
        keys = _keys(leg)
        plain = data if keys is None else keys.unprotect(data)
        if plain is None or (keys is None and not leg.expects(source)):
            return False
        if leg.session.hear(plain, leg.counter("ssrc"), leg.counter("sent"), arrived) is None:
            return False
        leg.source, leg.heard_at = source, self._tick
        return True


def _keys(leg: _Leg) -> ControlKeys | None:
    """For the keys that are agreed on now."""
    agreed = leg.row.terms.srtp
    if agreed is None:
        leg.keys = None
    elif leg.keys is None or leg.keys.keys != agreed:
        leg.keys = ControlKeys(agreed)
    return leg.keys


def _counted(leg: _Leg, tick: int) -> Counted:
    codec, sent, events = leg.row.terms.codec, leg.counter("sent"), leg.counter("events_sent")
    heard = leg.counter("peer_packets")
    return Counted(
        ssrc=leg.counter("ssrc"),
        packets=sent,
        octets=(sent - events) * codec.frame_bytes + events * _EVENT_BYTES,
        timestamp=(leg.counter("timestamp") + (tick - leg.counter("tick") - 1) * codec.step) & 0xFFFFFFFF,
        peer_ssrc=leg.counter("peer_ssrc") if heard else None,
        peer_first=leg.counter("peer_first"),
        peer_highest=leg.counter("peer_highest"),
        peer_packets=heard,
        peer_jitter=leg.counter("peer_jitter") // JITTER_UNIT,
    )


def counter(row: CountedRow, name: str) -> int:
    """One of the row's counters; 0 before the media process has taken it."""
    return row.shared.counter(row.row, row.number, name)


def line_quality(row: CountedRow, far: FarEnd) -> LineQuality:
    """What a row's counters, and its peer's reports, come to."""
    codec, srtp, count = row.terms.codec, row.terms.srtp, partial(counter, row)
    heard = count("peer_packets")
    expected = count("earlier_expected") + (count("peer_highest") - count("peer_first") + 1 if heard else 0)
    received = count("earlier_packets") + heard
    duplicates = count("duplicates")
    return LineQuality(
        codec=codec,
        srtp=None if srtp is None else srtp.suite,
        sent=count("sent"),
        received=received,
        expected=expected,
        lost=max(0, expected - received + duplicates),
        late=count("late"),
        duplicates=duplicates,
        given_up=count("given_up"),
        gaps=count("gaps"),
        unconcealed=count("unconcealed"),
        unauthentic=count("unauthentic"),
        jitter_ms=count("peer_jitter") * 1000 / JITTER_UNIT / codec.clock if count("jitter_samples") else None,
        far=far,
    )
