"""Ending or redirecting a call through its carrier's REST interface, whatever the carrier was told to do next.

Source: twilio.com/docs/voice/api/call-resource (POST `Calls/{sid}` with `Status=completed`), which SignalWire and
sipgate's bridge have too; developers.telnyx.com (`/v2/calls/{call_control_id}/actions/hangup`). For a redirection
Twilio and SignalWire (compatibility API, "Update a Call") take `Url`, and so does Telnyx
(`/v2/texml/Accounts/{account_sid}/Calls/{call_sid}`).
"""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import aiohttp

from offhook.transports.media_stream.settings import StreamAccount

WITHIN_SECONDS: Final = 5.0
_GONE: Final = frozenset({404, 409, 422})
"""Answers of a carrier whose call is over already."""


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A POST; `form` or `json` is its body."""

    url: str
    headers: dict[str, str] = field(repr=False)
    form: dict[str, str] | None = None
    json: dict[str, str] | None = None


def hang_up_request(account: StreamAccount, call_id: str) -> RestRequest | None:
    """What ends this call; None without a REST interface. The call's name came from outside: it stays one segment of
    the path, whatever is in it."""
    if account.rest_url is None or account.rest_key is None or call_id.strip(".") == "":
        return None
    call = quote(call_id, safe="")
    if account.carrier == "telnyx":
        headers = {"Authorization": f"Bearer {account.rest_key}"}
        return RestRequest(f"{account.rest_url}/v2/calls/{call}/actions/hangup", headers, json={})
    return RestRequest(*_call_resource(account, call), form={"Status": "completed"})


def redirect_request(account: StreamAccount, call_id: str, document_url: str) -> RestRequest | None:
    """What makes the carrier ask at this address what to do with the call now, instead of streaming it. None without a
    REST interface."""
    if account.rest_url is None or account.rest_key is None or call_id.strip(".") == "":
        return None
    call = quote(call_id, safe="")
    form = {"Url": document_url, "Method": "POST"}
    if account.carrier == "telnyx":
        owner = quote(account.rest_user or "", safe="")
        headers = {"Authorization": f"Bearer {account.rest_key}"}
        return RestRequest(f"{account.rest_url}/v2/texml/Accounts/{owner}/Calls/{call}", headers, form=form)
    return RestRequest(*_call_resource(account, call), form=form)


def _call_resource(account: StreamAccount, call: str) -> tuple[str, dict[str, str]]:
    """Where Twilio, and who does as Twilio, has this call; and the headers that open it."""
    user = account.rest_user or ""
    headers = {"Authorization": "Basic " + b64encode(f"{user}:{account.rest_key}".encode()).decode()}
    return f"{account.rest_url}/2010-04-01/Accounts/{quote(user, safe='')}/Calls/{call}.json", headers


async def hang_up(client: aiohttp.ClientSession, account: StreamAccount, call_id: str) -> str | None:
    """End the call there. Gives what went wrong; None: it has ended, or there is no REST interface."""
    request = hang_up_request(account, call_id)
    return None if request is None else await _posted(client, account, request, also_fine=_GONE)


async def redirect(
    client: aiohttp.ClientSession, account: StreamAccount, call_id: str, document_url: str
) -> str | None:
    """Have the carrier ask there what to do with the call now. Gives what went wrong; None: it will ask."""
    request = redirect_request(account, call_id, document_url)
    if request is None:
        return "there is no REST interface for this account"
    return await _posted(client, account, request, also_fine=frozenset())


async def _posted(
    client: aiohttp.ClientSession, account: StreamAccount, request: RestRequest, *, also_fine: frozenset[int]
) -> str | None:
    try:
        async with client.post(
            request.url,
            headers=request.headers,
            data=request.form,
            json=request.json,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=WITHIN_SECONDS),
        ) as answer:
            fine = answer.status < 300 or answer.status in also_fine
            return None if fine else f"{account.carrier} answered {answer.status}"
    except TimeoutError:
        return f"{account.carrier} did not answer within {WITHIN_SECONDS:g} s"
    except aiohttp.ClientError as failure:
        return f"{account.carrier} was not reached: {failure}"
