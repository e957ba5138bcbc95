"""The app that `offhook chat` talks to: an Assistant in a file, or a webhook that runs elsewhere."""

import asyncio
import http.client
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from offhook.errors import OffhookError, SettingsInvalid
from offhook.protocol.actions import Action
from offhook.protocol.events import Event
from offhook.protocol.json_codec import BODY_LIMIT, event_to_json, read_actions
from offhook.sdk.assistant import Assistant, Send
from offhook.sdk.handlers import HandlerFailed
from offhook.service.app_loader import is_url, load_app

ANSWERS_WITHIN_SECONDS: Final = 5.0


class ChatApp(Assistant):
    """An assistant that shows its failures instead of ending the call with them: the caller only hears nothing (D33).

    `answer`: who really answers. `show` gets a line for everything that went wrong.
    """

    def __init__(self, answer: Callable[[Event, Send], Awaitable[None]], show: Callable[[str], None]) -> None:
        super().__init__()
        self._answer: Final = answer
        self._show_failure: Final = show

    async def answer_event(self, event: Event, send: Send) -> None:
        """Answer one event; what fails is shown, and nothing is sent."""
        try:
            await self._answer(event, send)
        except HandlerFailed as failure:
            self._show_failure(f"{failure.message} {failure.remedy}")
        except OffhookError as failure:
            self._show_failure(f"{event.type}: {failure.message} Remedy: {failure.remedy}")


def open_app(app: str, token: str | None, show: Callable[[str], None]) -> ChatApp:
    """The app of this name. Raises SettingsInvalid when it is none that can be talked to."""
    if is_url(app):
        return ChatApp(Webhook(app, token, show).answer, show)
    loaded = load_app(app)
    if not isinstance(loaded, Assistant):
        raise SettingsInvalid(
            f"{app} is a {type(loaded).__name__}, not an Assistant.",
            remedy="Name the Assistant (my_app.py:assistant), or start the app and give its URL.",
            code="app_unusable",
        )
    return ChatApp(loaded.answer_event, show)


class Webhook:
    """An app behind a URL, as contract section 6 reaches it, with nothing but the standard library."""

    def __init__(self, url: str, token: str | None, show: Callable[[str], None]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsInvalid(
                f"offhook chat cannot talk to {url}.",
                remedy="Give an http:// or https:// address, or the app's file; offhook call reaches WebSockets too.",
                code="app_unusable",
            )
        self._url: Final = url
        self._host: Final = parts.hostname
        self._port: Final = parts.port
        self._secure: Final = parts.scheme == "https"
        self._path: Final = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._token: Final = token
        self._show: Final = show

    async def answer(self, event: Event, send: Send) -> None:
        """Post one event and hand over the actions of the answer. Raises OffhookError when there is no usable one."""
        body = await asyncio.to_thread(self._post, event)
        read = read_actions(body, event.session.id)
        if read.nonsense is not None:
            raise OffhookError(
                f"The answer cannot be read: {read.nonsense}.", remedy="Answer with JSON, or 204.", code="nonsense"
            )
        for refused in read.refused:
            self._show(f"{refused.path}: {refused.message} {refused.remedy}")
        for note in read.notes:
            self._show(f"{note.path}: {note.message} {note.remedy}")
        actions: Sequence[Action] = read.actions
        if actions:
            await send(actions)

    def _post(self, event: Event) -> bytes:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=ANSWERS_WITHIN_SECONDS)
        headers = {"Content-Type": "application/json", "User-Agent": "offhook-chat", "X-Session-Id": event.session.id}
        if self._token is not None:
            headers["X-API-TOKEN"] = self._token
        try:
            connection.request("POST", self._path, event_to_json(event), headers)
            answer = connection.getresponse()
            body = answer.read(BODY_LIMIT + 1)
        except (OSError, http.client.HTTPException) as refusal:
            raise OffhookError(
                f"{self._url} did not answer: {refusal}.",
                remedy="Is it running, and at this address?",
                code="app_failed",
            ) from refusal
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            remedy = "Check the token (--token)." if answer.status in {401, 403} else "See the app's own log."
            raise OffhookError(f"{self._url} answered {answer.status}.", remedy=remedy, code="app_failed")
        return body
