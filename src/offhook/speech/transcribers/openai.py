"""Servers of OpenAI's transcription protocol (`POST …/audio/transcriptions`): OpenAI, vLLM with Qwen3-ASR or Whisper,
Parakeet and faster-whisper servers.

The protocol takes whole recordings. Words while the caller speaks come of asking again about the growing turn, one
request at a time; what is still being asked when the turn is over is cancelled, and the whole turn is asked about.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from offhook.audio.wav import wav_bytes
from offhook.errors import ProviderFailed
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.growing_turn import GrowingTurn
from offhook.speech.openai_hints import hints
from offhook.speech.openai_server import SILENT_SECONDS, OpenAiServer
from offhook.speech.openai_words import Transcription, transcription_in
from offhook.speech.provider_trouble import ear_failed
from offhook.speech.transcriber import EarFailed, Heard, Samples, TranscriptionSettings, WordsHeard

SHORTEST_MS: Final = 100
"""OpenAI refuses recordings that are shorter."""


@dataclass(frozen=True, slots=True)
class OpenAiEarSettings:
    """`verbose`: ask for `verbose_json`, which has words with times, the language and how sure the model is (Whisper
    models only). `partial_words`: ask while the caller speaks."""

    server: OpenAiServer
    model: str
    verbose: bool = False
    partial_words: bool = True


class OpenAiTranscriber:
    """One server, shared by all calls."""

    def __init__(self, settings: OpenAiEarSettings, client: aiohttp.ClientSession) -> None:
        self.name = settings.server.name
        self._settings = settings
        self._client = client
        self._tasks = EngineTasks()
        self._streams: set[OpenAiStream] = set()

    async def start(self) -> None:
        """Nothing is asked of the server."""
        await self._tasks.start()

    async def check(self) -> str:
        """See `VendorEngine`."""
        return await self._settings.server.check(self._client, self._settings.model)

    def open(self, settings: TranscriptionSettings) -> "OpenAiStream":
        """An ear for one call."""
        stream = OpenAiStream(self._settings, settings, self._client, self._tasks, self._streams)
        self._streams.add(stream)
        return stream

    async def stop(self) -> None:
        """Cancel what is asked; turns in progress fail."""
        for stream in tuple(self._streams):
            stream.stopped()
        await self._tasks.stop()


@dataclass(slots=True)
class _Turn:
    audio: GrowingTurn
    said: str = ""
    asking: asyncio.Task[None] | None = field(default=None)


class OpenAiStream:
    """One call's ear. `everyone` holds it until it is closed."""

    def __init__(
        self,
        engine: OpenAiEarSettings,
        settings: TranscriptionSettings,
        client: aiohttp.ClientSession,
        tasks: EngineTasks,
        everyone: "set[OpenAiStream]",
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._client = client
        self._tasks = tasks
        self._everyone = everyone
        self._turns: dict[int, _Turn] = {}
        self._results: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._closed = False

    def begin_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        if self._closed or turn in self._turns:
            return
        if self._tasks.started:
            self._turns[turn] = _Turn(GrowingTurn(self._settings.rate))
        else:
            self._results.put_nowait(EarFailed(turn, f"the ear '{self._engine.server.name}' is not started"))

    def hear(self, turn: int, samples: Samples) -> None:
        """See `TranscriberStream`."""
        at = self._turns.get(turn)
        if at is None:
            return
        at.audio.add(samples)
        if self._engine.partial_words and at.asking is None and at.audio.due:
            at.asking = self._tasks.run(self._follow(turn, at), f"words of turn {turn} so far")

    def finish_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        at = self._turns.get(turn)
        if at is None:
            return
        if at.asking is not None:
            at.asking.cancel()
        whole = at.audio.whole()
        if at.audio.has_voice and len(whole) * 1000 >= SHORTEST_MS * self._settings.rate:
            at.asking = self._tasks.run(self._finish(turn, whole), f"words of turn {turn}")
        else:
            self._over(turn, WordsHeard(turn, "", True))

    async def heard(self) -> AsyncGenerator[Heard, None]:
        """See `TranscriberStream`."""
        while (heard := await self._results.get()) is not None:
            yield heard

    async def close(self) -> None:
        """See `TranscriberStream`."""
        if self._closed:
            return
        self._closed = True
        self._everyone.discard(self)
        for at in self._turns.values():
            if at.asking is not None:
                at.asking.cancel()
        self._turns.clear()
        self._results.put_nowait(None)

    def stopped(self) -> None:
        """The engine stops: nothing more comes of the turns."""
        for turn in tuple(self._turns):
            self._over(turn, EarFailed(turn, f"the ear '{self._engine.server.name}' was stopped"))

    async def _follow(self, turn: int, at: _Turn) -> None:
        """Ask about the turn so far, again and again while it has grown enough."""
        while at.audio.due:
            found = await self._asked(turn, at.audio.asked())
            if found is None:
                return
            if found.text and found.text != at.said:
                at.said = found.text
                self._results.put_nowait(WordsHeard(turn, found.text, False, found.language, found.confidence))
        at.asking = None

    async def _finish(self, turn: int, whole: Samples) -> None:
        found = await self._asked(turn, whole)
        if found is not None:
            self._over(turn, WordsHeard(turn, found.text, True, found.language, found.confidence, found.words))

    async def _asked(self, turn: int, samples: Samples) -> Transcription | None:
        """The words of this audio; None when that failed, and the turn with it."""
        server = self._engine.server
        try:
            async with (
                asyncio.timeout(SILENT_SECONDS),
                server.asked(self._client, "/audio/transcriptions", data=self._form(samples)) as answer,
            ):
                return transcription_in(await answer.json(content_type=None))
        except TimeoutError:
            self._over(turn, ear_failed(turn, server.trouble.silent(SILENT_SECONDS)))
        except ProviderFailed as trouble:
            self._over(turn, ear_failed(turn, trouble))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._over(turn, ear_failed(turn, server.trouble.garbled(f"{type(error).__name__}: {error}")))
        return None

    def _form(self, samples: Samples) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("file", wav_bytes(samples, self._settings.rate), filename="turn.wav", content_type="audio/wav")
        form.add_field("model", self._engine.model)
        for name, told in hints(self._engine.model, self._settings.languages, self._settings.custom_vocabulary).items():
            for value in [told] if isinstance(told, str) else told:
                form.add_field(name if isinstance(told, str) else f"{name}[]", value)
        form.add_field("response_format", "verbose_json" if self._engine.verbose else "json")
        if self._engine.verbose:
            form.add_field("timestamp_granularities[]", "word")
            form.add_field("timestamp_granularities[]", "segment")
        return form

    def _over(self, turn: int, last: Heard) -> None:
        if self._turns.pop(turn, None) is not None:
            self._results.put_nowait(last)
