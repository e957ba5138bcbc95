"""Speech that was made before is on the wire at once: a bounded cache in memory, shared by all calls and engines."""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, Synthesizer

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_ENTRY_BYTES: Final = 4 * 1024 * 1024
"""About 90 s at 22 050 Hz: a greeting or a menu, not a story."""


@dataclass(frozen=True, slots=True)
class SpeechKey:
    """What makes two pieces of speech the same."""

    engine: str
    request: SpeechRequest


class SpeechCache:
    """Finished speech, the least recently used dropped first.

    Args:
        max_bytes: of samples held in all.
        max_entry_bytes: of one piece; a longer one is not kept.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, max_entry_bytes: int = MAX_ENTRY_BYTES) -> None:
        self._max_bytes = max_bytes
        self.max_entry_bytes = min(max_entry_bytes, max_bytes)
        self._entries: OrderedDict[SpeechKey, tuple[SpeechChunk, ...]] = OrderedDict()
        self.bytes_held = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: SpeechKey) -> bool:
        return key in self._entries

    def get(self, key: SpeechKey) -> tuple[SpeechChunk, ...] | None:
        """The speech, or None; what was asked for lives longer."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: SpeechKey, chunks: tuple[SpeechChunk, ...]) -> None:
        """Keep the speech, if it is not too long; whoever holds its arrays must not write to them."""
        size = _bytes(chunks)
        if size > self.max_entry_bytes:
            return
        self.drop(key)
        self._entries[key] = chunks
        self.bytes_held += size
        while self.bytes_held > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def drop(self, key: SpeechKey) -> None:
        """Forget one piece of speech."""
        self.bytes_held -= _bytes(self._entries.pop(key, ()))


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
        return SpeechKey(self.name, request) in self._cache

    async def start(self) -> None:
        """Start the engine; raises what it raises."""
        await self._engine.start()

    async def stop(self) -> None:
        """Stop the engine; what is cached stays."""
        await self._engine.stop()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speech from the cache, or from the engine and then kept if it came to its end."""
        key = SpeechKey(self.name, request)
        if (cached := self._cache.get(key)) is not None:
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
        """Have this speech ready, as for a greeting while it rings (D36). Raises what the engine raises."""
        async for _ in self.speak(request):
            pass


def _bytes(chunks: tuple[SpeechChunk, ...]) -> int:
    return sum(chunk.samples.nbytes for chunk in chunks)
