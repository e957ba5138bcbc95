"""Registered at Kamailio by TLS, and found by the DNS of its domain (dnsmasq); called by TLS."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from offhook import Assistant
from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.baresip import Baresip, free_port
from tests.peers.conftest import Phones, Serves
from tests.peers.dnsmasq import Dnsmasq
from tests.peers.kamailio import USERNAME, Kamailio
from tests.peers.service import Service
from tests.peers.sound import best_match, prompt, silence, spoken_by_the_embedded_voice, write_wav
from tests.transports.sip.certificates import Authority

pytestmark = [pytest.mark.peers]

GREETING = "Good morning. This is nobody."
Carriers = Callable[..., Awaitable[Kamailio]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
async def carrier(tmp_path: Path, authority: Authority) -> AsyncIterator[Carriers]:
    """Starts Kamailios whose certificates are for the names given; they end with the test."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(*names: str, **how: Any) -> Kamailio:
            nonlocal count
            count += 1
            folder = tmp_path / f"carrier{count}"
            folder.mkdir()
            theirs = authority.sign(*names, file=f"carrier{count}")
            tls = (theirs.certificate, theirs.key, authority.ca)
            return await stack.enter_async_context(Kamailio(folder, tls=tls, **how))

        yield start


@pytest.fixture
def by_tls(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> str:
    """Settings of `[sip]` for a service that takes TLS too."""
    monkeypatch.setenv("OFFHOOK_SIP__LISTEN", "udp:127.0.0.1:0,tcp:127.0.0.1:0,tls:127.0.0.1:0")
    ours = authority.sign("localhost", "127.0.0.1", file="ours")
    return f'tls_certificate = "{ours.certificate}"\ntls_key = "{ours.key}"\n'


def tls_port(service: Service) -> int:
    """Where this service takes TLS."""
    addresses = next(line["addresses"] for line in service.lines if line.get("event") == "sip_listening")
    return int(next(each for each in addresses if each.startswith("tls:")).rpartition(":")[2])


def silent(event: Event) -> Answer:
    """An app that says nothing."""
    del event
    return None


def talks(event: Event) -> Answer:
    """An app that greets, and hangs up when it has heard something."""
    match event["type"]:
        case "session_start":
            return {"type": "speak", "text": GREETING}
        case "user_speak":
            return {"type": "hangup"}
        case _:
            return None


async def test_it_registers_refreshes_and_is_back_within_30_s_of_a_restart(
    serve: Serves, carrier: Carriers, authority: Authority, by_tls: str
) -> None:
    """The certificate is checked: it is for this address, and by this authority."""
    registrar = await carrier("127.0.0.1", max_expires=5)
    more = f'transport = "tls"\ntls_ca = "{authority.ca}"\n'
    trunk = registrar.trunk(registrar=f"127.0.0.1:{registrar.tls_port}", more=more)
    async with ScriptedApp(silent) as app:
        service = await serve(app.webhook, more=trunk, sip=by_tls)
        registered = await service.until("registered")
        assert registered["server"] == f"tls:127.0.0.1:{registrar.tls_port}"
        saved = await registrar.until("SAVED tls", times=2)
        assert f"sip:{USERNAME}@127.0.0.1:{tls_port(service)};transport=tls" in saved[0]
        await registrar.stop()
        await registrar.start()
        lost = await service.until("registration_lost", seconds=30)
        assert lost["remedy"]
        await service.until("registered", after=service.lines.index(lost), seconds=30)
        await service.stop()
    await service.until("unregistered")


@pytest.mark.parametrize(
    ("names", "trusted", "why", "remedy"),
    [
        (["sip.example.net"], True, "its certificate is not for '127.0.0.1'", "registrar"),
        (["127.0.0.1"], False, "signed by none that this machine trusts", "tls_ca"),
    ],
)
async def test_a_wrong_name_and_an_unknown_authority_are_refused_and_the_log_says_what_to_do(
    serve: Serves,
    carrier: Carriers,
    authority: Authority,
    by_tls: str,
    names: list[str],
    trusted: bool,
    why: str,
    remedy: str,
) -> None:
    registrar = await carrier(*names)
    more = 'transport = "tls"\n' + (f'tls_ca = "{authority.ca}"\n' if trusted else "")
    trunk = registrar.trunk(registrar=f"127.0.0.1:{registrar.tls_port}", more=more)
    async with ScriptedApp(silent) as app:
        service = await serve(app.webhook, more=trunk, sip=by_tls)
        failed = await service.until("registration_failed")
        await service.stop()
    assert why in failed["why"]
    assert remedy in failed["remedy"]
    assert registrar.count("REGISTER") == 0


async def test_the_dns_of_its_domain_leads_to_it_and_past_a_server_that_is_dead(
    serve: Serves, carrier: Carriers, authority: Authority, by_tls: str
) -> None:
    """NAPTR prefers TLS, SRV a server that is not there. The certificate is for the domain, not for the host
    (RFC 3263, RFC 5922)."""
    registrar = await carrier("example.net")
    srv = "srv-host=_sips._tcp.example.net,{}.example.net,{},{},0"
    async with (
        Dnsmasq(
            "naptr-record=example.net,10,10,s,SIPS+D2T,,_sips._tcp.example.net",
            "naptr-record=example.net,20,10,s,SIP+D2U,,_sip._udp.example.net",
            srv.format("dead", free_port(), 10),
            srv.format("live", registrar.tls_port, 20),
            "host-record=dead.example.net,127.0.0.1",
            "host-record=live.example.net,127.0.0.1",
        ) as dns,
        ScriptedApp(silent) as app,
    ):
        trunk = registrar.trunk(registrar="example.net", more=f'tls_ca = "{authority.ca}"')
        sip = f'{by_tls}\ndns_servers = ["127.0.0.1:{dns.port}"]'
        service = await serve(app.webhook, more=trunk, sip=sip)
        failed = await service.until("registration_failed")
        registered = await service.until("registered")
        assert failed["again_in_seconds"] == 0
        assert registered["server"] == f"tls:127.0.0.1:{registrar.tls_port}"
        await registrar.until("SAVED tls")
        await service.stop()


@pytest.mark.speech
async def test_a_call_from_baresip_by_tls_is_heard_and_understood(
    serve: Serves, authority: Authority, by_tls: str, tmp_path: Path
) -> None:
    """baresip checks our certificate."""
    folder = tmp_path / "phone"
    theirs = authority.sign("127.0.0.1", file="phone")
    both = tmp_path / "phone-both.pem"
    both.write_bytes(theirs.certificate.read_bytes() + theirs.key.read_bytes())
    telephone = Baresip(folder, user="+4930123456", account="transport=tls")
    with (folder / "config").open("a") as config:
        config.write(f"sip_cafile {authority.ca}\nsip_certificate {both}\n")
    async with ScriptedApp(talks) as app:
        service = await serve(app.webhook, sip=by_tls)
        async with telephone as caller:
            await caller.dial(f"sip:support@127.0.0.1:{tls_port(service)};transport=tls")
            await app.ledger.until("assistant_speech_ended")
            await caller.play(write_wav(tmp_path / "hello.wav", silence(0.1), prompt("hello-world"), silence(60)))
            words = await app.ledger.until("user_speak")
            await caller.until("CALL_CLOSED")
            await app.ledger.until("session_end")
            heard = caller.heard()
        await service.stop()
    assert words["text"] == "hello world"
    (greeting,) = await spoken_by_the_embedded_voice(GREETING)
    score, at = best_match(heard, greeting)
    assert score >= 0.95, (score, at)


@pytest.mark.speech
async def test_a_call_through_kamailio_comes_by_tls(
    serve: Serves, phone: Phones, carrier: Carriers, authority: Authority, by_tls: str, tmp_path: Path
) -> None:
    registrar = await carrier("127.0.0.1")
    more = f'transport = "tls"\ntls_ca = "{authority.ca}"\n'
    trunk = registrar.trunk(registrar=f"127.0.0.1:{registrar.tls_port}", more=more)
    async with ScriptedApp(talks) as app:
        service = await serve(app.webhook, more=trunk, sip=by_tls)
        await service.until("registered")
        caller = await phone(user="+4930123456")
        await caller.dial(f"sip:support@127.0.0.1:{registrar.port}")
        started = await app.ledger.until("session_start")
        assert started["session"]["to_phone_number"] == "support"
        await app.ledger.until("assistant_speech_ended")
        await caller.play(write_wav(tmp_path / "hello.wav", silence(0.1), prompt("hello-world"), silence(60)))
        assert (await app.ledger.until("user_speak"))["text"] == "hello world"
        await caller.until("CALL_CLOSED")
        await app.ledger.until("session_end")
        await service.stop()


@pytest.mark.speech
async def test_a_call_is_placed_through_kamailio_by_tls(
    serve: Serves, phone: Phones, carrier: Carriers, authority: Authority, by_tls: str, tmp_path: Path
) -> None:
    """The carrier's certificate is checked, who calls is challenged (407), and a conversation follows."""
    callee = await phone(user="+4930999999", answers="manual")
    registrar = await carrier("127.0.0.1", callee=callee.port)
    more = f'transport = "tls"\ntls_ca = "{authority.ca}"\n\n[outbound]\nallow = ["+49"]\n'
    trunk = registrar.trunk(registrar=f"127.0.0.1:{registrar.tls_port}", more=more)
    async with ScriptedApp(talks) as app:
        service = await serve(app.webhook, more=trunk, sip=by_tls, http='keys = ["k1"]')
        await service.until("registered")
        await Assistant(service_url=service.http, service_key="k1").call_async("test", "+4930999999")
        await callee.until("CALL_INCOMING")
        await callee.accept()
        await app.ledger.until("assistant_speech_ended")
        await callee.play(write_wav(tmp_path / "hello.wav", silence(0.1), prompt("hello-world"), silence(60)))
        assert (await app.ledger.until("user_speak"))["text"] == "hello world"
        await callee.until("CALL_CLOSED")
        await app.ledger.until("session_end")
        await service.stop()

    assert registrar.count("INVITE tls") == 2
    assert registrar.count(f"TAKEN tls as <{USERNAME}>") == 1
    (said,) = await spoken_by_the_embedded_voice(GREETING)
    assert best_match(callee.heard(), said)[0] >= 0.95
