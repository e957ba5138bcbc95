"""How good a line was, in the record of the call: RTCP to and from a real telephone (RFC 3550), and a bad network of
our own."""

from pathlib import Path
from typing import Any

import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.baresip import Baresip
from tests.peers.conftest import Serves
from tests.peers.lossy_relay import Fate, LossyRelay

pytestmark = [pytest.mark.peers, pytest.mark.speech]

STORY = "Whenever the telephone rang everybody thought that somebody else would go. " * 3


def tells_a_story(event: Event) -> Answer:
    return {"type": "speak", "text": STORY} if event["type"] == "session_start" else None


def telephone(folder: Path, *, encryption: str = "") -> Baresip:
    folder.mkdir()
    account = f"mediaenc={encryption}" if encryption else ""
    return Baresip(folder, user="+4930123456", modules=["srtp.so", "rtcpsummary.so"], account=account)


@pytest.mark.parametrize("encryption", ["", "srtp-mand"])
async def test_both_ends_report_and_both_have_it_in_their_records(
    serve: Serves, tmp_path: Path, encryption: str
) -> None:
    async with ScriptedApp(tells_a_story) as app, telephone(tmp_path / "phone", encryption=encryption) as caller:
        service = await serve(app.webhook)
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        await caller.hang_up()
        await app.ledger.until("session_end")
        await service.stop()
        summary = next(line for line in caller.said().splitlines() if line.startswith("EX=BareSip"))

    told = dict(part.split("=", 1) for part in summary.split(";") if "=" in part)
    print(summary)
    assert int(told["PR"]) > 300, "it received what we sent"
    assert told["PL"] == "0,0"
    (call,) = service.calls()
    quality: Any = call.about["quality"]
    print(quality)
    assert quality["rtcp_reports"] >= 1
    assert (quality["loss_percent"], quality["far_loss_percent"]) == (0.0, 0.0)
    assert quality["round_trip_ms"] < 100
    assert quality["mos"] > 4.3
    assert any(text.startswith("line: PCMU") for _, text in call.notes)


async def test_what_a_bad_network_loses_is_in_the_record(serve: Serves, tmp_path: Path) -> None:
    async with ScriptedApp(tells_a_story) as app, telephone(tmp_path / "phone") as caller:
        service = await serve(app.webhook)
        bad = Fate(lost=0.08, jitter_ms=12)
        async with LossyRelay(service.udp_port, to_service=bad, to_phone=Fate(lost=0.03)) as relay:
            await caller.dial(relay.uri)
            await app.ledger.until("assistant_speech_ended")
            await caller.hang_up()
            await app.ledger.until("session_end")
            lost = relay.to_service.lost / (relay.to_service.lost + relay.to_service.passed)
            far_lost = relay.to_phone.lost / (relay.to_phone.lost + relay.to_phone.passed)
        await service.stop()

    (call,) = service.calls()
    quality: Any = call.about["quality"]
    print(quality, lost, far_lost)
    assert quality["loss_percent"] == pytest.approx(100 * lost, abs=1)
    assert quality["heard_loss_percent"] >= quality["loss_percent"] - 1
    assert quality["far_loss_percent"] == pytest.approx(100 * far_lost, abs=2.5)
    assert 1 < quality["jitter_ms"] < 12
    assert quality["mos"] < 4.0
    assert quality["rtcp_reports"] >= 1
