"""The engine's side of an ear: a process that takes turns of calls from the service and gives words (`ear_pool`).

A worker keeps nothing between turns (what a turn taught of its caller goes back and comes again with the next one), so
any worker takes any turn. Turns that run at the same time are heard a block each in rotation; what an engine cannot
take on waits, its audio with it.
"""

import json
import queue
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from offhook.speech.frames import READY, CannotStart, Frame, ServiceLink
from offhook.speech.transcriber import Samples, TimedWord

BEGIN: Final = 32
"""Service to engine: JSON with `rate`, `languages`, `vocabulary`, `profile`."""
AUDIO: Final = 33
"""Service to engine: mono int16 in the machine's byte order."""
FINISH: Final = 34
ABANDON: Final = 35
WORDS: Final = 36
"""Engine to service: the words so far, UTF-8."""
FINAL: Final = 37
"""Engine to service: JSON of a TurnHeard."""
FAILED: Final = 38
"""Engine to service: the reason in words; nothing more comes of this turn."""


@dataclass(frozen=True, slots=True)
class TurnWanted:
    """A turn that begins. `profile` is what the caller's turns before it taught this engine."""

    rate: int
    languages: tuple[str, ...]
    vocabulary: tuple[str, ...]
    profile: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TurnHeard:
    """A turn that is over. Of `profile` what is not None goes with the caller's next one."""

    text: str
    language: str | None = None
    confidence: float | None = None
    words: tuple[TimedWord, ...] = ()
    profile: dict[str, Any] = field(default_factory=dict)


class TurnInHand(Protocol):
    """One turn at the engine."""

    def hear(self, samples: Samples, *, behind: bool) -> str | None:
        """Take the next block; the words so far where they have changed. `behind`: more waits to be done, so that words
        which cost work of their own are better left out."""

    def finish(self) -> TurnHeard:
        """The final words."""

    def close(self, *, broken: bool) -> None:
        """Nothing more comes, with or without `finish`. `broken`: the engine raised one of its `failures`."""


class EarEngine(Protocol):
    """A recogniser with its model loaded."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What its library raises for a turn that it cannot do."""

    def begin(self, wanted: TurnWanted) -> TurnInHand | None:
        """Take a turn on; None when it has its hands full: asked again when a turn is over."""

    def prepare(self) -> bool:
        """Asked while nobody speaks, or when somebody waits to be taken on: load more, if there is more to load. True
        when something was loaded."""


@dataclass(slots=True)
class _Turn:
    wanted: TurnWanted
    audio: deque[bytes] = field(default_factory=deque)
    finishing: bool = False
    in_hand: TurnInHand | None = None


class EarWorker:
    """The turns of one process."""

    def __init__(self, link: ServiceLink, engine: EarEngine) -> None:
        self._link = link
        self._engine = engine
        self._may_prepare = True
        self._freed = False
        self._turns: dict[int, _Turn] = {}

    def serve(self) -> None:
        """Recognise until the service is gone."""
        while True:
            for frame in self._arrived():
                self._obey(frame)
            self._freed = False
            # Whoever waits for final words goes first.
            for number, turn in sorted(self._turns.items(), key=lambda item: not item[1].finishing):
                if turn.in_hand is None:
                    turn.in_hand = self._engine.begin(turn.wanted)
                if turn.in_hand is not None:
                    self._step(number, turn, turn.in_hand)

    def _arrived(self) -> list[Frame]:
        frames: list[Frame] = []
        turns = self._turns.values()
        waiting = any(turn.in_hand is None for turn in turns)
        working = any(turn.in_hand is not None and (turn.audio or turn.finishing) for turn in turns)
        working = working or (waiting and self._freed)
        prepare = self._may_prepare and (waiting or not turns)
        try:
            if not working and not prepare:
                frames.append(self._link.inbox.get())
            while True:
                frames.append(self._link.inbox.get_nowait())
        except queue.Empty:
            if not frames and not working:
                self._may_prepare = self._engine.prepare()
        return frames

    def _obey(self, frame: Frame) -> None:
        if frame.kind == BEGIN:
            wanted = json.loads(frame.body)
            self._turns[frame.number] = _Turn(
                TurnWanted(wanted["rate"], tuple(wanted["languages"]), tuple(wanted["vocabulary"]), wanted["profile"])
            )
            return
        turn = self._turns.get(frame.number)
        if turn is None:
            return
        if frame.kind == AUDIO:
            turn.audio.append(frame.body)
        elif frame.kind == FINISH:
            turn.finishing = True
        elif frame.kind == ABANDON:
            self._over(frame.number)

    def _step(self, number: int, turn: _Turn, in_hand: TurnInHand) -> None:
        try:
            if turn.audio:
                samples: Samples = np.frombuffer(turn.audio.popleft(), np.int16)
                words = in_hand.hear(samples, behind=self._is_behind())
                if words is not None:
                    self._link.send(WORDS, number, words.encode())
            elif turn.finishing:
                self._link.send_json(FINAL, number, asdict(in_hand.finish()))
                self._over(number)
        except self._engine.failures as error:
            self._link.send(FAILED, number, str(error).encode())
            self._over(number, broken=True)

    def _is_behind(self) -> bool:
        return not self._link.inbox.empty() or any(turn.audio or turn.finishing for turn in self._turns.values())

    def _over(self, number: int, *, broken: bool = False) -> None:
        turn = self._turns.pop(number)
        if turn.in_hand is not None:
            turn.in_hand.close(broken=broken)
            self._freed = True


def run_ear(descriptor: int, load: Callable[[], EarEngine]) -> None:
    """The whole process: load the engine, say READY or CANNOT_START, and serve. `load` may raise CannotStart."""
    link = ServiceLink(descriptor)
    link.listen()
    try:
        engine = load()
    except CannotStart as refusal:
        link.refuse(refusal)
        return
    link.send_json(READY, 0, {})
    EarWorker(link, engine).serve()
