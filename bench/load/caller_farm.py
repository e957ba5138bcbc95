"""All callers in one process and one loop: python caller_farm.py PLAN.json RESULT.json.

A beat is 5 ms; a call sends on every fourth, so that calls are spread over 20 ms. What arrives is taken at each beat,
and dated by the kernel. A beat that began more than 5 ms late is counted: a run with many of them says nothing.

What a packet or a beat costs here is arithmetic over all calls at once; a caller is asked only when what he waits for
has come.
"""

import gc
import json
import os
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.load.caller_script import (  # noqa: E402
    LEFT_EARLY,
    MS,
    NEVER,
    QUIET_MS,
    SCRIPTS,
    STUCK_MS,
    WHOLE,
    Act,
    Caller,
    Step,
)
from bench.load.datagrams import Came, Inbox, Outbox, bound  # noqa: E402
from bench.load.figures import Gaps  # noqa: E402
from bench.load.sip_words import KEYS, Dialog, Said, read  # noqa: E402

from offhook.audio.g711 import LINEAR_TO_ULAW  # noqa: E402
from offhook.audio.wav import read_wav  # noqa: E402

NICENESS: Final = -10
"""As root, before the service, which goes before others: callers elsewhere would not wait for it."""
BEAT_NS: Final = 5 * MS
PHASES: Final = 4
LATE_NS: Final = 5 * MS
SILENCE: Final = 0xFF
AUDIBLE: Final = 0x30
SAMPLE_NS: Final = 125_000
UNANSWERED_NS: Final = 10_000 * MS
NEVER_FULL_S: Final = 60
PACKET: Final = 172
KEY_PAUSE: Final = 5
LEAVE_EVERY_BEATS: Final = 2
"""At the end of a run callers hang up one after the other, 100 a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`at_once` callers, a new call for each that ends, dialled at most every `spacing_ms`, until `calls` were dialled
    or `seconds` have passed since `full` calls were connected (0: since the beginning). Whoever still talks then hangs
    up, unless `finishes`. `hold_ms`: they only hold the line. `numbers` are dialled in turn. `first_call` names the
    first. A caller who is refused waits as long as he was told before he dials again."""

    sip_port: int
    numbers: list[str]
    prompts: list[str]
    at_once: int
    spacing_ms: float
    seconds: float
    calls: int | None = None
    hold_ms: int | None = None
    first_call: int = 1
    full: int = 0
    script: str = WHOLE.name
    finishes: bool = False

    def but(self, **changed: Any) -> "Plan":
        """The same with other values in these fields."""
        return replace(self, **changed)


class Prompts:
    """Recordings of 8 kHz as frames of mu-law, all in one block."""

    def __init__(self, paths: list[str]) -> None:
        blocks: list[NDArray[np.uint8]] = []
        self.begins: Final[list[int]] = []
        self.ends: Final[list[int]] = []
        self.audible: Final[list[tuple[int, int]]] = []
        """The first and the last audible frame of each."""
        for path in paths:
            pcm = read_wav(Path(path).read_bytes())
            samples = pcm.samples[: len(pcm.samples) // 160 * 160]
            loud = np.flatnonzero(np.abs(samples.astype(np.int32)).reshape(-1, 160).max(axis=1) > 1000)
            self.begins.append(sum(len(block) for block in blocks))
            blocks.append(LINEAR_TO_ULAW[samples.view(np.uint16)].reshape(-1, 160))
            self.ends.append(self.begins[-1] + len(blocks[-1]))
            self.audible.append((int(loud[0]), int(loud[-1])))
        self.frames: Final = np.concatenate(blocks) if blocks else np.zeros((0, 160), np.uint8)


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
        self._script: Final = SCRIPTS[plan.script]
        self._sip, self._rtp = bound(), bound()
        self._sip_inbox, self._rtp_inbox = Inbox(self._sip, 64), Inbox(self._rtp)
        self._outbox: Final = Outbox(self._rtp, rows, PACKET)
        self._outbox.data[:, 0] = 0x80
        self._outbox.data[:, 8:12] = np.arange(1, rows + 1).astype(">u4").view(np.uint8).reshape(-1, 4)
        self.gaps: Final = Gaps(rows)
        self._prompts: Final = Prompts(plan.prompts)
        self._free: Final = deque(range(rows))
        self._resting: Final[list[tuple[int, int]]] = []
        self._row_of_port: Final = np.full(65536, -1, np.intp)
        self._port_of_row: Final = np.zeros(rows, np.int64)
        self._dialogs: Final[dict[int, Dialog]] = {}
        self._rows: Final[dict[int, int]] = {}
        self._on_row: Final[list[Caller | None]] = [None] * rows
        self._connected: Final = np.zeros(rows, bool)
        self._phases: Final = [np.arange(phase, rows, PHASES) for phase in range(PHASES)]
        self._frame, self._frames_end = np.zeros(rows, np.intp), np.zeros(rows, np.intp)
        self._keys: Final[dict[int, deque[bytes | None]]] = {}
        self._last_audible: Final = np.zeros(rows, np.int64)
        self._numbers: Final = np.zeros(rows, np.int64)
        self._stamps: Final = np.zeros(rows, np.int64)
        self._key_stamps: Final = np.zeros(rows, np.int64)
        self._acts_at, self._hears_after, self._hushes_after = (np.full(rows, NEVER, np.int64) for _ in range(3))
        self._waits_for_quiet: Final = np.zeros(rows, bool)
        self.done: Final[list[Caller]] = []
        self.beats, self.late_beats, self.worst_late_ns, self.unsent = 0, 0, 0, 0
        self._dialled = 0
        self.most_at_once = 0
        self.full_at_ns, self.over_at_ns = 0, 0
        self._up, self._connected_beats = 0, 0

    def run(self) -> None:
        """Until all calls are over."""
        began = time.monotonic_ns()
        due, next_dial = began, began
        while True:
            pause = due - time.monotonic_ns()
            if pause > 0:
                time.sleep(pause / 1e9)
            now = time.monotonic_ns()
            self._count(now - due)
            self._listen()
            while not self.over_at_ns and next_dial <= time.monotonic_ns() and self._free:
                self._dial()
                next_dial = max(next_dial + int(self._plan.spacing_ms * MS), began)
                if self._dialled == self._plan.calls:
                    break
            self._watch_window(began, now)
            self._beat(self.beats % PHASES)
            if self.over_at_ns and not self._rows:
                return
            due += BEAT_NS
            if now - due > 20 * BEAT_NS:  # nothing is made up for: the lateness has been counted
                due = time.monotonic_ns() + BEAT_NS

    def _count(self, late_ns: int) -> None:
        self.beats += 1
        if not self.over_at_ns:
            self.late_beats += late_ns > LATE_NS
            self.worst_late_ns = max(self.worst_late_ns, late_ns)

    def _watch_window(self, began: int, now: int) -> None:
        """The time in which all calls are up, and the end of the run; both are told on standard output."""
        plan = self._plan
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.pop(0)[1])
        if self.over_at_ns:
            if not plan.finishes and self.beats % LEAVE_EVERY_BEATS == 0:
                self._leave_early()
            return
        up = self._up
        if not self.full_at_ns and up >= plan.full:
            self.full_at_ns = now
            tell("full")
        if self.full_at_ns:
            self._connected_beats += up
        is_late = now - began > (plan.seconds + NEVER_FULL_S) * 1e9 + plan.full * plan.spacing_ms * MS
        is_over = now - self.full_at_ns > plan.seconds * 1e9 if self.full_at_ns else is_late
        if is_over or self._dialled == plan.calls:
            self.over_at_ns = now
            tell("over")

    @property
    def mean_connected(self) -> float:
        """Calls connected in the window, in the mean."""
        beats = (self.over_at_ns - self.full_at_ns) / BEAT_NS if self.full_at_ns else 0
        return self._connected_beats / beats if beats >= 1 else 0.0

    def _leave_early(self) -> None:
        for row in np.flatnonzero(self._connected).tolist():
            caller = self._on_row[row]
            if caller is not None and caller.step is not Step.LEAVING:
                caller.ended = LEFT_EARLY
                self._do(caller.leave(time.time_ns()), caller, row, 0)
                self._follow(caller, row)
                return

    def _dial(self) -> None:
        call = self._plan.first_call + self._dialled
        self._dialled += 1
        row = self._free.popleft()
        numbers, sip_port, rtp_port = self._plan.numbers, self._sip.getsockname()[1], self._rtp.getsockname()[1]
        dialog = Dialog(call, numbers[call % len(numbers)], self._plan.sip_port, sip_port, rtp_port)
        caller = Caller(call, self._plan.hold_ms, self._plan.script)
        self._dialogs[call], self._rows[call], self._on_row[row] = dialog, row, caller
        self.most_at_once = max(self.most_at_once, len(self._rows))
        invite = dialog.invite()
        caller.invited_ns = caller.since_ns = time.time_ns()
        self._acts_at[row] = caller.invited_ns + UNANSWERED_NS
        self._say(invite)

    def _say(self, message: bytes) -> None:
        self._sip.sendto(message, ("127.0.0.1", self._plan.sip_port))

    def _follow(self, caller: Caller, row: int) -> None:
        """Note what this caller waits for now."""
        self._acts_at[row], self._waits_for_quiet[row] = caller.acts_at_ns, caller.waits_for_quiet
        self._hears_after[row], self._hushes_after[row] = caller.hears_after_ns, caller.hushes_after_ns

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
        dialog, row = self._dialogs[said.call], self._rows[said.call]
        caller = self._on_row[row]
        assert caller is not None
        if said.status == 0:
            if said.method != "ACK":
                self._say(dialog.ok(said))
            if said.method == "BYE":
                caller.ended = caller.ended or "hung up by the service"
                self._end(caller, at_ns)
        elif said.method == "INVITE" and said.status >= 200:
            first = not caller.status
            caller.status = said.status
            self._say(dialog.ack(said))
            if said.status >= 300:
                caller.answered_ns = at_ns
                self._end(caller, at_ns, rests_s=float(said.headers.get("retry-after", "0").split(";")[0]))
            elif first:
                caller.connect(at_ns)
                self._outbox.aim(row, "127.0.0.1", said.rtp_port)
                self._row_of_port[said.rtp_port], self._port_of_row[row] = row, said.rtp_port
                self._connected[row], self._up = True, self._up + 1
                self._numbers[row], self._stamps[row] = said.call % 1000, said.call * 160
                self.gaps.begin(row)
                self._follow(caller, row)
        elif said.method == "BYE" and said.status >= 200:
            caller.ended = caller.ended or "hung up"
            self._end(caller, at_ns)

    def _end(self, caller: Caller, at_ns: int, *, rests_s: float = 0) -> None:
        row = self._rows.pop(caller.call)
        self._up -= int(self._connected[row])
        caller.ended_ns = at_ns
        if self._port_of_row[row]:
            self._row_of_port[self._port_of_row[row]], self._port_of_row[row] = -1, 0
        self._connected[row], self._on_row[row], self._waits_for_quiet[row] = False, None, False
        self._acts_at[row] = self._hears_after[row] = self._hushes_after[row] = NEVER
        self._frames_end[row] = self._frame[row]
        self._keys.pop(row, None)
        if rests_s:
            self._resting.append((time.monotonic_ns() + int(rests_s * 1e9), row))
        else:
            self._free.append(row)
        self.done.append(caller)

    def _take_rtp(self, came: Came) -> None:
        rows = self._row_of_port[came.ports]
        known = (rows >= 0) & (came.sizes == PACKET)
        rows, at_ns, data = rows[known], came.at_ns[known], came.data[known, :PACKET]
        if not len(rows):
            return
        if not self.over_at_ns:
            self.gaps.take(rows, data[:, 2].astype(np.int64) << 8 | data[:, 3], at_ns)
        loud = (~data[:, 12:] & 0x7F) > AUDIBLE
        audible = loud.any(axis=1)
        hushed = ~audible & (at_ns >= self._hushes_after[rows])
        heard = audible & (at_ns > self._hears_after[rows])
        if hushed.any() or heard.any():
            self._tell(rows, at_ns, loud, hushed, heard)
        self._last_audible[rows[audible]] = at_ns[audible] + (160 - loud[audible, ::-1].argmax(axis=1)) * SAMPLE_NS

    def _tell(
        self,
        rows: NDArray[np.intp],
        at_ns: NDArray[np.int64],
        loud: NDArray[np.bool_],
        hushed: NDArray[np.bool_],
        heard: NDArray[np.bool_],
    ) -> None:
        """Tell callers that what they wait for has come; within a batch, packets of a row are in order."""
        for place in np.flatnonzero(hushed | heard).tolist():
            row, at = int(rows[place]), int(at_ns[place])
            caller = self._on_row[row]
            if caller is None:
                continue
            if hushed[place] and at >= caller.hushes_after_ns:
                earlier = np.flatnonzero((rows[:place] == row) & loud[:place].any(axis=1))
                silent_from = int(self._last_audible[row])
                if len(earlier):
                    last = int(earlier[-1])
                    silent_from = int(at_ns[last]) + (160 - int(loud[last, ::-1].argmax())) * SAMPLE_NS
                caller.hush(silent_from)
            elif heard[place] and at > caller.hears_after_ns:
                caller.hear(at)
            self._follow(caller, row)

    # --- what is said

    def _beat(self, phase: int) -> None:
        rows = self._phases[phase]
        now = time.time_ns()
        is_quiet = now - self._last_audible[rows] >= QUIET_MS * MS
        asked = (self._acts_at[rows] <= now) | (self._waits_for_quiet[rows] & is_quiet)
        for place in np.flatnonzero(asked).tolist():
            self._act(int(rows[place]), now, is_quiet=bool(is_quiet[place]))
        rows = rows[self._connected[rows]]
        if not len(rows):
            return
        data = self._outbox.data
        data[rows, 1], data[rows, 12:] = 0, SILENCE
        self._outbox.sizes[rows] = PACKET
        talking = rows[self._frame[rows] < self._frames_end[rows]]
        data[talking, 12:] = self._prompts.frames[self._frame[talking]]
        self._frame[talking] += 1
        at = self._stamps[rows].copy()
        for row in [row for row in self._keys if row % PHASES == phase]:
            place = int(np.searchsorted(rows, row))
            at[place] = self._press(row, int(at[place]))
        data[rows, 2:4] = (self._numbers[rows] & 0xFFFF).astype(">u2").view(np.uint8).reshape(-1, 2)
        data[rows, 4:8] = (at & 0xFFFFFFFF).astype(">u4").view(np.uint8).reshape(-1, 4)
        self._numbers[rows] += 1
        self._stamps[rows] += 160
        self.unsent += self._outbox.send(rows)

    def _press(self, row: int, stamp: int) -> int:
        """Put a packet of a key in the place of audio; gives its time stamp, that of the key's beginning."""
        packet = self._keys[row].popleft()
        if not self._keys[row]:
            del self._keys[row]
        if packet is None:
            return stamp
        is_first = packet[2:] == b"\x00\xa0"
        if is_first:
            self._key_stamps[row] = stamp
        self._outbox.data[row, 1] = KEYS | (0x80 if is_first else 0)
        self._outbox.data[row, 12:16] = np.frombuffer(packet, np.uint8)
        self._outbox.sizes[row] = 16
        return int(self._key_stamps[row])

    def _act(self, row: int, now: int, *, is_quiet: bool) -> None:
        caller = self._on_row[row]
        assert caller is not None
        if not self._connected[row]:
            caller.ended = "no answer"
            self._end(caller, now)
            return
        if caller.step is Step.LEAVING and now - caller.since_ns >= STUCK_MS * MS:
            caller.ended = "no answer to BYE"
            self._end(caller, now)
            return
        is_sending = bool(self._frame[row] < self._frames_end[row]) or row in self._keys
        act = caller.act(now, is_quiet=is_quiet, is_sending=is_sending)
        if act is not None:
            self._do(act, caller, row, now)
        self._follow(caller, row)

    def _do(self, act: Act, caller: Caller, row: int, now: int) -> None:
        if act is Act.TALK:
            chosen = (caller.call + len(caller.heard_from_ns)) % len(self._prompts.begins)
            self._frame[row], self._frames_end[row] = self._prompts.begins[chosen], self._prompts.ends[chosen]
            first, last = self._prompts.audible[chosen]
            caller.talks(now + first * 20 * MS, now + last * 20 * MS)
        elif act is Act.PRESS:
            self._keys[row] = deque(packet for digit in self._script.keys for packet in key_packets(digit))
        else:
            self._say(self._dialogs[caller.call].bye())


def tell(word: str) -> None:
    """Say to whoever measures what has begun."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def report(farm: Farm) -> dict[str, Any]:
    """All that the callers noted, as JSON."""
    gaps = farm.gaps
    calls = [asdict(caller) | {"step": caller.step.value} for caller in farm.done]
    return {
        "most_at_once": farm.most_at_once,
        "full_at_s": farm.full_at_ns / 1e9,
        "over_at_s": farm.over_at_ns / 1e9,
        "mean_connected": farm.mean_connected,
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
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    farm = Farm(plan)
    gc.freeze()
    gc.disable()  # a pause of the callers would look like one of the service
    farm.run()
    Path(sys.argv[2]).write_text(json.dumps(report(farm)), encoding="utf-8")


if __name__ == "__main__":
    main()
