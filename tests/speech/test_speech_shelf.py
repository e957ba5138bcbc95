"""Finished speech outlives the service, within bounds."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from offhook.errors import SettingsInvalid
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.speech_cache import CachedSynthesizer, Shelving, SpeechCache
from offhook.speech.speech_shelf import SUFFIX, SpeechShelf
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, SpokenMark
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings

GREETING: Final = SpeechRequest("Welcome to our service", None)


def speech(samples: int = 1000, rate: int = 8000) -> tuple[SpeechChunk, ...]:
    sound = np.arange(samples, dtype=np.int16)
    return (SpeechChunk(sound, rate, (SpokenMark(3, 500),)), SpeechChunk(sound[::-1].copy(), rate))


def shelf(folder: Path, max_bytes: int = 1 << 20) -> SpeechShelf:
    made = SpeechShelf(folder, max_bytes)
    made.open()
    return made


def test_what_was_kept_is_there_after_a_restart_with_its_marks(tmp_path: Path) -> None:
    shelf(tmp_path / "cache").keep("hello", speech())

    again = shelf(tmp_path / "cache")
    found = again.load("hello")

    assert again.holds("hello")
    assert found is not None
    assert [chunk.samples.tolist() for chunk in found] == [chunk.samples.tolist() for chunk in speech()]
    assert [(chunk.rate, chunk.spoken) for chunk in found] == [(8000, (SpokenMark(3, 500),)), (8000, ())]
    assert again.bytes_held > 4000


def test_the_longest_unused_makes_room(tmp_path: Path) -> None:
    kept = shelf(tmp_path, max_bytes=13_000)
    for age, name in enumerate(["one", "two", "three"]):
        kept.keep(name, speech())
        os.utime(tmp_path / f"{name}{SUFFIX}", (age, age))
    kept.load("one")
    kept.keep("four", speech())

    assert {name for name in ("one", "two", "three", "four") if kept.holds(name)} == {"one", "three", "four"}
    assert kept.bytes_held == sum(path.stat().st_size for path in tmp_path.iterdir()) <= 13_000


def test_what_is_larger_than_the_whole_shelf_is_not_kept(tmp_path: Path) -> None:
    kept = shelf(tmp_path, max_bytes=1000)
    kept.keep("one", speech())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"{}", b"[]\nxx", b"\xff\xfe", b'[{"rate": 8000, "samples": 9, "spoken": []}]\nxx'],
    ids=["empty", "no list", "too much", "no text", "not whole"],
)
def test_a_spoilt_file_is_dropped(tmp_path: Path, spoilt: bytes) -> None:
    kept = shelf(tmp_path)
    kept.keep("one", speech())
    (tmp_path / f"one{SUFFIX}").write_bytes(spoilt)

    assert kept.load("one") is None
    assert not kept.holds("one")
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_have_dropped_it(tmp_path: Path) -> None:
    kept = shelf(tmp_path)
    kept.keep("one", speech())
    (tmp_path / f"one{SUFFIX}").unlink()

    assert kept.load("one") is None
    assert not kept.holds("one")


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    shelf(tmp_path / "cache").keep("one", speech())

    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    assert (tmp_path / "cache" / f"one{SUFFIX}").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_had_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsInvalid, match=r"speech\.cache_folder"):
        shelf(tmp_path / "file" / "cache")


@pytest.fixture
async def tasks() -> AsyncIterator[EngineTasks]:
    made = EngineTasks()
    await made.start()
    yield made
    await made.stop()


def voice(
    tasks: EngineTasks, folder: Path, settings: str = "", name: str = "scripted"
) -> tuple[CachedSynthesizer, ScriptedSynthesizer, SpeechCache]:
    engine = ScriptedSynthesizer(ScriptedVoiceSettings(name=name))
    cache = SpeechCache(beneath=Shelving(shelf(folder), tasks, {name: settings}))
    return CachedSynthesizer(engine, cache), engine, cache


async def said(made: CachedSynthesizer) -> list[int]:
    return [int(sample) async for chunk in made.speak(GREETING) for sample in chunk.samples]


async def test_speech_is_made_once_for_all_starts_of_the_service(tmp_path: Path, tasks: EngineTasks) -> None:
    first, _, _ = voice(tasks, tmp_path)
    made = await said(first)
    await tasks.settle()

    again, engine, cache = voice(tasks, tmp_path)
    assert again.holds(GREETING)
    assert await said(again) == made
    assert await said(again) == made
    assert engine.requests == []
    assert cache.found == {"memory": 1, "disk": 1, "nowhere": 0}
    assert cache.bytes_on_disk > 2 * len(made)


@pytest.mark.parametrize(("settings", "name"), [("another model", "scripted"), ("", "another")])
async def test_other_settings_and_other_engines_are_other_speech(
    tmp_path: Path, tasks: EngineTasks, settings: str, name: str
) -> None:
    first, _, _ = voice(tasks, tmp_path)
    await said(first)
    await tasks.settle()

    other, engine, _ = voice(tasks, tmp_path, settings, name)
    await said(other)

    assert engine.requests == [GREETING]
