"""A worker of the embedded recogniser: `python -m offhook.speech.recogniser_process <descriptor> <turns at once>`.

It keeps nothing between turns (a turn brings its caller's profile and takes it away again), so any worker takes any
turn. Turns that run at the same time are decoded a block each in rotation, each on a decoder of its own; over the cap
they wait, their audio with them, for a decoder to be free.
"""

import json
import queue
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from offhook.speech.frames import CANNOT_START, READY, Frame, ServiceLink
from offhook.speech.sphinx_turn import CallerProfile, GrammarSearch, SphinxTurn, new_decoder

BEGIN: Final = 32
"""Service to engine: JSON with `rate`, `vocabulary`, `profile`."""
AUDIO: Final = 33
"""Service to engine: mono int16 in the machine's byte order."""
FINISH: Final = 34
ABANDON: Final = 35
WORDS: Final = 36
"""Engine to service: the words so far, UTF-8."""
FINAL: Final = 37
"""Engine to service: JSON with `text`, `profile`."""
FAILED: Final = 38
"""Engine to service: the reason in words; nothing more comes of this turn."""


@dataclass(slots=True)
class _Turn:
    rate: int
    vocabulary: list[str]
    profile: CallerProfile
    audio: deque[bytes] = field(default_factory=deque)
    finishing: bool = False
    decoding: SphinxTurn | None = None
    decoder: Any = None


class Recogniser:
    """The turns of one worker and the decoders they take turns on."""

    def __init__(self, link: ServiceLink, turns_at_once: int) -> None:
        self._link = link
        self._to_load = turns_at_once - 1
        self._free: list[Any] = [new_decoder()]
        self._grammars = GrammarSearch()
        self._turns: dict[int, _Turn] = {}

    def serve(self) -> None:
        """Recognise until the service is gone."""
        while True:
            for frame in self._arrived():
                self._obey(frame)
            for number, turn in list(self._turns.items()):
                if turn.decoding is None and self._free:
                    turn.decoder = self._free.pop()
                    turn.decoding = SphinxTurn(turn.decoder, turn.rate, turn.profile, self._grammars, turn.vocabulary)
                if turn.decoding is not None:
                    self._step(number, turn, turn.decoding)

    def _arrived(self) -> list[Frame]:
        frames: list[Frame] = []
        turns = self._turns.values()
        working = any(turn.decoding is not None and (turn.audio or turn.finishing) for turn in turns)
        # Loading takes a third of a second: only while nobody speaks, or for somebody who waits for it.
        may_load = self._to_load > 0 and (not turns or any(turn.decoding is None for turn in turns))
        try:
            if not working and not may_load:
                frames.append(self._link.inbox.get())
            while True:
                frames.append(self._link.inbox.get_nowait())
        except queue.Empty:
            if not frames and not working:
                self._to_load -= 1
                self._free.append(new_decoder())
        return frames

    def _obey(self, frame: Frame) -> None:
        if frame.kind == BEGIN:
            wanted = json.loads(frame.body)
            profile = CallerProfile(**wanted["profile"])
            self._turns[frame.number] = _Turn(wanted["rate"], wanted["vocabulary"], profile)
            return
        turn = self._turns.get(frame.number)
        if turn is None:
            return
        if frame.kind == AUDIO:
            turn.audio.append(frame.body)
        elif frame.kind == FINISH:
            turn.finishing = True
        elif frame.kind == ABANDON:
            if turn.decoding is not None:
                turn.decoding.abandon()
            self._over(frame.number)

    def _step(self, number: int, turn: _Turn, decoding: SphinxTurn) -> None:
        try:
            if turn.audio:
                words = decoding.hear(np.frombuffer(turn.audio.popleft(), np.int16))
                if words is not None:
                    self._link.send(WORDS, number, words.encode())
            elif turn.finishing:
                text, profile = decoding.finish()
                self._link.send_json(FINAL, number, {"text": text, "profile": asdict(profile)})
                self._over(number)
        except RuntimeError as error:
            # pocketsphinx raises nothing else; the decoder may be in any state and is replaced.
            self._link.send(FAILED, number, str(error).encode())
            del self._turns[number]
            self._free.append(new_decoder())

    def _over(self, number: int) -> None:
        turn = self._turns.pop(number)
        if turn.decoder is not None:
            self._free.append(turn.decoder)


def main() -> None:
    """Load the model, say READY or CANNOT_START, and serve."""
    link = ServiceLink(int(sys.argv[1]))
    link.listen()
    try:
        recogniser = Recogniser(link, int(sys.argv[2]))
    except ImportError:
        link.send_json(CANNOT_START, 0, {"message": "The embedded ear", "remedy": "", "extra": "server"})
        return
    except RuntimeError as error:
        remedy = "pip install --force-reinstall pocketsphinx"
        link.send_json(CANNOT_START, 0, {"message": f"pocketsphinx cannot load its model: {error}.", "remedy": remedy})
        return
    link.send_json(READY, 0, {})
    recogniser.serve()


if __name__ == "__main__":
    main()
