"""Streamed callers whom their carrier connects with somebody else, by its REST interface (contract D15)."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.peers.apps import Action, Event, ScriptedApp
from tests.peers.carrier_api import CarrierApi
from tests.peers.known_sound import as_audio, hiss, on_the_wire
from tests.peers.media_stream_client import MediaStreamClient, ask

if TYPE_CHECKING:
    from tests.peers.conftest import Serves
    from tests.peers.service import Service

pytestmark = [pytest.mark.peers, pytest.mark.timeout(60)]

PUBLIC = "https://calls.example.com"
TOKEN = "12345"
CALLED = "+4921155660"
TARGET = "+4930999999"
CALLER = "+4930123456"
SETTINGS = f"""
[media_stream]
listen = "127.0.0.1:0"
public_url = "{PUBLIC}"
grace_seconds = 5

[[media_stream.account]]
name = "main"
carrier = "twilio"
signing_key = "{TOKEN}"
rest_user = "AC1"
rest_key = "secret"
api_url = "{{api}}"
transfer = "carrier"

[outbound]
allow = ["+4930"]
"""
SOUND = hiss(1)


def transfer(target: str = TARGET, **more: object) -> Action:
    return {"type": "transfer", "target_phone_number": target, **more}


@asynccontextmanager
async def called(
    serve: "Serves", app: ScriptedApp, api: CarrierApi
) -> AsyncIterator[tuple["Service", MediaStreamClient]]:
    """A call that the carrier streams to a service."""
    service = await serve(app.socket, more=SETTINGS.format(api=api.url))
    line = next(line for line in service.lines if line.get("event") == "media_streams_listening")
    host = str(line["address"])
    async with MediaStreamClient(host) as call:
        answer = await ask(host, PUBLIC, "main", api.has(call, host, CALLER, CALLED), token=TOKEN)
        await call.stream(answer.stream.attrib["url"], answer.parameters)
        yield service, call


def answering(first: Action, second: Action | None = None) -> ScriptedApp:
    """An app that answers the first `session_start` with one action, and the next with another."""
    starts = iter([first, second])

    def decide(event: Event) -> Action | None:
        return next(starts) if event["type"] == "session_start" else None

    return ScriptedApp(decide)


async def test_a_caller_is_connected_by_the_carrier_and_has_left_us(serve: "Serves") -> None:
    """A transfer that succeeds where we are not is the end of the session, not of the call. (contract D15)"""
    wanted = transfer(timeout=20, caller_id_number=CALLED)
    async with CarrierApi(PUBLIC, TOKEN) as api, answering(wanted) as app, called(serve, app, api) as (service, call):
        await api.until_dialled()
        assert api.dialled is not None
        assert (api.number.text, api.dialled.attrib["callerId"], api.dialled.attrib["timeout"]) == (
            TARGET,
            CALLED,
            "20",
        )
        assert app.ledger.types == ["session_start"]
        await api.answered()
        await app.ledger.until("session_end")
        assert (await api.over("completed", CallStatus="completed")).verbs == ["Hangup"]
        await service.stop()
    authorization = "Basic " + base64.b64encode(b"AC1:secret").decode()
    ((path, form, credentials),) = api.requests  # and none that hangs up
    assert (path, credentials) == (f"/2010-04-01/Accounts/AC1/Calls/{call.call_sid}.json", authorization)
    assert TARGET not in form["Url"]
    assert app.ledger.types == ["session_start", "session_end"]


async def test_a_carrier_that_only_says_so_at_the_end(serve: "Serves") -> None:
    """The target has answered and hung up: the caller is not streamed again."""
    async with CarrierApi(PUBLIC, TOKEN) as api, answering(transfer(timeout=20)) as app, called(serve, app, api):
        await api.until_dialled()
        assert (await api.over("completed")).verbs == ["Hangup"]
        await app.ledger.until("session_end")
    assert len(api.requests) == 1


@pytest.mark.parametrize(("status", "cause"), [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "failed")])
async def test_a_caller_who_reaches_nobody_comes_back(serve: "Serves", status: str, cause: str) -> None:
    """The same session begins again, and is heard. (contract D15)"""
    app = answering(transfer(timeout=5), as_audio(SOUND))
    async with CarrierApi(PUBLIC, TOKEN) as api, app, called(serve, app, api) as (_, call):
        await api.until_dialled()
        await call.until(lambda: call.closed is not None)
        answer = await api.over(status)
        assert answer.verbs == ["Connect", "Redirect"]
        assert app.ledger.types == ["session_start"]
        await call.cut()
        await call.stream(answer.stream.attrib["url"], answer.parameters)
        again = await app.ledger.until("session_start", 2)
        assert again["transfer_failed"]["cause"] == cause
        assert again["session"]["id"] == app.ledger.events[0]["session"]["id"]
        await app.ledger.until("assistant_speech_ended")
        await call.hears(15)
        assert b"".join(call.sounding) == on_the_wire(SOUND)
        call.press("5")
        assert (await app.ledger.until("dtmf_received"))["digit"] == "5"
        await call.stop()
        await app.ledger.until("session_end")


async def test_a_failed_transfer_without_a_timeout_ends_the_call(serve: "Serves") -> None:
    """(contract D15)"""
    async with CarrierApi(PUBLIC, TOKEN) as api, answering(transfer()) as app, called(serve, app, api) as (_, call):
        await api.until_dialled()
        answer = await api.over("busy")
        await call.cut()
        await call.stream(answer.stream.attrib["url"], answer.parameters)
        await app.ledger.until("session_end")
        await api.until(lambda: len(api.requests) == 2)
    assert api.requests[1][1] == {"Status": "completed"}


async def test_a_caller_who_hangs_up_while_it_rings(serve: "Serves") -> None:
    """Nobody is told of a transfer that failed: there is nobody to talk to."""
    async with CarrierApi(PUBLIC, TOKEN) as api, answering(transfer(timeout=20)) as app, called(serve, app, api):
        await api.until_dialled()
        assert (await api.over("no-answer", CallStatus="completed")).verbs == ["Hangup"]
        await app.ledger.until("session_end")
    assert app.ledger.types == ["session_start", "session_end"]


async def test_a_carrier_that_refuses_leaves_the_caller_with_the_assistant(serve: "Serves") -> None:
    """The log says what to do."""
    app = answering(transfer(timeout=20), as_audio(SOUND))
    async with CarrierApi(PUBLIC, TOKEN, status=401) as api, app, called(serve, app, api) as (service, call):
        again = await app.ledger.until("session_start", 2)
        assert again["transfer_failed"]["cause"] == "failed"
        await app.ledger.until("assistant_speech_ended")
        await call.hears(15)
        assert b"".join(call.sounding) == on_the_wire(SOUND)
        line = await service.until("media_stream_transfer_failed")
        assert line["why"] == "twilio answered 401"
        assert "rest_key" in str(line["remedy"])
        await call.stop()
        await app.ledger.until("session_end")
    assert len(api.requests) == 1


async def test_a_number_that_is_not_allowed_never_reaches_the_carrier(serve: "Serves") -> None:
    """It is judged as for a trunk."""
    async with (
        CarrierApi(PUBLIC, TOKEN) as api,
        answering(transfer("+499001234567", timeout=20), {"type": "hangup"}) as app,
        called(serve, app, api) as (service, _),
    ):
        again = await app.ledger.until("session_start", 2)
        assert again["transfer_failed"]["cause"] == "not_allowed"
        assert (await service.until("dial_refused"))["number"] == "+499001234567"
        await app.ledger.until("session_end")
        await service.stop()
    assert [form for _, form, _ in api.requests] == [{"Status": "completed"}]


async def test_only_the_carrier_can_say_what_became_of_it(serve: "Serves") -> None:
    """A wrong signature and somebody else's token get 403."""
    async with CarrierApi(PUBLIC, TOKEN) as api, answering(transfer(timeout=20)) as app, called(serve, app, api):
        await api.until_dialled()
        assert api.dialled is not None
        action = api.dialled.attrib["action"]
        assert (await api.ask(action, signed_with="another", DialCallStatus="completed")).status == 403
        assert (await api.ask(action[:-2] + "AA", DialCallStatus="completed")).status == 403
        assert app.ledger.types == ["session_start"]
        assert (await api.over("completed")).verbs == ["Hangup"]
        await app.ledger.until("session_end")
