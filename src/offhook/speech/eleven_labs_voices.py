"""ElevenLabs' voices by id or by name, from `GET /v1/voices` (https://elevenlabs.io/docs/api-reference/voices)."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

import aiohttp

from offhook.errors import ProviderFailed
from offhook.speech.eleven_labs_trouble import TROUBLE
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.vendor_messages import json_object, well_formed

LIST_WITHIN_SECONDS: Final = 4.0
MOST_REMEMBERED: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9]{20}")
_SHORT_NAME_ENDS: Final = re.compile(r"\s+[-–(].*")

_log = logging.getLogger(__name__)


class ElevenLabsVoices:
    """The voices of one key. The list is asked for when a name needs it, and again for each name that is new; an id
    needs none."""

    def __init__(self, client: aiohttp.ClientSession, url: str, key: str) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/v1/voices"
        self._headers = {"xi-api-key": key}
        self._by_name: dict[str, str] = {}
        self._first: str | None = None
        self._unknown: set[str] = set()
        self._no_list: ProviderFailed | None = None
        self._one_at_a_time = asyncio.Lock()

    async def id_of(self, *wanted: str | None) -> str:
        """The id of the first of these that is there; else that of the first voice of the list (D10). Raises
        ProviderFailed where neither is to be had."""
        for voice in wanted:
            if voice is not None and (found := await self._found(voice.strip())) is not None:
                return found
        if self._first is None:
            await self._load_once(lambda: self._first is None)
        if self._first is None:
            raise self._no_list or TROUBLE.of(TroubleCode.GARBLED, "has no voice for this key")
        return self._first

    def is_none(self, voice_id: str) -> None:
        """ElevenLabs says that there is no voice with this id."""
        self._remember_unknown(voice_id)

    async def load(self) -> int:
        """Ask for the list; how many voices it has. Raises ProviderFailed."""
        try:
            async with asyncio.timeout(LIST_WITHIN_SECONDS):
                async with self._client.get(self._url, headers=self._headers, allow_redirects=False) as answer:
                    said = await answer.text()
        except (aiohttp.ClientError, OSError) as error:
            raise TROUBLE.exception(error) from error
        if answer.status != 200:
            raise TROUBLE.status(answer.status, _reason(said))
        with well_formed(TROUBLE):
            voices = json_object(said, TROUBLE)["voices"]
            named = [(str(voice.get("name") or ""), str(voice["voice_id"])) for voice in voices]
        self._no_list = None
        self._first = named[0][1] if named else None
        # The list's order is of use where two voices have one short name; a whole name goes before a short one.
        self._by_name = {_short(name): found for name, found in reversed(named)}
        self._by_name |= {name.casefold(): found for name, found in reversed(named)}
        return len(named)

    async def _found(self, voice: str) -> str | None:
        if not voice or voice in self._unknown:
            return None
        if _ID.fullmatch(voice):
            return voice
        if voice.casefold() not in self._by_name:
            await self._load_once(lambda: voice.casefold() not in self._by_name and voice not in self._unknown)
        found = self._by_name.get(voice.casefold())
        if found is None and self._no_list is None:
            self._remember_unknown(voice)
        return found

    async def _load_once(self, needed: Callable[[], bool]) -> None:
        """The list, unless somebody else has asked for it meanwhile. A key that may not see it is not asked with again;
        ids can be spoken with all the same."""
        async with self._one_at_a_time:
            if not needed() or (self._no_list is not None and not self._no_list.retryable):
                return
            try:
                await self.load()
            except ProviderFailed as failure:
                self._no_list = failure

    def _remember_unknown(self, voice: str) -> None:
        if len(self._unknown) < MOST_REMEMBERED and voice not in self._unknown:
            self._unknown.add(voice)
            _log.warning("ElevenLabs has no voice %r for this key; another one speaks", voice[:100])


def _short(name: str) -> str:
    return _SHORT_NAME_ENDS.sub("", name).casefold()


def _reason(said: str) -> str:
    """What an answer that is an error says: `{"detail": {"status": …, "message": …}}`, or anything else."""
    try:
        detail = json_object(said, TROUBLE).get("detail")
    except ProviderFailed:
        return said
    return str(detail.get("message", detail)) if isinstance(detail, dict) else str(detail or said)
