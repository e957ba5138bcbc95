"""The engine's side of a voice: a process that speaks what the service asks for (`voice_process`), one request after
another in the order in which they came. One that is cancelled stops with the next piece of sound."""

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

from offhook.speech.frames import READY, CannotStart, ServiceLink

SPEAK: Final = 16
"""Service to engine: JSON, as the engine wants it."""
CANCEL: Final = 17
BEGUN: Final = 18
AUDIO: Final = 19
"""Engine to service: mono int16 in the machine's byte order."""
DONE: Final = 20
FAILED: Final = 21
"""Engine to service: the body is the reason in words."""


class VoiceEngine(Protocol):
    """A synthesizer with its voices loaded."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the service must know: `rate` in Hz, and what is the engine's own."""

    def speak(self, request: dict[str, Any], give: Callable[[bytes], bool]) -> str | None:
        """Make the speech and `give` it, mono int16, piece by piece, until that says False: nobody listens any more.
        The reason where that failed."""


def run_voice(descriptor: int, load: Callable[[], VoiceEngine]) -> None:
    """The whole process: load the engine, say READY or CANNOT_START, and speak until the service is gone. `load` may
    raise CannotStart."""
    cancelled: set[int] = set()
    link = ServiceLink(descriptor)
    link.listen(urgent={CANCEL: cancelled})
    try:
        engine = load()
    except CannotStart as refusal:
        link.refuse(refusal)
        return
    link.send_json(READY, 0, engine.facts)
    while True:
        frame = link.inbox.get()
        if frame.kind != SPEAK:
            continue
        if frame.number not in cancelled:
            link.send(BEGUN, frame.number)
            reason = engine.speak(json.loads(frame.body), _giver(link, frame.number, cancelled))
            if reason is None:
                link.send(DONE, frame.number)
            else:
                link.send(FAILED, frame.number, reason.encode())
        # Numbers rise, so what is not above this one is over; the copy is because the reading thread adds.
        cancelled.difference_update([number for number in cancelled.copy() if number <= frame.number])


def _giver(link: ServiceLink, number: int, cancelled: set[int]) -> Callable[[bytes], bool]:
    def give(sound: bytes) -> bool:
        if number in cancelled:
            return False
        link.send(AUDIO, number, sound)
        return True

    return give
