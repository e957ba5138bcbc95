"""All callers in one process and one loop: python caller_farm.py PLAN.json RESULT.json.

A beat is 5 ms; a call sends on every fourth, so that calls are spread over 20 ms. What arrives is taken at each beat,
and dated by the kernel. A beat that began more than 5 ms late is counted: a run with many of them says nothing.
"""

import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.load.caller_script import KEYS_PRESSED, MS, Act, Caller  # noqa: E402
from bench.load.datagrams import Came, Inbox, Outbox, bound  # noqa: E402
from bench.load.figures import Gaps  # noqa: E402
from bench.load.sip_words import KEYS, Dialog, Said, read  # noqa: E402

from offhook.audio.g711 import LINEAR_TO_ULAW  # noqa: E402
from offhook.audio.wav import read_wav  # noqa: E402

BEAT_NS: Final = 5 * MS
PHASES: Final = 4
LATE_NS: Final = 5 * MS
SILENCE: Final = 0xFF
AUDIBLE: Final = 0x30
UNANSWERED_NS: Final = 10_000 * MS
PACKET: Final = 172
KEY_PAUSE: Final = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """`at_once` calls, a new one for each that ends, dialled at most every `spacing_ms`, until `seconds` have passed or
    `calls` were dialled. `hold_ms`: the short script. `numbers` are dialled in turn. `first_call` names the first."""

    sip_port: int
    numbers: list[str]
    prompts: list[str]
    at_once: int
    spacing_ms: float
    seconds: float
    calls: int | None = None
    hold_ms: int | None = None
    first_call: int = 1


@dataclass(frozen=True, slots=True)
class Prompt:
    """(n, 160) frames of mu-law; the first and last audible one."""

    frames: NDArray[np.uint8]
    first: int
    last: int


def load_prompt(path: str) -> Prompt:
    """A recording of 8 kHz, as frames."""
    pcm = read_wav(Path(path).read_bytes())
    samples = pcm.samples[: len(pcm.samples) // 160 * 160]
    levels = np.abs(samples.astype(np.int32)).reshape(-1, 160).max(axis=1)
    loud = np.flatnonzero(levels > 1000)
    return Prompt(LINEAR_TO_ULAW[samples.view(np.uint16)].reshape(-1, 160), int(loud[0]), int(loud[-1]))


def key_packets(digit: str) -> list[bytes | None]:
    """One key by RFC 4733: five packets while it is down, three ends, and a pause of audio (None)."""
    event = "0123456789*#".index(digit)
    lengths = [160 * (n + 1) for n in range(5)] + [960] * 3
    packets = [bytes([event, 0x8A if n >= 5 else 0x0A]) + length.to_bytes(2, "big") for n, length in enumerate(lengths)]
    return [*packets, *[None] * KEY_PAUSE]


class Farm:
    """The callers of one plan."""

    def __init__(self, plan: Plan) -> None:
        rows = plan.at_once
        self._plan: Final = plan
        self._sip, self._rtp = bound(), bound()
        self._sip_inbox, self._rtp_inbox = Inbox(self._sip, 64), Inbox(self._rtp)
        self._outbox: Final = Outbox(self._rtp, rows, PACKET)
        self.gaps: Final = Gaps(rows)
        self._prompts: Final = [load_prompt(path) for path in plan.prompts]
        self._free: Final = deque(range(rows))
        self._row_of_port: Final = np.full(65536, -1, np.intp)
        self._port_of_row: Final = np.zeros(rows, np.int64)
        self._callers: Final[dict[int, Caller]] = {}
        self._dialogs: Final[dict[int, Dialog]] = {}
        self._rows: Final[dict[int, int]] = {}
        self._on_row: Final[list[Caller | None]] = [None] * rows
        self._connected: Final = np.zeros(rows, bool)
        self._speech: Final[list[deque[NDArray[np.uint8]]]] = [deque() for _ in range(rows)]
        self._keys: Final[list[deque[bytes | None]]] = [deque() for _ in range(rows)]
        self._last_audible: Final = np.zeros(rows, np.int64)
        self._numbers: Final = np.zeros(rows, np.int64)
        self._stamps: Final = np.zeros(rows, np.int64)
        self._key_stamps: Final = np.zeros(rows, np.int64)
        self.done: Final[list[Caller]] = []
        self.beats, self.late_beats, self.worst_late_ns, self.unsent = 0, 0, 0, 0
        self._dialled = 0
        self.most_at_once = 0

    def run(self) -> None:
        """Until all calls are over."""
        began = time.monotonic_ns()
        due, next_dial = began, began
        while True:
            pause = due - time.monotonic_ns()
            if pause > 0:
                time.sleep(pause / 1e9)
            late = time.monotonic_ns() - due
            self.beats += 1
            self.late_beats += late > LATE_NS
            self.worst_late_ns = max(self.worst_late_ns, late)
            self._listen()
            over = time.monotonic_ns() - began > self._plan.seconds * 1e9 or self._dialled == self._plan.calls
            while not over and next_dial <= time.monotonic_ns() and self._free:
                self._dial()
                next_dial = max(next_dial + int(self._plan.spacing_ms * MS), began)
                over = self._dialled == self._plan.calls
            self._beat(self.beats % PHASES)
            if over and not self._rows:
                return
            due += BEAT_NS
            if late > 20 * BEAT_NS:  # nothing is made up for: the lateness has been counted
                due = time.monotonic_ns() + BEAT_NS

    def _dial(self) -> None:
        call = self._plan.first_call + self._dialled
        self._dialled += 1
        row = self._free.popleft()
        numbers, sip_port, rtp_port = self._plan.numbers, self._sip.getsockname()[1], self._rtp.getsockname()[1]
        dialog = Dialog(call, numbers[call % len(numbers)], self._plan.sip_port, sip_port, rtp_port)
        caller = Caller(call, self._plan.hold_ms)
        self._dialogs[call], self._callers[call], self._rows[call], self._on_row[row] = dialog, caller, row, caller
        self.most_at_once = max(self.most_at_once, len(self._rows))
        invite = dialog.invite()
        caller.invited_ns = caller.since_ns = time.time_ns()
        self._say(invite)

    def _say(self, message: bytes) -> None:
        self._sip.sendto(message, ("127.0.0.1", self._plan.sip_port))

    # --- what arrives

    def _listen(self) -> None:
        while (came := self._sip_inbox.take()) is not None:
            for size, at_ns, data in zip(came.sizes, came.at_ns, came.data, strict=True):
                said = read(data[:size].tobytes())
                if said is not None and said.call in self._rows:
                    self._take_sip(said, int(at_ns))
                elif said is not None and not said.status and said.call in self._dialogs:
                    self._say(self._dialogs[said.call].ok(said))
        while (came := self._rtp_inbox.take()) is not None:
            self._take_rtp(came)

    def _take_sip(self, said: Said, at_ns: int) -> None:
        caller, dialog, row = self._callers[said.call], self._dialogs[said.call], self._rows[said.call]
        if said.status == 0:
            if said.method != "ACK":
                self._say(dialog.ok(said))
            if said.method == "BYE":
                caller.ended = caller.ended or "hung up by the service"
                self._end(caller)
        elif said.method == "INVITE" and said.status >= 200:
            first = not caller.status
            caller.status = said.status
            self._say(dialog.ack(said))
            if said.status >= 300:
                caller.answered_ns = at_ns
                self._end(caller)
            elif first:
                caller.connect(at_ns)
                self._outbox.aim(row, "127.0.0.1", said.rtp_port)
                self._row_of_port[said.rtp_port], self._port_of_row[row] = row, said.rtp_port
                self._connected[row] = True
                self._numbers[row], self._stamps[row] = said.call % 1000, said.call * 160
                self.gaps.begin(row)
        elif said.method == "BYE" and said.status >= 200:
            caller.ended = caller.ended or "hung up"
            self._end(caller)

    def _end(self, caller: Caller) -> None:
        row = self._rows.pop(caller.call)
        if self._port_of_row[row]:
            self._row_of_port[self._port_of_row[row]], self._port_of_row[row] = -1, 0
        self._connected[row], self._on_row[row] = False, None
        self._speech[row].clear()
        self._keys[row].clear()
        self._free.append(row)
        self.done.append(caller)

    def _take_rtp(self, came: Came) -> None:
        rows = self._row_of_port[came.ports]
        known = (rows >= 0) & (came.sizes == PACKET)
        rows, at_ns, data = rows[known], came.at_ns[known], came.data[known, :PACKET]
        if not len(rows):
            return
        numbers = data[:, 2].astype(np.int64) << 8 | data[:, 3]
        self.gaps.take(rows, numbers, at_ns)
        audible = (~data[:, 12:] & 0x7F).max(axis=1) > AUDIBLE
        np.maximum.at(self._last_audible, rows[audible], at_ns[audible])
        for row, at, is_audible in zip(rows.tolist(), at_ns.tolist(), audible.tolist(), strict=True):
            caller = self._on_row[row]
            if caller is not None:
                caller.hear(at, audible=is_audible)

    # --- what is said

    def _beat(self, phase: int) -> None:
        now = time.time_ns()
        for call, row in list(self._rows.items()):
            if row % PHASES == phase:
                self._act(self._callers[call], row, now)
        rows = np.flatnonzero(self._connected)
        rows = rows[rows % PHASES == phase]
        if not len(rows):
            return
        data, stamps = self._outbox.data, self._stamps
        data[rows, 0], data[rows, 1], data[rows, 12:] = 0x80, 0, SILENCE
        self._outbox.sizes[rows] = PACKET
        at = stamps[rows].copy()
        for place, row in enumerate(rows.tolist()):
            if self._speech[row]:
                data[row, 12:] = self._speech[row].popleft()
            elif self._keys[row]:
                at[place] = self._press(row, int(at[place]))
        data[rows, 2:4] = (self._numbers[rows] & 0xFFFF).astype(">u2").view(np.uint8).reshape(-1, 2)
        data[rows, 4:8] = (at & 0xFFFFFFFF).astype(">u4").view(np.uint8).reshape(-1, 4)
        data[rows, 8:12] = (rows + 1).astype(">u4").view(np.uint8).reshape(-1, 4)
        self._numbers[rows] += 1
        self._stamps[rows] += 160
        self.unsent += self._outbox.send(rows)

    def _press(self, row: int, stamp: int) -> int:
        """Put a packet of a key in the place of audio; gives its time stamp, that of the key's beginning."""
        packet = self._keys[row].popleft()
        if packet is None:
            return stamp
        is_first = packet[2:] == b"\x00\xa0"
        if is_first:
            self._key_stamps[row] = stamp
        self._outbox.data[row, 1] = KEYS | (0x80 if is_first else 0)
        self._outbox.data[row, 12:16] = np.frombuffer(packet, np.uint8)
        self._outbox.sizes[row] = 16
        return int(self._key_stamps[row])

    def _act(self, caller: Caller, row: int, now: int) -> None:
        if not self._connected[row]:
            if now - caller.since_ns > UNANSWERED_NS:
                caller.ended = "no answer"
                self._end(caller)
            return
        is_sending = bool(self._speech[row] or self._keys[row])
        act = caller.act(now, int(self._last_audible[row]), is_sending=is_sending)
        if act is Act.TALK:
            prompt = self._prompts[(caller.call + len(caller.heard_from_ns)) % len(self._prompts)]
            self._speech[row].extend(prompt.frames)
            caller.talks(now + prompt.first * 20 * MS, now + prompt.last * 20 * MS)
        elif act is Act.PRESS:
            for digit in KEYS_PRESSED:
                self._keys[row].extend(key_packets(digit))
        elif act is Act.HANG_UP:
            self._say(self._dialogs[caller.call].bye())


def report(farm: Farm) -> dict[str, Any]:
    """All that the callers noted, as JSON."""
    gaps = farm.gaps
    calls = [asdict(caller) | {"step": caller.step.value} for caller in farm.done]
    return {
        "most_at_once": farm.most_at_once,
        "beats": farm.beats,
        "late_beats": farm.late_beats,
        "worst_late_ms": farm.worst_late_ns / MS,
        "unsent": farm.unsent,
        "packets": gaps.packets,
        "lost": gaps.lost,
        "late": gaps.late,
        "gaps_ms": {share: gaps.percentile_ms(float(share)) for share in ("50", "99", "99.9")},
        "longest_gap_ms": gaps.longest_ns / MS,
        "longest_gap_at_s": gaps.longest_at_ns / 1e9,
        "calls": calls,
    }


def main() -> None:
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    farm = Farm(plan)
    farm.run()
    Path(sys.argv[2]).write_text(json.dumps(report(farm)), encoding="utf-8")


if __name__ == "__main__":
    main()
