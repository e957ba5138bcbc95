"""The HTTP client that all connectors of vendors share: connections stay open between requests, so that the next word
needs no handshake."""

from types import SimpleNamespace
from typing import Final, NoReturn

import aiohttp

KEEP_ALIVE_SECONDS: Final = 55.0
"""Shorter than what load balancers commonly allow an idle connection (60 s)."""
DNS_CACHE_SECONDS: Final = 60
NO_LIMITS: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None)
"""The connectors and the chains set the limits."""


class RedirectRefused(aiohttp.ClientConnectionError):
    """The vendor's answer points elsewhere."""


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> NoReturn:
    params.response.close()
    raise RedirectRefused(f"it answered {params.response.status}, which points elsewhere; that is not followed")


def open_vendor_client() -> aiohttp.ClientSession:
    """A client that does not limit the number of its connections, keeps no cookies and follows no redirects, which
    would carry the key elsewhere. To be made inside the event loop and closed by who made it."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=NO_LIMITS,
        trace_configs=[trace],
    )
