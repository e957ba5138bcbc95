"""A listener and its edge process, with carriers that open WebSockets: who gets in, and what becomes of calls."""

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING, Literal

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from offhook.errors import OffhookError
from offhook.media.messages import Codec
from offhook.transports.call_leg import LegConnected, LegDigit, LegEnded, LegTermsChanged
from offhook.transports.media_stream.edge_stream import MOST_ODD_MESSAGES
from offhook.transports.media_stream.listener import MediaStreamListener
from offhook.transports.media_stream.settings import StreamAccount, StreamSettings
from tests.peers.media_stream_client import MediaStreamClient, ask
from tests.peers.processes import children
from tests.transports.media_stream.conftest import ACCOUNTS, BRIDGE, KEY, NUMBERS, PUBLIC

if TYPE_CHECKING:
    from tests.transports.media_stream.conftest import Listening, Starts

pytestmark = pytest.mark.timeout(60)
HEADER = bytes(12)


def spoken(number: int) -> bytes:
    return HEADER + bytes([number]) * 160


async def connected(listening: "Listening", call: MediaStreamClient) -> socket.socket:
    """A call that was answered; gives the media row's end of its socket pair."""
    await call.stream(BRIDGE, NUMBERS)
    leg = await listening.leg()
    row = leg.media_socket()
    assert row is not None
    leg.answer("", 0)
    await listening.until_fact(LegConnected)
    return row


async def received(row: socket.socket) -> bytes:
    """The next packet for the media row."""
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(row, 2048)


async def test_a_stream_is_a_call_with_all_that_its_carrier_says(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        await call.stream(BRIDGE, NUMBERS | {"FirstName": "Jane"})
        offer = (await listening.leg()).offer
    assert (offer.transport, offer.called, offer.caller) == ("media_stream", "+4921155660", "+4930123456")
    assert offer.call_id == call.call_sid
    assert offer.terms.codec is Codec.PCMU
    assert offer.headers["FirstName"] == "Jane"
    assert offer.headers["account"] == "bridge"
    assert offer.source[0] == "127.0.0.1"


async def test_audio_goes_both_ways_and_keys_come(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call) as row:
            call.say(b"\x55" * 320)
            while (packet := await received(row))[12:] != b"\x55" * 160:
                assert packet[12:] == call.silence
            for number in range(1, 6):
                row.send(spoken(number))
            await call.until(lambda: len(call.sounding) == 5)
            assert call.sounding == [bytes([number]) * 160 for number in range(1, 6)]
            call.press("5")
            assert await listening.until_fact(LegDigit) == LegDigit("5")
            await call.stop()
    assert await listening.until_fact(LegEnded) == LegEnded("caller_hung_up")


@pytest.mark.parametrize(("carrier", "said"), [("signalwire", None), ("telnyx", True)])
async def test_l16_of_a_carrier_that_writes_the_low_byte_first(
    listens: "Starts", carrier: Literal["signalwire", "telnyx"], said: bool | None
) -> None:
    """Rows have the high byte first (RFC 3551 4.5.11)."""
    little = StreamAccount("little", carrier, stream_key=KEY, l16_little_endian=said)
    listening = await listens(accounts=(little,))
    dialect: Literal["twilio", "telnyx"] = "telnyx" if carrier == "telnyx" else "twilio"
    async with MediaStreamClient(listening.host, dialect=dialect, encoding="L16") as call:
        await call.stream(f"/media-stream/little/{KEY}", NUMBERS)
        leg = await listening.leg()
        row = leg.media_socket()
        assert row is not None
        with row:
            leg.answer("", 0)
            call.say(b"\x01\x02" * 320)
            while (packet := await received(row))[12:] != b"\x02\x01" * 320:
                assert packet[12:] == call.silence
            row.send(HEADER + b"\x03\x04" * 320)
            await call.hears_sound()
            assert call.sounding == [b"\x04\x03" * 320]
            leg.hang_up("x")


async def test_a_start_with_as_much_as_a_message_holds_is_a_call(listens: "Starts") -> None:
    """What is said of it to the house has its own limits."""
    listening = await listens(max_message_bytes=1 << 20)
    async with MediaStreamClient(listening.host) as call:
        await call.stream(BRIDGE, NUMBERS | {f"{k}{'𝄞' * 600}": "𝄞" * 600 for k in range(40)})
        assert (await listening.leg()).offer.called == "+4921155660"


async def test_an_interruption_clears_what_the_carrier_holds(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call) as row:
            for number in range(1, 30):
                row.send(spoken(number))
            await call.until(lambda: len(call.of("media")) > 0)
            listening.legs[0].playback_cut()  # type: ignore[attr-defined]  # it plays ahead
            await call.until(lambda: bool(call.of("clear")))
            assert call.received[-1]["event"] == "clear"


async def test_what_was_said_last_is_heard_before_the_socket_is_closed(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call) as row:
            for number in range(1, 31):
                row.send(spoken(number))
            listening.legs[0].hang_up("app_hung_up")
            assert await listening.until_fact(LegEnded) == LegEnded("app_hung_up")
        await call.until(lambda: call.closed is not None)
        assert call.closed == 1000
        assert call.sounding == [bytes([number]) * 160 for number in range(1, 31)]


async def test_a_stream_that_comes_back_goes_on_with_the_same_leg(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call) as row:
            await call.cut()
            await listening.until(lambda: len(listening.facts[0]) == 2)
            await call.stream(BRIDGE, NUMBERS)
            await listening.until(lambda: len(listening.facts[0]) == 3)
            changes = [fact for fact in listening.facts[0] if isinstance(fact, LegTermsChanged)]
            assert [(change.held, change.terms.sending) for change in changes] == [(True, False), (False, True)]
            row.send(spoken(1))
            await call.hears_sound()
            call.say(b"\x55" * 160)
            while (await received(row))[12:] != b"\x55" * 160:
                pass
    assert len(listening.legs) == 1


async def test_a_stream_that_comes_back_before_its_end_was_noticed_takes_over(listens: "Starts") -> None:
    """A network that is gone says nothing."""
    listening = await listens()
    async with MediaStreamClient(listening.host) as old, MediaStreamClient(listening.host) as new:
        with await connected(listening, old) as row:
            new.call_sid, new.stream_sid = old.call_sid, old.stream_sid
            await new.stream(BRIDGE, NUMBERS)
            await new.hears(10)
            row.send(spoken(1))
            await new.hears_sound()
            await old.until(lambda: old.closed == 1000)
            row.send(spoken(2))
            await new.hears_sound()
            await new.stop()
    assert [type(fact) for fact in listening.facts[0]] == [LegConnected, LegEnded]


async def test_of_two_streams_of_a_call_that_is_not_answered_yet_the_newer_stays(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as old, MediaStreamClient(listening.host) as new:
        new.call_sid = old.call_sid
        await old.stream(BRIDGE, NUMBERS)
        leg = await listening.leg()
        await new.stream(BRIDGE, NUMBERS)
        await old.until(lambda: old.closed == 1000)
        row = leg.media_socket()
        assert row is not None
        with row:
            leg.answer("", 0)
            row.send(spoken(1))
            await new.hears_sound()
    assert len(listening.legs) == 1


async def test_a_stream_that_comes_back_in_another_codec_ends_the_call(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as old, MediaStreamClient(listening.host, encoding="L16") as new:
        with await connected(listening, old):
            await old.cut()
            new.call_sid = old.call_sid
            await new.stream(BRIDGE, NUMBERS)
            assert await listening.until_fact(LegEnded) == LegEnded("failed")
            await new.until(lambda: new.closed is not None)


async def test_a_stream_that_does_not_come_back_ends_the_call(listens: "Starts") -> None:
    listening = await listens(grace=0.2)
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call):
            await call.cut()
            assert await listening.until_fact(LegEnded) == LegEnded("failed")
        await call.stream(BRIDGE, NUMBERS)
        await call.until(lambda: call.closed is not None)
        assert call.closed == 1000
    assert len(listening.legs) == 1


async def test_an_edge_that_dies_is_started_again_and_calls_go_on(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call) as row:
            for _ in range(2):
                (edge,) = [
                    pid for pid, what in children(os.getpid()).items() if "offhook.transports.media_stream" in what
                ]
                os.kill(edge, signal.SIGKILL)
                await call.until(lambda: call.closed is not None)
                await call.cut()
                await call.stream(BRIDGE, NUMBERS)
                row.send(spoken(1))
                await call.hears_sound()
    assert listening.listener.stream_counts["edge_restarts"] == 2
    assert listening.listener.stream_counts["streams_resumed"] == 2


# --- who gets in


async def test_a_refused_call_is_closed_and_its_carrier_told_to_hang_up(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        form = {"CallSid": call.call_sid, "From": "+4930123456", "To": "+4921155660"}
        answer = await ask(listening.host, PUBLIC, "main", form, token="12345")
        await call.stream(answer.stream.attrib["url"], answer.parameters)
        (await listening.leg()).refuse(404, "Not Found")
        await call.until(lambda: call.closed is not None)
        assert (await ask(listening.host, PUBLIC, "main", form, token="12345")).verbs == ["Hangup"]


async def test_one_stream_too_many_gets_503(listens: "Starts") -> None:
    listening = await listens(max_streams=1)
    async with MediaStreamClient(listening.host) as first, MediaStreamClient(listening.host) as second:
        await first.stream(BRIDGE, NUMBERS)
        await listening.leg()
        with pytest.raises(InvalidStatus, match="503"):
            await second.stream(BRIDGE, NUMBERS)
        await listening.counted("streams_refused_full")


async def test_a_socket_that_says_nothing_is_closed(listens: "Starts") -> None:
    listening = await listens(start_within_seconds=0.2)
    async with connect(f"ws://{listening.host}{BRIDGE}") as silent:
        await silent.wait_closed()
        assert silent.close_code == 1008
    await listening.counted("streams_never_started")


async def test_a_socket_that_talks_of_other_things_is_closed(listens: "Starts") -> None:
    listening = await listens()
    async with connect(f"ws://{listening.host}{BRIDGE}") as chatty:
        for _ in range(30):
            await chatty.send('{"event":"weather"}')
        await chatty.wait_closed()
        assert chatty.close_code == 1008
    await listening.counted("odd_unknown_event", 20)


async def test_a_message_over_the_limit_ends_its_stream(listens: "Starts") -> None:
    listening = await listens(max_message_bytes=2048)
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call):
            call.send('{"event":"media","media":{"payload":"' + "A" * 4096 + '"}}')
            await call.until(lambda: call.closed is not None)
            assert call.closed == 1009
            change = await listening.until_fact(LegTermsChanged)
            assert isinstance(change, LegTermsChanged)
            assert change.held


async def test_a_stream_of_nonsense_is_closed_in_the_end(listens: "Starts") -> None:
    listening = await listens()
    async with MediaStreamClient(listening.host) as call:
        with await connected(listening, call):
            for _ in range(MOST_ODD_MESSAGES + 1):
                call.send("nonsense")
            await call.until(lambda: call.closed is not None)
            assert call.closed == 1008


@pytest.mark.parametrize(
    "path", ["/", "/media-stream/main", "/media-stream/nobody/answer", "/media-stream/bridge/answer"]
)
async def test_other_addresses_are_not_there(listens: "Starts", path: str) -> None:
    listening = await listens()
    async with aiohttp.ClientSession() as client, client.post(f"http://{listening.host}{path}") as answer:
        assert answer.status in {404, 405}


async def test_an_answer_address_wants_a_signature_first(listens: "Starts") -> None:
    listening = await listens()
    async with aiohttp.ClientSession() as client:
        for account in ("main", "telnyx"):
            url = f"http://{listening.host}/media-stream/{account}/answer"
            async with client.post(url, data={"CallSid": "CA1"}) as answer:
                assert answer.status == 403
            async with client.post(url, data=b"x" * 100_000) as answer:
                assert answer.status == 413
    await listening.counted("answers_refused_signature", 2)


@pytest.mark.parametrize("call", ["", "CA\0", "x" * 300])
async def test_a_signed_question_without_a_call_is_a_bad_one(listens: "Starts", call: str) -> None:
    listening = await listens()
    assert (await ask(listening.host, PUBLIC, "main", {"CallSid": call}, token="12345")).status == 400


async def test_an_address_expires_but_not_for_a_call_that_is_known(listens: "Starts") -> None:
    listening = await listens(token_seconds=-1)
    async with MediaStreamClient(listening.host) as call:
        form = {"CallSid": call.call_sid, "From": "+4930123456", "To": "+4921155660"}
        answer = await ask(listening.host, PUBLIC, "main", form, token="12345")
        url = answer.stream.attrib["url"]
        with pytest.raises(InvalidStatus, match="403"):
            await call.stream(url, answer.parameters)
        await call.stream(f"/media-stream/main/{KEY}", NUMBERS)
        leg = await listening.leg()
        row = leg.media_socket()
        assert row is not None
        with row:
            leg.answer("", 0)
            await call.cut()
            await listening.until_fact(LegTermsChanged)
            await call.stream(url, answer.parameters)
            await listening.until(lambda: len(listening.facts[0]) == 3)


async def test_an_address_that_is_taken_is_said(listens: "Starts") -> None:
    listening = await listens()
    port = listening.listener.address[1]
    taken = MediaStreamListener(StreamSettings(PUBLIC, ACCOUNTS), ("127.0.0.1", port), grace_seconds=1)
    with pytest.raises(OffhookError, match=f"127.0.0.1:{port}") as refused:
        await taken.start()
    assert "media_stream.listen" in refused.value.remedy


async def test_stopping_leaves_no_process_behind(listens: "Starts") -> None:
    listening = await listens()
    await listening.listener.stop()
    assert not [what for what in children(os.getpid()).values() if "offhook.transports.media_stream" in what]
    await listening.listener.stop()
