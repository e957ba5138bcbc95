"""A trunk without a registrar is asked whether it is there: Kamailio, stopped and started again."""

from pathlib import Path

import aiohttp
import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Serves
from tests.peers.kamailio import Kamailio
from tests.peers.service import Service

pytestmark = [pytest.mark.peers]


def silent(event: Event) -> Answer:
    """An app that says nothing."""
    del event
    return None


async def reachable(service: Service) -> str:
    """What the metrics say of the trunk."""
    async with aiohttp.ClientSession() as session, session.get(f"{service.http}/metrics") as response:
        return next(line for line in (await response.text()).splitlines() if line.startswith("offhook_trunk_reachable"))


async def test_a_trunk_that_goes_and_comes_is_told_of(serve: Serves, tmp_path: Path) -> None:
    folder = tmp_path / "carrier"
    folder.mkdir()
    async with Kamailio(folder) as carrier, ScriptedApp(silent) as app:
        trunk = (
            f'[[trunk]]\nname = "pbx"\nproxy = "127.0.0.1:{carrier.port}"\ntransport = "tcp"\nkeep_alive_seconds = 1\n'
        )
        service = await serve(app.webhook, more=trunk)
        assert (await service.until("trunk_reachable"))["server"] == f"tcp:127.0.0.1:{carrier.port}"
        assert await reachable(service) == 'offhook_trunk_reachable{trunk="pbx"} 1'
        await carrier.stop()
        lost = await service.until("trunk_unreachable")
        assert lost["remedy"]
        assert await reachable(service) == 'offhook_trunk_reachable{trunk="pbx"} 0'
        await carrier.start()
        await service.until("trunk_reachable", after=service.lines.index(lost))
        await service.stop()
