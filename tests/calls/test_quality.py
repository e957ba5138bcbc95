"""The E-model against the values that the ITU has published, and what a line's record says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.quality import LineQuality, burst_ratio, delay_impairment, mos_of, opinion
from offhook.calls.rtcp_session import FarEnd
from offhook.media.messages import Codec


@pytest.mark.parametrize(("rating", "mos"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_ratings_as_opinions(rating: float, mos: float) -> None:
    """ITU-T G.107 table B.1."""
    assert opinion(rating) == pytest.approx(mos, abs=0.01)


@pytest.mark.parametrize(("rating", "mos"), [(-5, 1.0), (0, 1.0), (3, 1.0), (100, 4.5), (120, 4.5)])
def test_the_ends_of_the_scale(rating: float, mos: float) -> None:
    assert opinion(rating) == pytest.approx(mos, abs=0.001)


def test_a_line_without_a_fault_has_the_rating_of_the_defaults() -> None:
    """G.107: 93.2, a score of 4.41; G.722 at 64 kbit/s on the wideband scale: 129 - 13."""
    assert mos_of(Codec.PCMA, 0, 1, 40) == pytest.approx(4.41, abs=0.005)
    assert mos_of(Codec.G722, 0, 1, 40) == pytest.approx(opinion(116 / 1.29))


@pytest.mark.parametrize(("percent", "impairment"), [(1, 3.64), (2, 7.01), (5, 15.78), (10, 27.07)])
def test_loss_impairs_as_g113_says_of_concealed_g711(percent: float, impairment: float) -> None:
    """Ie,eff = 95 · Ppl / (Ppl + 25.1)."""
    assert mos_of(Codec.PCMU, percent / 100, 1, 0) == pytest.approx(opinion(93.2 - impairment), abs=0.005)


@pytest.mark.parametrize(("delay_ms", "impairment"), [(0, 0), (100, 0), (150, 0.16), (200, 3.04), (400, 24.07)])
def test_delay_impairs_beyond_100_ms(delay_ms: float, impairment: float) -> None:
    assert delay_impairment(delay_ms) == pytest.approx(impairment, abs=0.01)


@given(st.sampled_from(list(Codec)), st.floats(0, 1), st.floats(1, 10), st.floats(0, 2000))
def test_an_opinion_is_between_one_and_four_and_a_half_and_never_better_by_loss(
    codec: Codec, loss: float, bursts: float, delay_ms: float
) -> None:
    mos = mos_of(codec, loss, bursts, delay_ms)
    assert 1 <= mos <= 4.5
    assert mos <= mos_of(codec, 0, bursts, delay_ms)


def test_losses_in_runs_are_worse_than_single_ones() -> None:
    assert burst_ratio(10, 10, 0.05) == 1.0
    assert burst_ratio(40, 10, 0.05) == pytest.approx(3.8)
    assert mos_of(Codec.PCMU, 0.05, 3.8, 40) < mos_of(Codec.PCMU, 0.05, 1, 40)


def line(**fields: object) -> LineQuality:
    known: dict[str, object] = {
        "codec": Codec.PCMA,
        "srtp": None,
        "sent": 1000,
        "received": 950,
        "expected": 1000,
        "lost": 50,
        "late": 3,
        "duplicates": 0,
        "given_up": 53,
        "gaps": 53,
        "unconcealed": 4,
        "unauthentic": 0,
        "jitter_ms": 7.25,
    }
    return LineQuality(**{**known, **fields})  # type: ignore[arg-type]  # fields by name


class TestTheRecord:
    def test_shares_are_percents_and_times_are_ms(self) -> None:
        far = FarEnd(4, lost=20, expected=1000, jitter=40, round_trip_ms=81.234, longest_round_trip_ms=120)
        record = line(far=far).record()
        assert record == {
            "codec": "PCMA",
            "srtp": None,
            "packets_sent": 1000,
            "packets_received": 950,
            "packets_lost": 50,
            "packets_late": 3,
            "packets_duplicate": 0,
            "packets_unauthentic": 0,
            "loss_percent": 5.0,
            "heard_loss_percent": 5.3,
            "silent_loss_percent": 0.4,
            "jitter_ms": 7.2,
            "round_trip_ms": 81.2,
            "longest_round_trip_ms": 120,
            "far_loss_percent": 2.0,
            "far_jitter_ms": 5.0,
            "rtcp_reports": 4,
            "mos": 3.89,
            "far_mos": 4.23,
        }

    def test_a_call_of_less_than_a_second_has_no_score(self) -> None:
        assert line(expected=49).mos is None
        assert line(expected=49).far_mos is None

    def test_what_nobody_told_is_not_made_up(self) -> None:
        record = line(jitter_ms=None).record()
        unknown = ("jitter_ms", "round_trip_ms", "far_loss_percent", "far_jitter_ms", "far_mos")
        assert [record[name] for name in unknown] == [None] * 5

    def test_in_one_line(self) -> None:
        assert str(line(srtp="AES_CM_128_HMAC_SHA1_80")) == (
            "PCMA AES_CM_128_HMAC_SHA1_80; heard: 950 packets, 5.0 % lost, 3 late, jitter 7 ms, MOS 3.9; "
            "sent: 1000 packets"
        )
        far = FarEnd(2, lost=10, expected=1000, round_trip_ms=30)
        assert str(line(far=far)).endswith("round trip 30 ms, MOS 3.9; sent: 1000 packets, 1.0 % lost, MOS 4.3")
