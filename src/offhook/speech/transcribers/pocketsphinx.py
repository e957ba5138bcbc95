"""The embedded ear: pocketsphinx with its English model, no key and no download.

Good for: digits, yes and no, and the phrases of `custom_vocabulary` (nearly always right); short English answers on a
wideband line (three words of four right). Free speech over a narrowband line is guessed, about every second word; and
it knows no language but English. A better ear is one setting away: `[flow.speech] transcriber`.
"""

import logging
from dataclasses import dataclass
from typing import Final

from offhook.speech.ear_pool import EarPool, EarProgram, PooledStream
from offhook.speech.transcriber import TranscriptionSettings

NAME: Final = "pocketsphinx"
MODULE: Final = "offhook.speech.recogniser_process"
LANGUAGE: Final = "en-US"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PocketsphinxSettings:
    """`workers`: processes, each worth about one core while callers speak. `turns_at_once`: decoders a worker, about
    90 MB each besides 60 MB for the worker itself. A core follows about five callers who speak at the same time; turns
    over the number wait for a decoder, their audio with them, and come late."""

    workers: int = 1
    turns_at_once: int = 3


class PocketsphinxTranscriber:
    """A pool of recogniser processes, shared by all calls."""

    name = NAME

    def __init__(self, settings: PocketsphinxSettings | None = None) -> None:
        settings = settings or PocketsphinxSettings()
        arguments = (str(max(1, settings.turns_at_once)),)
        self._pool = EarPool(
            EarProgram("the embedded ear (pocketsphinx)", MODULE, arguments, LANGUAGE), settings.workers
        )
        self._other_languages: set[tuple[str, ...]] = set()

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers, for operators and tests."""
        return self._pool.pids

    async def start(self) -> None:
        """Start the workers and wait for their models. Raises ExtraMissing or ProviderFailed."""
        await self._pool.start()

    def open(self, settings: TranscriptionSettings) -> PooledStream:
        """An ear for one call. Languages other than English are heard as English, with one warning."""
        languages = settings.languages
        if languages and languages not in self._other_languages and not languages[0].lower().startswith("en"):
            self._other_languages.add(languages)
            _log.warning(
                "the embedded ear knows English only and will not understand %s; choose another engine with "
                "[flow.speech] transcriber",
                languages[0],
            )
        return self._pool.open(settings)

    async def stop(self) -> None:
        """End the workers; turns in progress fail."""
        self._pool.stop()
