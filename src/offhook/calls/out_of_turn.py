"""Actions that come out of turn, through the REST API: they go on from an answer that may still be on its way (D31)."""

from typing import Final

from offhook.conversation.inputs import ActionsArrived


class OutOfTurn:
    """Which events of a call are answered, and what waits for an answer.

    Args:
        app_answers: whether the app answers each event (a webhook does), so that there is something to wait for.
    """

    def __init__(self, *, app_answers: bool) -> None:
        self._app_answers: Final = app_answers
        self._answered: Final[set[int]] = set()
        self._waiting: Final[list[tuple[int, ActionsArrived]]] = []

    def add(self, arrived: ActionsArrived, after: int | None) -> None:
        """These wait for the answer to the event `after`."""
        self._waiting.append((after or 0, arrived))

    def answered(self, number: int) -> None:
        """This event will not be answered again."""
        self._answered.add(number)

    def all_answered(self, until: int) -> None:
        """Nor will any up to this one: the app is lost."""
        self._answered.update(range(1, until + 1))

    def ready(self, sent: int) -> list[ActionsArrived]:
        """What can happen now, in order; `sent` events have gone out."""
        ready = [arrived for after, arrived in self._waiting if not self._is_answered_later(after, sent)]
        self._waiting[:] = [one for one in self._waiting if self._is_answered_later(one[0], sent)]
        return ready

    def owed(self, sent: int) -> bool:
        """Whether an answer is still on its way."""
        return self._app_answers and len(self._answered) < sent

    def _is_answered_later(self, number: int, sent: int) -> bool:
        return self._app_answers and 0 < number <= sent and number not in self._answered
