"""Handlers: what they may be, in which order they run, what cancels them (contract section 8)."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

from offhook.protocol.actions import Action, Hangup, Speak
from offhook.protocol.events import UserInputTimeout, UserSpeechStarted
from offhook.sdk.assistant import AiFlowAssistant, Assistant
from offhook.sdk.handlers import HandlerFailed, HandlerUnusable


def spoken(actions: Sequence[Action]) -> list[str | None]:
    return [action.text for action in actions if isinstance(action, Speak)]


# --- registering


async def test_a_decorator_works_plain_and_with_options(events: Any) -> None:
    assistant = Assistant()

    @assistant.on_session_start
    def greet(event: Any) -> str:
        return "Welcome"

    @assistant.on_user_speak(latest_turn_only=True)
    async def answer(event: Any) -> str:
        return f"You said: {event.text}"

    assert spoken(await assistant.on_event(events.start())) == ["Welcome"]
    assert spoken(await assistant.on_event(events.words("hi"))) == ["You said: hi"]
    assert greet(events.start()) == "Welcome"


async def test_options_of_the_documents_name_the_same_handlers(events: Any) -> None:
    assistant = AiFlowAssistant.create(
        api_key="secret", debug=True, on_session_start=lambda event: "Hello", on_dtmf_received=lambda event: event.digit
    )
    assert spoken(await assistant.on_event(events.start())) == ["Hello"]
    assert spoken(await assistant.on_event(events.key("5"))) == ["5"]
    assert assistant.admits("secret")
    assert not assistant.admits("guess")


def test_a_second_handler_for_an_event_is_a_mistake() -> None:
    assistant = Assistant(on_session_start=lambda event: None)
    with pytest.raises(HandlerUnusable, match="on_session_start has a handler already"):
        assistant.on_session_start(lambda event: None)


def test_a_handler_that_cannot_take_an_event_is_a_mistake() -> None:
    nothing: Any = lambda: None  # noqa: E731  # the mistake under test
    with pytest.raises(HandlerUnusable, match="one argument"):
        Assistant(on_session_start=nothing)
    text: Any = "hello"
    with pytest.raises(HandlerUnusable, match="not a function"):
        Assistant(on_session_start=text)


class Callable1:
    async def __call__(self, event: Any) -> str:
        return "object"

    async def method(self, event: Any) -> str:
        return "method"


async def _with_prefix(prefix: str, event: Any) -> str:
    return f"{prefix}{event.type}"


async def _stream(event: Any) -> AsyncIterator[str]:
    yield "one"
    yield "two"


def _sync_stream(event: Any) -> Iterator[str]:
    yield "one"
    yield "two"


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (lambda event: "sync", ["sync"]),
        (Callable1(), ["object"]),
        (Callable1().method, ["method"]),
        (functools.partial(_with_prefix, "got "), ["got session_start"]),
        (lambda event: _with_prefix("lambda ", event), ["lambda session_start"]),
        (_stream, ["one", "two"]),
        (lambda event: _stream(event), ["one", "two"]),  # noqa: PLW0108  # a sync function that returns a stream
        (_sync_stream, ["one", "two"]),
        (lambda event: None, []),
    ],
)
async def test_a_handler_may_be_any_callable(events: Any, handler: Any, expected: list[str]) -> None:
    """Contract D31."""
    assert spoken(await Assistant(on_session_start=handler).on_event(events.start())) == expected


async def test_an_event_without_a_handler_has_no_answer(events: Any) -> None:
    assert await Assistant().on_event(events.words("hi")) == []


async def test_json_is_an_event_too(events: Any) -> None:
    assistant = Assistant(on_user_speak=lambda event: event.text)
    assert spoken(await assistant.on_event('{"type": "user_speak", "text": "x", "session": {"id": "s"}}')) == ["x"]


# --- D34: where events go


async def test_an_interruption_goes_to_its_own_handler_when_there_is_one(events: Any) -> None:
    """Contract D34."""
    assistant = Assistant(on_user_speak=lambda event: "spoke")
    assert spoken(await assistant.on_event(events.words("wait", barged_in=True))) == ["spoke"]
    assistant.on_user_barge_in(lambda event: "barged in")
    assert spoken(await assistant.on_event(events.words("wait", barged_in=True))) == ["barged in"]
    assert spoken(await assistant.on_event(events.words("wait"))) == ["spoke"]


async def test_what_cannot_be_answered_is_dropped_with_one_warning(
    events: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Contract D34."""
    assistant = Assistant(on_session_end=lambda event: "bye", on_user_speech_started=lambda event: Hangup())
    for _ in range(2):
        assert await assistant.on_event(UserSpeechStarted(session=events.session)) == []
        assert await assistant.on_event(events.end()) == []
    warnings = [record.message for record in caplog.records if "is dropped" in record.message]
    assert len(warnings) == 2


# --- D33: failing


async def test_a_handler_that_raises_is_logged_with_session_and_traceback(
    events: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Contract D33."""
    assistant = Assistant(on_user_speak=lambda event: 1 / 0)  # type: ignore[arg-type, return-value]  # it raises
    with pytest.raises(HandlerFailed) as caught:
        await assistant.on_event(events.words("hi"))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    (record,) = caplog.records
    assert "s1" in record.message
    assert record.exc_info
    assert await assistant.on_event(events.start()) == []


async def test_a_wrong_action_raises_with_every_mistake_before_anything_is_sent(events: Any) -> None:
    assistant = Assistant(on_user_speak=lambda event: ["fine", {"type": "speak", "txt": "a"}])
    with pytest.raises(HandlerFailed, match=r"(?s)txt.*Did you mean 'text'") as caught:
        await assistant.on_event(events.words("hi"))
    assert "2 mistakes" in str(caught.value)


# --- D35: order, cancelling, state


class Gate:
    """A handler that tells when it is inside and waits to be let out."""

    def __init__(self) -> None:
        self.inside = asyncio.Event()
        self.out = asyncio.Event()
        self.log: list[str] = []

    async def __call__(self, event: Any) -> str:
        name = getattr(event, "text", event.type)
        self.log.append(f"> {name}")
        self.inside.set()
        try:
            await self.out.wait()
        except asyncio.CancelledError:
            self.log.append(f"x {name}")
            raise
        self.log.append(f"< {name}")
        return str(name)


async def test_events_of_a_session_run_one_at_a_time_in_order(events: Any) -> None:
    """Contract D35."""
    gate = Gate()
    assistant = Assistant(on_user_speak=gate, on_dtmf_received=gate)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(assistant.on_event(event)) for event in (events.words("a"), events.words("b"))]
        await gate.inside.wait()
        assert gate.log == ["> a"]
        gate.out.set()
    assert gate.log == ["> a", "< a", "> b", "< b"]
    assert [spoken(task.result()) for task in tasks] == [["a"], ["b"]]


async def test_sessions_never_wait_for_each_other(events_of: Callable[[str], Any]) -> None:
    """Contract D35."""
    gate = Gate()
    assistant = Assistant(on_user_speak=gate, on_session_start=lambda event: "hello")
    async with asyncio.TaskGroup() as group:
        group.create_task(assistant.on_event(events_of("slow").words("a")))
        await gate.inside.wait()
        assert spoken(await assistant.on_event(events_of("other").start())) == ["hello"]
        gate.out.set()


async def test_a_sync_handler_blocks_nobody_else_and_keeps_its_sessions_order(events_of: Callable[[str], Any]) -> None:
    """Contract D35."""
    inside, out, log = threading.Event(), threading.Event(), []

    def slow(event: Any) -> str:
        log.append(f"> {event.text}")
        if event.text == "a":
            inside.set()
            out.wait(10)
        log.append(f"< {event.text}")
        return str(event.text)

    assistant = Assistant(on_user_speak=slow, on_session_start=lambda event: "hello")
    async with asyncio.TaskGroup() as group:
        group.create_task(assistant.on_event(events_of("slow").words("a")))
        group.create_task(assistant.on_event(events_of("slow").words("b")))
        await asyncio.to_thread(inside.wait, 10)
        assert spoken(await assistant.on_event(events_of("other").start())) == ["hello"]
        assert log == ["> a"]
        out.set()
    assert log == ["> a", "< a", "> b", "< b"]


async def test_the_end_of_the_session_cancels_what_still_runs_and_what_waits(events: Any) -> None:
    """Contract D35."""
    gate = Gate()
    ended = []
    assistant = Assistant(on_user_speak=gate, on_session_end=lambda event: ended.append(event.session.id))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(assistant.on_event(events.words("a")))
        waiting = group.create_task(assistant.on_event(events.words("b")))
        await gate.inside.wait()
        await assistant.on_event(events.end())
    assert gate.log == ["> a", "x a"]
    assert ended == ["s1"]
    assert (running.result(), waiting.result()) == ([], [])


async def test_a_newer_turn_cancels_what_is_for_the_latest_turn_only(events: Any) -> None:
    """Contract D35."""
    gate = Gate()
    assistant = Assistant()
    assistant.on_user_speak(gate, latest_turn_only=True)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(assistant.on_event(events.words("a")))
        await gate.inside.wait()
        skipped = group.create_task(assistant.on_event(events.words("b")))
        last = group.create_task(assistant.on_event(events.words("c")))
        gate.out.set()
    assert first.result() == []
    assert skipped.result() == []
    assert spoken(last.result()) == ["c"]
    assert gate.log == ["> a", "x a", "> c", "< c"]


async def test_another_event_does_not_cancel_a_handler_for_the_latest_turn(events: Any) -> None:
    gate = Gate()
    assistant = Assistant()
    assistant.on_user_speak(gate, latest_turn_only=True)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(assistant.on_event(events.words("a")))
        await gate.inside.wait()
        group.create_task(assistant.on_event(UserInputTimeout(session=events.session)))
        gate.out.set()
    assert spoken(first.result()) == ["a"]


async def test_a_cancelled_stream_is_closed(events: Any) -> None:
    closed = asyncio.Event()

    async def stream(event: Any) -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            closed.set()

    assistant = Assistant(on_user_speak=stream)
    sent: asyncio.Queue[Sequence[Action]] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(assistant.answer_event(events.words("a"), sent.put))
        assert spoken(await sent.get()) == ["one"]
        await assistant.on_event(events.end())
        assert closed.is_set()


async def test_state_survives_a_repeated_start_and_is_dropped_after_the_end(events: Any) -> None:
    """Contract D35."""
    seen = []

    def remember(event: Any) -> None:
        state = assistant.state(event)
        state["starts"] = state.get("starts", 0) + 1
        seen.append(state["starts"])

    assistant = Assistant(
        on_session_start=remember, on_session_end=lambda event: seen.append(assistant.state(event)["starts"])
    )
    for event in (events.start(), events.start(), events.end(), events.start()):
        await assistant.on_event(event)
    assert seen == [1, 2, 2, 1]


async def test_debug_shows_events_and_actions(events: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await Assistant(debug=True, on_session_start=lambda event: "Hello").on_event(events.start())
    assert capsys.readouterr().err.split() == ["s1", "→", "session_start", "s1", "←", "speak", '"Hello"']


# --- any other framework


def test_a_sync_framework_gets_plain_values(events: Any) -> None:
    assistant = Assistant(token="secret", on_user_speak=lambda event: [event.text, Hangup()])
    body = b'{"type": "user_speak", "text": "hi", "session": {"id": "s1"}}'
    answer = assistant.answer_request(body, {"X-Api-Token": "secret"})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body.startswith(b'[{"type":"speak","session_id":"s1","text":"hi"}')
    assert assistant.answer_request(body, {}).status == 401
    assert assistant.answer_request(b"{}", {"x-api-token": "secret"}).status == 400
    assert Assistant().answer_request(body, {}).headers == {}


async def test_a_sync_handler_cannot_be_cancelled_so_the_end_waits_for_it_and_its_reply_is_dropped(events: Any) -> None:
    """Contract D35."""
    inside, out, log = threading.Event(), threading.Event(), []

    def slow(event: Any) -> str:
        inside.set()
        out.wait(10)
        log.append("slow is done")
        return "too late"

    assistant = Assistant(on_user_speak=slow, on_session_end=lambda event: log.append("session ended"))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(assistant.on_event(events.words("a")))
        await asyncio.to_thread(inside.wait, 10)
        ending = group.create_task(assistant.on_event(events.end()))
        group.create_task(asyncio.to_thread(out.set))
    assert log == ["slow is done", "session ended"]
    assert (running.result(), ending.result()) == ([], [])
