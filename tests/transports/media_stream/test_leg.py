"""The leg of a streamed call: it outlives its streams."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from offhook.media.messages import Codec, MediaTerms
from offhook.transports.call_leg import (
    CallLeg,
    Dial,
    HandsOver,
    LegConnected,
    LegDigit,
    LegEnded,
    LegFact,
    LegReferred,
    LegTermsChanged,
    Offer,
    PlaysAhead,
)
from offhook.transports.media_stream.edge_messages import CallKey
from offhook.transports.media_stream.leg import LegState, MediaStreamLeg

TERMS = MediaTerms(Codec.PCMU, 0)
OFFER = Offer("media_stream", "+4921155660", "+4930123456", "", TERMS, ("192.0.2.1", 443), "CA1")
CALL = ("main", "CA1")
RESTING = replace(TERMS, sending=False, receiving=False)
ORDER = Dial("main", "+4930999999", "+4921155660", "", 20, refer_to="tel:+4930999999")


class Ledger:
    """Streams that write down what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.rows: list[socket.socket] = []

    def carry(self, stream: int, row: socket.socket) -> None:
        self.asked.append(("carry", stream))
        self.rows.append(row.dup())

    def cut(self, stream: int) -> None:
        self.asked.append(("cut", stream))

    def end(self, call: CallKey, *, heard_out: bool) -> None:
        self.asked.append(("end", call, heard_out))

    def hand_over(self, call: CallKey, order: Dial) -> None:
        self.asked.append(("hand over", call, order))

    def forget(self, call: CallKey) -> None:
        self.asked.append(("forget", call))


@pytest.fixture
def streams() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    for row in ledger.rows:
        row.close()


@pytest.fixture
def leg(streams: Ledger) -> MediaStreamLeg:
    return MediaStreamLeg(OFFER, CALL, 7, streams)


async def facts(leg: CallLeg) -> list[LegFact]:
    async with asyncio.timeout(5):
        return [fact async for fact in leg.facts()]


def answered(leg: MediaStreamLeg) -> socket.socket:
    row = leg.media_socket()
    leg.answer("", 0)
    return row


async def test_an_answered_call_exchanges_packets_with_its_stream(leg: MediaStreamLeg, streams: Ledger) -> None:
    with answered(leg) as row:
        row.send(b"said")
        assert streams.rows[0].recv(100) == b"said"
        streams.rows[0].send(b"heard")
        assert row.recv(100) == b"heard"
        leg.hang_up("app_hung_up")
    assert streams.asked == [("carry", 7), ("end", CALL, True)]
    assert await facts(leg) == [LegConnected(), LegEnded("app_hung_up")]


async def test_a_caller_who_hangs_up_ends_the_leg(leg: MediaStreamLeg, streams: Ledger) -> None:
    with answered(leg):
        leg.carrier_ended()
    assert streams.asked == [("carry", 7)]
    assert await facts(leg) == [LegConnected(), LegEnded("caller_hung_up")]


async def test_a_caller_who_will_not_wait_cancels(leg: MediaStreamLeg) -> None:
    leg.ring()
    leg.carrier_ended()
    assert await facts(leg) == [LegEnded("cancelled")]


async def test_a_refused_call_is_ended_at_the_carrier(leg: MediaStreamLeg, streams: Ledger) -> None:
    leg.refuse(404, "Not Found")
    leg.refuse(404, "Not Found")
    leg.answer("", 0)
    leg.hang_up("call_over")
    assert streams.asked == [("end", CALL, False)]
    assert await facts(leg) == [LegEnded("refused", 404)]


async def test_a_stream_that_breaks_off_rests_the_media_until_it_is_there_again(
    leg: MediaStreamLeg, streams: Ledger
) -> None:
    with answered(leg) as row:
        leg.broke_off()
        assert leg.state is LegState.BROKEN_OFF
        leg.broke_off()
        leg.came_back(8)
        row.send(b"said")
        assert streams.rows[1].recv(100) == b"said"
        leg.hang_up("x")
    resting = replace(TERMS, sending=False, receiving=False)
    assert streams.asked == [("carry", 7), ("carry", 8), ("end", CALL, True)]
    assert await facts(leg) == [
        LegConnected(),
        LegTermsChanged(resting, held=True),
        LegTermsChanged(TERMS, held=False),
        LegEnded("x"),
    ]


async def test_what_was_sent_while_no_stream_was_there_goes_to_the_next_one(
    leg: MediaStreamLeg, streams: Ledger
) -> None:
    with answered(leg) as row:
        streams.rows[0].close()
        leg.broke_off()
        row.send(b"on its way")
        leg.came_back(8)
        assert streams.rows[1].recv(100) == b"on its way"
        leg.hang_up("x")


async def test_a_stream_that_is_replaced_without_a_break_is_not_told(leg: MediaStreamLeg, streams: Ledger) -> None:
    """Its end may not have been noticed yet."""
    with answered(leg):
        leg.came_back(8)
        leg.hang_up("x")
    assert streams.asked == [("carry", 7), ("carry", 8), ("end", CALL, True)]
    assert await facts(leg) == [LegConnected(), LegEnded("x")]


async def test_a_call_that_hangs_up_without_its_stream_has_nothing_to_be_heard_out(
    leg: MediaStreamLeg, streams: Ledger
) -> None:
    with answered(leg):
        leg.broke_off()
        leg.hang_up("x")
    assert streams.asked[-1] == ("end", CALL, False)


async def test_a_stream_that_breaks_off_before_the_answer_cancels(leg: MediaStreamLeg) -> None:
    leg.broke_off()
    assert await facts(leg) == [LegEnded("cancelled")]


async def test_keys_and_interruptions_pass_while_it_is_connected(leg: MediaStreamLeg, streams: Ledger) -> None:
    assert isinstance(leg, PlaysAhead)
    leg.key_pressed("1")
    leg.playback_cut()
    with answered(leg):
        leg.key_pressed("2")
        leg.playback_cut()
        leg.hang_up("x")
    leg.key_pressed("3")
    leg.playback_cut()
    assert streams.asked == [("carry", 7), ("cut", 7), ("end", CALL, True)]
    assert await facts(leg) == [LegConnected(), LegDigit("2"), LegEnded("x")]


def handed_over(leg: MediaStreamLeg) -> socket.socket:
    row = answered(leg)
    leg.hand_over(ORDER)
    return row


async def test_a_caller_whom_the_carrier_connects_has_left_and_is_not_hung_up(
    leg: MediaStreamLeg, streams: Ledger
) -> None:
    """The carrier takes the stream down when it is told to call somebody."""
    assert isinstance(leg, HandsOver)
    with handed_over(leg):
        leg.broke_off()
        leg.target_answered()
        leg.hang_up("transferred")
    assert streams.asked == [("carry", 7), ("hand over", CALL, ORDER), ("forget", CALL)]
    assert await facts(leg) == [
        LegConnected(),
        LegTermsChanged(RESTING, held=True),
        LegReferred(True),
        LegEnded("transferred"),
    ]


async def test_a_caller_who_was_not_connected_is_with_us_when_he_is_streamed_again(
    leg: MediaStreamLeg, streams: Ledger
) -> None:
    with handed_over(leg):
        leg.broke_off()
        leg.target_not_reached(486)
        leg.came_back(8)
        leg.hang_up("x")
    assert streams.asked == [("carry", 7), ("hand over", CALL, ORDER), ("carry", 8), ("end", CALL, True)]
    assert await facts(leg) == [
        LegConnected(),
        LegTermsChanged(RESTING, held=True),
        LegTermsChanged(TERMS, held=False),
        LegReferred(False, 486),
        LegEnded("x"),
    ]


async def test_a_carrier_that_cannot_be_asked_changes_nothing(leg: MediaStreamLeg, streams: Ledger) -> None:
    with handed_over(leg):
        leg.hand_over_refused()
        assert leg.state is LegState.CONNECTED
        leg.hang_up("x")
    assert await facts(leg) == [LegConnected(), LegReferred(False), LegEnded("x")]


async def test_a_stream_that_broke_off_before_the_carrier_refused_is_waited_for(leg: MediaStreamLeg) -> None:
    with handed_over(leg):
        leg.broke_off()
        leg.hand_over_refused()
        assert leg.state is LegState.BROKEN_OFF
        leg.came_back(8)
        leg.hang_up("x")
    resumed = LegTermsChanged(TERMS, held=False)
    assert await facts(leg) == [
        *(LegConnected(), LegTermsChanged(RESTING, held=True), LegReferred(False), resumed, LegEnded("x")),
    ]


async def test_without_a_stream_nobody_is_called(leg: MediaStreamLeg, streams: Ledger) -> None:
    with answered(leg):
        leg.broke_off()
        leg.hand_over(ORDER)
        leg.hang_up("x")
    assert ("hand over", CALL, ORDER) not in streams.asked
    assert LegReferred(False) in await facts(leg)


async def test_who_hangs_up_while_the_carrier_calls_ends_the_call_there(leg: MediaStreamLeg, streams: Ledger) -> None:
    with handed_over(leg):
        leg.hang_up("app_hung_up")
        leg.target_answered()
    assert streams.asked[-1] == ("end", CALL, False)
    assert await facts(leg) == [LegConnected(), LegEnded("app_hung_up")]
