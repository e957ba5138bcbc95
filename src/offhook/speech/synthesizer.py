"""The interface of every voice. One provider a file beside this one; one contract test for all of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from offhook.speech.transcriber import Samples


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What to say. Exactly one of `text` and `ssml` is set. `voice` and `language` as the app or the flow gave them,
    None for the engine's own choice."""

    text: str | None
    ssml: str | None
    voice: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SpokenMark:
    """The first `characters` of the request's text have been said when `at_sample` samples of this chunk have been
    played. `estimated`: at the least so many, by the time that they take."""

    characters: int
    at_sample: int
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of speech, mono int16 at `rate` Hz; `spoken`, in order, where an engine knows what it has said by when.
    Characters are those of `SpeechRequest.text`; of SSML, those of its text (`ssml.text_of`).

    Where an engine of a chain begins: its name (`by`), and a line for each that failed before it (`troubles`)."""

    samples: Samples
    rate: int
    spoken: tuple[SpokenMark, ...] = ()
    by: str = ""
    troubles: tuple[str, ...] = ()


class Synthesizer(Protocol):
    """One configured engine, shared by all calls."""

    name: str

    async def start(self) -> None:
        """Start the engine's process, load its models. Raises ProviderFailed with a remedy. A vendor's engine asks
        nothing of the vendor here (see `VendorEngine`): the service starts whether or not the vendor is there."""

    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Speech, streamed as it is made, first chunk as early as possible. Closing the iterator (an async
        generator in every engine: `aclose`) cancels the work. Chunks may be shared and must not be written to.
        Raises ProviderFailed; the caller of this then tries the next engine of the chain (D10)."""

    async def stop(self) -> None:
        """End what `start` began."""
