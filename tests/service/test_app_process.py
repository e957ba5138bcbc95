"""The developer's assistant in a process of its own."""

from pathlib import Path

import aiohttp
import pytest

from offhook.errors import SettingsInvalid
from offhook.service.app_process import running_app

GUARDED = """
from offhook import Assistant
assistant = Assistant(token="the developer's own", on_session_start=lambda event: "hello")
"""
EVENT = {"type": "session_start", "session": {"id": "one"}}


async def test_an_assistant_with_a_token_of_its_own_is_reached_with_the_token_of_whoever_serves_it(
    tmp_path: Path,
) -> None:
    """(contract D35a)"""
    (tmp_path / "guarded.py").write_text(GUARDED)
    async with running_app(str(tmp_path / "guarded.py"), reload=False) as app, aiohttp.ClientSession() as client:
        url = app.url.replace("ws://", "http://")
        async with client.post(url, json=EVENT) as refused:
            assert refused.status == 401
        async with client.post(url, json=EVENT, headers={"X-API-TOKEN": app.token or ""}) as answered:
            assert (await answered.json())["text"] == "hello"


async def test_a_url_is_taken_as_it_is() -> None:
    async with running_app("http://localhost:1/webhook", reload=False, token="mine") as app:
        assert (app.url, app.token) == ("http://localhost:1/webhook", "mine")


@pytest.mark.parametrize("text", ["app = 3", "1 +", "import nothing_of_that_name", "nothing = None"])
async def test_what_is_no_assistant_is_said_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(SettingsInvalid, match="did not start"):
        async with running_app(str(tmp_path / "broken.py"), reload=False):
            raise AssertionError("it cannot have started")
