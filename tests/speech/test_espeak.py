"""The embedded voice: espeak-ng in a process of its own."""

import asyncio
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from offhook.errors import ExtraMissing, ProviderFailed
from offhook.speech.sentences import MAX_CHARACTERS
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.synthesizers.espeak import EspeakSettings, EspeakSynthesizer
from offhook.speech.transcriber import Samples


async def said(engine: EspeakSynthesizer, text: str | None = None, ssml: str | None = None, **how: str) -> Samples:
    return await rest(engine.speak(SpeechRequest(text, ssml, **how)))


async def rest(chunks: AsyncGenerator[SpeechChunk, None]) -> Samples:
    parts = [chunk.samples async for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def text_of_file(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def seconds(samples: Samples) -> float:
    return len(samples) / 22050


def silence_at_ends(samples: Samples) -> tuple[float, float]:
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 64)
    return seconds(samples[: loud[0]]), seconds(samples[loud[-1] :])


async def test_the_library_is_never_loaded_by_the_service(espeak: EspeakSynthesizer) -> None:
    """espeak-ng is GPL-3 and its state is global: both stay in the process of their own."""
    await said(espeak, "hello")

    assert "espeakng_loader" not in sys.modules
    assert "libespeak" not in text_of_file("/proc/self/maps")
    assert "libespeak" in text_of_file(f"/proc/{espeak.pid}/maps")


async def test_speech_begins_and_ends_without_dead_air(espeak: EspeakSynthesizer) -> None:
    for samples in (await said(espeak, "Good morning."), await said(espeak, ssml="<speak>Good morning.</speak>")):
        before, after = silence_at_ends(samples)
        assert before <= 0.011
        assert after <= 0.045


async def test_a_break_lengthens_speech(espeak: EspeakSynthesizer) -> None:
    plain = await said(espeak, ssml="<speak>one two</speak>")
    paused = await said(espeak, ssml="<speak>one <break time='1s'/> two</speak>")

    assert 0.8 < seconds(paused) - seconds(plain) < 1.3


async def test_breaks_at_both_ends_are_kept(espeak: EspeakSynthesizer) -> None:
    before, after = silence_at_ends(await said(espeak, ssml="<break time='700ms'/>one<break time='1s'/>"))

    assert before == pytest.approx(0.7, abs=0.05)
    assert after == pytest.approx(1.0, abs=0.05)


async def test_prosody_changes_the_pace(espeak: EspeakSynthesizer) -> None:
    slow = await said(espeak, ssml="<prosody rate='50%'>a slow sentence</prosody>")

    assert seconds(slow) > 1.4 * seconds(await said(espeak, ssml="a slow sentence"))


async def test_the_pace_is_a_setting() -> None:
    fast = EspeakSynthesizer(EspeakSettings(words_per_minute=300))
    await fast.start()
    slow = EspeakSynthesizer(EspeakSettings(words_per_minute=120))
    await slow.start()

    assert len(await said(slow, "one sentence")) > 1.4 * len(await said(fast, "one sentence"))
    await fast.stop()
    await slow.stop()


def spectrum(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    frames = samples[: len(samples) // 512 * 512].reshape(-1, 512).astype(np.float64)
    power = np.abs(np.fft.rfft(frames * np.hanning(512), axis=1)).mean(axis=0)
    return np.asarray(power / np.linalg.norm(power))


@pytest.mark.parametrize(
    ("voice", "language"), [("de-DE-ConradNeural", None), (None, "de-DE"), (None, "de-AT"), ("de", None)]
)
async def test_german_is_german_however_it_is_asked_for(
    espeak: EspeakSynthesizer, voice: str | None, language: str | None
) -> None:
    """Contract section 7: Azure voice names map by their language prefix."""
    text = "Guten Tag, hier ist die Auskunft"
    german = [chunk.samples async for chunk in espeak.speak(SpeechRequest(text, None, voice, language))]
    expected = await said(espeak, text, voice="de")
    english = await said(espeak, text, language="en-US")

    assert len(np.concatenate(german)) == pytest.approx(len(expected), rel=0.02)
    assert abs(len(english) - len(expected)) > 0.05 * len(expected)


@pytest.mark.parametrize("inner", ["<voice name='de-DE-ConradNeural'>{}</voice>", "<lang xml:lang='de-DE'>{}</lang>"])
async def test_a_voice_within_ssml_speaks_its_language(espeak: EspeakSynthesizer, inner: str) -> None:
    text = "Guten Tag, hier ist die Auskunft"
    switched = await said(espeak, ssml=f"<speak xml:lang='en-US'>{inner.format(text)}</speak>")
    german = await said(espeak, ssml=f"<speak>{text}</speak>", language="de-DE")
    english = await said(espeak, ssml=f"<speak>{text}</speak>", language="en-US")

    assert abs(len(switched) - len(german)) < abs(len(switched) - len(english))


async def test_a_womans_name_gets_a_womans_voice(espeak: EspeakSynthesizer) -> None:
    woman = await said(espeak, "Good morning to you", voice="en-US-JennyNeural")
    man = await said(espeak, "Good morning to you", voice="en-US-GuyNeural")

    assert float(spectrum(woman) @ spectrum(man)) < 0.97


async def test_an_unknown_language_is_told_once(espeak: EspeakSynthesizer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await said(espeak, "nuqneH", language="tlh")
        await said(espeak, "Qapla", language="tlh")

    assert caplog.text.count("tlh") == 1


async def test_the_first_chunk_tells_of_an_unknown_language(espeak: EspeakSynthesizer) -> None:
    chunks = [
        chunk async for chunk in espeak.speak(SpeechRequest("Good morning. And good evening.", None, None, "tlh"))
    ]

    told = [chunk.troubles for chunk in chunks if chunk.troubles]
    assert told == [
        (
            "the voice espeak has none for tlh, en-us speaks: espeak-ng does not know it. "
            "Remedy: Name one of its voices or languages, or another provider.",
        )
    ]
    assert chunks[0].troubles


async def test_markup_in_text_is_text(espeak: EspeakSynthesizer) -> None:
    whole = await said(espeak, "one two three four five")

    assert len(await said(espeak, "one < two three > four five")) > 0.9 * len(whole)
    assert len(await said(espeak, "one two <break time='3s'/> three")) < 4 * len(whole)


async def test_ssml_opens_no_file_of_this_machine(espeak: EspeakSynthesizer, tmp_path: Path) -> None:
    """An app's `<audio>` is its text; the file is not read, whatever its address looks like."""
    path = tmp_path / "secret.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes(bytes(2 * 22050 * 5))

    for source in (path, path.as_uri()):
        assert seconds(await said(espeak, ssml=f"<speak>one <audio src='{source}'>two</audio></speak>")) < 2


async def test_an_hour_of_break_is_no_hour_of_silence(espeak: EspeakSynthesizer) -> None:
    assert seconds(await said(espeak, ssml="one<break time='3600s'/>two")) < 25


async def test_a_book_is_cut_and_the_log_says_so(espeak: EspeakSynthesizer, caplog: pytest.LogCaptureFixture) -> None:
    chunks = espeak.speak(SpeechRequest("All work and no play. " * 2000, None))
    with caplog.at_level(logging.WARNING):
        await anext(chunks)
    await chunks.aclose()

    assert str(MAX_CHARACTERS) in caplog.text


async def test_an_interrupted_speech_is_not_made_to_its_end(espeak: EspeakSynthesizer) -> None:
    """Closing cancels: twelve speeches of an hour, closed, do not stand before the next one."""
    for _ in range(12):
        chunks = espeak.speak(SpeechRequest(None, "<speak>" + "One sentence of many. " * 800 + "</speak>"))
        await anext(chunks)
        await chunks.aclose()

    async with asyncio.timeout(8):
        assert seconds(await said(espeak, "Next.")) < 1.5


async def test_a_killed_engine_goes_on_where_it_was(espeak: EspeakSynthesizer) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 4
    whole = await said(espeak, text)
    first = espeak.pid
    assert first is not None
    chunks = espeak.speak(SpeechRequest(text, None))
    begun = (await anext(chunks)).samples
    os.kill(first, signal.SIGKILL)

    remainder = await rest(chunks)

    assert len(begun) + len(remainder) == pytest.approx(len(whole), rel=0.03)
    assert espeak.pid not in {None, first}


async def test_an_engine_killed_while_idle_is_started_again(espeak: EspeakSynthesizer) -> None:
    assert espeak.pid is not None
    os.kill(espeak.pid, signal.SIGKILL)

    assert len(await said(espeak, "hello")) > 0


async def test_many_callers_survive_the_engines_death(espeak: EspeakSynthesizer) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    length = len(await said(espeak, text))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(said(espeak, text)) for _ in range(12)]
        chunks = espeak.speak(SpeechRequest(text, None))
        await anext(chunks)
        assert espeak.pid is not None
        os.kill(espeak.pid, signal.SIGKILL)
        await chunks.aclose()

    assert [len(task.result()) for task in tasks] == pytest.approx([length] * 12, rel=0.05)


async def test_an_engine_that_dies_twice_of_the_same_sentence_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence that kills the engine is given up; the engine lives on for the others."""
    real = importlib.util.find_spec("espeakng_loader")
    assert real is not None
    assert real.origin is not None
    (tmp_path / "espeakng_loader.py").write_text(
        "import os, pathlib, __main__\n"
        f"here = pathlib.Path({real.origin!r}).parent\n"
        "def get_library_path(): return here / 'libespeak-ng.so'\n"
        "def get_data_path(): return here / 'espeak-ng-data'\n"
        "speak = __main__.EspeakLibrary.speak\n"
        "def deadly(self, request, give):\n"
        "    return os._exit(9) if 'poison' in request['text'] else speak(self, request, give)\n"
        "__main__.EspeakLibrary.speak = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    voice = EspeakSynthesizer()
    await voice.start()
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(said(voice, "A good sentence.")) for _ in range(5)]
        with pytest.raises(ProviderFailed, match="twice"):
            await said(voice, "poison")
        others += [group.create_task(said(voice, "A good sentence.")) for _ in range(5)]
    await voice.stop()

    assert all(len(task.result()) > 0 for task in others)


async def test_the_engine_leaves_no_zombie_and_ignores_signals_meant_for_the_service() -> None:
    voice = EspeakSynthesizer()
    await voice.start()
    pid = voice.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert len(await said(voice, "farewell")) > 0
    await voice.stop()

    assert text_of_file(f"/proc/{pid}/stat") == ""


async def test_the_engine_ends_with_the_service() -> None:
    script = (
        "import asyncio, os\n"
        "from offhook.speech.synthesizers.espeak import EspeakSynthesizer\n"
        "async def main():\n"
        "    voice = EspeakSynthesizer()\n"
        "    await voice.start()\n"
        "    print(voice.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    said_first, _ = await service.communicate()
    pid = int(said_first)

    async with asyncio.timeout(5):
        # In a container nobody may reap it: a zombie has ended too.
        while text_of_file(f"/proc/{pid}/stat").split()[2:3] not in ([], ["Z"]):
            await asyncio.to_thread(os.sched_yield)


async def test_without_its_extra_the_remedy_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    voice = EspeakSynthesizer()

    with pytest.raises(ExtraMissing, match=r"offhook\[espeak\]"):
        await voice.start()
    with pytest.raises(ExtraMissing):
        await said(voice, "hello")
    assert voice.pid is None


async def test_a_broken_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "espeakng_loader.py").write_text(
        "def get_library_path(): return '/nowhere.so'\ndef get_data_path(): return '/nowhere'\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))

    with pytest.raises(ProviderFailed, match="cannot be loaded"):
        await EspeakSynthesizer().start()


async def test_a_voice_that_was_not_started_says_so() -> None:
    with pytest.raises(ProviderFailed, match="not started"):
        await said(EspeakSynthesizer(), "hello")


@pytest.mark.parametrize(
    "language", ["en-GB", "en-AU", "fr-CA", "fr-FR", "de-AT", "pt-BR", "zh-CN", "es-MX", "sv-SE", "ja-JP"]
)
async def test_languages_are_spoken_by_the_names_that_apps_use(espeak: EspeakSynthesizer, language: str) -> None:
    """Contract D10: a language that is here is never a failure of the voice."""
    spoken = [chunk.samples async for chunk in espeak.speak(SpeechRequest("one two three", None, None, language))]
    assert sum(len(samples) for samples in spoken) > 5000
