"""What one caller does, from what he hears; times in ns of Unix time, his beat is 20 ms.

greeting, a turn, an answer, a turn, an answer that he interrupts, an answer, four keys, good-bye. The short script
holds the line for a while and hangs up.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

MS: Final = 1_000_000
QUIET_MS: Final = 300
INTERRUPTS_AFTER_MS: Final = 1000
KEYS_PRESSED: Final = "1290"
LISTENS_ON_MS: Final = 300
STUCK_MS: Final = 12_000


class Step(Enum):
    """Where in the script he is."""

    DIALLING = "dialling"
    GREETED = "greeted"
    ASKING = "asking"
    ANSWERED = "answered"
    ASKING_AGAIN = "asking again"
    TOLD = "told at length"
    INTERRUPTING = "interrupting"
    SETTLED = "settled"
    PRESSING = "pressing keys"
    LEAVING = "leaving"


class Act(Enum):
    """What he does now."""

    TALK = "talk"
    PRESS = "press"
    HANG_UP = "hang up"


_TALKS: Final = {Step.GREETED: Step.ASKING, Step.ANSWERED: Step.ASKING_AGAIN}
_LISTENS: Final = {Step.ASKING: Step.ANSWERED, Step.ASKING_AGAIN: Step.TOLD, Step.INTERRUPTING: Step.SETTLED}


@dataclass(slots=True)
class Caller:
    """One call as its caller sees it. `hold_ms`: the short script. `first_heard` and `silenced`: what he noted."""

    call: int
    hold_ms: int | None = None
    invited_ns: int = 0
    answered_ns: int = 0
    status: int = 0
    ended: str = ""
    step: Step = Step.DIALLING
    since_ns: int = 0
    talk_from_ns: int = 0
    talk_until_ns: int = 0
    heard_from_ns: dict[str, int] = field(default_factory=dict)
    onset_ns: int = 0
    silenced_ns: int = 0

    def connect(self, at_ns: int) -> None:
        """The call was answered."""
        self.answered_ns, self.step, self.since_ns = at_ns, Step.GREETED, at_ns

    def talks(self, from_ns: int, until_ns: int) -> None:
        """His words are audible in this time."""
        self.talk_from_ns, self.talk_until_ns = from_ns, until_ns
        if self.step is Step.INTERRUPTING:
            self.onset_ns = from_ns

    def hear(self, at_ns: int, *, audible: bool) -> None:
        """A packet. Audible ones tell when each answer began; the first other one, when he had interrupted it."""
        if self.step is Step.INTERRUPTING and not self.silenced_ns:
            self.silenced_ns = 0 if audible or at_ns < self.onset_ns else at_ns
            return
        if audible and self.step in _LISTENS and at_ns > self.talk_until_ns:
            self.step, self.since_ns = _LISTENS[self.step], at_ns
            self.heard_from_ns[self.step.value] = at_ns
        elif audible and self.step is Step.GREETED:
            self.heard_from_ns.setdefault(self.step.value, at_ns)

    def act(self, now_ns: int, last_audible_ns: int, *, is_sending: bool) -> Act | None:
        """What he does at this beat. `is_sending`: not all of his words or keys have left yet."""
        if self.step is Step.PRESSING and is_sending:
            self.since_ns = now_ns
        waited = (now_ns - self.since_ns) / MS
        if self.step is Step.LEAVING:
            return None
        if self.hold_ms is not None:
            return self._leave(now_ns) if waited >= self.hold_ms else None
        if waited >= STUCK_MS:
            self.ended = f"stuck: {self.step.value}"
            return self._leave(now_ns)
        was_answered = self.step.value in self.heard_from_ns
        is_quiet = was_answered and now_ns - last_audible_ns >= QUIET_MS * MS
        if self.step in _TALKS and is_quiet:
            self.step, self.since_ns = _TALKS[self.step], now_ns
            return Act.TALK
        if self.step is Step.TOLD and waited >= INTERRUPTS_AFTER_MS:
            self.step, self.since_ns = Step.INTERRUPTING, now_ns
            return Act.TALK
        if self.step is Step.SETTLED and is_quiet:
            self.step, self.since_ns = Step.PRESSING, now_ns
            return Act.PRESS
        if self.step is Step.PRESSING and waited >= LISTENS_ON_MS:
            return self._leave(now_ns)
        return None

    def _leave(self, now_ns: int) -> Act:
        self.step, self.since_ns = Step.LEAVING, now_ns
        return Act.HANG_UP
