"""Telephones without a fixed address sign in for each call: baresip as the telephone, to a service that takes no call
from this machine otherwise."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.baresip import Baresip
from tests.peers.test_scanners import metrics

if TYPE_CHECKING:
    from tests.peers.conftest import Serves

pytestmark = [pytest.mark.peers, pytest.mark.timeout(90)]

STRANGERS = "allow_this_machine = false"
ALICE = """
[[user]]
name = "alice"
password = "through-the-looking-glass"
numbers = ["+4930123456", "100"]
may_dial = ["+4921155660"]
"""


def greets(event: Event) -> Answer:
    return {"type": "speak", "text": "You are known here."} if event["type"] == "session_start" else None


def telephone(folder: Path, *, user: str = "+4930123456", password: str = "through-the-looking-glass") -> Baresip:
    folder.mkdir()
    return Baresip(folder, user=user, account=f"auth_user=alice;auth_pass={password}")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_telephone_signs_in_and_is_heard_under_its_own_number(
    serve: "Serves", tmp_path: Path, transport: str
) -> None:
    """The challenge is answered (RFC 3261 22.2), the call is spoken to, and its BYE is taken from the same address."""
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook, sip=STRANGERS, more=ALICE)
        async with telephone(tmp_path / "alice") as phone:
            await phone.dial(service.uri(transport=transport))
            await phone.until("CALL_ESTABLISHED")
            await app.ledger.until("assistant_speech_ended")
            await phone.hang_up()
            end = await app.ledger.until("session_end")
            shown = await metrics(service.http)
    assert end["session"]["from_phone_number"] == "+4930123456"
    assert sum(value for name, value in shown.items() if "sip_refused" in name) == 0


@pytest.mark.parametrize(
    ("wrong", "rule", "who"),
    [
        ({"password": "off-with-her-head"}, "wrong_password", "alice"),
        ({"user": "+4930999999"}, "caller_number", "alice"),
    ],
)
async def test_a_wrong_password_and_a_wrong_number_are_refused_with_one_line(
    serve: "Serves", tmp_path: Path, wrong: dict[str, str], rule: str, who: str
) -> None:
    async with ScriptedApp(greets) as app, AsyncExitStack() as stack:
        service = await serve(app.webhook, sip=STRANGERS, more=ALICE)
        phone = await stack.enter_async_context(telephone(tmp_path / "alice", **wrong))
        await phone.dial(service.uri())
        await phone.until("CALL_CLOSED")
        line = await service.until("sip_refused")
        shown = await metrics(service.http)
    assert (line["source"], line["rule"], line["who"]) == ("127.0.0.1", rule, who)
    assert "user." in line["remedy"]
    assert shown[f'offhook_sip_refused_total{{rule="{rule}"}}'] >= 1
    assert app.ledger.events == []


async def test_a_number_that_the_user_may_not_dial_is_refused(serve: "Serves", tmp_path: Path) -> None:
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook, sip=STRANGERS, more=ALICE)
        async with telephone(tmp_path / "alice") as phone:
            await phone.dial(service.uri("support"))
            await phone.until("CALL_CLOSED")
            line = await service.until("sip_refused")
    assert line["rule"] == "called_number"
    assert app.ledger.events == []
