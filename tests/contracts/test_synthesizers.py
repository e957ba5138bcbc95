"""What every voice promises (`speech/synthesizer.py`), over every implementation."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from offhook.speech.speech_cache import CachedSynthesizer, SpeechCache
from offhook.speech.synthesizer import SpeechRequest, Synthesizer
from offhook.speech.synthesizers.espeak import EspeakSynthesizer
from offhook.speech.synthesizers.piper import PiperSettings, PiperSynthesizer
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer
from offhook.speech.transcriber import Samples
from tests.contracts import vendors
from tests.speech.tiny_models import piper_voice


@asynccontextmanager
async def piper() -> AsyncIterator[Synthesizer]:
    with TemporaryDirectory() as folder:
        yield PiperSynthesizer(PiperSettings("piper", piper_voice(Path(folder))))


# Each makes a voice that is not started, with what it needs around it: a vendor's, its fake in tests/fakes.
VOICES: dict[str, Callable[[], AbstractAsyncContextManager[Synthesizer]]] = {
    **{vendor.name: partial(vendors.voice_of, vendor) for vendor in vendors.VOICES},
    "espeak": lambda: nullcontext(EspeakSynthesizer()),
    "piper": piper,
    "scripted": lambda: nullcontext(ScriptedSynthesizer()),
    "cached": lambda: nullcontext(CachedSynthesizer(ScriptedSynthesizer(), SpeechCache())),
}
THEMSELVES = {f"{vendor.name} itself": partial(vendors.voice_of, vendor, itself=True) for vendor in vendors.VOICES}


@pytest.fixture(params=[*VOICES, *(pytest.param(name, marks=pytest.mark.vendors) for name in THEMSELVES)])
async def voice(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with (VOICES | THEMSELVES)[request.param]() as made:
        await made.start()
        yield made
        await made.stop()


@pytest.fixture
def apart(request: pytest.FixtureRequest) -> float:
    """How far in length what is said twice may be apart: vendors' voices never say it in the same way."""
    return 0.3 if request.node.get_closest_marker("vendors") is not None else 0.04


async def said(voice: Synthesizer, text: str | None = None, ssml: str | None = None) -> Samples:
    parts = [chunk.samples async for chunk in voice.speak(SpeechRequest(text, ssml))]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


class TestEveryVoice:
    async def test_gives_mono_int16_at_one_rate(self, voice: Synthesizer) -> None:
        chunks = [chunk async for chunk in voice.speak(SpeechRequest("Welcome to our service.", None))]

        assert {(c.samples.dtype, c.samples.ndim, c.rate) for c in chunks} == {(np.dtype(np.int16), 1, chunks[0].rate)}
        assert all(len(c.samples) > 0 for c in chunks)
        assert 0.5 < sum(len(c.samples) for c in chunks) / chunks[0].rate < 4

    async def test_speaks_audibly_without_clipping(self, voice: Synthesizer) -> None:
        samples = (await said(voice, "Welcome to our service.")).astype(np.float64)

        assert -32 < 20 * np.log10(np.sqrt(np.mean(samples**2)) / 32768) < -9
        assert np.mean(np.abs(samples) > 32700) < 0.001

    async def test_streams_and_does_not_give_all_at_once(self, voice: Synthesizer) -> None:
        chunks = [chunk async for chunk in voice.speak(SpeechRequest("One two three four. " * 5, None))]

        assert len(chunks) > 3

    async def test_speaks_longer_for_more_words(self, voice: Synthesizer) -> None:
        assert len(await said(voice, "Yes, please do that for me.")) > 1.5 * len(await said(voice, "Yes."))

    @pytest.mark.parametrize("nothing", ["", "   ", "\n"])
    async def test_says_nothing_for_empty_text(self, voice: Synthesizer, nothing: str) -> None:
        """Contract D10: text that is empty plays nothing."""
        assert len(await said(voice, nothing)) == 0

    async def test_says_nothing_for_empty_ssml(self, voice: Synthesizer) -> None:
        assert len(await said(voice, ssml="<speak></speak>")) == 0

    async def test_does_not_read_markup_aloud(self, voice: Synthesizer) -> None:
        """Contract D10: SSML on an engine without SSML is its text."""
        plain = await said(voice, "Good morning to you all")
        marked = await said(voice, ssml="<speak><p><emphasis>Good morning</emphasis> to you all</p></speak>")

        assert len(marked) == pytest.approx(len(plain), rel=0.35)

    async def test_takes_ssml_without_a_speak_element(self, voice: Synthesizer, apart: float) -> None:
        """Contract D10: SSML without `<speak>` is wrapped."""
        whole = await said(voice, ssml="<speak>Good morning to you</speak>")

        assert len(await said(voice, ssml="Good morning to you")) == pytest.approx(len(whole), rel=apart)

    @pytest.mark.parametrize(
        "odd",
        ["a < b & c", "tab\tnew\nline\r\nnul\0 bell\a \x0150S", "😀 smile 🎉", "lone \ud800 half", "ﷺ ٣٤ ünïcödé 漢字"],
    )
    async def test_survives_odd_characters(self, voice: Synthesizer, odd: str) -> None:
        assert len(await said(voice, odd)) > 0
        assert len(await said(voice, ssml=f"<speak>{odd}</speak>")) > 0

    async def test_can_be_closed_in_mid_sentence_and_used_again(self, voice: Synthesizer) -> None:
        """Closing the iterator cancels the work."""
        chunks = voice.speak(SpeechRequest("A long sentence that somebody interrupts. " * 20, None))
        await anext(chunks)
        assert isinstance(chunks, AsyncGenerator)
        await chunks.aclose()

        assert len(await said(voice, "Still here.")) > 0

    async def test_keeps_concurrent_requests_apart(self, voice: Synthesizer, apart: float) -> None:
        texts = [f"Request number {n}. " + "And some more words. " * n for n in range(1, 6)]
        alone = [len(await said(voice, text)) for text in texts]

        together = await asyncio.gather(*(said(voice, text) for text in texts))

        assert [len(samples) for samples in together] == pytest.approx(alone, rel=apart)

    async def test_does_not_mind_a_voice_or_language_it_does_not_know(self, voice: Synthesizer) -> None:
        """Contract D10: an unknown voice is no reason for dead air."""
        request = SpeechRequest("Hello there", None, voice="21m00Tcm4TlvDq8ikWAM", language="xx-XX")

        assert [chunk async for chunk in voice.speak(request)]

    async def test_can_be_started_again_after_a_stop(self, voice: Synthesizer) -> None:
        await voice.stop()
        await voice.stop()
        await voice.start()

        assert len(await said(voice, "Back again.")) > 0
