"""Tokens of a language model become sentences, each as soon as it is complete."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import OffhookError
from offhook.protocol.actions import Action, Speak
from offhook.protocol.events import AssistantSpeak, AssistantSpeechEnded, UserSpeak
from offhook.sdk.assistant import Assistant
from offhook.sdk.scripted_model import ScriptedModel, tokens_of
from offhook.sdk.speech_stream import stream_sentences


async def given_as(*tokens: str) -> AsyncIterator[str]:
    for token in tokens:
        yield token


async def sentences_of(*tokens: str, longest: int = 400) -> list[str]:
    return [sentence async for sentence in stream_sentences(given_as(*tokens), longest=longest)]


async def test_a_sentence_is_given_with_its_last_token() -> None:
    tokens: asyncio.Queue[str | None] = asyncio.Queue()

    async def model() -> AsyncIterator[str]:
        while (token := await tokens.get()) is not None:
            yield token

    stream = stream_sentences(model())
    for token in ("Hello", " there", "."):
        tokens.put_nowait(token)
    assert await anext(stream) == "Hello there."
    for token in (" It", " costs", " 3", ".", "50", " euros", "."):
        tokens.put_nowait(token)
    tokens.put_nowait(None)
    assert [sentence async for sentence in stream] == ["It costs 3.50 euros."]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["One. Two! Three"], ["One.", "Two!", "Three"]),
        (["Am 3", ".", " Mai", " z", ".", " B", ".", " um 9", " Uhr", "."], ["Am 3. Mai z. B. um 9 Uhr."]),
        (["Really", "?", "!", " Yes", "."], ["Really?", "Yes."]),
        (["«Ja", "!", "»", " Gut", "."], ["«Ja!", "» Gut."]),
        ([], []),
        (["", " ", "\n"], []),
        (["...", " "], []),
        (["Ask Dr", "."], ["Ask Dr."]),
    ],
)
async def test_what_is_said(tokens: list[str], expected: list[str]) -> None:
    assert await sentences_of(*tokens) == expected


async def test_a_text_without_an_end_is_spoken_in_pieces_of_whole_words() -> None:
    assert await sentences_of("one two three four five", longest=10) == ["one two", "three four", "five"]
    assert await sentences_of("x" * 25, longest=10) == ["x" * 10, "x" * 10, "x" * 5]


@given(st.text(alphabet="abZ ,.!?3\n", max_size=120), st.integers(1, 9))
async def test_no_word_is_lost_however_the_text_is_cut(text: str, size: int) -> None:
    found = await sentences_of(*[text[at : at + size] for at in range(0, len(text), size)])
    assert [c for c in "".join(found) if c.isalnum()] == [c for c in text if c.isalnum()]


@given(st.text())
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text
    assert all(tokens_of(text))


def test_tokens_are_about_as_long_as_those_of_language_models() -> None:
    assert tokens_of("Hello there, you. It's 3.5!") == [
        "Hello", " there", ",", " you", ".", " It", "'", "s", " 3", ".", "5", "!",
    ]  # fmt: skip


async def test_the_scripted_model_answers_what_was_said_and_keeps_what_it_was_asked() -> None:
    model = ScriptedModel({"hi": "Hello.", "": "What?"})
    talk = [{"role": "user", "content": "hi"}]
    assert [token async for token in model(talk)] == ["Hello", "."]
    assert [token async for token in model([{"role": "user", "content": "else"}])] == ["What", "?"]
    assert model.asked[0] == talk
    assert (model.tokens, model.cancelled) == (4, 0)
    with pytest.raises(OffhookError, match="no reply to 'hi'"):
        await anext(ScriptedModel({})(talk))


# --- in a call


class Pace:
    """Lets a model give so many tokens, and no more."""

    def __init__(self) -> None:
        self.allowed = asyncio.Semaphore(0)
        self.waits = asyncio.Event()

    def let(self, tokens: int) -> None:
        for _ in range(tokens):
            self.allowed.release()

    async def __call__(self) -> None:
        self.waits.set()
        await self.allowed.acquire()


LONG = "That is the first. Here comes the second one. And this is the third."


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
def model(pace: Pace) -> ScriptedModel:
    return ScriptedModel({"": LONG}, pace)


def talking(model: ScriptedModel) -> Assistant:
    assistant = Assistant()

    @assistant.on_user_speak(latest_turn_only=True)
    async def answer(event: UserSpeak) -> AsyncIterator[str]:
        return stream_sentences(model(event.session.history))

    return assistant


async def test_a_newer_turn_cancels_the_model_within_one_event(events: Any, model: ScriptedModel, pace: Pace) -> None:
    """Contract D35."""
    assistant = talking(model)
    spoken: asyncio.Queue[Sequence[Action]] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(assistant.answer_event(events.words("go on"), spoken.put))
        pace.let(5)
        assert await spoken.get() == [Speak(text="That is the first.", session_id="s1")]
        taken = model.tokens
        second = group.create_task(assistant.answer_event(events.words("wait", barged_in=True), spoken.put))
        pace.waits.clear()
        await pace.waits.wait()
        assert (model.cancelled, model.tokens) == (1, taken)
        pace.let(100)
        await second
    assert model.asked[1][-1]["content"] == "go on wait"


async def test_what_the_caller_cuts_ends_the_model_before_the_turn_is_over(
    events: Any, model: ScriptedModel, pace: Pace
) -> None:
    """Contract D3, D5: `spoken_text` tells that it was cut, seconds before the words of the caller are known."""
    assistant = talking(model)
    spoken: asyncio.Queue[Sequence[Action]] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(assistant.answer_event(events.words("go on"), spoken.put))
        pace.let(5)
        await spoken.get()
        began = {"text": "That is the first.", "duration_ms": 900, "speech_started_at": 0}
        await assistant.on_event(AssistantSpeak(session=events.session, **began))
        await assistant.on_event(AssistantSpeechEnded(session=events.session, spoken_text="That is"))
        await running
    assert model.cancelled == 1


async def test_what_was_heard_to_its_end_ends_nothing(events: Any, model: ScriptedModel, pace: Pace) -> None:
    assistant = talking(model)
    spoken: asyncio.Queue[Sequence[Action]] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(assistant.answer_event(events.words("go on"), spoken.put))
        pace.let(5)
        await spoken.get()
        began = {"text": "That is the first.", "duration_ms": 900, "speech_started_at": 0}
        await assistant.on_event(AssistantSpeak(session=events.session, **began))
        await assistant.on_event(AssistantSpeechEnded(session=events.session, spoken_text="That is the first."))
        pace.let(100)
    assert model.cancelled == 0
    assert spoken.qsize() == 2


async def test_a_sync_handler_is_told_by_interrupted(events: Any) -> None:
    """It cannot be cancelled."""
    import threading

    inside, out = threading.Event(), threading.Event()
    seen = []

    def slow(event: UserSpeak) -> None:
        if event.text == "b":
            return
        seen.append(event.session.interrupted)
        inside.set()
        out.wait(10)
        seen.append(event.session.interrupted)

    assistant = Assistant(on_user_speak=slow)
    async with asyncio.TaskGroup() as group:
        group.create_task(assistant.on_event(events.words("a")))
        await asyncio.to_thread(inside.wait, 10)
        group.create_task(assistant.on_event(events.words("b")))
        group.create_task(asyncio.to_thread(out.set))
    assert seen == [False, True]
