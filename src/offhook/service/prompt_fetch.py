"""Prompts that an app names by URL (`gather_dtmf`, D16), fetched behind a guard: never from inside the operator's
network.

The address that is connected to is the one that was checked: names are resolved here, so that no second look-up can
answer differently.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from offhook.audio.wav import read_wav
from offhook.errors import OffhookError
from offhook.service.setting_types import Network
from offhook.speech.synthesizer import SpeechChunk

MAX_PROMPT_BYTES: Final = 8 * 1024 * 1024
FETCH_SECONDS: Final = 5.0


class PromptRefused(OffhookError):
    """A prompt was not fetched, or is not usable."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy, code="prompt_refused")


class PromptFetch:
    """Fetches prompts. `allowed`: networks that are not public, but may be asked. Use it as a context manager."""

    def __init__(self, allowed: tuple[Network, ...] = ()) -> None:
        self._guard: Final = _GuardedResolver(allowed)
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "PromptFetch":
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._guard, use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    async def fetch(self, address: str) -> AsyncIterator[SpeechChunk]:
        """The WAV at this URL as one chunk. Raises PromptRefused, or OffhookError for what is no WAV."""
        data = await self._download(_checked(address, self._guard))
        pcm = await asyncio.to_thread(read_wav, data)
        yield SpeechChunk(pcm.samples, pcm.rate)

    async def _download(self, url: URL) -> bytes:
        assert self._client is not None, "PromptFetch is used as a context manager"
        try:
            async with self._client.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise PromptRefused(
                        f"The prompt at {url} was answered with {response.status}.",
                        remedy="Give the address of a WAV file; redirects are not followed.",
                    )
                data = await response.content.read(MAX_PROMPT_BYTES + 1)
                while len(data) <= MAX_PROMPT_BYTES and (more := await response.content.read(MAX_PROMPT_BYTES)):
                    data += more
        except (aiohttp.ClientError, OSError) as error:
            raise PromptRefused(
                f"The prompt at {url} could not be fetched: {str(error) or type(error).__name__}.",
                remedy="See whether the service can reach that host.",
            ) from error
        if len(data) > MAX_PROMPT_BYTES:
            raise PromptRefused(
                f"The prompt at {url} is larger than {MAX_PROMPT_BYTES} bytes.", remedy="Use a shorter prompt."
            )
        return data


def _checked(address: str, guard: "_GuardedResolver") -> URL:
    try:
        url = URL(address)
    except ValueError as error:
        raise PromptRefused(f"{address!r} is no URL: {error}.", remedy="Write it like https://…/prompt.wav") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise PromptRefused(f"{address!r} is not http or https.", remedy="Write it like https://…/prompt.wav")
    try:
        literal = ipaddress.ip_address(url.host)
    except ValueError:
        return url
    guard.check(str(literal), url.host)
    return url


class _GuardedResolver(AbstractResolver):
    """Gives only addresses that may be asked."""

    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed: Final = allowed
        self._inner: ThreadedResolver | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self._inner = self._inner or ThreadedResolver()
        found = await self._inner.resolve(host, port, family)
        for result in found:
            self.check(result["host"], host)
        return found

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()

    def check(self, address: str, host: str) -> None:
        """Raises PromptRefused for an address that is not public."""
        ip = ipaddress.ip_address(address)
        if ip.is_global and not ip.is_multicast:
            return
        if any(ip in network for network in self._allowed):
            return
        raise PromptRefused(
            f"Prompts are not fetched from {host} ({address}): it is not a public address.",
            remedy="Serve prompts from a public host, or list its network in limits.prompt_networks.",
        )
