"""A carrier connects a caller with somebody else: what becomes of the leg when things go wrong meanwhile."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from offhook.transports.call_leg import Dial, HandsOver, LegConnected, LegEnded, LegReferred, LegTermsChanged
from offhook.transports.media_stream.settings import StreamAccount
from tests.peers.carrier_api import CarrierApi
from tests.peers.media_stream_client import MediaStreamClient
from tests.transports.media_stream.conftest import KEY, NUMBERS, PUBLIC

if TYPE_CHECKING:
    from tests.transports.media_stream.conftest import Listening, Starts

pytestmark = pytest.mark.timeout(60)
TOKEN = "12345"
ORDER = Dial("main", "+4930999999", "+4921155660", "", 20, refer_to="tel:+4930999999")


def account(api: CarrierApi) -> StreamAccount:
    return StreamAccount(
        "main", "twilio", signing_key=TOKEN, stream_key=KEY, rest_user="AC1", rest_key="k", api_url=api.url
    )


@asynccontextmanager
async def handed_over(
    listens: "Starts", api: CarrierApi, order: Dial = ORDER
) -> AsyncIterator[tuple["Listening", MediaStreamClient]]:
    """A call whose carrier is asked to call somebody."""
    listening = await listens(accounts=(account(api),), grace=5)
    async with MediaStreamClient(listening.host) as call:
        api.has(call, listening.host, NUMBERS["caller"], NUMBERS["called"])
        await call.stream(f"/media-stream/main/{KEY}", NUMBERS)
        leg = await listening.leg()
        row = leg.media_socket()
        assert row is not None
        with row:
            leg.answer("", 0)
            await listening.until_fact(LegConnected)
            assert isinstance(leg, HandsOver)
            leg.hand_over(order)
            yield listening, call


@pytest.mark.parametrize(("status", "code"), [("busy", 486), ("no-answer", 480), ("odd", None)])
async def test_an_edge_that_dies_while_the_carrier_calls(listens: "Starts", status: str, code: int | None) -> None:
    """Another one takes what the carrier says, and the caller: the listening socket outlives both."""
    async with CarrierApi(PUBLIC, TOKEN) as api, handed_over(listens, api) as (listening, call):
        await api.until_dialled()
        await listening.until_fact(LegTermsChanged)
        edge = listening.listener.edge_pid
        assert edge is not None
        os.kill(edge, signal.SIGKILL)
        answer = await api.over(status)
        assert answer.verbs == ["Connect", "Redirect"]
        await call.cut()
        await call.stream(answer.stream.attrib["url"], answer.parameters)
        assert await listening.until_fact(LegReferred) == LegReferred(False, code)


async def test_a_target_who_answers_when_the_edge_is_another_one(listens: "Starts") -> None:
    async with CarrierApi(PUBLIC, TOKEN) as api, handed_over(listens, api) as (listening, _):
        await api.until_dialled()
        edge = listening.listener.edge_pid
        assert edge is not None
        os.kill(edge, signal.SIGKILL)
        await api.answered()
        assert await listening.until_fact(LegReferred) == LegReferred(True)


async def test_a_caller_who_hangs_up_before_the_carrier_is_asked(listens: "Starts") -> None:
    """The carrier does not know the call any more: that is no transfer that failed."""
    async with CarrierApi(PUBLIC, TOKEN, status=404) as api, handed_over(listens, api) as (listening, _):
        await listening.until_fact(LegEnded)
        assert not [fact for fact in listening.facts[0] if isinstance(fact, LegReferred)]
        assert listening.facts[0][-1] == LegEnded("caller_hung_up")


async def test_a_carrier_that_says_nothing_in_time_has_the_caller(listens: "Starts") -> None:
    """The leg ends, and the call at the carrier is let be."""
    long_ago = replace(ORDER, ring_seconds=-29)
    async with CarrierApi(PUBLIC, TOKEN) as api, handed_over(listens, api, long_ago) as (listening, _):
        await api.until_dialled()
        assert await listening.until_fact(LegEnded) == LegEnded("failed")
        await listening.listener.stop()
        assert len(api.requests) == 1


async def test_a_caller_who_does_not_come_back_is_hung_up(listens: "Starts") -> None:
    """The house ends a leg that waits for its stream, and so the call at its carrier."""
    async with CarrierApi(PUBLIC, TOKEN) as api, handed_over(listens, api) as (listening, _):
        await api.until_dialled()
        await api.over("busy")
        (await listening.leg()).hang_up("app_hung_up")
        await api.until(lambda: len(api.requests) == 2)
        assert api.requests[1][1] == {"Status": "completed"}
