"""Two calls beside each other in time: what happened in both, then only, or now only."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal, TypeAlias

from offhook.conversation.inputs import Ms
from offhook.testing.call_course import Moment

Sign: TypeAlias = Literal[" ", "-", "+"]
HEADING: Final = "      then      now"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A moment, with its time in both calls; None: it is not in that one."""

    then: Ms | None
    now: Ms | None
    text: str

    @property
    def sign(self) -> Sign:
        return "+" if self.then is None else "-" if self.now is None else " "

    def __str__(self) -> str:
        return f"{self.sign}{_seconds(self.then)} {_seconds(self.now)}  {self.text}"


def _seconds(at: Ms | None) -> str:
    return " " * 8 if at is None else f"{at / 1000:8.3f}"


def timeline_diff(then: Sequence[Moment], now: Sequence[Moment]) -> list[DiffLine]:
    """Both calls whole, in order. Times are shown, and are no difference."""
    then, now = _without_lengths(then), _without_lengths(now)
    lines: list[DiffLine] = []
    before, after = [moment.line for moment in then], [moment.line for moment in now]
    for what, then_from, then_to, now_from, now_to in SequenceMatcher(None, before, after, False).get_opcodes():
        if what == "equal":
            pairs = zip(then[then_from:then_to], now[now_from:now_to], strict=True)
            lines += [DiffLine(one.at, other.at, one.line) for one, other in pairs]
        else:
            lines += [DiffLine(one.at, None, one.line) for one in then[then_from:then_to]]
            lines += [DiffLine(None, one.at, one.line) for one in now[now_from:now_to]]
    return lines


def _without_lengths(moments: Sequence[Moment]) -> list[Moment]:
    """Without `assistant_speak`: it comes when the length of what is heard is known, which is the engine's affair."""
    return [moment for moment in moments if moment.text != "assistant_speak"]
