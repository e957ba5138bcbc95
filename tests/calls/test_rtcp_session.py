"""When a leg reports, what it says, and what it learns (RFC 3550 6.3, 6.4, A.3)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.rtcp_packets import Compound, ReportBlock, SenderInfo, middle, ntp_of, read, report
from offhook.calls.rtcp_session import INTERVAL_MS, Counted, RtcpSession

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
NUMBERS = st.integers(0, 0xFFFFFFFF)
NOBODY = Counted(7, 0, 0, 1000, None, 0, 0, 0, 0)
HEARD = Counted(7, 100, 16000, 1000, 9, 0x10000 + 500, 0x10000 + 599, 100, 12)


def said(session: RtcpSession, counted: Counted, at: int = NOW, *, bye: bool = False) -> Compound:
    heard = read(session.speak(counted, 0, at, 0.5, bye=bye))
    assert heard is not None
    return heard


class TestWhen:
    @given(st.floats(0, 1))
    def test_the_first_report_comes_after_half_an_interval(self, chance: float) -> None:
        assert 1000 < RtcpSession(0, chance).next_report < 3100

    @given(st.floats(0, 1))
    def test_further_ones_are_spread_about_five_seconds(self, chance: float) -> None:
        session = RtcpSession(0, 0.5)
        session.speak(HEARD, 10_000, NOW, chance)
        assert 0.5 * INTERVAL_MS / 1.22 < session.next_report - 10_000 < 1.5 * INTERVAL_MS / 1.21


class TestWhatIsSaid:
    def test_who_sends_gives_a_sender_report(self) -> None:
        heard = said(RtcpSession(0, 0.5), HEARD)
        assert heard.senders == (SenderInfo(7, ntp_of(NOW), 1000, 100, 16000),)

    def test_who_has_stopped_sending_gives_receiver_reports_after_two_intervals(self) -> None:
        session = RtcpSession(0, 0.5)
        kinds = [bool(said(session, HEARD).senders) for _ in range(4)]
        assert kinds == [True, True, False, False]

    def test_who_has_heard_nobody_says_so_by_no_block(self) -> None:
        heard = said(RtcpSession(0, 0.5), NOBODY)
        assert (heard.blocks, heard.senders, heard.reporters) == ((), (), (7,))

    def test_loss_is_told_as_a_whole_and_since_the_last_report(self) -> None:
        session = RtcpSession(0, 0.5)
        lossy = replace(HEARD, peer_highest=HEARD.peer_first + 99, peer_packets=75)
        [block] = said(session, lossy).blocks
        assert (block.ssrc, block.lost, block.fraction_lost, block.jitter) == (9, 25, 64, 12)
        assert block.highest == 0x10000 + 599
        [block] = said(session, replace(lossy, peer_highest=HEARD.peer_first + 199, peer_packets=175)).blocks
        assert (block.lost, block.fraction_lost) == (25, 0)

    def test_doubles_make_the_loss_negative(self) -> None:
        [block] = said(RtcpSession(0, 0.5), replace(HEARD, peer_packets=110)).blocks
        assert (block.lost, block.fraction_lost) == (-10, 0)

    def test_another_stream_begins_anew(self) -> None:
        session = RtcpSession(0, 0.5)
        said(session, HEARD)
        [block] = said(
            session, replace(HEARD, peer_ssrc=10, peer_first=0x10000, peer_highest=0x10009, peer_packets=9)
        ).blocks
        assert (block.ssrc, block.lost, block.fraction_lost) == (10, 1, 25)

    def test_the_last_report_of_the_peer_is_named_with_its_age(self) -> None:
        session = RtcpSession(0, 0.5)
        theirs = SenderInfo(9, ntp_of(NOW - 5 * SECOND), 1, 1, 1)
        session.hear(report(9, "them", theirs, [], bye=False), 7, 100, NOW)
        [block] = said(session, HEARD, NOW + 2 * SECOND).blocks
        assert block.last_report == middle(theirs.ntp)
        assert block.delay == 2 << 16

    def test_the_last_one_has_the_goodbye(self) -> None:
        assert said(RtcpSession(0, 0.5), HEARD, bye=True).byes == (7,)


class TestWhatIsLearned:
    def reported(self, session: RtcpSession, at: int, **fields: int) -> None:
        block = replace(ReportBlock(7, 0, 0, 600, 0, 0, 0), **fields)
        session.hear(report(9, "them", None, [block], bye=False), 7, 200, at)

    @pytest.mark.parametrize("round_trip_ms", [0, 30, 480])
    def test_the_round_trip_is_what_the_peer_did_not_keep(self, round_trip_ms: int) -> None:
        session = RtcpSession(0, 0.5)
        self.reported(
            session,
            NOW + 3 * SECOND + round_trip_ms * 1_000_000,
            last_report=middle(ntp_of(NOW)),
            delay=3 << 16,
        )
        assert session.far_end.round_trip_ms == pytest.approx(round_trip_ms, abs=0.1)

    def test_a_peer_that_has_seen_no_report_tells_no_round_trip(self) -> None:
        session = RtcpSession(0, 0.5)
        self.reported(session, NOW, lost=3, jitter=16)
        far = session.far_end
        assert (far.round_trip_ms, far.reports, far.lost, far.expected, far.jitter) == (None, 1, 3, 200, 16)

    def test_mean_and_longest_round_trip(self) -> None:
        session = RtcpSession(0, 0.5)
        for ms in (20, 40, 90):
            self.reported(session, NOW + ms * 1_000_000, last_report=middle(ntp_of(NOW)))
        assert session.far_end.round_trip_ms == pytest.approx(50, abs=0.1)
        assert session.far_end.longest_round_trip_ms == pytest.approx(90, abs=0.1)

    def test_a_round_trip_of_minutes_is_a_lie(self) -> None:
        session = RtcpSession(0, 0.5)
        self.reported(session, NOW + 100 * SECOND, last_report=middle(ntp_of(NOW)))
        assert session.far_end.round_trip_ms is None

    def test_reports_about_others_are_not_ours(self) -> None:
        session = RtcpSession(0, 0.5)
        self.reported(session, NOW, ssrc=8, lost=50)
        assert session.far_end.reports == 0

    @given(st.binary(max_size=120), NUMBERS, NUMBERS, NUMBERS)
    def test_lies_and_noise_are_survived(self, noise: bytes, last: int, delay: int, jitter: int) -> None:
        session = RtcpSession(0, 0.5)
        session.hear(noise, 7, 100, NOW)
        self.reported(session, NOW, last_report=last, delay=delay, jitter=jitter, lost=(1 << 23) - 1)
        assert 0 <= session.far_end.lost <= session.far_end.expected
