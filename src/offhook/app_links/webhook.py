"""The app behind a URL: one POST for each event, the answer holds the actions (contract section 6, HTTP)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final, assert_never

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from offhook.app_links.answer_reading import AnswerReading, note_texts
from offhook.app_links.app_address import AppAddress, identity_headers
from offhook.app_links.app_client import NO_LIMITS, USER_AGENT, said
from offhook.app_links.app_link import AppFact
from offhook.app_links.courier import Courier
from offhook.app_links.delivery import (
    TIME_LIMIT_MS,
    Abandon,
    AnswerRead,
    CloseAsked,
    EventGiven,
    Finish,
    Post,
    RequestFailed,
    RequestWritten,
    Tell,
    Warm,
    WarmAsked,
    WarmDone,
    WebhookDelivery,
    WebhookHappened,
    WebhookOrder,
)
from offhook.app_links.link_clock import unix_seconds
from offhook.errors import OffhookError
from offhook.protocol.events import Event
from offhook.protocol.json_codec import BODY_LIMIT, event_to_json
from offhook.protocol.signature import Signer
from offhook.protocol.speech_options import OWN_TRANSCRIBERS

_READ_BLOCK: Final = 64 * 1024


class AppUnusable(OffhookError):
    """One request to the app brought nothing usable; `nothing_sent`: the app cannot have seen it."""

    def __init__(self, message: str, *, remedy: str, nothing_sent: bool = False) -> None:
        super().__init__(message, remedy=remedy, code="app_unusable", retryable=nothing_sent)
        self.nothing_sent = nothing_sent


class WebhookLink:
    """One call's link to a webhook.

    Args:
        url: the app's address, http or https.
        session_id: the session, in `X-Session-Id` and in every event.
        client: the client that all links share, made by `app_client.open_client`.
        tasks: the parent of all that this link does; it must outlive the call.
        token: goes out as `X-API-TOKEN`.
        signing_secret: signs every request as Standard Webhooks has it.
        time_limit_ms: how long the app has for one event (D26).
        default_country, transcribers: how actions are read, see `read_actions`.

    Raises:
        SettingsInvalid: an address, a token or a secret that cannot be used.
    """

    def __init__(
        self,
        url: str,
        session_id: str,
        *,
        client: aiohttp.ClientSession,
        tasks: asyncio.TaskGroup,
        token: str | None = None,
        signing_secret: str | None = None,
        time_limit_ms: int = TIME_LIMIT_MS,
        default_country: str | None = None,
        transcribers: Collection[str] = OWN_TRANSCRIBERS,
    ) -> None:
        self._app: Final = AppAddress(url, ("http", "https"))
        self._session_id: Final = session_id
        self._client: Final = client
        self._headers: Final = identity_headers(session_id, token, USER_AGENT)
        self._signer: Final = None if signing_secret is None else Signer(signing_secret)
        self._reading: Final = AnswerReading(session_id, default_country, transcribers)
        self._events: Final[dict[int, Event]] = {}
        self._requests: Final[dict[int, asyncio.Task[None]]] = {}
        machine = WebhookDelivery(str(self._app), time_limit_ms)
        self._courier: Final[Courier[WebhookHappened, WebhookOrder]] = Courier(machine, self._obey, tasks)

    async def warm(self) -> None:
        """Have a connection opened, without a word to the app (D36). Returns at once."""
        self._courier.happened(WarmAsked())

    def send(self, number: int, event: Event) -> None:
        self._events[number] = event
        self._courier.happened(EventGiven(number, event.type))

    def facts(self) -> AsyncIterator[AppFact]:
        return self._courier.facts()

    async def close(self) -> None:
        await self._courier.close(CloseAsked())

    # --- the hands

    def _obey(self, order: WebhookOrder) -> None:
        match order:
            case Warm():
                self._courier.start(self._warm())
            case Post(number):
                self._requests[number] = self._courier.start(self._post(number, self._events[number]))
            case Abandon(number):
                if (task := self._requests.pop(number, None)) is not None:
                    task.cancel()
            case Tell() | Finish():
                raise AssertionError("the courier obeys these itself")
            case _:
                assert_never(order)

    async def _warm(self) -> None:
        """A connection into the client's pool: made as for a request, then released unused."""
        connector = self._client.connector
        if connector is None:
            return
        request = aiohttp.ClientRequest(
            "POST", self._app.url, loop=asyncio.get_running_loop(), session=self._client, headers=self._headers
        )
        trouble = None
        try:
            (await connector.connect(request, [], NO_LIMITS)).release()
        except (aiohttp.ClientError, OSError) as error:
            trouble = f"The app at {self._app} could not be reached while the call rang: {said(error)}."
        self._courier.happened(WarmDone(trouble))

    async def _post(self, number: int, event: Event) -> None:
        name = f"{event.type} #{number}"
        body = _EventBody(event_to_json(event), lambda: self._courier.happened(RequestWritten(number)))
        try:
            answer = await self._exchange(name, number, body)
            read = await self._reading.read(answer)
            if read.nonsense is not None:
                raise AppUnusable(
                    f"The app at {self._app} answered {name} with something unreadable: {read.nonsense}.",
                    remedy="Answer with an action, an array of actions, or 204.",
                )
        except AppUnusable as failure:
            self._courier.happened(RequestFailed(number, str(failure), failure.nothing_sent))
        else:
            self._courier.happened(AnswerRead(number, read.actions, read.refused, note_texts(read.notes)))

    async def _exchange(self, name: str, number: int, body: "_EventBody") -> bytes:
        """One request; the body of a usable answer.

        Raises:
            AppUnusable: no answer, or one that means failure.
        """
        headers = {**self._headers, "X-Event-Number": str(number)}
        if self._signer is not None:
            headers |= self._signer.headers(f"{self._session_id}_{number}", unix_seconds(), body.json)
        try:
            async with self._client.post(
                self._app.url, data=body, headers=headers, allow_redirects=False, timeout=NO_LIMITS
            ) as response:
                self._check_status(name, response)
                return await self._read_body(name, response)
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(name, error, nothing_sent=not body.written) from error

    def _check_status(self, name: str, response: aiohttp.ClientResponse) -> None:
        status = response.status
        what = f"The app at {self._app} answered {status} to {name}"
        if status in range(200, 300):
            return
        if status in range(300, 400):
            target = response.headers.get("Location", "nowhere")[:200]
            raise AppUnusable(
                f"{what}, pointing to {target}; redirects are not followed.",
                remedy="Set the flow's app to the final address.",
            )
        if status in {401, 403}:
            raise AppUnusable(f"{what}.", remedy="Compare the flow's token with the one that the app expects.")
        if status == 404:
            raise AppUnusable(f"{what}.", remedy="Check the path in the flow's app address.")
        if status == 405:
            raise AppUnusable(f"{what}.", remedy="The app has to take POST at this address.")
        raise AppUnusable(f"{what}.", remedy="See the app's log.")

    async def _read_body(self, name: str, response: aiohttp.ClientResponse) -> bytes:
        """The whole body, at most BODY_LIMIT once unpacked (D27)."""
        blocks: list[bytes] = []
        size = 0
        async for block in response.content.iter_chunked(_READ_BLOCK):
            size += len(block)
            if size > BODY_LIMIT:
                raise AppUnusable(
                    f"The app at {self._app} answered {name} with more than {BODY_LIMIT} bytes.",
                    remedy="Send shorter audio, or several actions one after the other.",
                )
            blocks.append(block)
        return b"".join(blocks)

    def _unreachable(self, name: str, error: Exception, *, nothing_sent: bool) -> AppUnusable:
        why = said(error)
        match error:
            case aiohttp.ClientConnectorCertificateError() | ssl.SSLError() | aiohttp.ClientSSLError():
                what = f"The app at {self._app} cannot be trusted ({why}); {name} was not sent."
                return AppUnusable(what, remedy="Give the app a valid certificate.", nothing_sent=nothing_sent)
            case aiohttp.ClientConnectorError() if nothing_sent:
                what = f"The app at {self._app} could not be reached ({why}); {name} was not sent."
                remedy = "Start the app, or correct the flow's app address."
                return AppUnusable(what, remedy=remedy, nothing_sent=True)
            case aiohttp.ClientResponseError():
                what = f"The app at {self._app} answered {name} with something that is no HTTP ({why})."
                return AppUnusable(what, remedy="Check that the flow's app address is that of an HTTP server.")
            case _:
                what = f"The connection to the app at {self._app} broke off before {name} was answered ({why})."
                return AppUnusable(what, remedy="See the app's log.", nothing_sent=nothing_sent)


class _EventBody(aiohttp.Payload):
    """An event's JSON that tells when it is on its way.

    What fits the transport's buffer is handed over whole or not at all, so that it counts as written afterwards.
    """

    def __init__(self, json: bytes, on_written: Callable[[], None]) -> None:
        super().__init__(json, content_type="application/json")
        self._size = len(json)
        self.json: Final = json
        self.written = False
        self._on_written: Final = on_written

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.json.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        self.written = len(self.json) > _READ_BLOCK // 2
        await writer.write(self.json)
        self.written = True
        self._on_written()
