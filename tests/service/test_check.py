"""`offhook check` tries everything and says what to do."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from offhook.service.commands import check
from offhook.service.commands.options import CheckOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.settings import Settings
from offhook.service.settings_file import loads
from tests.transports.sip.certificates import Authority


def settings(text: str) -> Settings:
    return loads(text, {})


def failures(findings: list[check.Finding]) -> dict[str, check.Finding]:
    return {finding.what: finding for finding in findings if finding.remedy is not None}


@pytest.fixture
async def app_url() -> AsyncIterator[str]:
    received: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
    assert received in ([], [b""]), "checking sends no event"


def flow(app: str, more: str = 'numbers = ["*"]') -> str:
    return f'[[flow]]\nid = "support"\napp = "{app}"\n{more}\n'


def test_what_is_fine_is_said_and_the_exit_code_is_0(tmp_path: Path) -> None:
    with socket.socket() as app:
        app.bind(("127.0.0.1", 0))
        app.listen()
        file = tmp_path / "offhook.toml"
        url = f"http://127.0.0.1:{app.getsockname()[1]}/"
        file.write_text(
            f'[http]\nlisten = "127.0.0.1:0"\n[sip]\nlisten = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]\n'
            f'[limits]\nmax_calls = 5\n[storage]\ncall_logs = "{tmp_path / "logs"}"\n'
            f'[[trunk]]\nname = "pbx"\nhosts = ["127.0.0.1", "10.0.0.0/8"]\n{flow(url)}'
        )
        out = io.StringIO()
        assert check.run(CheckOptions(file, bind=True), Terminal(out)) == 0
    assert "FAIL" not in out.getvalue()
    assert "0 failed" in out.getvalue()
    assert (tmp_path / "logs").is_dir()


def test_what_fails_is_said_with_its_remedy_and_the_exit_code_is_1(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text('[storage]\ncall_logs = ""\n')
    out = io.StringIO()
    assert check.run(CheckOptions(file, bind=False), Terminal(out)) == 1
    assert "FAIL  flows: There is no flow" in out.getvalue()
    assert "Remedy: Add a [[flow]]" in out.getvalue()


def test_a_flow_without_numbers_fails() -> None:
    found = failures(check.here(settings(flow("http://localhost/", "")), bind=False))
    assert "support" in found["flows"].said


def test_a_language_that_the_last_ear_does_not_know_is_a_hint() -> None:
    def hints(language: str) -> list[str]:
        more = f'numbers = ["*"]\nspeech.language = "{language}"'
        found = check.here(settings(flow("http://127.0.0.1:9/", more)), bind=False)
        return [finding.what for finding in found if finding.is_hint]

    assert hints("de-DE") == ["flow[support].speech.language"]
    assert hints("en-GB") == []


def test_a_taken_port_fails() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = f'[http]\nlisten = "127.0.0.1:{port}"\n[sip]\nlisten = "udp:192.0.2.1:5060"\n' + flow(
            "http://localhost/"
        )
        found = failures(check.here(settings(text), bind=True))
    assert "http.listen" in (found["http.listen"].remedy or "")
    assert "sip.listen[0]" in (found["sip.listen[0]"].remedy or "")


def test_a_port_range_that_is_too_small_fails() -> None:
    found = failures(check.here(settings('[sip]\nrtp_ports = "20000-20009"\n' + flow("http://localhost/")), bind=True))
    assert "5 calls" in found["sip.rtp_ports"].said


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    text = f'[storage]\ncall_logs = "{blocked / "logs"}"\n' + flow("http://localhost/")
    assert "storage.call_logs" in failures(check.here(settings(text), bind=False))


def test_a_folder_for_speech_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    findings = check.here(settings(f'[speech]\ncache_folder = "{tmp_path}/file/cache"'), bind=False)
    assert "cannot be written" in failures(findings)["speech.cache_folder"].said


def test_a_trunk_whose_name_is_not_known_fails() -> None:
    text = '[[trunk]]\nname = "carrier"\nhosts = ["no-such-host.invalid"]\n' + flow("http://localhost/")
    assert "no-such-host.invalid" in failures(check.here(settings(text), bind=False))["trunk[carrier]"].said


def test_a_certificate_is_read_and_said_until_when_it_is_valid(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    text = '[sip]\ntls_certificate = "{}"\ntls_key = "{}"\n'
    ends = {}
    for days, file in ((30, "good"), (2, "soon"), (-1, "over")):
        made = authority.sign("sip.example.net", days=days, file=file)
        findings = check.here(settings(text.format(made.certificate, made.key) + flow("http://localhost/")), bind=False)
        (ends[file],) = [finding for finding in findings if finding.what == "sip.tls_certificate"]
    assert ends["good"].remedy is None
    assert "valid until" in ends["good"].said
    assert "Renew" in (ends["soon"].remedy or "")
    assert "expired" in ends["over"].said


async def test_a_registrar_by_tls_is_tried(tmp_path: Path, app_url: str) -> None:
    """A port where somebody speaks, but not TLS."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    trunk = (
        f'[[trunk]]\nname = "carrier"\nregistrar = "127.0.0.1:{port}"\nusername = "alice"\ntransport = "tls"\n'
        f'tls_ca = "{Authority(tmp_path).ca}"\n'
    )
    found = {finding.what: finding for finding in await check.elsewhere(settings(trunk + flow(app_url)))}
    server.close()
    assert "TLS" in (found["trunk[carrier].registrar"].remedy or "")


async def test_a_registrar_whose_name_is_not_known_fails_and_one_that_is_known_says_where_it_is(app_url: str) -> None:
    trunk = '[[trunk]]\nname = "{}"\nregistrar = "{}"\nusername = "alice"\n'
    text = trunk.format("lost", "no-such-host.invalid:5060") + trunk.format("found", "127.0.0.1") + flow(app_url)
    found = {finding.what: finding for finding in await check.elsewhere(settings(text))}
    assert "sip.dns_servers" in (found["trunk[lost].registrar"].remedy or "")
    assert found["trunk[found].registrar"] == check.Finding("trunk[found].registrar", "registers at udp:127.0.0.1:5060")


async def test_a_proxy_says_where_calls_go(app_url: str) -> None:
    trunk = '[[trunk]]\nname = "{}"\nproxy = "{}"\n'
    text = trunk.format("lost", "no-such-host.invalid:5060") + trunk.format("found", "127.0.0.1:5070") + flow(app_url)
    found = {finding.what: finding for finding in await check.elsewhere(settings(text))}
    assert "trunk[lost].proxy" in (found["trunk[lost].proxy"].remedy or "")
    assert found["trunk[found].proxy"] == check.Finding("trunk[found].proxy", "calls go to udp:127.0.0.1:5070")


def test_calls_that_no_trunk_can_place_are_pointed_out(app_url: str) -> None:
    (finding,) = [
        one
        for one in check.here(settings('[outbound]\nallow = ["+49"]\n' + flow(app_url)), bind=False)
        if one.what == "outbound.allow"
    ]
    assert "proxy" in (finding.remedy or "")


async def test_an_app_that_listens_can_be_reached(app_url: str) -> None:
    (finding,) = await check.elsewhere(settings(flow(app_url)))
    assert finding.remedy is None


async def test_an_app_that_is_not_there_fails() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        found = failures(await check.elsewhere(settings(flow("http://localhost:1/", f'fallback.url = "{url}"'))))
    assert found.keys() == {"flow[support].app", "flow[support].fallback.url"}


async def test_an_app_without_tls_where_tls_is_asked_for_fails() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert failures(await check.elsewhere(settings(flow(url))))
