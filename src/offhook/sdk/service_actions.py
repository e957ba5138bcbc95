"""Actions that go to the service out of turn, over its REST API: how an app behind a webhook sends more than one answer
to an event (contract D31, section 6). On the standard library alone."""

import http.client
import logging
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Self

from offhook.errors import OffhookError
from offhook.protocol.actions import Action
from offhook.protocol.json_codec import actions_to_json
from offhook.sdk.http_answer import JSON_TYPE
from offhook.sdk.threads import in_thread

log = logging.getLogger("offhook.assistant")

URL_VARIABLE: Final = "OFFHOOK_SERVICE_URL"
KEY_VARIABLE: Final = "OFFHOOK_SERVICE_KEY"
WITHIN_SECONDS: Final = 5.0
REQUESTS_AT_ONCE: Final = 16
_ANSWER_SHOWN: Final = 500


class NotTaken(OffhookError):
    """The service did not take actions; they will not be heard."""


class ServiceActions:
    """The service's REST API, as far as an app needs it.

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
        self._sessions: Final = f"{url.rstrip('/')}/v1/sessions"
        self._headers: Final = {"Authorization": f"Bearer {key}", "Content-Type": JSON_TYPE, "User-Agent": "offhook"}
        self._opener: Final = urllib.request.build_opener(_NoRedirects)
        self._threads: Final = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="offhook-push")

    @classmethod
    def configured(cls, url: str | None, key: str | None) -> Self | None:
        """The service of these options, else of the environment; None: there is none. Raises as the constructor."""
        url = url or os.environ.get(URL_VARIABLE)
        return cls(url, key or os.environ.get(KEY_VARIABLE, "")) if url else None

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

    def _post(self, session_id: str, body: bytes, after: str | None) -> None:
        query = "" if after is None else f"?{urllib.parse.urlencode({'after': after})}"
        address = f"{self._sessions}/{urllib.parse.quote(session_id, safe='')}/actions{query}"
        request = urllib.request.Request(address, body, self._headers, method="POST")  # noqa: S310  # http or https
        try:
            with self._opener.open(request, timeout=WITHIN_SECONDS) as answer:
                answer.read()
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
