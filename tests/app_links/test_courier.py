"""The loop that runs a delivery machine."""

import asyncio
import gc
import weakref
from collections.abc import Sequence

import pytest

from offhook.app_links.app_link import LinkNoted
from offhook.app_links.courier import Courier
from offhook.app_links.delivery import Finish, Tell


class EchoMachine:
    """Tells what it is given; `stop` finishes it, `break` breaks it, a number is a deadline, anything with `!` an
    order for the hands."""

    def __init__(self) -> None:
        self.next_deadline: int | None = None

    def receive(self, happened: str, now: int) -> Sequence[str | Tell | Finish]:
        if happened == "break":
            raise ZeroDivisionError(happened)
        if happened == "stop":
            return [Tell(LinkNoted("stopped")), Finish()]
        if happened.isdigit():
            self.next_deadline = now + int(happened)
            return []
        return [happened if happened.endswith("!") else Tell(LinkNoted(happened))]

    def advance(self, now: int) -> Sequence[str | Tell | Finish]:
        assert self.next_deadline is not None
        assert now >= self.next_deadline
        self.next_deadline = None
        return [Tell(LinkNoted("due"))]


def obeys_nothing(order: str) -> None:
    raise AssertionError(order)


async def texts(courier: Courier[str, str]) -> list[str]:
    return [fact.text async for fact in courier.facts() if isinstance(fact, LinkNoted)]


async def test_facts_come_in_order_until_the_machine_has_finished() -> None:
    async with asyncio.TaskGroup() as tasks:
        courier = Courier(EchoMachine(), obeys_nothing, tasks)
        courier.happened("a")
        courier.happened("b")
        await courier.close("stop")
        courier.happened("too late")
        assert await texts(courier) == ["a", "b", "stopped"]
        assert await texts(courier) == [], "a second reader finds the end"


async def test_once_a_link_has_begun_a_fact_is_worked_on_at_once() -> None:
    obeyed: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        courier: Courier[str, str] = Courier(EchoMachine(), obeyed.append, tasks)
        courier.happened("begin!")
        assert obeyed == [], "its task has not begun"
        courier.happened("told")
        assert await anext(courier.facts()) == LinkNoted("told")
        courier.happened("now!")
        assert obeyed == ["begin!", "now!"]
        await courier.close("stop")


async def test_what_comes_of_obeying_waits_behind_what_is_being_obeyed() -> None:
    obeyed: list[str] = []

    def obey(order: str) -> None:
        obeyed.append(f"{order} begins")
        if order == "first!":
            courier.happened("second!")
        obeyed.append(f"{order} ends")

    async with asyncio.TaskGroup() as tasks:
        courier: Courier[str, str] = Courier(EchoMachine(), obey, tasks)
        courier.happened("begun")
        assert await anext(courier.facts()) == LinkNoted("begun")
        courier.happened("first!")
        await courier.close("stop")
    assert obeyed == ["first! begins", "first! ends", "second! begins", "second! ends"]


async def test_a_deadline_that_comes_sooner_than_the_one_waited_for_is_kept() -> None:
    async with asyncio.TaskGroup() as tasks:
        courier = Courier(EchoMachine(), obeys_nothing, tasks)
        courier.happened("60000")
        courier.happened("begun")
        facts = courier.facts()
        assert await anext(facts) == LinkNoted("begun")
        courier.happened("5")
        assert await anext(facts) == LinkNoted("due")
        await courier.close("stop")


async def test_a_failure_is_not_raised_to_who_told_of_the_fact() -> None:
    async with asyncio.TaskGroup() as tasks:
        courier = Courier(EchoMachine(), obeys_nothing, tasks)
        courier.happened("begun")
        facts = courier.facts()
        assert await anext(facts) == LinkNoted("begun")
        courier.happened("break")
        with pytest.raises(ExceptionGroup) as failure:
            await anext(facts)
        assert failure.group_contains(ZeroDivisionError)


async def test_a_child_that_fails_ends_the_link_and_nothing_is_begun_any_more() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async with asyncio.TaskGroup() as tasks:
        courier: Courier[str, str] = Courier(EchoMachine(), lambda _: started.append(courier.start(fail())), tasks)
        started: list[asyncio.Task[None]] = []
        courier.happened("fail!")
        with pytest.raises(ExceptionGroup) as failure:
            await texts(courier)
        assert failure.group_contains(ZeroDivisionError)
        courier.happened("again!")
        assert len(started) == 1


async def test_the_machine_is_advanced_when_its_deadline_has_come() -> None:
    async with asyncio.TaskGroup() as tasks:
        courier = Courier(EchoMachine(), obeys_nothing, tasks)
        courier.happened("5")
        assert await anext(courier.facts()) == LinkNoted("due")
        await courier.close("stop")


async def test_what_the_hands_have_started_ends_with_the_machine() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.TaskGroup() as tasks:
        courier: Courier[str, str] = Courier(EchoMachine(), lambda _: started.append(courier.start(work())), tasks)
        started: list[asyncio.Task[None]] = []
        courier.happened("work!")
        courier.happened("under way")
        assert await anext(courier.facts()) == LinkNoted("under way")
        await courier.close("stop")
        assert ended.is_set()
        assert started[0].cancelled()


async def test_a_failure_reaches_the_reader_of_that_link_and_no_other_link() -> None:
    async with asyncio.TaskGroup() as tasks:
        broken = Courier(EchoMachine(), obeys_nothing, tasks)
        other = Courier(EchoMachine(), obeys_nothing, tasks)
        broken.happened("break")
        with pytest.raises(ExceptionGroup) as failure:
            await texts(broken)
        assert failure.group_contains(ZeroDivisionError)
        await broken.close("stop")
        other.happened("alive")
        await other.close("stop")
        assert await texts(other) == ["alive", "stopped"]


async def test_a_failure_that_nobody_read_is_raised_by_close() -> None:
    async with asyncio.TaskGroup() as tasks:
        courier = Courier(EchoMachine(), obeys_nothing, tasks)
        courier.happened("break")
        with pytest.raises(ExceptionGroup):
            await courier.close("stop")


async def test_a_link_that_has_finished_is_freed_without_a_collector() -> None:
    """A collector would have to stop all calls for as long as it looks."""

    class Link:
        def __init__(self, tasks: asyncio.TaskGroup) -> None:
            self.courier: Courier[str, str] = Courier(EchoMachine(), self.obey, tasks)

        def obey(self, order: str) -> None:
            self.courier.happened(order.rstrip("!"))

    gc.disable()
    try:
        async with asyncio.TaskGroup() as tasks:
            link = Link(tasks)
            seen = weakref.ref(link)
            link.courier.happened("order!")
            assert await anext(link.courier.facts()) == LinkNoted("order")
            await link.courier.close("stop")
            del link
        assert seen() is None
    finally:
        gc.enable()
