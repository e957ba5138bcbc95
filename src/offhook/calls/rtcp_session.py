"""One leg's RTCP as a pure machine (RFC 3550 section 6): when it reports, what it says, what it learns of its peer.

Two members are in a session, so the interval is always the shortest one, 5 s, and needs no reconsideration (6.3.1).
"""

import secrets
from dataclasses import dataclass
from typing import Final

from offhook.calls.rtcp_packets import Compound, ReportBlock, SenderInfo, middle, ntp_of, read, report

INTERVAL_MS: Final = 5000
_COMPENSATION: Final = 1.21828
"""Random intervals are shortened by it (6.3.1: e - 3/2)."""
_LONGEST_ROUND_TRIP: Final = 10 << 16
_SECOND: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Counted:
    """What a media row has counted so far. `timestamp` is that of now; `peer_ssrc` None: nobody was heard. `peer_first`
    and `peer_highest` are sequence numbers with rollovers, `peer_jitter` is in units of the timestamp."""

    ssrc: int
    packets: int
    octets: int
    timestamp: int
    peer_ssrc: int | None
    peer_first: int
    peer_highest: int
    peer_packets: int
    peer_jitter: int


@dataclass(frozen=True, slots=True)
class FarEnd:
    """What the peer's reports say of our stream: the last `lost` of `expected` packets, mean `jitter` in units of the
    timestamp, mean and largest round trip in ms; None: not known. `reports`: how many came."""

    reports: int = 0
    lost: int = 0
    expected: int = 0
    jitter: float | None = None
    round_trip_ms: float | None = None
    longest_round_trip_ms: float | None = None


class RtcpSession:
    """Times are Unix times in ns for what is said, and ms of any steady clock for `next_report`."""

    def __init__(self, now_ms: float, chance: float) -> None:
        """`chance`: from 0 to 1, for the first interval, which is half as long as those after it."""
        self._cname: Final = secrets.token_urlsafe(12)  # RFC 7022: of this call alone
        self.next_report = now_ms + _interval(chance) / 2
        self.far_end = FarEnd()
        self._packets_reported: list[int] = [0, 0]
        self._expected_before = 0
        self._received_before = 0
        self._before_ssrc: int | None = None
        self._their_report: tuple[int, int] | None = None  # the middle of its NTP time, when it came
        self._jitters = 0
        self._round_trips = 0

    def speak(self, counted: Counted, now_ms: float, unix_ns: int, chance: float, *, bye: bool = False) -> bytes:
        """The report that is due."""
        self.next_report = now_ms + _interval(chance)
        sending = counted.packets > self._packets_reported[0]
        self._packets_reported = [self._packets_reported[1], counted.packets]
        sender = None
        if sending:
            ntp = ntp_of(unix_ns)
            sender = SenderInfo(counted.ssrc, ntp, counted.timestamp, counted.packets, counted.octets)
        blocks = [] if counted.peer_ssrc is None else [self._block(counted, unix_ns)]
        return report(counted.ssrc, self._cname, sender, blocks, bye=bye)

    def hear(self, data: bytes, ssrc: int, sent: int, unix_ns: int) -> Compound | None:
        """A datagram of the peer; `ssrc` is ours, of which `sent` packets have left. None: it was no RTCP."""
        compound = read(data)
        if compound is None:
            return None
        if compound.senders:
            self._their_report = middle(compound.senders[-1].ntp), unix_ns
        for block in compound.blocks:
            if block.ssrc == ssrc:
                self._learn(block, sent, unix_ns)
        return compound

    def _block(self, counted: Counted, unix_ns: int) -> ReportBlock:
        """RFC 3550 A.3."""
        assert counted.peer_ssrc is not None
        if counted.peer_ssrc != self._before_ssrc:
            self._before_ssrc, self._expected_before, self._received_before = counted.peer_ssrc, 0, 0
        expected = counted.peer_highest - counted.peer_first + 1
        since, arrived = expected - self._expected_before, counted.peer_packets - self._received_before
        self._expected_before, self._received_before = expected, counted.peer_packets
        fraction = 256 * (since - arrived) // since if since > arrived and since > 0 else 0
        last_report, delay = 0, 0
        if self._their_report is not None:
            last_report = self._their_report[0]
            delay = max(0, unix_ns - self._their_report[1]) * _SECOND // 1_000_000_000
        return ReportBlock(
            ssrc=counted.peer_ssrc,
            fraction_lost=min(fraction, 255),
            lost=expected - counted.peer_packets,
            highest=counted.peer_highest,
            jitter=counted.peer_jitter,
            last_report=last_report,
            delay=delay,
        )

    def _learn(self, block: ReportBlock, sent: int, unix_ns: int) -> None:
        """RFC 3550 6.4.1: the round trip is what has passed since our report, less what the peer kept it."""
        known = self.far_end
        self._jitters += 1
        jitter = block.jitter if known.jitter is None else known.jitter + (block.jitter - known.jitter) / self._jitters
        mean, longest = known.round_trip_ms, known.longest_round_trip_ms
        passed = (middle(ntp_of(unix_ns)) - block.last_report - block.delay) & 0xFFFFFFFF
        passed = 0 if passed > 0xFFFF0000 else passed
        if block.last_report and passed <= _LONGEST_ROUND_TRIP:
            self._round_trips += 1
            round_trip = passed * 1000 / _SECOND
            mean = round_trip if mean is None else mean + (round_trip - mean) / self._round_trips
            longest = round_trip if longest is None else max(longest, round_trip)
        self.far_end = FarEnd(
            reports=known.reports + 1,
            lost=min(max(0, block.lost), sent),
            expected=sent,
            jitter=jitter,
            round_trip_ms=mean,
            longest_round_trip_ms=longest,
        )


def _interval(chance: float) -> float:
    return INTERVAL_MS * (0.5 + chance) / _COMPENSATION
