"""The service's REST API, as far as an app needs it (contract D31, section 6): actions out of turn, which is how an app
behind a webhook sends more than one answer to an event, and calls to be placed. On the standard library alone."""

import http.client
import json
import logging
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from offhook.errors import OffhookError
from offhook.protocol.actions import Action
from offhook.protocol.json_codec import actions_to_json
from offhook.sdk.http_answer import JSON_TYPE
from offhook.sdk.service_place import KEY_VARIABLE, URL_VARIABLE
from offhook.sdk.threads import in_thread

log = logging.getLogger("offhook.assistant")

WITHIN_SECONDS: Final = 5.0
REQUESTS_AT_ONCE: Final = 16
_ANSWER_SHOWN: Final = 500
_ANSWER_READ: Final = 100_000


class NotTaken(OffhookError):
    """The service did not take actions; they will not be heard."""


class CallRefused(OffhookError):
    """The service did not place a call. `code` is what the service calls the reason: `no_flow`, `no_number`,
    `not_allowed`, `full`, `draining`, `invalid_call`; `service_unreachable` when there was no answer. `status` is the
    HTTP status, None without an answer."""

    def __init__(self, message: str, *, remedy: str, code: str, status: int | None) -> None:
        super().__init__(message, remedy=remedy, code=code, retryable=status in {None, 429, 503})
        self.status = status


class ServiceActions:
    """The service's REST API.

    Args:
        url: where the service serves HTTP, such as `http://127.0.0.1:8080`.
        key: one of the keys in `http.keys` of the service.

    Raises:
        OffhookError: an address or a key that cannot be used.
    """

    def __init__(self, url: str, key: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise OffhookError(
                f"The service's address {url!r} is none.",
                remedy=f"Write service_url (or {URL_VARIABLE}) like http://127.0.0.1:8080",
                code="service_url_unusable",
            )
        if not re.fullmatch(r"[!-~]+", key):
            raise OffhookError(
                "service_url is given, but service_key is missing or cannot stand in a header.",
                remedy=f"Set service_key (or {KEY_VARIABLE}) to one of the keys in http.keys of the service.",
                code="service_key_unusable",
            )
        self._url: Final = url.rstrip("/")
        self._sessions: Final = f"{self._url}/v1/sessions"
        self._headers: Final = {"Authorization": f"Bearer {key}", "Content-Type": JSON_TYPE, "User-Agent": "offhook"}
        self._opener: Final = urllib.request.build_opener(_NoRedirects)
        self._threads: Final = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="offhook-push")

    async def push(self, session_id: str, actions: Sequence[Action], after: str | None) -> None:
        """Have these actions run, behind all that were pushed before; returns when the service has taken them. What it
        does not take is logged with the remedy, and the rest goes on.

        Args:
            after: the number of the event that they belong to (`X-Event-Number`): they run behind its answer.
        """
        try:
            await in_thread(self._threads, partial(self._post, session_id, actions_to_json(actions), after))
        except NotTaken as failure:
            level = logging.INFO if failure.code == "call_over" else logging.ERROR
            log.log(level, "session %s: %s %s", session_id, failure.message, failure.remedy)

    async def call(self, flow_id: str, number: str, billing_device: str | None) -> str:
        """As `call_now`, while the loop goes on."""
        return await in_thread(self._threads, partial(self.call_now, flow_id, number, billing_device))

    def call_now(self, flow_id: str, number: str, billing_device: str | None) -> str:
        """Have the service call somebody; gives the session's id. Raises CallRefused."""
        wish = {"toPhoneNumber": number} | ({} if billing_device is None else {"billingDevice": billing_device})
        address = f"{self._url}/v3/ai-flows/{urllib.parse.quote(flow_id, safe='')}/call"
        try:
            answer = self._send(address, json.dumps(wish).encode())
            return str(json.loads(answer)["sessionId"])
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise _not_called(number, refusal.code, refusal.read(_ANSWER_READ)) from refusal
        except (OSError, http.client.HTTPException) as error:
            raise CallRefused(
                f"{number} was not called: {self._url} cannot be reached ({error}).",
                remedy="Is service_url the address of the service, and does it run?",
                code="service_unreachable",
                status=None,
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            remedy = "Is service_url the address of the service?"
            raise CallRefused(
                f"{address} answered with what names no session.", remedy=remedy, code="no_session", status=200
            ) from error

    def _post(self, session_id: str, body: bytes, after: str | None) -> None:
        query = "" if after is None else f"?{urllib.parse.urlencode({'after': after})}"
        address = f"{self._sessions}/{urllib.parse.quote(session_id, safe='')}/actions{query}"
        try:
            self._send(address, body)
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise _refused(refusal.code, refusal.read(_ANSWER_SHOWN)) from refusal
        except (OSError, http.client.HTTPException) as error:
            raise NotTaken(
                f"Actions could not be pushed to {self._sessions} ({error}).",
                remedy="Is service_url the address of the service, and does it run?",
                code="service_unreachable",
                retryable=True,
            ) from error

    def _send(self, address: str, body: bytes) -> bytes:
        request = urllib.request.Request(address, body, self._headers, method="POST")  # noqa: S310  # http or https
        with self._opener.open(request, timeout=WITHIN_SECONDS) as answer:
            read: bytes = answer.read()
            return read


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Not followed: the key is for nobody else."""


def _refused(status: int, body: bytes) -> NotTaken:
    said = body.decode("utf-8", "replace")
    match status:
        case 409:
            return NotTaken("The call is over; a reply was dropped.", remedy="", code="call_over")
        case 401:
            remedy = "Set service_key to one of the keys in http.keys of the service."
        case 404:
            remedy = "Is service_url the address of the service that has this call?"
        case _:
            remedy = "See what it says, and its log."
    return NotTaken(f"The service refused pushed actions ({status}): {said}", remedy=remedy, code="push_refused")


def _not_called(number: str, status: int, body: bytes) -> CallRefused:
    """What the service says about it, in its own words where they can be read."""
    try:
        error = json.loads(body)["error"]
        told = [str(error[name]) for name in ("code", "message", "remedy")]
        told += [f"{mistake['message']} {mistake['remedy']}" for mistake in error.get("mistakes", [])]
    except (ValueError, KeyError, TypeError):
        told = ["call_refused", body[:_ANSWER_SHOWN].decode("utf-8", "replace"), "See the log of the service."]
    code, message, remedy, *mistakes = told
    if status == HTTPStatus.UNAUTHORIZED:
        remedy = "Set service_key to one of the keys in http.keys of the service."
    return CallRefused(
        f"{number} was not called ({status}): {' '.join([message, *mistakes])}", remedy=remedy, code=code, status=status
    )
