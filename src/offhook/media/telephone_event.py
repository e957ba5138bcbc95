"""Keys as telephone events (RFC 4733): read without doubles, and sent.

A press is known by its timestamp: all packets of one event carry it. It counts with the first packet of it that
arrives, whichever that is, so neither a lost start nor lost ends matter. Peers that give every packet of a press a
new timestamp, and long events that come in segments (2.5.1.3), continue an event that has not ended.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from offhook.media.messages import TICK_MS
from offhook.media.rtp import header_bytes
from offhook.media.shared_audio import Samples

DIGITS: Final = "0123456789*#ABCD"
END_PACKETS: Final = 3
PAUSE_TICKS: Final = 2
_PAYLOAD_BYTES = 4
_END = 0x80
_VOLUME = 10
_SLACK_MS = 40
_OLD_MS = 4000


@dataclass(slots=True)
class _Press:
    digit: str
    timestamp: int
    duration: int
    ended: bool


class EventReceiver:
    """The keys that the peers of a table press."""

    def __init__(self) -> None:
        self._last: Final[dict[int, _Press]] = {}

    def forget(self, row: int) -> None:
        """Another stream begins: its timestamps have nothing to do with those before."""
        self._last.pop(row, None)

    def take(self, row: int, timestamp: int, payload: bytes, clock: int) -> str | None:
        """One packet of an event, `clock` Hz being the rate of its timestamp. Returns the digit, when this is the
        first packet of its press."""
        if len(payload) < _PAYLOAD_BYTES or payload[0] >= len(DIGITS):
            return None
        digit, ended = DIGITS[payload[0]], bool(payload[1] & _END)
        duration = payload[2] << 8 | payload[3]
        last = self._last.get(row)
        if last is None:
            self._last[row] = _Press(digit, timestamp, duration, ended)
            return digit
        after = ((timestamp - last.timestamp + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        if after == 0 or -clock * _OLD_MS // 1000 < after < 0:
            if after == 0:
                last.duration = max(last.duration, duration)
                last.ended |= ended
            return None
        continues = not last.ended and digit == last.digit and 0 < after <= last.duration + clock * _SLACK_MS // 1000
        self._last[row] = _Press(digit, timestamp, duration, ended)
        return None if continues else digit


@dataclass(slots=True)
class _Sending:
    digit: str
    ticks: int
    begun: int = 0
    ends: int = 0
    timestamp: int = 0


@dataclass(slots=True)
class _Keyboard:
    waiting: deque[tuple[str, int]] = field(default_factory=deque)
    now: _Sending | None = None
    pause: int = 0


@dataclass(frozen=True, slots=True)
class EventPacket:
    """What leaves on a row in this tick in place of audio. `done`: it is the last packet of the press."""

    data: bytes
    digit: str
    done: bool


@dataclass(frozen=True, slots=True)
class ToneFrame:
    """20 ms of a key's tones. `done`: they are the last of the press."""

    samples: Samples
    digit: str
    done: bool


class EventSender:
    """The keys that we press on the rows of a table; `frame` is the number of samples of 20 ms."""

    def __init__(self, frame: int) -> None:
        self._frame: Final = frame
        self._rate: Final = frame * 1000 // TICK_MS
        self._keyboards: Final[dict[int, _Keyboard]] = {}

    def press(self, row: int, digit: str, duration_ms: int) -> None:
        """Press a key after those that wait. What is not a key is not sent."""
        if digit in DIGITS and len(digit) == 1:
            ticks = max(2, -(-duration_ms // TICK_MS))
            self._keyboards.setdefault(row, _Keyboard()).waiting.append((digit, ticks))

    def forget(self, row: int) -> None:
        """The row is closed: its keys go with it."""
        self._keyboards.pop(row, None)

    def rows(self) -> list[int]:
        """The rows on which a key is pressed or waits."""
        return list(self._keyboards)

    def begin(self, row: int) -> bool:
        """A tick begins on a row of `rows()`: whether audio makes way for an event in it."""
        keyboard = self._keyboards[row]
        if keyboard.now is not None:
            return True
        if keyboard.pause:
            keyboard.pause -= 1
            return False
        if not keyboard.waiting:
            del self._keyboards[row]
            return False
        keyboard.now = _Sending(*keyboard.waiting.popleft())
        return True

    def next_packet(
        self, row: int, payload_type: int, sequence: int, timestamp: int, ssrc: int, step: int
    ) -> EventPacket:
        """The packet of this tick, on a row for which `begin` was true. `timestamp` is the tick's, `step` how far a
        tick moves it; the event keeps its first."""
        key = self._keyboards[row]
        now = key.now
        assert now is not None
        if not now.begun:
            now.timestamp = timestamp
        now.begun += 1
        ending = now.begun >= now.ticks
        duration = min(now.begun, now.ticks) * step
        now.ends += ending
        payload = bytes((DIGITS.index(now.digit), (_END if ending else 0) | _VOLUME)) + duration.to_bytes(2, "big")
        data = header_bytes(payload_type, now.begun == 1, sequence, now.timestamp, ssrc) + payload
        done = now.ends == END_PACKETS
        if done:
            key.now, key.pause = None, PAUSE_TICKS
        return EventPacket(data, now.digit, done)

    def next_tone(self, row: int) -> ToneFrame:
        """The audio of this tick, for a peer that takes no events, on a row for which `begin` was true."""
        key = self._keyboards[row]
        now = key.now
        assert now is not None
        sound = tone(now.digit, self._rate, now.ticks * TICK_MS)
        samples = sound[now.begun * self._frame : (now.begun + 1) * self._frame]
        now.begun += 1
        done = now.begun == now.ticks
        if done:
            key.now, key.pause = None, PAUSE_TICKS
        return ToneFrame(samples, now.digit, done)


ROWS_HZ: Final = (697, 770, 852, 941)
COLUMNS_HZ: Final = (1209, 1336, 1477, 1633)
KEYPAD: Final = "123A456B789C*0#D"


def tone(digit: str, rate: int, duration_ms: int) -> Samples:
    """The two tones of a key (ITU-T Q.23), with 5 ms ramps, for peers that take no telephone events."""
    row, column = divmod(KEYPAD.index(digit), 4)
    time = np.arange(rate * duration_ms // 1000) / rate
    wave = np.sin(2 * np.pi * ROWS_HZ[row] * time) + np.sin(2 * np.pi * COLUMNS_HZ[column] * time)
    ramp = np.clip(np.minimum(time, time[-1] - time) / 0.005, 0, 1)
    sound: Samples = (wave * ramp * 6000).astype(np.int16)
    return sound
