"""The link to an assistant in the same process (an `AppLink`): JSON as on a WebSocket, without the socket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from offhook.app_links.app_link import ActionsCame, AnswerCame, AnswerFailed, AppFact
from offhook.errors import OffhookError
from offhook.protocol.actions import Action
from offhook.protocol.events import Event
from offhook.protocol.json_codec import actions_to_json, event_to_json, read_actions, read_event
from offhook.sdk.assistant import Assistant


class AssistantLink:
    """One call's link. Events are answered one after the other, in `tasks`.

    Attributes:
        failures: what handlers raised, in order.
    """

    def __init__(self, assistant: Assistant, session_id: str, tasks: asyncio.TaskGroup) -> None:
        self._assistant: Final = assistant
        self._session_id: Final = session_id
        self._events: Final[asyncio.Queue[tuple[int, Event] | None]] = asyncio.Queue()
        self._facts: Final[asyncio.Queue[AppFact | None]] = asyncio.Queue()
        self._answering: Final = tasks.create_task(self._answer_all(), name="assistant")
        self._answered: Final = asyncio.Event()
        self._answered.set()
        self._owed = 0
        self.failures: Final[list[OffhookError]] = []

    async def warm(self) -> None:
        """There is nothing to connect."""

    def send(self, number: int, event: Event) -> None:
        self._owed += 1
        self._answered.clear()
        self._events.put_nowait((number, event))

    async def facts(self) -> AsyncIterator[AppFact]:
        while (fact := await self._facts.get()) is not None:
            yield fact

    async def close(self) -> None:
        self._events.put_nowait(None)
        await self._answering
        self._facts.put_nowait(None)

    async def all_answered(self) -> None:
        """Wait until every event so far is answered."""
        await self._answered.wait()

    async def _answer_all(self) -> None:
        while (one := await self._events.get()) is not None:
            await self._answer(*one)
            self._owed -= 1
            if self._owed == 0:
                self._answered.set()

    async def _answer(self, number: int, event: Event) -> None:
        answered = False

        async def arrive(actions: Sequence[Action]) -> None:
            nonlocal answered
            read = read_actions(actions_to_json(actions), self._session_id)
            came = ActionsCame(read.actions, read.refused)
            self._facts.put_nowait(came if answered else AnswerCame(number, read.actions, read.refused, 0))
            answered = True

        try:
            await self._assistant.answer_event(read_event(event_to_json(event)), arrive)
        except OffhookError as error:
            self.failures.append(error)
            if not answered:
                self._facts.put_nowait(AnswerFailed(number, error.message))
                return
        if not answered:
            self._facts.put_nowait(AnswerCame(number, (), (), 0))
