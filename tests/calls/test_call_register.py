"""Who is let in, and the end of all calls."""

import asyncio
import gc

from structlog.testing import capture_logs

from offhook.calls.beat_book import HORIZON_TICKS
from offhook.calls.live_call import LiveCall
from offhook.calls.obey import Hands
from offhook.conversation.conversation import Conversation
from offhook.protocol.actions import Speak
from offhook.transports.simulator.steps import HangUp, Wait
from tests.calls.hand_house import HandHouse, Json, on, speak, talk


async def test_a_number_without_a_flow_is_not_found() -> None:
    """(contract D41) The log says what to do about it."""
    async with HandHouse() as house:
        with capture_logs() as lines:
            caller = await house.dial(called="+4930000000")
            await house.until(lambda: caller.ending is not None)
        assert caller.ending is not None
        assert caller.ending.status == 404
        assert house.register.counted["calls_refused_no_flow"] == 1
    (line,) = [each for each in lines if each["event"] == "call_refused"]
    assert line["why"] == "no flow has the number +4930000000"
    assert line["remedy"] == "Add it to the numbers of a [[flow]]."


async def test_admission_is_exact_and_the_next_call_gets_503_with_a_time_to_come_back() -> None:
    async with HandHouse(max_calls=3) as house:
        callers = [await house.dial() for _ in range(5)]
        await house.tick(5)
        refused = [caller.ending for caller in callers if caller.ending is not None]
        assert [(ending.status, ending.retry_after_seconds) for ending in refused] == [(503, 5), (503, 5)]
        assert house.register.calls_in_progress() == 3
        assert all(caller.is_connected for caller in callers[:3])
        callers[0].hang_up()
        await house.until(lambda: house.register.calls_in_progress() == 2)
        late = await house.dial()
        assert late.is_connected


async def test_after_a_refusal_to_take_more_calls_those_in_progress_go_on() -> None:
    async with HandHouse() as house:
        caller = await house.dial()
        house.register.refuse_new_calls()
        late = await house.dial()
        await house.tick(3)
        assert late.ending is not None
        assert late.ending.status == 503
        assert caller.is_connected


async def test_the_end_of_all_calls_is_announced_to_each_and_heard_to_its_end() -> None:
    async with HandHouse() as house:
        callers = [await house.dial(), await house.dial()]
        await house.tick(10)
        ending = asyncio.ensure_future(house.register.end_all("drain", "We close now"))
        await house.until(ending.done)
        assert [len(caller.heard) for caller in callers] == [1, 1]
        assert [request.text for request in house.voice.requests] == ["We close now", "We close now"]
        assert house.register.calls_in_progress() == 0


async def test_actions_out_of_turn_reach_the_call_they_name() -> None:
    async with HandHouse() as house:
        caller = await house.dial()
        (session,) = house.register.sessions()
        assert house.register.act(session.id, (Speak(text="hello", session_id=session.id),), ())
        await house.until(lambda: bool(caller.heard))
        assert not house.register.act("nobody", (), ())


async def test_a_call_that_is_over_is_remembered_as_such() -> None:
    async with HandHouse() as house:
        await house.dial(Wait(100), HangUp())
        (session,) = house.register.sessions()
        await house.until(lambda: house.register.calls_in_progress() == 0)
        assert house.register.has_ended(session.id)
        assert not house.register.has_ended("nobody")
        assert house.register.counted["calls_ended"] == 1


async def test_a_caller_who_hangs_up_while_it_rings_is_no_call_for_the_app() -> None:
    """(contract D36)"""
    async with HandHouse(on(session_start=[speak("hello")]), answer_after_ms=1000) as house:
        caller = await house.dial()
        await house.tick(10)
        assert caller.is_ringing
        caller.hang_up()
        await house.until(lambda: house.register.calls_in_progress() == 0)
        assert house.app.received == []
        assert house.app.warmed


async def test_rows_are_given_back() -> None:
    async with HandHouse(max_calls=2) as house:
        for _ in range(6):
            caller = await house.dial(Wait(60), HangUp())
            await house.until(lambda caller=caller: caller.ending is not None)  # type: ignore[misc]
        await house.until(lambda: house.link.rows_open == 0)
        assert house.register.counted["calls_admitted"] == 6


async def test_actions_that_go_on_from_an_answer_wait_for_it() -> None:
    """(contract D31: what an app pushes behind its answer never overtakes it)"""

    def answers(event: Json) -> list[Json]:
        if event["type"] != "session_start":
            return []

        def push(text: str, after: int | None) -> None:
            session_id = event["session"]["id"]
            assert house.register.act(session_id, (Speak(text=text, session_id=session_id),), (), after)

        push("third", 1)
        push("fourth", 1)
        push("first", None)
        push("second", 99)
        return [speak("the answer")]

    house = HandHouse(answers)
    async with house:
        await house.dial()
        await house.until(lambda: house.events().count("assistant_speech_ended") == 5)
        said = [event["text"] for event in house.app.received if event["type"] == "assistant_speak"]
        assert said == ["first", "second", "the answer", "third", "fourth"]


async def test_a_call_that_is_over_is_freed_without_a_collector() -> None:
    """A collector would have to stop all other calls for as long as it looks."""
    parts = (LiveCall, Conversation, Hands)

    def alive() -> set[str]:
        return {type(each).__name__ for each in gc.get_objects() if isinstance(each, parts)}

    async with HandHouse(answers=on(session_start=[speak("hello")])) as house:
        gc.collect()
        gc.disable()
        try:
            caller = await house.dial(talk(), Wait(100), HangUp())
            assert alive() == {"LiveCall", "Conversation", "Hands"}
            await house.until(lambda: house.register.calls_in_progress() == 0)
            assert caller.heard
            assert alive() <= {"LiveCall"}
            await house.tick(HORIZON_TICKS)
            assert not alive()
        finally:
            gc.enable()
