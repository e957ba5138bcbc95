"""What the house wants of a call."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Ring:
    """Tell the caller that it rings."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Take the call; RTP is expected at host and port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not take the call."""

    status: int
    reason: str
    retry_after_seconds: int | None


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call in whatever state it is."""

    cause: str


@dataclass(frozen=True, slots=True)
class Refer:
    """Ask the far end to call this address instead of us."""

    target: str


@dataclass(frozen=True, slots=True)
class AnswerRefer:
    """Tell the far end how what it asked for goes."""

    status: int


Order: TypeAlias = Ring | Answer | Refuse | HangUp | Refer | AnswerRefer
