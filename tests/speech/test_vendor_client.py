"""What goes to a vendor goes nowhere else."""

import aiohttp
import pytest
from aiohttp import web

from offhook.speech.provider_trouble import ProviderTrouble
from offhook.speech.vendor_client import RedirectRefused, open_vendor_client


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/elsewhere")

    app = web.Application()
    app.router.add_get("/{anything}", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]

    async with open_vendor_client() as client:
        with pytest.raises(aiohttp.ClientError) as by_http:
            await client.get(f"http://{host}:{port}/v1", headers={"xi-api-key": "secret"})
        with pytest.raises(RedirectRefused):
            await client.ws_connect(f"http://{host}:{port}/socket", headers={"xi-api-key": "secret"})
    await runner.cleanup()

    assert asked == ["/v1", "/socket"]
    assert isinstance(by_http.value, RedirectRefused)
    assert ProviderTrouble("Example", "speech.example").exception(by_http.value).code == "provider_unreachable"
