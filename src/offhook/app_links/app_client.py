"""The HTTP client that all links of the service share."""

from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Final, NoReturn

import aiohttp


def _user_agent() -> str:
    try:
        return f"offhook/{version('offhook')}"
    except PackageNotFoundError:
        return "offhook/0"


USER_AGENT: Final = _user_agent()
KEEP_ALIVE_SECONDS: Final = 4.0
"""Shorter than what common servers allow an idle connection (5 s for Node.js and uvicorn): a request on a connection
that the server is just closing would be lost, for nobody can know whether it was taken (D26)."""

NO_LIMITS: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None)
"""The delivery machines set the limits."""


class RedirectRefused(aiohttp.ClientError):
    """The app's answer points elsewhere; following it would carry the token there (D27)."""

    def __init__(self, status: int, target: str) -> None:
        super().__init__(f"it answered {status}, pointing to {target}; redirects are not followed")


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> NoReturn:
    params.response.close()
    raise RedirectRefused(params.response.status, params.response.headers.get("Location", "nowhere")[:200])


def open_client() -> aiohttp.ClientSession:
    """A client that keeps connections alive, does not limit their number, shares no cookies between calls and follows
    no redirects. To be made inside the event loop and closed by who made it."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=NO_LIMITS,
        trace_configs=[trace],
    )


def said(error: Exception) -> str:
    """What a library said, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
