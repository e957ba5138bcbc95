"""The talk as it was heard, for a language model (contract D3, D5)."""

import asyncio
from typing import Any

from offhook.protocol.actions import BargeIn
from offhook.protocol.events import AssistantSpeak, AssistantSpeechEnded, Event
from offhook.sdk.assistant import Assistant
from offhook.sdk.history import Note, messages, was_cut


def told(*notes: Note) -> list[str]:
    return [f"{message['role']}: {message['content']}" for message in messages(notes)]


def test_turns_of_one_side_are_one_message() -> None:
    notes: list[Note] = [
        ("began", "Hello."),
        ("ended", None),
        ("began", "Who is it?"),
        ("ended", None),
        ("user", "Me."),
    ]
    assert told(*notes) == ["assistant: Hello. Who is it?", "user: Me."]
    assert told(("user", "Wait."), ("user", "Go on.")) == ["user: Wait. Go on."]


def test_of_what_was_cut_only_the_part_that_was_heard_is_told() -> None:
    assert told(("began", "It costs a lot of money."), ("ended", "It costs"), ("user", "How much?")) == [
        "assistant: It costs",
        "user: How much?",
    ]


def test_without_a_report_of_what_was_heard_all_that_began_counts() -> None:
    assert told(("began", "It costs a lot."), ("ended", None)) == ["assistant: It costs a lot."]


def test_what_was_cut_before_its_first_word_was_not_said() -> None:
    assert told(("user", "Hi."), ("began", "Well, yes."), ("ended", ""), ("user", "Hello?")) == ["user: Hi. Hello?"]


def test_the_end_of_an_audio_is_no_end_of_speech() -> None:
    assert told(("began", "Listen."), ("ended", "Listen."), ("ended", None)) == ["assistant: Listen."]


def test_speech_was_cut_when_not_all_of_it_was_heard() -> None:
    assert was_cut(("began", "One two."), ("ended", "One"))
    assert not was_cut(("began", "One  two."), ("ended", "One two."))
    assert not was_cut(("began", "One two."), ("ended", None))
    assert not was_cut(None, ("ended", "One"))
    assert not was_cut(("user", "One two"), ("ended", "One"))


def speech(events: Any, heard: str | None, **said: str) -> list[Event]:
    return [
        AssistantSpeak(session=events.session, duration_ms=10, speech_started_at=0, **said),
        AssistantSpeechEnded(session=events.session, spoken_text=heard),
    ]


async def test_a_handler_finds_the_talk_with_what_was_said_just_now(events: Any) -> None:
    found: list[list[dict[str, str]]] = []
    assistant = Assistant(on_user_speak=lambda event: found.append(event.session.history))
    for event in (
        events.start(),
        *speech(events, "Hel lo", ssml="<speak>Hel<b/>lo &amp; bye</speak>"),
        events.words("Hi"),
    ):
        await assistant.on_event(event)
    assert found == [[{"role": "assistant", "content": "Hel lo"}, {"role": "user", "content": "Hi"}]]


async def test_the_talk_is_gone_after_the_end(events: Any) -> None:
    found: list[Any] = []
    assistant = Assistant(
        on_session_start=lambda event: found.append(event.session.history),
        on_session_end=lambda event: found.append(event.session.history),
    )
    for event in (events.start(), events.words("x"), events.end(), events.start()):
        await assistant.on_event(event)
    assert found == [[], [{"role": "user", "content": "x"}], []]


async def test_what_the_app_itself_cuts_does_not_end_its_handler(events: Any) -> None:
    on = asyncio.Event()

    async def stream(event: Any) -> Any:
        yield "One two three."
        for event in speech(events, None, text="One two three.")[:1]:
            await assistant.on_event(event)
        yield BargeIn()
        await assistant.on_event(speech(events, "One")[0])
        yield "Stop."

    assistant = Assistant()
    assistant.on_user_speak(stream, latest_turn_only=True)
    on.set()
    assert len(await assistant.on_event(events.words("go"))) == 3
