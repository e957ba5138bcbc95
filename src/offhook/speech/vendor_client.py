"""The HTTP client that all connectors of vendors share: connections stay open between requests, so that the next word
needs no handshake."""

from typing import Final

import aiohttp

KEEP_ALIVE_SECONDS: Final = 55.0
"""Shorter than what load balancers commonly allow an idle connection (60 s)."""
DNS_CACHE_SECONDS: Final = 60
NO_LIMITS: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None)
"""The connectors and the chains set the limits."""


def open_vendor_client() -> aiohttp.ClientSession:
    """A client that does not limit the number of its connections and keeps no cookies. To be made inside the event loop
    and closed by who made it. Connectors give `allow_redirects=False`: a redirect would carry the key elsewhere."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=NO_LIMITS,
    )
