"""What calls begin with is ready before the next one is answered (contract D36)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from offhook.errors import ProviderFailed
from offhook.protocol.speech_options import TtsConfig
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.greeting_book import REMEMBERED, WARMED, Greeting, GreetingBook, GreetingsOfFlow
from offhook.speech.speech_cache import CachedSynthesizer, SpeechCache
from offhook.speech.synthesizer import SpeechRequest
from offhook.speech.synthesizer_chain import SynthesizerChain
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings

HELLO: Final = Greeting("Good morning", None)


def noted(book: GreetingBook, *greetings: Greeting, flow: str = "support") -> list[bool]:
    return [book.note(flow, greeting) for greeting in greetings]


def test_what_came_twice_will_come_again() -> None:
    book = GreetingBook()

    assert noted(book, HELLO, HELLO, HELLO) == [False, True, False]
    assert book.of("support") == (HELLO,)
    assert book.of("sales") == ()


def test_words_for_one_caller_alone_are_not_made_beforehand() -> None:
    book = GreetingBook()
    noted(book, *(Greeting(f"Good morning, caller {number}", None) for number in range(100)))

    assert book.of("support") == ()


def test_the_latest_few_are_made_ready() -> None:
    book = GreetingBook()
    many = [Greeting(f"Welcome {number}", None) for number in range(REMEMBERED)]
    noted(book, *many, *many)

    assert book.of("support") == tuple(reversed(many[-WARMED:]))


def test_they_are_there_after_a_restart(tmp_path: Path) -> None:
    book = GreetingBook(tmp_path / "greetings.json")
    ssml = Greeting(None, "<speak>Hi</speak>", "azure", "Jenny", "en-US")
    noted(book, HELLO, HELLO, ssml, ssml)
    book.write(book.written())

    again = GreetingBook(tmp_path / "greetings.json")
    again.load()

    assert again.of("support") == (ssml, HELLO)
    assert (tmp_path / "greetings.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("spoilt", ["", "[]", '{"support": [{"words": 1}]}', '{"support": 7}'])
def test_a_spoilt_file_is_as_good_as_none(tmp_path: Path, spoilt: str) -> None:
    (tmp_path / "greetings.json").write_text(spoilt)
    book = GreetingBook(tmp_path / "greetings.json")
    book.load()

    assert book.of("support") == ()


@pytest.fixture
async def tasks() -> AsyncIterator[EngineTasks]:
    made = EngineTasks()
    await made.start()
    yield made
    await made.stop()


async def speak(chain: SynthesizerChain, text: str, tts: TtsConfig | None = None, *, opening: bool = True) -> None:
    async for _ in chain.speak(text, None, tts, opening=opening):
        pass


async def test_a_greeting_that_has_left_the_memory_is_made_while_it_rings(tasks: EngineTasks) -> None:
    engine = ScriptedSynthesizer()
    cached = CachedSynthesizer(engine, SpeechCache(max_bytes=275_000))
    chain = SynthesizerChain([cached], ["scripted"], greetings=GreetingsOfFlow(GreetingBook(), "support", tasks))
    await speak(chain, "Good morning")
    await speak(chain, "Good morning")
    await speak(chain, "A long story. " * 20, opening=False)
    assert not cached.holds(SpeechRequest("Good morning", None))

    await chain.warm()
    made = len(engine.requests)
    await speak(chain, "Good morning")

    assert cached.holds(SpeechRequest("Good morning", None))
    assert made == len(engine.requests) == 3


async def test_it_is_made_by_the_voice_that_the_action_names(tasks: EngineTasks) -> None:
    own, other = ScriptedSynthesizer(), ScriptedSynthesizer(ScriptedVoiceSettings(name="azure"))
    cache = SpeechCache()
    voices = [CachedSynthesizer(each, cache) for each in (own, other)]
    book = GreetingBook()
    noted(book, *[Greeting("Hello", None, "azure", "Jenny", "en-US")] * 2)

    await SynthesizerChain(voices, ["scripted"], greetings=GreetingsOfFlow(book, "support", tasks)).warm()

    assert [(each.voice, each.language) for each in other.requests] == [("Jenny", "en-US")]
    assert own.requests == []


async def test_one_that_is_too_long_to_be_kept_is_tried_once(tasks: EngineTasks) -> None:
    engine = ScriptedSynthesizer()
    book = GreetingBook()
    noted(book, *[Greeting("Welcome to all of you", None)] * 2)
    greetings = GreetingsOfFlow(book, "support", tasks)
    chain = SynthesizerChain([CachedSynthesizer(engine, SpeechCache(max_bytes=100))], ["scripted"], greetings=greetings)

    await chain.warm()
    await chain.warm()

    assert len(engine.requests) == 1


async def test_a_voice_that_fails_now_is_asked_when_the_greeting_is_wanted(tasks: EngineTasks) -> None:
    engine = ScriptedSynthesizer(ScriptedVoiceSettings(failure="at_once"))
    book = GreetingBook()
    noted(book, HELLO, HELLO)
    cached = CachedSynthesizer(engine, SpeechCache())
    chain = SynthesizerChain([cached], ["scripted"], greetings=GreetingsOfFlow(book, "support", tasks))

    await chain.warm()

    assert book.of("support") == (HELLO,)
    with pytest.raises(ProviderFailed):
        await speak(chain, "Good morning")
