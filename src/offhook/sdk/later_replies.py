"""More replies than one to an event behind a webhook (contract D31).

The first reply is the HTTP answer, sent as soon as it is there; each later one is pushed over the service's REST API as
it comes, one after the other. An event that has no reply within the time limit is answered with 204, and all its
replies are pushed: neither a slow handler nor an event that waits behind a long stream looks like a dead app (D26).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from offhook.protocol.actions import Action
from offhook.sdk.handlers import HandlerFailed
from offhook.sdk.http_answer import FAILED, NOTHING_TO_DO, HttpAnswer, with_actions

ANSWER_WITHIN_SECONDS: Final = 4.0
"""Below the time limit that the service sets by default (D26: 5 s)."""

EVENT_NUMBER_HEADER: Final = "x-event-number"

Push: TypeAlias = Callable[[Sequence[Action]], Awaitable[None]]
Respond: TypeAlias = Callable[[HttpAnswer], Awaitable[None]]


async def answer_then_push(
    handle: Callable[[Push], Awaitable[None]], respond: Respond, push: Push, *, within_seconds: float
) -> None:
    """Answer one event with its first reply, and push the others; returns when all are delivered.

    Args:
        handle: calls the handler, and awaits what it is given with the actions of each reply; may raise HandlerFailed.
        respond: sends the HTTP answer; awaited once.
        push: delivers actions over the REST API.
        within_seconds: when the answer is given without a reply.
    """
    first: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    responded = asyncio.Event()

    async def send(actions: Sequence[Action]) -> None:
        if not first.done():
            first.set_result(with_actions(actions))
        else:
            await responded.wait()
            await push(actions)

    async def run() -> None:
        try:
            await handle(send)
        except HandlerFailed:
            answer = FAILED
        else:
            answer = NOTHING_TO_DO
        if not first.done():
            first.set_result(answer)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run())
        await asyncio.wait([first], timeout=within_seconds)
        if not first.done():
            first.set_result(NOTHING_TO_DO)
        await respond(first.result())
        responded.set()
