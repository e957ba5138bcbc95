"""What the assistant says, on its way to a carrier's ear: frames of 20 ms in, messages out, and what has been heard.

A carrier plays what it is sent, one after the other, and a mark comes back when all before it has been played. So it
is known how far ahead of the caller's ear the stream is: never more than AHEAD_FRAMES, which is also all that has to be
cleared at an interruption. What is sent and not heard is kept, to be said again when the stream breaks off.

Silence is not sent: a carrier that has nothing to play is silent by itself, and has caught up by the time speech
goes on. Such a carrier plays what comes at once, so that speech begins with a cushion.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from offhook.media.messages import TICK_MS, Codec
from offhook.transports.media_stream.dialect import Dialect
from offhook.transports.media_stream.inbound_audio import frame_bytes

Ms: TypeAlias = int

AHEAD_FRAMES: Final = 800 // TICK_MS
"""So much may be sent and not heard. (sipgate's bridge holds 1 s and drops what is more.)"""
BACKLOG_FRAMES: Final = 2000 // TICK_MS
"""So much waits for a carrier that does not play; of more the oldest is dropped."""
MARK_FRAMES: Final = 200 // TICK_MS
"""A mark follows so much speech."""
QUIET_FRAMES: Final = 400 // TICK_MS
"""So much silence is sent after speech, before there is nothing to send."""
CUSHION_FRAMES: Final = 60 // TICK_MS
"""So much silence is sent before speech: what the network holds up for less is not heard as a gap."""
MESSAGE_FRAMES: Final = 10
"""So much goes into one message when several frames are due at once."""
MARK_LOST_MS: Final = 1500
"""A mark that has not come back by then counts as returned, where none ever came back."""
MARK_AGAIN_MS: Final = 2000
"""Where marks do come back, another one is sent by then: one of them may have been lost."""
UNMARKED_FRAMES: Final = 2000 // TICK_MS
"""So much may be sent and not be heard as long as no mark has ever come back."""
SILENCE_BYTE: Final = {Codec.PCMU: b"\xff", Codec.PCMA: b"\xd5", Codec.L16: b"\x00"}


@dataclass(slots=True)
class _Sent:
    """Frames that were sent with the mark that follows them."""

    frames: list[bytes] = field(default_factory=list)
    mark: str | None = None
    marked_at: Ms = 0


class Playback:
    """One leg's direction to the carrier. Times are ms on any clock that does not run backwards.

    Args:
        counts: is added to: `frames_dropped` (the carrier did not play), `marks_returned`, `marks_lost`, `mark_ms` (the
            sum of the times that returned marks took).
    """

    def __init__(self, codec: Codec, dialect: Dialect, stream_id: str, counts: Counter[str]) -> None:
        silence = SILENCE_BYTE.get(codec)
        self._silence: Final = None if silence is None else silence * frame_bytes(codec)
        self._dialect: Final = dialect
        self._stream_id = stream_id
        self._backlog: Final[deque[bytes]] = deque()
        self._unheard: Final[deque[_Sent]] = deque()
        self._ahead = 0
        self._quiet = QUIET_FRAMES + 1
        self._marks = 0
        self._marks_work = False
        self._counts: Final = counts

    @property
    def settled(self) -> bool:
        """Whether all that was to be said has been heard."""
        return not self._backlog and not self._unheard

    @property
    def ahead_ms(self) -> Ms:
        """How much was sent and is not known to have been heard."""
        return self._ahead * TICK_MS

    def frame(self, payload: bytes, now: Ms) -> list[str]:
        """The next 20 ms. Gives the messages to send now."""
        silent = payload == self._silence
        if not silent and self._is_quiet:
            self._cushion()
        self._quiet = self._quiet + 1 if silent else 0
        # A stream that is late catches up in pauses.
        if not (silent and (self._backlog or self._is_quiet)):
            self._backlog.append(payload)
        if len(self._backlog) > BACKLOG_FRAMES:
            self._backlog.popleft()
            self._counts["frames_dropped"] += 1
        return self._due(now)

    def mark_came(self, name: str, now: Ms) -> list[str]:
        """A mark came back: it, and all before it, has been heard. Gives the messages to send now."""
        if any(sent.mark == name for sent in self._unheard):
            self._marks_work = True
            while True:
                sent = self._unheard.popleft()
                self._ahead -= len(sent.frames)
                self._counts["marks_returned"] += 1
                self._counts["mark_ms"] += now - sent.marked_at
                if sent.mark == name:
                    break
        return self._due(now)

    def cut(self) -> list[str]:
        """The assistant was interrupted: nothing that was sent shall be heard any more."""
        self._backlog.clear()
        if not self._unheard:
            return []
        self._unheard.clear()
        self._ahead = 0
        return [self._dialect.clear(self._stream_id)]

    def finish(self, now: Ms) -> list[str]:
        """Nothing more will be said: `settled` tells when all of it has been heard. Gives the messages to send now."""
        self._quiet = QUIET_FRAMES + 1
        return self._due(now)

    def resume(self, stream_id: str, now: Ms) -> list[str]:
        """The stream broke off and is there again: what was not heard is said once more, and speech goes on from
        there."""
        self._stream_id = stream_id
        unheard = [frame for sent in self._unheard for frame in sent.frames]
        self._backlog.extendleft(reversed(unheard))
        self._unheard.clear()
        self._ahead = 0
        if not self._is_quiet and len(self._backlog) < CUSHION_FRAMES:
            self._cushion()
        return self._due(now)

    def _cushion(self) -> None:
        if self._silence is not None:
            self._backlog.extendleft([self._silence] * CUSHION_FRAMES)

    @property
    def _is_quiet(self) -> bool:
        return self._quiet > QUIET_FRAMES

    def _due(self, now: Ms) -> list[str]:
        messages = self._look_after_marks(now)
        room = (AHEAD_FRAMES if self._marks_work else UNMARKED_FRAMES) - self._ahead
        while self._backlog and room > 0:
            frames = [self._backlog.popleft() for _ in range(min(len(self._backlog), room, MESSAGE_FRAMES))]
            room -= len(frames)
            messages.append(self._dialect.media(self._stream_id, b"".join(frames)))
            self._remember(frames)
            if len(self._unheard[-1].frames) >= MARK_FRAMES or room <= 0:
                messages.append(self._mark(now))
        if self._is_quiet and not self._backlog and self._unheard and self._unheard[-1].mark is None:
            messages.append(self._mark(now))
        return messages

    def _remember(self, frames: list[bytes]) -> None:
        self._ahead += len(frames)
        if not self._unheard or self._unheard[-1].mark is not None:
            self._unheard.append(_Sent())
        self._unheard[-1].frames += frames

    def _mark(self, now: Ms) -> str:
        self._marks += 1
        sent = self._unheard[-1]
        sent.mark, sent.marked_at = str(self._marks), now
        return self._dialect.mark(self._stream_id, sent.mark)

    def _look_after_marks(self, now: Ms) -> list[str]:
        """A carrier that returns no marks is taken to have played what it was sent; of one that does, only another mark
        can tell that one was lost."""
        if self._marks_work:
            late = self._unheard and self._unheard[-1].mark is not None
            if not late or now - self._unheard[-1].marked_at <= MARK_AGAIN_MS:
                return []
            self._unheard.append(_Sent())
            return [self._mark(now)]
        while self._unheard and (first := self._unheard[0]).mark is not None and now - first.marked_at > MARK_LOST_MS:
            self._unheard.popleft()
            self._ahead -= len(first.frames)
            self._counts["marks_lost"] += 1
        return []
