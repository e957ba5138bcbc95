"""The lines of calls as Prometheus sees them."""

from offhook.calls.line_tally import LineTally
from offhook.calls.quality import LineQuality
from offhook.control.metrics import as_text
from offhook.media.messages import Codec
from offhook.service.line_metrics import LineMetrics


def test_lines_that_are_over_are_in_histograms_by_codec() -> None:
    tally = LineTally()
    tally.add(
        LineQuality(
            codec=Codec.PCMU,
            srtp=None,
            sent=100,
            received=98,
            expected=100,
            lost=2,
            late=0,
            duplicates=0,
            given_up=2,
            gaps=2,
            unconcealed=0,
            unauthentic=1,
            jitter_ms=4.0,
        )
    )
    page = as_text(LineMetrics(tally).metrics())
    assert 'offhook_call_mos_bucket{codec="PCMU",le="4.2"} 0\n' in page
    assert 'offhook_call_mos_bucket{codec="PCMU",le="4.4"} 1\n' in page
    assert 'offhook_call_loss_percent_bucket{codec="PCMU",le="2"} 1\n' in page
    assert 'offhook_call_jitter_ms_sum{codec="PCMU"} 4\n' in page
    assert 'offhook_call_round_trip_ms_count{codec="PCMU"} 0\n' in page
    assert "offhook_srtp_unauthentic_packets_total 1\n" in page


def test_before_the_first_call_there_are_no_histograms() -> None:
    assert "histogram" not in as_text(LineMetrics(LineTally()).metrics())
