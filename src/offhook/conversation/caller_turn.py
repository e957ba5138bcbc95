"""The caller's turns: when one begins, when it ends, and what was said in it (contract D19 to D22, D40).

A turn ends when silence has lasted long enough; then its final words are asked for. Voice that comes back after that is
the next turn, while the words of the one before may still be on their way: turns are told to the app in their order.
A turn of which nothing was known in time holds nobody up. Its words stay owed: if they come within
`LATE_WORDS_WITHIN_MS` of its voice it is taken up again, unless a later turn has been told meanwhile.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

from offhook.conversation.defaults import FINAL_WORDS_WITHIN_MS, LATE_WORDS_WITHIN_MS
from offhook.conversation.inputs import FinalWords, Ms, PartialWords, RecognitionFailed, VoiceStarted, VoiceStopped
from offhook.conversation.outputs import FinishRecognition
from offhook.conversation.state_tables import CALLER, Caller, Machine, Step
from offhook.protocol.events import RecognisedWord


class Ear(StrEnum):
    """Whether the recogniser may say more about a turn. LATE: it has said nothing in time, and still may."""

    HEARING = auto()
    LATE = auto()
    DONE = auto()


@dataclass(slots=True, eq=False)
class Turn:
    """One turn of the caller. Times are ms since the call began.

    `onset_at` is its latest onset, `words_at` when its latest words came, `finish_by` when its last partial words stand
    (None while it goes on). `confidence` and `words` are those of `text`; partial words have none. `cut` is the
    utterance that this turn has interrupted (D19).
    """

    number: int
    onset_at: Ms
    last_voice_at: Ms
    text: str = ""
    words_at: Ms | None = None
    language: str | None = None
    confidence: float | None = None
    words: tuple[RecognisedWord, ...] = ()
    cut: int | None = None
    ear: Ear = Ear.HEARING
    finish_by: Ms | None = None

    @property
    def settled(self) -> bool:
        return self.finish_by is not None and self.ear is not Ear.HEARING


class CallerTurns:
    """The caller's side of one call."""

    def __init__(self) -> None:
        self._machine: Final = Machine(CALLER, Caller.SILENT)
        self._unsettled: Final[deque[Turn]] = deque()
        self._owed: list[Turn] = []
        self._count = 0

    @property
    def state(self) -> Caller:
        return self._machine.state

    @property
    def latest(self) -> Turn | None:
        """The turn that goes on, or the last one whose words are not told yet."""
        return self._unsettled[-1] if self._unsettled else None

    @property
    def speaking(self) -> Turn | None:
        """The turn in which there is voice now."""
        return self.latest if self.state is Caller.SPEAKING else None

    @property
    def going_on(self) -> Turn | None:
        """The turn that has not ended yet, voice or not."""
        return self.latest if self.state in {Caller.SPEAKING, Caller.PAUSING} else None

    def turn(self, number: int) -> Turn | None:
        """A turn whose words are not told yet; None for one that is over: facts about it come too late."""
        return next((turn for turn in self._unsettled if turn.number == number), None)

    def lists(self, fact: VoiceStarted | VoiceStopped) -> bool:
        return self._machine.lists(type(fact))

    def voice_started(self, now: Ms) -> tuple[Turn, bool]:
        """The turn that the voice belongs to, and whether it has begun just now."""
        resumed = self.going_on
        self._machine.take(VoiceStarted)
        if resumed is not None:
            resumed.onset_at = now
            return resumed, False
        self._count += 1
        turn = Turn(self._count, onset_at=now, last_voice_at=now)
        self._unsettled.append(turn)
        return turn, True

    def voice_stopped(self, last_voice_at: Ms, now: Ms) -> None:
        self._machine.take(VoiceStopped)
        if self.latest is not None:
            self.latest.last_voice_at = min(now, max(last_voice_at, self.latest.last_voice_at))

    def silence_lasts_until(self, end_of_turn_silence_ms: Ms) -> Ms | None:
        """When the present pause ends the turn."""
        if self.state is not Caller.PAUSING or self.latest is None:
            return None
        return self.latest.last_voice_at + end_of_turn_silence_ms

    def finish(self, step: Step, now: Ms) -> list[FinishRecognition]:
        """The turn is over (silence has lasted, or nobody listens any more): ask for its final words."""
        turn = self.going_on
        if turn is None:
            return []
        if self.state is Caller.SPEAKING:
            turn.last_voice_at = now
        self._machine.take(step)
        turn.finish_by = now + FINAL_WORDS_WITHIN_MS
        return [FinishRecognition(turn.number)]

    def finish_by(self) -> Ms | None:
        """When the first turn that waits for its final words has waited long enough."""
        waiting = (turn.finish_by for turn in self._unsettled if turn.ear is Ear.HEARING)
        return min((by for by in waiting if by is not None), default=None)

    def waited_enough(self, now: Ms) -> None:
        """The last partial words stand; where there are none, the turn goes without."""
        self._owed = [turn for turn in self._owed if now <= _late_until(turn)]
        for turn in self._unsettled:
            if turn.ear is Ear.HEARING and turn.finish_by is not None and turn.finish_by <= now:
                turn.ear = Ear.DONE if turn.text else Ear.LATE

    def heard(self, turn: Turn, words: PartialWords | FinalWords | RecognitionFailed, now: Ms) -> None:
        """Words of a turn whose words are not told yet. Final words that come before the turn has ended are not the
        last ones if more follow."""
        match words:
            case PartialWords(_, text):
                turn.text, turn.words_at, turn.ear = text.strip(), now, Ear.HEARING
                turn.confidence, turn.words = None, ()
            case FinalWords(_, text, language, confidence, timed):
                turn.text, turn.words_at, turn.ear, turn.language = text.strip(), now, Ear.DONE, language
                turn.confidence, turn.words = confidence, timed
            case RecognitionFailed():
                turn.ear = Ear.DONE

    def taken_up_again(self, words: PartialWords | FinalWords | RecognitionFailed, now: Ms) -> Turn | None:
        """The turn that these late words belong to: it waits to be told, in its place among the others, for its final
        words no longer than any other turn. None: nothing is owed, or nothing was said."""
        turn = next((turn for turn in self._owed if turn.number == words.turn), None)
        if turn is None or now > _late_until(turn):
            return None
        text = "" if isinstance(words, RecognitionFailed) else words.text.strip()
        if text or not isinstance(words, PartialWords):
            self._owed.remove(turn)
        if not text:
            return None
        turn.finish_by = now + FINAL_WORDS_WITHIN_MS
        before = sum(other.number < turn.number for other in self._unsettled)
        self._unsettled.insert(before, turn)
        if self._machine.lists(Step.LATE_WORDS):
            self._machine.take(Step.LATE_WORDS)
        return turn

    def forget_owed(self) -> None:
        """The session begins anew: late words of before answer nothing any more."""
        self._owed.clear()

    def was_not_cut(self, utterance: int, heard_to_its_end: bool) -> None:
        """An utterance that ended by itself just before its cut came through was not cut by anybody (D19)."""
        for turn in (*self._unsettled, *self._owed):
            if heard_to_its_end and turn.cut == utterance:
                turn.cut = None

    def take_settled(self) -> list[Turn]:
        """The turns that can be told now, in order; each is given out once."""
        settled: list[Turn] = []
        while self._unsettled and self._unsettled[0].settled:
            turn = self._unsettled.popleft()
            settled.append(turn)
            if turn.text:
                self._owed = [owed for owed in self._owed if owed.number > turn.number]
            elif turn.ear is Ear.LATE:
                self._owed.append(turn)
        if not self._unsettled and self._machine.lists(Step.WORDS_SETTLED):
            self._machine.take(Step.WORDS_SETTLED)
        return settled

    def take_all(self) -> list[Turn]:
        """The call is over: every turn with the words that are known of it."""
        turns = list(self._unsettled)
        self._unsettled.clear()
        self._owed.clear()
        return turns


def _late_until(turn: Turn) -> Ms:
    return turn.last_voice_at + LATE_WORDS_WITHIN_MS
