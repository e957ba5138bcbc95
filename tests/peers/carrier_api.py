"""A carrier's REST interface that redirects calls which it streams, written from Twilio's, SignalWire's and Telnyx's
public documents (call resource, Dial, Number): it asks at the new address what to do, dials, and says how that went."""

import xml.etree.ElementTree as ET
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from tests.peers.media_stream_client import Answer, MediaStreamClient, twilio_signature
from tests.peers.watching import Watching


class CarrierApi(Watching):
    """Use it as `async with CarrierApi(public_url, token) as api`. A call that is redirected has its stream taken down;
    what shall be dialled for it is `dialled`, and the test says what comes of that (`answered`, `over`).

    Args:
        public_url: what stands before the paths of the service's addresses.
        token: signs questions, as Twilio does.
        status: of the answer to every request. With 404 the caller has hung up, and his stream has said so; nothing
            happens with others than 200.
    """

    def __init__(self, public_url: str, token: str, *, status: int = 200) -> None:
        super().__init__()
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.dialled: ET.Element | None = None
        self.url = ""
        self.host = ""
        self.call: MediaStreamClient | None = None
        self._public = public_url
        self._token = token
        self._status = status
        self._numbers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        server = web.Application()
        server.router.add_post("/{path:.*}", self._requested)
        self._runner = web.AppRunner(server)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def has(self, call: MediaStreamClient, host: str, caller: str, called: str) -> dict[str, str]:
        """This call is here; `host` is where the service is. Gives what its questions say."""
        self.call, self.host = call, host
        self._numbers = {"CallSid": call.call_sid, "From": caller, "To": called}
        return self._numbers

    async def _requested(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append((request.path, form, request.headers["Authorization"]))
        assert self.call is not None
        if self._status == 404:
            await self.call.stop()
        if self._status == 200 and "Url" in form:
            self.call.send_event("stop", {"accountSid": "AC1", "callSid": self.call.call_sid})
            answer = await self.ask(form["Url"])
            assert answer.verbs == ["Dial"], answer.document
            self.dialled = ET.fromstring(answer.document).find("Dial")
        self.changed()
        return web.json_response({"status": "in-progress"}, status=self._status)

    async def ask(self, url: str, *, signed_with: str | None = None, **more: str) -> Answer:
        """Ask at one of the service's addresses, or tell it something."""
        assert url.startswith(self._public)
        form = self._numbers | {"CallStatus": "in-progress"} | more
        signature = twilio_signature(signed_with or self._token, url, form)
        where = f"http://{self.host}{urlsplit(url).path}"
        headers = {"X-Twilio-Signature": signature}
        async with aiohttp.ClientSession() as client, client.post(where, data=form, headers=headers) as answer:
            return Answer(answer.status, await answer.text())

    @property
    def number(self) -> ET.Element:
        """What shall be dialled."""
        assert self.dialled is not None
        number = self.dialled.find("Number")
        assert number is not None
        return number

    async def until_dialled(self) -> None:
        """Wait until the carrier was told to dial."""
        await self.until(lambda: self.dialled is not None)

    async def answered(self) -> None:
        """The number that was dialled is answered."""
        told = await self.ask(self.number.attrib["statusCallback"], CallSid="CAchild", CallStatus="in-progress")
        assert told.status == 204

    async def over(self, status: str, **more: str) -> Answer:
        """The dialling is over, with this `DialCallStatus`."""
        assert self.dialled is not None
        return await self.ask(self.dialled.attrib["action"], DialCallStatus=status, **more)
