"""Calls ended through a carrier's REST interface, as documented; and what no call's name can do to it."""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from offhook.transports.media_stream.carrier_rest import hang_up, hang_up_request, redirect, redirect_request
from offhook.transports.media_stream.settings import StreamAccount

SID = "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
TWILIO = StreamAccount("main", "twilio", rest_user=SID, rest_key="your_auth_token")
TELNYX = StreamAccount("telnyx", "telnyx", rest_key="KEY123")


def test_twilio_completes_a_call() -> None:
    """twilio.com/docs/voice/api/call-resource: POST …/Calls/{sid}.json, Status=completed, basic authentication."""
    request = hang_up_request(TWILIO, "CA123")
    assert request is not None
    assert request.url == f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Calls/CA123.json"
    assert request.form == {"Status": "completed"}
    assert request.headers == {"Authorization": "Basic " + b64encode(f"{SID}:your_auth_token".encode()).decode()}


def test_signalwire_has_the_same_interface_below_laml() -> None:
    account = StreamAccount(
        "sw", "signalwire", rest_user="p", rest_key="k", api_url="https://x.signalwire.com/api/laml/"
    )
    request = hang_up_request(account, "CA1")
    assert request is not None
    assert request.url == "https://x.signalwire.com/api/laml/2010-04-01/Accounts/p/Calls/CA1.json"


def test_telnyx_hangs_up_a_call() -> None:
    request = hang_up_request(TELNYX, "v3:abc")
    assert request is not None
    assert request.url == "https://api.telnyx.com/v2/calls/v3%3Aabc/actions/hangup"
    assert request.headers == {"Authorization": "Bearer KEY123"}
    assert request.json == {}


@pytest.mark.parametrize(
    ("account", "resource"),
    [
        (TWILIO, f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Calls/v3%3Aabc.json"),
        (
            StreamAccount("sw", "signalwire", rest_user="p", rest_key="k", api_url="https://x.signalwire.com/api/laml"),
            "https://x.signalwire.com/api/laml/2010-04-01/Accounts/p/Calls/v3%3Aabc.json",
        ),
        (
            StreamAccount("telnyx", "telnyx", rest_user="acc", rest_key="KEY123"),
            "https://api.telnyx.com/v2/texml/Accounts/acc/Calls/v3%3Aabc",
        ),
    ],
    ids=["twilio", "signalwire", "telnyx"],
)
def test_a_call_is_redirected_by_its_resource(account: StreamAccount, resource: str) -> None:
    """ "Update a call": `Url` is asked what to do with it now."""
    request = redirect_request(account, "v3:abc", "https://calls.example.com/x")
    assert request is not None
    assert request.url == resource
    assert request.form == {"Url": "https://calls.example.com/x", "Method": "POST"}
    assert request.headers["Authorization"].startswith("Bearer " if account.carrier == "telnyx" else "Basic ")


@pytest.mark.parametrize("call_id", ["../../Messages", "CA1/../../x", "CA1?Status=x", "CA1#", "a b", "%2e%2e/x"])
def test_a_calls_name_stays_one_segment_of_the_path(call_id: str) -> None:
    request = hang_up_request(TWILIO, call_id)
    assert request is not None
    name = request.url.removeprefix(f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Calls/").removesuffix(".json")
    assert set(name).isdisjoint("/?# ")


@pytest.mark.parametrize("call_id", ["", ".", ".."])
def test_no_request_for_what_is_no_name(call_id: str) -> None:
    assert hang_up_request(TWILIO, call_id) is None


@pytest.mark.parametrize(
    "account",
    [
        StreamAccount("main", "twilio", rest_user=SID),
        StreamAccount("bridge", "bridge", rest_user="u", rest_key="k"),
    ],
)
def test_without_a_key_or_a_place_the_end_of_the_stream_has_to_do(account: StreamAccount) -> None:
    assert hang_up_request(account, "CA1") is None


def test_keys_do_not_show() -> None:
    assert "your_auth_token" not in repr(TWILIO)
    assert "KEY123" not in repr(hang_up_request(TELNYX, "v3:abc"))


class Rest:
    """A carrier's REST interface with one answer for everything."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.raw_path, dict(await request.post())))
        return web.Response(status=self.status)


@pytest.fixture
async def rest() -> AsyncIterator[Rest]:
    carrier = Rest()
    app = web.Application()
    app.router.add_post("/{path:.*}", carrier.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    carrier.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield carrier
    await runner.cleanup()


@pytest.mark.parametrize(("status", "wrong"), [(200, False), (204, False), (404, True), (500, True), (401, True)])
async def test_the_carriers_answer(rest: Rest, status: int, wrong: bool) -> None:
    """A call that it does not know any more is over; anything else that is no success is told."""
    rest.status = status
    account = StreamAccount("main", "twilio", rest_user=SID, rest_key="k", api_url=rest.url)
    async with aiohttp.ClientSession() as client:
        failure = await hang_up(client, account, "CA1")
    assert rest.requests == [(f"/2010-04-01/Accounts/{SID}/Calls/CA1.json", {"Status": "completed"})]
    assert (failure is not None) == (wrong and status != 404)


@pytest.mark.parametrize(("status", "wrong"), [(200, None), (404, "twilio answered 404"), (401, "twilio answered 401")])
async def test_a_redirection_that_the_carrier_refuses_is_told(rest: Rest, status: int, wrong: str | None) -> None:
    """Also of a call that it does not know: nobody is called for it."""
    rest.status = status
    account = StreamAccount("main", "twilio", rest_user=SID, rest_key="k", api_url=rest.url)
    async with aiohttp.ClientSession() as client:
        assert await redirect(client, account, "CA1", "https://x/") == wrong
        assert await redirect(client, StreamAccount("bridge", "bridge"), "CA1", "https://x/") is not None


async def test_a_calls_name_reaches_the_carrier_as_one_segment(rest: Rest) -> None:
    account = StreamAccount("main", "twilio", rest_user=SID, rest_key="k", api_url=rest.url)
    async with aiohttp.ClientSession() as client:
        await hang_up(client, account, "../..%2f../x?y")
    ((path, _),) = rest.requests
    assert path == f"/2010-04-01/Accounts/{SID}/Calls/..%2F..%252f..%2Fx%3Fy.json"


async def test_a_carrier_that_is_not_there() -> None:
    account = StreamAccount("main", "twilio", rest_user=SID, rest_key="k", api_url="http://127.0.0.1:1")
    async with aiohttp.ClientSession() as client:
        failure = await hang_up(client, account, "CA1")
    assert failure is not None
    assert "was not reached" in failure


async def test_without_a_rest_interface_nothing_is_asked() -> None:
    async with aiohttp.ClientSession() as client:
        assert await hang_up(client, StreamAccount("bridge", "bridge"), "CA1") is None
