"""Speech that was made before is on the wire at once: a bounded cache in memory, shared by all calls and engines, with
a folder beneath it."""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from dataclasses import astuple, dataclass, field
from typing import Final

from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.speech_shelf import SpeechShelf
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, Synthesizer

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_ENTRY_BYTES: Final = 4 * 1024 * 1024
"""About 90 s at 22 050 Hz: a greeting or a menu, not a story."""


@dataclass(frozen=True, slots=True)
class SpeechKey:
    """What makes two pieces of speech the same."""

    engine: str
    request: SpeechRequest


@dataclass(frozen=True, slots=True)
class Shelving:
    """A folder beneath the memory. `settings`: of each engine by name, what its speech depends on beside the request;
    `tasks`: where files are written, beside calls."""

    shelf: SpeechShelf
    tasks: EngineTasks
    settings: Mapping[str, str] = field(default_factory=dict)


class SpeechCache:
    """Finished speech, the least recently used dropped first.

    `found` counts how often speech was asked for, by where it was.

    Args:
        max_bytes: of samples held in memory in all.
        max_entry_bytes: of one piece; a longer one is not kept.
        beneath: where all that is kept is kept on disk too.
    """

    def __init__(
        self,
        max_bytes: int = MAX_BYTES,
        max_entry_bytes: int = MAX_ENTRY_BYTES,
        beneath: Shelving | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._beneath: Final = beneath
        self.max_entry_bytes = max_entry_bytes if beneath is not None else min(max_entry_bytes, max_bytes)
        self._entries: OrderedDict[SpeechKey, tuple[SpeechChunk, ...]] = OrderedDict()
        self.bytes_held = 0
        self.found: Final = dict.fromkeys(("memory", "disk", "nowhere"), 0)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes_on_disk(self) -> int:
        """0 without a folder."""
        return 0 if self._beneath is None else self._beneath.shelf.bytes_held

    def holds(self, key: SpeechKey) -> bool:
        """Whether the speech is there, in memory or on disk."""
        return key in self._entries or (self._beneath is not None and self._beneath.shelf.holds(self._name(key)))

    def get(self, key: SpeechKey) -> tuple[SpeechChunk, ...] | None:
        """The speech if it is in memory; what was asked for lives longer."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    async def find(self, key: SpeechKey) -> tuple[SpeechChunk, ...] | None:
        """The speech, and then it is in memory; at once and without giving way where it is there already."""
        found = self.get(key)
        if found is not None:
            self.found["memory"] += 1
            return found
        if self._beneath is not None and self._beneath.shelf.holds(name := self._name(key)):
            found = await asyncio.to_thread(self._beneath.shelf.load, name)
        if found is None:
            self.found["nowhere"] += 1
            return None
        self.found["disk"] += 1
        self._hold(key, found)
        return found

    def put(self, key: SpeechKey, chunks: tuple[SpeechChunk, ...]) -> None:
        """Keep the speech, if it is not too long; whoever holds its arrays must not write to them."""
        if _bytes(chunks) > self.max_entry_bytes:
            return
        self._hold(key, chunks)
        if self._beneath is not None:
            self._beneath.tasks.run(
                asyncio.to_thread(self._beneath.shelf.keep, self._name(key), chunks), name="speech to disk"
            )

    def drop(self, key: SpeechKey) -> None:
        """Forget one piece of speech in memory."""
        self.bytes_held -= _bytes(self._entries.pop(key, ()))

    def _hold(self, key: SpeechKey, chunks: tuple[SpeechChunk, ...]) -> None:
        self.drop(key)
        self._entries[key] = chunks
        self.bytes_held += _bytes(chunks)
        while self.bytes_held > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def _name(self, key: SpeechKey) -> str:
        settings = {} if self._beneath is None else self._beneath.settings
        told = [key.engine, settings.get(key.engine, ""), *astuple(key.request)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class CachedSynthesizer:
    """An engine with the cache before it: a Synthesizer like the one it wraps, under the same name."""

    def __init__(self, engine: Synthesizer, cache: SpeechCache) -> None:
        self.name = engine.name
        self._engine = engine
        self._cache = cache

    @property
    def engine(self) -> Synthesizer:
        """The engine itself."""
        return self._engine

    def holds(self, request: SpeechRequest) -> bool:
        """Whether this speech is there without asking the engine."""
        return self._cache.holds(SpeechKey(self.name, request))

    async def start(self) -> None:
        """Start the engine; raises what it raises."""
        await self._engine.start()

    async def stop(self) -> None:
        """Stop the engine; what is cached stays."""
        await self._engine.stop()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speech from the cache, or from the engine and then kept if it came to its end."""
        key = SpeechKey(self.name, request)
        if (cached := await self._cache.find(key)) is not None:
            for chunk in cached:
                yield chunk
            return
        made: list[SpeechChunk] | None = []
        size = 0
        chunks = self._engine.speak(request)
        try:
            async for chunk in chunks:
                size += chunk.samples.nbytes
                if made is not None:
                    chunk.samples.setflags(write=False)
                    made.append(chunk)
                    made = made if size <= self._cache.max_entry_bytes else None
                yield chunk
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        if made:
            self._cache.put(key, tuple(made))

    async def warm(self, request: SpeechRequest) -> None:
        """Have this speech in memory, as for a greeting while it rings (D36). Raises what the engine raises."""
        async for _ in self.speak(request):
            pass


def _bytes(chunks: tuple[SpeechChunk, ...]) -> int:
    return sum(chunk.samples.nbytes for chunk in chunks)
