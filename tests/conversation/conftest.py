"""A world for a call: it obeys the orders of the core, late or early, and lets things happen by chance."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import fields
from random import Random
from typing import Any, Final

import pytest

from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    AppLost,
    CallConnected,
    CallerHungUp,
    CallHeld,
    CallOffered,
    CallResumed,
    DigitPressed,
    DigitSent,
    EndRequested,
    FinalWords,
    Input,
    Ms,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    SpeechDurationKnown,
    SpeechFailed,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferHandedOver,
    TransferRinging,
    VoiceStarted,
    VoiceStopped,
)
from offhook.conversation.outputs import (
    AnswerCall,
    FinishRecognition,
    HangUp,
    Output,
    PlayAudio,
    PlayUrl,
    Say,
    SendDigit,
    SendEvent,
    StartRecognition,
    StartTransfer,
    StopOnVoice,
    StopPlayback,
)
from offhook.conversation.record import FACTS
from offhook.protocol.actions import (
    Action,
    Audio,
    BargeIn,
    ConfigureTranscription,
    Dtmf,
    GatherDtmf,
    Hangup,
    MixAudio,
    Speak,
    Transfer,
)
from offhook.protocol.events import RecognisedWord
from offhook.protocol.speech_options import BargeInConfig, BargeInStrategy, VadConfig

WAV: Final = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
LONGEST_WALK_MS: Final = 120_000


def any_action(chance: Random) -> Action:
    """One action, the frequent ones more often."""
    strategy = chance.choice(list(BargeInStrategy))
    barge_in = chance.choice([None, BargeInConfig(strategy=strategy, allow_after_ms=chance.choice([0, 0, 700]))])
    timeout = chance.choice([None, 0.5, 3.0])
    makers: list[Callable[[], Action]] = [
        lambda: Speak(text="Hello there, how are you", barge_in=barge_in, user_input_timeout_seconds=timeout),
        lambda: Speak(text="Go on", barge_in=barge_in, vad=VadConfig(end_of_turn_silence_ms=200)),
        lambda: Speak(text=" "),
        lambda: Audio(audio=WAV, barge_in=barge_in),
        lambda: MixAudio(audio=WAV),
        lambda: MixAudio(stop=True),
        BargeIn,
        lambda: ConfigureTranscription(languages=("de-DE",)),
        lambda: Dtmf(dtmf="5"),
        lambda: GatherDtmf(num_characters=2, timeout_ms=800),
        lambda: GatherDtmf(num_characters=1, audio_url="https://example.net/menu.wav"),
        Hangup,
        lambda: Transfer(
            target_phone_number="+4930123456", caller_id_name="", caller_id_number="", timeout=chance.choice([None, 20])
        ),
    ]
    weights = [9, 3, 1, 3, 1, 1, 3, 1, 1, 1, 1, 1, 1]
    return chance.choices(makers, weights)[0]()


TIMED_WORD: Final = RecognisedWord(text="help", start_ms=420, end_ms=700, confidence=0.42)
SOME_VALUE: dict[str, list[Any]] = {
    "turn": [0, 1, 2, 3],
    "utterance": [0, 1, 2, 3, 4, 5, 6],
    "answers": [0, 1, 2, 3, 4, 5, 6, 7],
    "text": ["", " ", "no", "I need help"],
    "last_voice_at": [-100, 0, 500, 5000],
    "duration_ms": [-1, 0, 300, 4000],
    "played_ms": [-1, 0, 300, 4000],
    "by_voice": [False, True],
    "characters": [None, 0, 23],
    "digit": [*"0159*#AD"],
    "language": [None, "de-DE"],
    "confidence": [None, 0.0, 0.42],
    "words": [(), (RecognisedWord(text="I need", start_ms=0, end_ms=420), TIMED_WORD)],
    "notice": ["", "Goodbye"],
    "reason": ["because"],
    "cause": ["busy", "cancelled"],
    "sip_code": [None, 486],
}
"""Small numbers that often hit and sometimes miss."""

RARE = {CallerHungUp, EndRequested, TransferHandedOver, AppLost}
FREQUENT = [kind for kind in FACTS.values() if kind not in RARE]


def any_fact(chance: Random) -> Input:
    """A fact of any class."""
    if chance.random() < 0.2:
        actions = tuple(any_action(chance) for _ in range(chance.randint(0, 3)))
        return ActionsArrived(actions, chance.choice([None, *SOME_VALUE["answers"]]))
    kinds: list[Any] = sorted(RARE, key=lambda kind: kind.__name__) if chance.random() < 0.02 else FREQUENT
    kind = chance.choice(kinds)
    if kind is ActionsArrived:
        return ActionsArrived(())
    made: Input = kind(**{field.name: chance.choice(SOME_VALUE[field.name]) for field in fields(kind)})
    return made


class World:
    """Drives one call. `facts` and `orders` are what went in and came out, with their times; `heard` are the utterances
    whose first packet was reported while the core could still take it, `last_words` the final words that came while it
    could; those that are numbered can be told apart."""

    def __init__(self, settings: CallSettings, chance: Random) -> None:
        self.core: Final = Conversation(settings)
        self.chance: Final = chance
        self.now: Ms = 0
        self.facts: Final[list[tuple[Ms, Input]]] = []
        self.orders: Final[list[tuple[Ms, Output]]] = []
        self.playing: int | None = None
        self.heard: Final[set[int]] = set()
        self.cut: Final[list[int]] = []
        self.last_words: Final[list[FinalWords]] = []
        self._coming: Final[list[tuple[Ms, int, Input]]] = []
        self._count = 0
        self._started_at: dict[int, Ms] = {}
        self._stopped: set[int] = set()
        self._transcribed: set[int] = set()
        self._reflex: int | None = None
        self._voice = False
        self._turn = 0

    def walk(self, steps: int) -> None:
        """So many happenings, then time until the call is over."""
        self._later(0, CallOffered())
        for _ in range(steps):
            self._by_chance()
            self._go_on(self.now + self.chance.choice([20, 100, 400, 1500]))
        self._later(20, CallerHungUp("caller_hung_up"))
        self._go_on(self.now + LONGEST_WALK_MS)

    def _by_chance(self) -> None:
        pick = self.chance.random()
        if pick < 0.45:
            self._voice = not self._voice
            self._later(0, VoiceStarted() if self._voice else VoiceStopped(max(0, self.now - 20)))
            if self._voice and self._turn:
                self._later(300, PartialWords(self._turn, self.chance.choice(["", "I", "I need", "I need help"])))
            if self._voice and self._reflex is not None and self._reflex == self.playing:
                self._cut(self._reflex, by_voice=True)
        elif pick < 0.6:
            self._later(0, DigitPressed(self.chance.choice("0123456789*#A")))
        elif pick < 0.75:
            self._later(0, ActionsArrived(tuple(any_action(self.chance) for _ in range(self.chance.randint(1, 3)))))
        elif pick < 0.78:
            self._later(0, CallHeld())
            self._later(self.chance.choice([100, 3000]), CallResumed())
        elif pick < 0.785:
            self._later(0, AppLost("three failures in a row"))
        elif pick < 0.79:
            self._later(0, EndRequested("drain", self.chance.choice(["", "Goodbye"])))

    def _go_on(self, until: Ms) -> None:
        """Let come what is due, deadlines as late as a slow service would run them."""
        while self._coming and self._coming[0][0] <= until:
            at, _, fact = heapq.heappop(self._coming)
            if isinstance(fact, PartialWords) and fact.turn in self._transcribed:
                continue
            self._wait(at)
            self._observe(fact)
            self.facts.append((self.now, fact))
            self._obey(self.core.receive(fact, self.now))
        self._wait(until)

    def _wait(self, until: Ms) -> None:
        while (due := self.core.next_deadline) is not None and due + 20 <= until:
            self.now = max(self.now, due + self.chance.choice([0, 7, 20]))
            self._obey(self.core.advance(self.now))
        self.now = max(self.now, until)

    def _later(self, delay: Ms, fact: Input) -> None:
        self._count += 1
        heapq.heappush(self._coming, (self.now + delay, self._count, fact))

    def _observe(self, fact: Input) -> None:
        match fact:
            case PlaybackStarted(number):
                self.playing = number
                if not self.core.ended:
                    self.heard.add(number)
            case PlaybackFinished(number) if self.playing == number:
                self.playing = None
            case FinalWords(turn):
                self._transcribed.add(turn)
                if not self.core.ended:
                    self.last_words.append(fact)

    def _obey(self, orders: Sequence[Output]) -> None:
        assert self.core.next_deadline is None or self.core.next_deadline > self.now or self.core.ended
        for order in orders:
            self.orders.append((self.now, order))
            self._carry_out(order)

    def _carry_out(self, order: Output) -> None:
        chance = self.chance
        match order:
            case AnswerCall():
                self._later(40, CallConnected())
            case Say(number) | PlayAudio(number) | PlayUrl(number):
                self._play(number)
            case StopPlayback(number):
                self._cut(number, by_voice=False)
            case StopOnVoice(number):
                self._reflex = number
            case StartRecognition(turn):
                self._turn = turn
            case FinishRecognition(turn):
                if chance.random() < 0.8:
                    text = chance.choice(["", "no", f"I need help with bill {turn}", f"bill {turn}"])
                    heard = FinalWords(turn, text, confidence=0.42, words=(TIMED_WORD,) if text else ())
                    self._later(chance.choice([40, 300, 1200, 3000, 12_000]), heard)
                if chance.random() < 0.2:
                    self._later(chance.choice([300, 1100, 2800]), PartialWords(turn, chance.choice(["", "I", "bill"])))
            case SendDigit(digit):
                self._later(160, DigitSent(digit))
            case StartTransfer():
                self._later(100, TransferRinging())
                outcome: list[Input] = [
                    TransferAnswered(), TransferFailed("busy", 486), TransferFailed("no_answer"), TransferHandedOver()
                ]  # fmt: skip
                fact = chance.choice(outcome)
                self._later(1500, fact)
                if isinstance(fact, TransferAnswered):
                    self._later(5000, TransferEnded())
            case HangUp(cause):
                if chance.random() < 0.9:
                    self._later(40, CallerHungUp(cause))
            case SendEvent(number):
                if chance.random() < 0.4:
                    actions = tuple(any_action(chance) for _ in range(chance.randint(0, 3)))
                    self._later(chance.choice([5, 300, 2000]), ActionsArrived(actions, number))
                elif chance.random() < 0.1:
                    self._later(500, AppFailed(number, "status 500"))

    def _play(self, number: int) -> None:
        if self.chance.random() < 0.05:
            self._later(100, SpeechFailed(number, "no voice"))
            return
        starts = self.chance.choice([20, 200])
        duration = self.chance.choice([0, 400, 3000])
        self._started_at[number] = self.now + starts
        self._later(starts, PlaybackStarted(number))
        if self.chance.random() < 0.8:
            self._later(starts + self.chance.choice([-20, 0, 100]), SpeechDurationKnown(number, duration))
        self._later(starts + duration, PlaybackFinished(number, duration))

    def _cut(self, number: int, *, by_voice: bool) -> None:
        started_at = self._started_at.get(number)
        begun = started_at is not None and started_at <= self.now + 20
        self._coming[:] = [entry for entry in self._coming if not self._is_of(entry[2], number, begun)]
        heapq.heapify(self._coming)
        audible = self.playing == number or number not in self.heard
        if begun and started_at is not None and audible and number not in self._stopped:
            self._stopped.add(number)
            self.cut.append(number)
            self._later(20, PlaybackFinished(number, max(0, self.now + 20 - started_at), by_voice))

    @staticmethod
    def _is_of(fact: Input, number: int, begun: bool) -> bool:
        match fact:
            case PlaybackFinished(of) | SpeechDurationKnown(of) | SpeechFailed(of):
                return of == number
            case PlaybackStarted(of):
                return of == number and not begun
            case _:
                return False


@pytest.fixture
def build_world() -> Callable[[CallSettings, Random], World]:
    """A world for a call with these settings and this chance."""
    return World


@pytest.fixture
def action_by_chance() -> Callable[[Random], Action]:
    """One valid action of any kind."""
    return any_action


@pytest.fixture
def fact_by_chance() -> Callable[[Random], Input]:
    """One fact of any class."""
    return any_fact
