"""sipp calls the whole service: many calls, lost packets, every shape of a call; and nothing is left of them."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.peers.known_sound import as_audio, hiss, on_the_wire
from tests.peers.mortal_app import App
from tests.peers.processes import MEDIA, child, open_files
from tests.peers.sip_caller import SipCaller, Stream

if TYPE_CHECKING:
    from tests.peers.conftest import Serves
    from tests.peers.service import Service

pytestmark = [pytest.mark.peers, pytest.mark.timeout(120)]

SCENARIOS = Path(__file__).parent / "sipp"


async def sipp(service: "Service", folder: Path, *arguments: str, transport: str = "udp") -> None:
    """Run sipp as a caller; fails when one of its calls has failed, with sipp's own words."""
    program = shutil.which("sipp")
    assert program is not None, "sipp is missing. Remedy: apt-get install sip-tester"
    await asyncio.to_thread(folder.mkdir)
    port = service.udp_port if transport == "udp" else service.tcp_port
    process = await asyncio.create_subprocess_exec(
        *(program, f"127.0.0.1:{port}", "-i", "127.0.0.1", "-nostdin", "-timeout", "90", "-trace_err"),
        *("-t", {"udp": "u1", "tcp": "t1"}[transport], *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    screen, _ = await process.communicate()
    assert process.returncode == 0, screen.decode(errors="replace")[-2500:] + _errors(folder)


def _errors(folder: Path) -> str:
    return "".join(each.read_text(errors="replace")[:3000] for each in folder.glob("*_errors.log"))


async def metrics(service: "Service") -> dict[str, float]:
    """The service's numbers, as monitoring sees them."""
    async with aiohttp.ClientSession() as client, client.get(f"{service.http}/metrics") as answer:
        page = await answer.text()
    return {
        name: float(value) for name, _, value in (line.partition(" ") for line in page.splitlines() if line[0] != "#")
    }


async def all_over(service: "Service", calls: int) -> None:
    """Wait until so many calls have ended."""

    def ended() -> int:
        return sum(line.get("event") == "call_ended" for line in service.lines)

    await service.until("call_ended", where=lambda _: ended() >= calls)
    assert ended() == calls


async def inventory(service: "Service", app: App) -> Counter[str]:
    """What the service and its media process have open while one call is in progress, by kind."""
    pid = service.process.pid
    async with SipCaller(service.udp_port) as caller:
        await caller.dial()
        await caller.hears(25)
        found = [*open_files(pid, besides=app.port), *open_files(child(pid, MEDIA), besides=app.port)]
        assert (await metrics(service))["offhook_calls_in_progress"] == 1
        await caller.hang_up()
    return Counter(found)


async def never_acknowledges(service: "Service") -> None:
    """RFC 3261 13.3.1.4: the 200 is sent again and again, and after 64*T1 the call is ended."""
    async with SipCaller(service.udp_port, acknowledges=False) as caller:
        await caller.dial()
        await caller.until_hung_up(seconds=40)
        assert sum(message.status == 200 for message in caller.messages) == 11
        first, last = caller.heard[0], caller.heard[-1]
        assert 31 <= last.at - first.at <= 34


async def test_five_hundred_calls_with_every_fifth_packet_lost(serve: "Serves", tmp_path: Path) -> None:
    """Twenty a second, and one caller besides whose ACK never comes; none fails, and nothing is left open."""
    async with App("http", {"session_start": [{"type": "speak", "text": "Welcome."}]}) as app:
        service = await serve(app.url)
        before = await inventory(service, app)
        calls = ("-sn", "uac", "-s", "support", "-m", "500", "-r", "20", "-d", "200", "-lost", "20")
        await asyncio.gather(sipp(service, tmp_path / "sipp", *calls), never_acknowledges(service))
        await all_over(service, 502)
        assert await inventory(service, app) == before
        await all_over(service, 503)
        counted = await metrics(service)
        assert counted["offhook_calls_admitted_total"] == counted["offhook_calls_ended_total"] == 503
        assert counted["offhook_calls_in_progress"] == 0
        assert app.types().count("session_start") == app.types().count("session_end") == 503


async def test_calls_of_every_shape_at_once(serve: "Serves", tmp_path: Path) -> None:
    """Over TCP, given up while it rings, held and resumed with another codec; and OPTIONS between them."""
    async with App("http") as app:
        slow = f'\n[[flow]]\nid = "slow"\napp = "{app.url}"\nnumbers = ["slow"]\nanswer_after_seconds = 20\n'
        service = await serve(app.url, flow=slow)
        before = await inventory(service, app)
        reinvites = ("-sf", str(SCENARIOS / "reinvite.xml"), "-s", "support", "-m", "50", "-r", "20")
        cancels = ("-sf", str(SCENARIOS / "cancel.xml"), "-s", "slow", "-m", "50", "-r", "20")
        options = ("-sf", str(SCENARIOS / "options.xml"), "-s", "support", "-m", "100", "-r", "40")
        plain = ("-sn", "uac", "-s", "support", "-m", "100", "-r", "20", "-d", "200")
        await asyncio.gather(
            sipp(service, tmp_path / "plain", *plain, "-mp", "16000", transport="tcp"),
            sipp(service, tmp_path / "reinvite", *reinvites, "-mp", "16010"),
            sipp(service, tmp_path / "reinvite-tcp", *reinvites, "-mp", "16020", transport="tcp"),
            sipp(service, tmp_path / "cancel", *cancels, "-mp", "16030"),
            sipp(service, tmp_path / "cancel-tcp", *cancels, "-mp", "16040", transport="tcp"),
            sipp(service, tmp_path / "options", *options, "-mp", "16050"),
        )
        await all_over(service, 301)
        assert await inventory(service, app) == before
        await all_over(service, 302)
        assert app.types().count("session_start") == app.types().count("session_end")
        assert (await metrics(service))["offhook_calls_refused_full_total"] == 0


async def test_a_call_is_held_resumed_and_changed_to_another_codec(serve: "Serves") -> None:
    """While it is held the caller gets nothing; afterwards the same stream goes on, in A-law when he asks for that."""
    sound = hiss(2)
    async with App("websocket", {"dtmf_received": [as_audio(sound)]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller, SipCaller(service.udp_port) as other:
            await other.dial()
            await caller.dial()
            await caller.hears(25)
            held = await caller.invite_again(caller.offer(direction="sendonly"))
            assert "a=recvonly" in held.body
            await other.hears(5)
            silent_from = len(caller.heard)
            await other.hears(25)
            assert len(caller.heard) == silent_from
            resumed = await caller.invite_again(caller.offer())
            assert "a=sendrecv" in resumed.body
            await caller.hears(25)
            changed = await caller.invite_again(caller.offer(codecs=[8]))
            assert changed.status == 200
            await caller.hears(10)
            heard = len(caller.heard)
            caller.press("1")
            await app.until_event("assistant_speech_ended")
            assert {packet.payload_type for packet in caller.heard[heard:]} == {8}
            assert on_the_wire(sound, law="a") in Stream(caller.heard[heard:]).payload
            assert Stream(caller.heard).lost() == []
            assert len({packet.ssrc for packet in caller.heard}) == 1
            await caller.hang_up()
            await other.hang_up()
            await app.until_event("session_end", 2)


async def test_a_lost_bye_is_sent_again(serve: "Serves") -> None:
    """RFC 3261 17.1.2: the app hangs up, and the telephone does not get the first two BYEs."""
    async with App("http", {"session_start": [{"type": "hangup"}]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port, deaf_to_byes=2) as caller:
            await caller.dial()
            await caller.until_hung_up()
            await app.until_event("session_end")
        await all_over(service, 1)


async def test_a_telephone_whose_connection_broke_is_called_back_for_the_bye(serve: "Serves") -> None:
    """RFC 3261 18.1.1: the call goes on without its TCP connection, and the BYE goes to where the Contact points."""
    async with App("http", {"dtmf_received": [{"type": "hangup"}]}) as app:
        service = await serve(app.url)
        async with SipCaller(service.tcp_port, transport="tcp") as caller:
            await caller.dial()
            await caller.hears(10)
            await caller.lose_connection()
            await caller.hears(10)
            caller.press("1")
            await caller.until_hung_up()
            await app.until_event("session_end")


async def test_calls_beyond_the_limit_are_refused_at_once(serve: "Serves", monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten fit, twenty come: ten get 503 with Retry-After, and the others notice nothing."""
    monkeypatch.setenv("OFFHOOK_LIMITS__MAX_CALLS", "10")
    sound = hiss(2)
    async with App("http", {"session_start": [as_audio(sound)]}) as app:
        service = await serve(app.url)

        async def call(caller: SipCaller) -> tuple[int, str | None]:
            async with caller:
                answer = await caller.dial(seconds=5)
                if answer.status == 200:
                    await caller.hears_sound()
                    await caller.hears(150)
                    assert on_the_wire(sound) in Stream(caller.heard).payload
                    assert Stream(caller.heard).lost() == []
                    await caller.hang_up()
                return answer.status, answer.headers.get("retry-after", [None])[0]

        answers = Counter(await asyncio.gather(*(call(SipCaller(service.udp_port)) for _ in range(20))))
        assert answers == {(200, None): 10, (503, "5"): 10}
        await all_over(service, 10)
        assert await call(SipCaller(service.udp_port)) == (200, None)
        assert (await metrics(service))["offhook_calls_refused_full_total"] == 10
