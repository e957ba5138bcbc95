"""What is left when the app is lost (contract D26, D41): a second app, a transfer, a spoken apology; never silence."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final, TypeAlias

from offhook.conversation.defaults import Fallback


class App(StrEnum):
    """Whether there is an app that decides."""

    PRESENT = auto()
    LOST = auto()


@dataclass(frozen=True, slots=True)
class SecondApp:
    url: str


@dataclass(frozen=True, slots=True)
class HandOver:
    target: str


@dataclass(frozen=True, slots=True)
class Apologise:
    text: str


Way: TypeAlias = SecondApp | HandOver | Apologise


class Fallbacks:
    """The ways that are left in this call, each taken once; the apology is always left."""

    def __init__(self, fallback: Fallback) -> None:
        self._apology: Final = Apologise(fallback.apology)
        self._ways: Final[deque[Way]] = deque()
        if fallback.url:
            self._ways.append(SecondApp(fallback.url))
        if fallback.transfer_to:
            self._ways.append(HandOver(fallback.transfer_to))
        self.app = App.PRESENT

    def second_app(self) -> SecondApp | None:
        """The second app when that is the next way; it is then taken, and the app is present again."""
        if not self._ways or not isinstance(self._ways[0], SecondApp):
            return None
        way = self._ways.popleft()
        self.app = App.PRESENT
        return way if isinstance(way, SecondApp) else None

    def other_way(self) -> HandOver | Apologise:
        """The next way without an app."""
        while self._ways:
            way = self._ways.popleft()
            if isinstance(way, HandOver):
                return way
        return self._apology
