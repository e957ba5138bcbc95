"""State of sessions in a real Redis, shared by assistants that know nothing of each other (contract D35)."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from redis import Redis

from offhook.protocol.actions import Action
from offhook.protocol.events import AssistantSpeak, AssistantSpeechEnded, Event, UserSpeak
from offhook.sdk.assistant import Assistant
from offhook.sdk.handlers import HandlerFailed
from offhook.sdk.redis_states import RedisStates

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own, on a socket in a folder of our own."""
    place = Path(tmp_path_factory.mktemp("redis")) / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(place), "--save", "", "--daemonize", "no"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                break
        yield f"unix://{place}"
        server.terminate()
        server.wait(10)


@dataclass
class Order:
    items: list[str] = field(default_factory=list)


class Basket(BaseModel):
    items: list[str] = []


Worker = Callable[..., Assistant]


@asynccontextmanager
async def workers(url: str, **options: Any) -> AsyncIterator[Worker]:
    """Assistants, each with connections of its own, as several processes have."""
    states: list[RedisStates] = []

    def make(state: Callable[[], Any] = dict, **handlers: Any) -> Assistant:
        states.append(RedisStates(url, **options))
        return Assistant(state=state, states=states[-1], **handlers)

    try:
        yield make
    finally:
        for one in states:
            await one.close()


@pytest.mark.parametrize("kind", [Order, Basket])
async def test_any_worker_goes_on_with_the_state_and_it_is_gone_after_the_end(
    url: str, events_of: Callable[[str], Any], kind: Callable[[], Any]
) -> None:
    events = events_of(f"goes-on-{kind}")

    def remember(event: Event) -> str:
        event.session.state.items.append(event.type)
        return ",".join(event.session.state.items)

    handlers = {"on_session_start": remember, "on_user_speak": remember, "on_session_end": remember}
    async with workers(url) as worker:
        one, two = worker(kind, **handlers), worker(kind, **handlers)
        seen = [await app.on_event(event) for app, event in ((one, events.start()), (two, events.words("a")))]
        seen += [await one.on_event(events.end()), await two.on_event(events.start())]
    said = [[getattr(action, "text", None) for action in actions] for actions in seen]
    assert said == [["session_start"], ["session_start,user_speak"], [], ["session_start"]]


async def test_events_of_a_session_run_one_at_a_time_over_all_workers(
    url: str, events_of: Callable[[str], Any]
) -> None:
    events = events_of("one-at-a-time")
    inside = 0

    async def count(event: UserSpeak) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        event.session.state["count"] = event.session.state.get("count", 0) + 1
        for _ in range(5):
            await asyncio.to_thread(lambda: None)
        inside -= 1

    found: list[int] = []
    async with workers(url) as worker:
        apps = [worker(on_user_speak=count) for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(apps[number % 4].on_event(events.words(str(number))))
        reader = worker(on_user_speak=lambda event: found.append(event.session.state["count"]))
        await reader.on_event(events.words("read"))
    assert found == [40]


class Held:
    """A handler that tells when it is inside and waits to be let out or cancelled."""

    def __init__(self) -> None:
        self.inside = asyncio.Event()
        self.out = asyncio.Event()
        self.log: list[str] = []

    async def __call__(self, event: Any) -> None:
        name = getattr(event, "text", event.type)
        self.log.append(f"> {name}")
        self.inside.set()
        try:
            await self.out.wait()
        except asyncio.CancelledError:
            self.log.append(f"x {name}")
            raise
        self.log.append(f"< {name}")


async def test_a_newer_turn_on_another_worker_cancels_what_is_for_the_latest_turn(
    url: str, events_of: Callable[[str], Any]
) -> None:
    events, held, seen = events_of("newer-turn"), Held(), []
    async with workers(url) as worker:
        one = worker()
        one.on_user_speak(held, latest_turn_only=True)
        two = worker(on_user_speak=lambda event: seen.append(event.session.history))
        async with asyncio.TaskGroup() as group:
            group.create_task(one.on_event(events.words("go on")))
            await held.inside.wait()
            group.create_task(two.on_event(events.words("stop")))
    assert held.log == ["> go on", "x go on"]
    assert seen == [[{"role": "user", "content": "go on stop"}]]


async def test_the_end_and_a_cut_on_another_worker_cancel_too(url: str, events_of: Callable[[str], Any]) -> None:
    async with workers(url) as worker:
        for name in ("ends", "cut"):
            events, held = events_of(name), Held()
            one, two = worker(), worker()
            one.on_user_speak(held, latest_turn_only=True)
            began = AssistantSpeak(session=events.session, text="One two.", duration_ms=9, speech_started_at=0)
            async with asyncio.TaskGroup() as group:
                group.create_task(one.on_event(events.words("go on")))
                await held.inside.wait()
                if name == "ends":
                    await two.on_event(events.end())
                else:
                    await two.on_event(began)
                    await one.on_event(AssistantSpeechEnded(session=events.session, spoken_text="One"))
            assert held.log == ["> go on", "x go on"]


async def test_the_place_of_a_worker_that_died_is_given_away(url: str, events_of: Callable[[str], Any]) -> None:
    events, seen = events_of("dies"), []
    async with workers(url, lease_seconds=0.3) as worker:
        dead = RedisStates(url, lease_seconds=0.3)
        await dead.arrive("dies", "turn", None)
        await dead.close()
        await worker(on_user_speak=lambda event: seen.append(event.text)).on_event(events.words("anybody?"))
    assert seen == ["anybody?"]


async def test_a_long_handler_keeps_its_place(url: str, events_of: Callable[[str], Any]) -> None:
    events, held, order = events_of("long"), Held(), []
    async with workers(url, lease_seconds=1.0) as worker:
        one, two = worker(on_user_speak=held), worker(on_user_speak=lambda event: order.append(event.text))
        async with asyncio.TaskGroup() as group:
            group.create_task(one.on_event(events.words("a")))
            await held.inside.wait()
            later = group.create_task(two.on_event(events.words("b")))
            await asyncio.wait([later], timeout=1.5)
            assert order == []
            held.out.set()
    assert order == ["b"]


async def test_more_handlers_than_connections_keep_their_places(url: str, events_of: Callable[[str], Any]) -> None:
    held, later = Held(), []
    async with workers(url, lease_seconds=1.5, most_connections=1) as worker:
        app = worker(on_user_speak=held)
        others = worker(on_user_speak=lambda event: later.append(event.session.id))
        async with asyncio.TaskGroup() as group:
            group.create_task(app.on_event(events_of("crowd-3").words("a")))
            await held.inside.wait()
            for number in range(3):
                group.create_task(app.on_event(events_of(f"crowd-{number}").words("a")))
            waiting = group.create_task(others.on_event(events_of("crowd-3").words("b")))
            await asyncio.wait([waiting], timeout=2.0)
            assert later == []
            held.out.set()
    assert held.log == ["> a"] * 4 + ["< a"] * 4
    assert later == ["crowd-3"]


async def test_nothing_stays_for_ever(url: str, events_of: Callable[[str], Any]) -> None:
    events = events_of("forgotten")
    async with workers(url, lasts_seconds=1000) as worker:
        await worker(on_user_speak=lambda event: event.session.state.update(a=1)).on_event(events.words("hi"))
    with Redis.from_url(url) as client:
        keys = client.keys("offhook:{forgotten}:*")
        assert keys
        assert all(0 < client.pttl(key) <= 1_000_000 for key in keys)


async def test_a_state_that_cannot_be_kept_is_an_error_that_says_so(
    url: str, events_of: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    events = events_of("unwritable")
    async with workers(url) as worker:
        with pytest.raises(HandlerFailed, match="cannot be written as JSON"):
            await worker(on_user_speak=lambda event: event.session.state.update(a=object())).on_event(events.words("x"))
        with pytest.raises(HandlerFailed, match="1048576 are the most"):
            await worker(on_user_speak=lambda event: event.session.state.update(a="x" * 2_000_000)).on_event(
                events.words("x")
            )
        await worker(dict, on_user_speak=lambda event: event.session.state.update(items=7)).on_event(events.words("x"))
        with pytest.raises(HandlerFailed, match="does not fit Basket"):
            await worker(Basket, on_user_speak=lambda event: None).on_event(events.words("x"))
    assert "Give new fields a default" in caplog.text


async def test_a_redis_that_is_not_there_is_an_error_and_the_answer_is_500(events: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    states = RedisStates(f"redis://127.0.0.1:{port}")
    assistant = Assistant(states=states, on_user_speak=lambda event: "hi")
    answer = await assistant.answer(b'{"type": "user_speak", "text": "x", "session": {"id": "s"}}', {})
    await states.close()
    assert answer.status == 500


async def test_replies_are_sent_while_the_handler_still_runs(url: str, events_of: Callable[[str], Any]) -> None:
    events, sent = events_of("streams"), asyncio.Queue[Sequence[Action]]()
    out = asyncio.Event()

    async def stream(event: UserSpeak) -> AsyncIterator[str]:
        yield "one"
        await out.wait()
        yield "two"

    async with workers(url) as worker:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker(on_user_speak=stream).answer_event(events.words("x"), sent.put))
            assert getattr((await sent.get())[0], "text", None) == "one"
            out.set()
        assert sent.qsize() == 1
