"""How good a call's line was: what was counted of its packets, both ways, and what that sounds like by the E-model
(ITU-T G.107, wideband G.107.1; impairments by G.113). Pure.

The estimate is about the line, not about what was said on it: noise, echo and a distant microphone are not in it.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from offhook.calls.rtcp_session import FarEnd
from offhook.media.messages import Codec

MIN_PACKETS: Final = 50
"""Of fewer packets, one second, no estimate is made."""
OWN_DELAY_MS: Final = 40
"""What passes here: 20 ms to fill a packet, 20 ms until it is taken."""
FAR_DELAY_MS: Final = 80
"""What we suppose to pass at the far end: a packet, and a usual jitter buffer of 60 ms."""
_NARROWBAND: Final = 93.2
_WIDEBAND: Final = 129.0
_STRETCH: Final = 1.29
"""The wideband scale is so much longer than that of the mean opinion score (G.107.1)."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """G.113: `impairment` of the codec itself (Ie), its `robustness` against loss (Bpl), and the best rating there is
    on its scale."""

    best: float
    impairment: float
    robustness: float


IMPAIRMENTS: Final = {
    Codec.PCMU: Impairment(_NARROWBAND, 0, 25.1),  # with concealment (G.113 appendix I)
    Codec.PCMA: Impairment(_NARROWBAND, 0, 25.1),
    Codec.G722: Impairment(_WIDEBAND, 13, 4.3),  # its robustness is that of a codec without concealment
    Codec.L16: Impairment(_WIDEBAND, 0, 4.3),
    Codec.OPUS: Impairment(_WIDEBAND, 13, 4.3),  # G.113 does not list it: taken for no better than G.722
}


@dataclass(frozen=True, slots=True)
class LineQuality:
    """One leg's line. Counts are packets; `lost` never came, `given_up` were not there when they had to be, in `gaps`
    runs, of which `unconcealed` were heard as silence; `unauthentic` were not of the peer (SRTP). Jitter and round trip
    are in ms, None where nothing tells. `far`: what the peer's RTCP says of what we sent."""

    codec: Codec
    srtp: str | None
    sent: int
    received: int
    expected: int
    lost: int
    late: int
    duplicates: int
    given_up: int
    gaps: int
    unconcealed: int
    unauthentic: int
    jitter_ms: float | None
    far: FarEnd = field(default_factory=FarEnd)

    @property
    def loss(self) -> float:
        """The share of packets that never came, 0 to 1."""
        return self.lost / self.expected if self.expected else 0.0

    @property
    def heard_loss(self) -> float:
        """The share of packets that were not there when they had to be: lost, or late."""
        return min(1.0, max(self.given_up, self.lost) / self.expected) if self.expected else 0.0

    @property
    def silent_loss(self) -> float:
        """The share that is left after concealment."""
        return min(1.0, self.unconcealed / self.expected) if self.expected else 0.0

    @property
    def far_loss(self) -> float | None:
        """The share of what we sent that did not reach the far end."""
        return self.far.lost / self.far.expected if self.far.reports and self.far.expected else None

    @property
    def far_jitter_ms(self) -> float | None:
        """How irregularly the far end receives us."""
        return None if self.far.jitter is None else self.far.jitter * 1000 / self.codec.clock

    @property
    def mos(self) -> float | None:
        """What we hear, 1 to 4.5."""
        if self.expected < MIN_PACKETS:
            return None
        bursts = burst_ratio(self.given_up, self.gaps, self.heard_loss)
        return mos_of(self.codec, self.heard_loss, bursts, self._way_ms + OWN_DELAY_MS)

    @property
    def far_mos(self) -> float | None:
        """What the far end hears of us, by its reports."""
        loss = self.far_loss
        if loss is None or self.far.expected < MIN_PACKETS:
            return None
        return mos_of(self.codec, loss, 1.0, self._way_ms + FAR_DELAY_MS)

    @property
    def _way_ms(self) -> float:
        """One way through the network; not known counts as nothing."""
        return (self.far.round_trip_ms or 0.0) / 2

    def record(self) -> dict[str, object]:
        """As the call's record has it: shares in percent, times in ms."""
        return {
            "codec": self.codec.value,
            "srtp": self.srtp,
            "packets_sent": self.sent,
            "packets_received": self.received,
            "packets_lost": self.lost,
            "packets_late": self.late,
            "packets_duplicate": self.duplicates,
            "packets_unauthentic": self.unauthentic,
            "loss_percent": _percent(self.loss),
            "heard_loss_percent": _percent(self.heard_loss),
            "silent_loss_percent": _percent(self.silent_loss),
            "jitter_ms": _rounded(self.jitter_ms),
            "round_trip_ms": _rounded(self.far.round_trip_ms),
            "longest_round_trip_ms": _rounded(self.far.longest_round_trip_ms),
            "far_loss_percent": None if self.far_loss is None else _percent(self.far_loss),
            "far_jitter_ms": _rounded(self.far_jitter_ms),
            "rtcp_reports": self.far.reports,
            "mos": _rounded(self.mos, 2),
            "far_mos": _rounded(self.far_mos, 2),
        }

    def __str__(self) -> str:
        """In one line."""
        codec = f"{self.codec.value} {self.srtp}" if self.srtp else self.codec.value
        jitter = "" if self.jitter_ms is None else f", jitter {self.jitter_ms:.0f} ms"
        trip = "" if self.far.round_trip_ms is None else f", round trip {self.far.round_trip_ms:.0f} ms"
        mos = "" if self.mos is None else f", MOS {self.mos:.1f}"
        heard = f"heard: {self.received} packets, {100 * self.loss:.1f} % lost, {self.late} late{jitter}{trip}{mos}"
        if self.far_loss is None:
            return f"{codec}; {heard}; sent: {self.sent} packets"
        far_mos = "" if self.far_mos is None else f", MOS {self.far_mos:.1f}"
        return f"{codec}; {heard}; sent: {self.sent} packets, {100 * self.far_loss:.1f} % lost{far_mos}"


def burst_ratio(lost: int, gaps: int, loss: float) -> float:
    """How much longer the runs of lost packets are than they would be by chance (G.107 3.5): 1 and more."""
    if not lost or not gaps or loss >= 1:
        return 1.0
    return max(1.0, lost / gaps * (1 - loss))


def mos_of(codec: Codec, loss: float, bursts: float, delay_ms: float) -> float:
    """The mean opinion score of a line: `loss` 0 to 1 after the jitter buffer, `delay_ms` from mouth to ear."""
    has = IMPAIRMENTS[codec]
    percent = 100 * loss
    limit = 95.0
    effective = has.impairment + (limit - has.impairment) * percent / (percent / bursts + has.robustness)
    rating = has.best - delay_impairment(delay_ms) - effective
    return opinion(rating / _STRETCH if has.best == _WIDEBAND else rating)


def delay_impairment(delay_ms: float) -> float:
    """Too long absolute delay (G.107 3.5, Idd with the default sensitivity)."""
    if delay_ms <= 100:
        return 0.0
    x = math.log2(delay_ms / 100)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def opinion(rating: float) -> float:
    """The mean opinion score of a rating R (G.107 annex B)."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
