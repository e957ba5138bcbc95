"""One handler for one kind of event: how it is registered, and how it is called."""

import contextvars
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, Generic, TypeAlias, TypeVar, overload

from offhook.errors import OffhookError
from offhook.sdk.replies import Reply
from offhook.sdk.threads import in_thread

EventT = TypeVar("EventT")

Handler: TypeAlias = Callable[
    [EventT],
    Reply
    | AsyncIterator[Reply]
    | Awaitable[Reply]
    | Awaitable[AsyncIterator[Reply]]
    | Awaitable[AsyncGenerator[str, None]],
]
"""Takes the event. Sync or async; returns the reply, or an async iterator of replies (as an async generator does)."""


class HandlerFailed(OffhookError):
    """A handler raised, or returned what cannot be sent (D33). The cause is the handler's own exception."""


class HandlerUnusable(OffhookError):
    """What was registered cannot be called with an event, or the event has a handler already."""


class HandlerSlot(Generic[EventT]):
    """The place of one handler. Used as a decorator, plain or with options:

    ```python
    @assistant.on_user_speak
    def answer(event): ...

    @assistant.on_user_speak(latest_turn_only=True)
    async def answer(event): ...
    ```
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.handler: Handler[EventT] | None = None
        self.latest_turn_only = False

    @overload
    def __call__(self, handler: Handler[EventT], /, *, latest_turn_only: bool = False) -> Handler[EventT]: ...

    @overload
    def __call__(self, /, *, latest_turn_only: bool = False) -> Callable[[Handler[EventT]], Handler[EventT]]: ...

    def __call__(self, handler: Handler[EventT] | None = None, /, *, latest_turn_only: bool = False) -> Any:
        """Register a handler.

        Args:
            handler: takes the event; returns (sync or async) a text, an action, a dict, a list of these, or None; or
                is an async generator of these.
            latest_turn_only: cancel the handler when a newer `user_speak` of its session arrives (D35); for
                language models. A sync handler cannot be cancelled: what it returns is then dropped.

        Raises:
            HandlerUnusable: it cannot take an event, or there is a handler already.
        """
        if handler is None:
            return functools.partial(self, latest_turn_only=latest_turn_only)
        if self.handler is not None:
            raise HandlerUnusable(
                f"{self.name} has a handler already.",
                remedy="Register one handler for each event, and call both functions from it.",
                code="handler_taken",
            )
        self._check(handler)
        self.handler = handler
        self.latest_turn_only = latest_turn_only
        return handler

    def _check(self, handler: Handler[EventT]) -> None:
        if not callable(handler):
            raise HandlerUnusable(
                f"{self.name} was given {handler!r}, which is not a function.",
                remedy="Give a function that takes the event.",
                code="handler_unusable",
            )
        try:
            inspect.signature(handler).bind(object())
        except ValueError:
            return
        except TypeError as error:
            raise HandlerUnusable(
                f"{self.name}: the handler cannot be called with the event alone ({error}).",
                remedy="Give a function of one argument: def handler(event).",
                code="handler_unusable",
            ) from None


async def replies(handler: Handler[Any], event: object, threads: Executor) -> AsyncGenerator[object, None]:
    """Call a handler and yield each reply as it comes.

    Async handlers run on the loop, sync ones in a thread of `threads`, so that they block nobody else. Cancelled while
    a thread runs: waits for the thread's end, so that the session's next event does not overtake it.
    """
    if inspect.isasyncgenfunction(_function(handler)) or inspect.iscoroutinefunction(_function(handler)):
        returned: object = handler(event)
    else:
        call = functools.partial(contextvars.copy_context().run, _listed, handler, event)
        returned = await in_thread(threads, call)
    if inspect.isawaitable(returned):
        returned = await returned
    if inspect.isasyncgen(returned):
        async with aclosing(returned) as items:
            async for item in items:
                yield item
    elif isinstance(returned, AsyncIterator):
        async for item in returned:
            yield item
    else:
        yield returned


def _function(handler: object) -> object:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else type(handler).__call__


def _listed(handler: Handler[Any], event: object) -> object:
    """In the thread: a sync generator has yielded all its replies when this returns."""
    returned: object = handler(event)
    return list(returned) if inspect.isgenerator(returned) else returned
