"""Whatever a vendor does becomes one of six codes, names the vendor, says what to do, and shows no key."""

import socket
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from offhook.errors import ProviderFailed
from offhook.speech.provider_trouble import SAID_AT_MOST, ProviderTrouble, ear_failed, is_public
from offhook.speech.transcriber import EarFailed
from offhook.speech.vendor_client import open_vendor_client

TROUBLE: Final = ProviderTrouble("Example", "speech.example")
KEY: Final = "sk-proj-4711abcdefghijklmnop"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "provider_refused"),
        (403, "provider_refused"),
        (402, "provider_limited"),
        (429, "provider_limited"),
        (404, "provider_unreachable"),
        (500, "provider_unreachable"),
        (503, "provider_unreachable"),
        (400, "provider_garbled"),
        (422, "provider_garbled"),
    ],
)
def test_a_status_has_a_code_and_a_remedy(status: int, code: str) -> None:
    found = TROUBLE.status(status, "not today")

    assert (found.code, str(status) in found.message, "not today" in found.message) == (code, True, True)
    assert found.message.startswith("Example ")
    assert found.remedy


def test_a_refused_key_names_the_setting() -> None:
    assert "speech.example.key" in TROUBLE.status(401).remedy


def test_a_wrong_model_and_a_wrong_address_are_asked_about_by_their_settings() -> None:
    trouble = ProviderTrouble("Example", "speech.example", address="region", models=("model", "voice"))

    for status in (400, 404):
        told = trouble.status(status).remedy
        assert "speech.example.model and speech.example.voice" in told
        assert "speech.example.region" in told


@pytest.mark.parametrize(
    ("host", "public"),
    [("api.example.com", True), ("8.8.8.8", True), ("127.0.0.1", False), ("10.0.0.7", False), ("::1", False)]
    + [(name, False) for name in ("localhost", "asr", "asr.local", "asr.internal")],
)
def test_which_hosts_are_on_the_internet(host: str, public: bool) -> None:
    assert is_public(host) is public


def test_what_a_vendor_quotes_of_a_key_is_blotted_out() -> None:
    """One vendor answers 401 with the key that it was given, partly masked."""
    for quoted in (KEY, "sk-pr***********************mnop1", "0123456789abcdef0123456789abcdef"):
        found = TROUBLE.status(401, f"Incorrect API key provided: {quoted}. You can find yours there.")
        assert quoted not in str(found)
        assert "Incorrect API key provided" in found.message


def test_what_a_vendor_says_is_one_short_line() -> None:
    message = TROUBLE.status(500, "<html>\n" + "no good " * 500).message

    assert "\n" not in message
    assert len(message) < SAID_AT_MOST + 50


@pytest.mark.parametrize(
    ("close_code", "code"),
    [
        (None, "provider_closed"),
        (1000, "provider_closed"),
        (1006, "provider_closed"),
        (1011, "provider_closed"),
        (1007, "provider_garbled"),
        (1008, "provider_refused"),
    ],
)
def test_a_socket_that_is_closed_has_a_code(close_code: int | None, code: str) -> None:
    assert TROUBLE.closed(close_code, "why not").code == code


def test_garbage_and_silence_have_codes() -> None:
    assert TROUBLE.garbled("no JSON").code == "provider_garbled"
    assert TROUBLE.silent(1.5).code == "provider_silent"
    assert "1.5 s" in TROUBLE.silent(1.5).message


def test_the_end_of_a_turn_has_the_code_too() -> None:
    assert ear_failed(3, TROUBLE.status(429)) == EarFailed(3, "Example takes no more (429).", "provider_limited")


async def raised(url: str) -> ProviderFailed:
    async with open_vendor_client() as client:
        try:
            async with client.get(url) as answer:
                answer.raise_for_status()
                await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            return TROUBLE.exception(error)
    pytest.fail(f"{url} answered")


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = await raised(f"http://127.0.0.1:{taken.getsockname()[1]}/")

    assert found.code == "provider_unreachable"


async def test_a_name_that_the_dns_does_not_know_is_unreachable() -> None:
    found = await raised("http://speech.invalid/")

    assert found.code == "provider_unreachable"
    assert "speech.invalid" in found.message


async def test_a_connection_that_breaks_in_the_middle_is_closed() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return answer

    async def refused(request: web.Request) -> web.Response:
        return web.Response(status=401, text=f"no {KEY}")

    app = web.Application()
    app.router.add_get("/broken", broken)
    app.router.add_get("/refused", refused)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]

    assert (await raised(f"http://{host}:{port}/broken")).code == "provider_closed"
    assert (await raised(f"http://{host}:{port}/refused")).code == "provider_refused"
    assert (await raised(f"https://{host}:{port}/")).code == "provider_unreachable"
    await runner.cleanup()
