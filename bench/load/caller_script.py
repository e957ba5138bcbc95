"""What one caller does, from what he hears; times in ns of Unix time.

The whole script: greeting, a turn, an answer, a turn, an answer that he interrupts, an answer, four keys, good-bye. The
brief one: he interrupts the greeting, hears the answer begin, presses a key and hangs up. The third holds the line for
a while and hangs up.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

MS: Final = 1_000_000
NEVER: Final = 1 << 62
QUIET_MS: Final = 300
INTERRUPTS_AFTER_MS: Final = 1000
LISTENS_ON_MS: Final = 300
STUCK_MS: Final = 12_000
LEFT_EARLY: Final = "left early"


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


@dataclass(frozen=True, slots=True)
class Script:
    """`heard`: the steps in which the answers to turns 1, 2, … are heard. `interrupting`: the turn that interrupts."""

    name: str
    heard: tuple[Step, ...]
    interrupting: int
    keys: str


WHOLE: Final = Script("whole", (Step.ANSWERED, Step.TOLD, Step.SETTLED), 3, "1290")
BRIEF: Final = Script("brief", (Step.SETTLED,), 1, "7")
SCRIPTS: Final = {script.name: script for script in (WHOLE, BRIEF)}

_TALKS: Final = {Step.GREETED: Step.ASKING, Step.ANSWERED: Step.ASKING_AGAIN}
_LISTENS: Final = {Step.ASKING: Step.ANSWERED, Step.ASKING_AGAIN: Step.TOLD, Step.INTERRUPTING: Step.SETTLED}


@dataclass(slots=True)
class Caller:
    """One call as its caller sees it. `hold_ms`: he says nothing and holds the line so long.

    `heard_from_ns`: when the first audible packet of each answer came. `onset_ns`: when the first audible packet of the
    interruption left. `silenced_ns`: the end of the last audible sample that came after it, were the packets played as
    they came.
    """

    call: int
    hold_ms: int | None = None
    script: str = WHOLE.name
    invited_ns: int = 0
    answered_ns: int = 0
    ended_ns: int = 0
    status: int = 0
    ended: str = ""
    step: Step = Step.DIALLING
    since_ns: int = 0
    talk_until_ns: int = 0
    heard_from_ns: dict[str, int] = field(default_factory=dict)
    onset_ns: int = 0
    silenced_ns: int = 0

    def connect(self, at_ns: int) -> None:
        """The call was answered."""
        self.answered_ns, self.step, self.since_ns = at_ns, Step.GREETED, at_ns

    def talks(self, from_ns: int, until_ns: int) -> None:
        """His words are audible in this time."""
        self.talk_until_ns = until_ns
        if self.step is Step.INTERRUPTING:
            self.onset_ns = from_ns

    # --- what he waits for, so that he need not be asked at every packet

    @property
    def hushes_after_ns(self) -> int:
        """From when on he waits for a packet that is not audible."""
        return self.onset_ns if self.step is Step.INTERRUPTING and not self.silenced_ns else NEVER

    @property
    def hears_after_ns(self) -> int:
        """From when on he waits for an audible packet."""
        if self.step is Step.GREETED and self.step.value not in self.heard_from_ns:
            return 0
        if self.step in _LISTENS and self.hushes_after_ns == NEVER:
            return self.talk_until_ns
        return NEVER

    @property
    def waits_for_quiet(self) -> bool:
        """Whether he does something as soon as nothing has been audible for a while."""
        return (
            self.hold_ms is None
            and self.script == WHOLE.name
            and (self.step in _TALKS or self.step is Step.SETTLED)
            and self.step.value in self.heard_from_ns
        )

    @property
    def acts_at_ns(self) -> int:
        """When he does something, whatever he hears."""
        if self.step is Step.PRESSING:
            return 0
        wait = STUCK_MS
        if self.hold_ms is not None and self.step is not Step.LEAVING:
            wait = self.hold_ms
        elif self.step is Step.TOLD:
            wait = INTERRUPTS_AFTER_MS
        elif self._is_brief_and_heard:
            wait = LISTENS_ON_MS
        return self.since_ns + wait * MS

    @property
    def _is_brief_and_heard(self) -> bool:
        return (
            self.script == BRIEF.name
            and self.step in {Step.GREETED, Step.SETTLED}
            and self.step.value in self.heard_from_ns
        )

    # --- what happens

    def hush(self, silent_from_ns: int) -> None:
        """What he interrupted is silent."""
        self.silenced_ns = silent_from_ns

    def hear(self, at_ns: int) -> None:
        """The first audible packet of what he waits for."""
        if self.step is not Step.GREETED:
            self.step = _LISTENS[self.step]
        if self.step is not Step.GREETED or self.script == BRIEF.name:
            self.since_ns = at_ns
        self.heard_from_ns[self.step.value] = at_ns

    def act(self, now_ns: int, *, is_quiet: bool, is_sending: bool) -> Act | None:
        """What he does now. `is_quiet`: nothing was audible for QUIET_MS. `is_sending`: not all of his words or keys
        have left yet."""
        if self.step is Step.PRESSING and is_sending:
            self.since_ns = now_ns
        waited = (now_ns - self.since_ns) / MS
        if self.step is Step.LEAVING:
            return None
        if self.hold_ms is not None:
            return self.leave(now_ns) if waited >= self.hold_ms else None
        if waited >= STUCK_MS:
            self.ended = f"stuck: {self.step.value}"
            return self.leave(now_ns)
        if self.waits_for_quiet and is_quiet:
            return self._go(Step.PRESSING if self.step is Step.SETTLED else _TALKS[self.step], now_ns)
        if self._is_brief_and_heard and waited >= LISTENS_ON_MS:
            return self._go(Step.PRESSING if self.step is Step.SETTLED else Step.INTERRUPTING, now_ns)
        if self.step is Step.TOLD and waited >= INTERRUPTS_AFTER_MS:
            return self._go(Step.INTERRUPTING, now_ns)
        if self.step is Step.PRESSING and waited >= LISTENS_ON_MS:
            return self.leave(now_ns)
        return None

    def leave(self, now_ns: int) -> Act:
        """He hangs up."""
        self.step, self.since_ns = Step.LEAVING, now_ns
        return Act.HANG_UP

    def _go(self, step: Step, now_ns: int) -> Act:
        self.step, self.since_ns = step, now_ns
        return Act.PRESS if step is Step.PRESSING else Act.TALK
