"""All carriers in one process and one loop: python stream_callers.py PLAN.json

Reads a line of JSON for each thing to do, and answers with one: {"calls": 20, "ports": [8090], "spacing_ms": 500} when
so many conversations are up, or some time after they should be, with how many are; {"measure": 8} after so many seconds
with what was seen in them. There is a new call for
each that ends; the first ones are left early, so that from then on as many begin as in the long run. A beat is 5 ms; a
call sends on every fourth. What comes is taken when it comes. A beat that began more than 5 ms late is counted: a
window with many of them says nothing."""

import base64
import json
import os
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.beside.player import Player  # noqa: E402
from bench.beside.twilio_words import CLOSE, PING, PONG, TEXT, Frames, Stream, frame, read, upgrade  # noqa: E402
from bench.load.caller_farm import Prompts  # noqa: E402
from bench.load.caller_script import MS, QUIET_MS, Act, Caller, Step  # noqa: E402

BEAT_NS: Final = 5 * MS
PHASES: Final = 4
LATE_NS: Final = 5 * MS
UNANSWERED_NS: Final = 10_000 * MS
ALL_UP_WITHIN_NS: Final = 2 * UNANSWERED_NS
"""After the last one was dialled; a peer that is asked for too much never has all of them."""
CONVERSATION_S: Final = 20
GOLDEN: Final = 0.618
SILENCE: Final = base64.b64encode(b"\xff" * 160).decode()
FRAMES_A_CHARACTER: Final = 3
"""Of the scripted voice, 60 ms; every one of them is audible."""
STEP_OF_TEXT: Final = {Step.GREETED: 0, Step.ANSWERED: 1, Step.SETTLED: 3}
"""The answers that are heard to their end, by their place in `texts`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`texts`: the greeting and the answers, `{caller}` in them is the caller's number. `scripted_ms`: of the time from
    the end of a caller's words to the answer, what is the engines'."""

    path: str
    called: str
    prompts: list[str]
    texts: list[str]
    scripted_ms: float


@dataclass(slots=True)
class Window:
    """What was seen in a time. In ms; `frames`: of 20 ms, audible; `heard`: who heard which answer, and when in ns."""

    beats: int = 0
    late_beats: int = 0
    frames: int = 0
    gaps: list[float] = field(default_factory=list)
    breaks: list[float] = field(default_factory=list)
    frames_due: int = 0
    frames_lost: int = 0
    set_ups: list[float] = field(default_factory=list)
    turns: list[float] = field(default_factory=list)
    barge_ins: list[float] = field(default_factory=list)
    heard: list[tuple[str, int, int]] = field(default_factory=list)
    finished: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """One call at the carrier."""

    row: int
    number: str
    sock: socket.socket
    stream: Stream
    caller: Caller
    dialled_ns: int
    leaves_ns: int | None = None
    is_open: bool = False
    frames: Frames = field(default_factory=Frames)
    player: Player = field(default_factory=Player)
    to_say: deque[str] = field(default_factory=deque)
    unsent: bytes = b""
    audible: int = 0
    is_over: bool = False


class Callers:
    """The callers of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan
        self._poll: Final = select.epoll()
        self._poll.register(0, select.EPOLLIN)
        prompts = Prompts(plan.prompts)
        frames = [base64.b64encode(one.tobytes()).decode() for one in prompts.frames]
        self._prompts: Final = [
            (frames[begins:ends], *audible)
            for begins, ends, audible in zip(prompts.begins, prompts.ends, prompts.audible, strict=True)
        ]
        self._calls: Final[dict[int, Call]] = {}
        self._wanted, self._ports, self._spacing_ms = 0, [0], 0.0
        self._dialled, self._next_dial_ns = 0, 0
        self._window = Window()
        self._until_ns: int | None = None
        self._waits_for_calls, self._waits_until_ns = False, 0
        self._commands = b""

    def run(self) -> None:
        """Until the standard input ends."""
        due = time.monotonic_ns()
        beat = 0
        while True:
            wait = (due - time.monotonic_ns()) / 1e9
            for number, _ in self._poll.poll(max(0.0, wait)):
                if number == 0:
                    if not self._command():
                        return
                elif number in self._calls:
                    self._hear(self._calls[number])
            late = time.monotonic_ns() - due
            if late < 0:
                continue
            beat += 1
            self._window.beats += 1
            self._window.late_beats += late > LATE_NS
            self._dial()
            self._beat(beat % PHASES)
            self._answer_commands()
            due += BEAT_NS
            if late > 20 * BEAT_NS:  # nothing is made up for: the lateness has been counted
                due = time.monotonic_ns() + BEAT_NS

    # --- what is asked

    def _command(self) -> bool:
        data = os.read(0, 65536)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "measure" in order:
                self._window = Window()
                self._until_ns = time.monotonic_ns() + int(order["measure"] * 1e9)
            else:
                self._wanted, self._ports, self._spacing_ms = order["calls"], order["ports"], order["spacing_ms"]
                self._waits_for_calls = True
                dialled_ns = int(self._wanted * self._spacing_ms * MS)
                self._waits_until_ns = time.monotonic_ns() + dialled_ns + ALL_UP_WITHIN_NS
                for call in list(self._calls.values()):
                    if call.row >= self._wanted:
                        self._end(call)
        return bool(data)

    def _answer_commands(self) -> None:
        if self._waits_for_calls:
            up = sum(call.is_open for call in self._calls.values())
            if up >= self._wanted or time.monotonic_ns() >= self._waits_until_ns:
                self._waits_for_calls = False
                self._say({"calls": up})
        if self._until_ns is not None and time.monotonic_ns() >= self._until_ns:
            self._until_ns = None
            # Not `asdict`, which copies each of 100,000 gaps: the callers would stand still for half a second.
            self._say({one.name: getattr(self._window, one.name) for one in fields(self._window)})

    @staticmethod
    def _say(answer: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    # --- calls begin and end

    def _dial(self) -> None:
        now = time.monotonic_ns()
        if len(self._calls) >= self._wanted or now < self._next_dial_ns:
            return
        self._next_dial_ns = now + int(self._spacing_ms * MS)
        taken = {call.row for call in self._calls.values()}
        row = next(row for row in range(self._wanted) if row not in taken)
        self._dialled += 1
        number = f"+4930{self._dialled:07d}"
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = time.time_ns()
        port = self._ports[row % len(self._ports)]
        sock.connect_ex(("127.0.0.1", port))
        numbers = {"called": self._plan.called, "caller": number}
        call = Call(row, number, sock, Stream(f"{self._dialled:032x}", numbers), Caller(self._dialled), at)
        call.caller.invited_ns = call.caller.since_ns = at
        self._calls[sock.fileno()] = call
        if self._waits_for_calls:
            call.leaves_ns = at + int(self._dialled * GOLDEN % 1 * CONVERSATION_S * 1e9)
        call.unsent = upgrade(self._plan.path, f"127.0.0.1:{port}")
        self._poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLET)

    def _end(self, call: Call, failure: str = "") -> None:
        if call.is_over:
            return
        call.is_over = True
        failure = failure or call.caller.ended
        if failure:
            self._window.failed.append(failure)
        else:
            self._window.finished += 1
        del self._calls[call.sock.fileno()]
        if call.is_open and not failure.startswith("closed"):
            self._send(call, call.stream.stop() + frame((1000).to_bytes(2, "big"), CLOSE))
        call.sock.close()

    # --- what comes

    def _hear(self, call: Call) -> None:
        while not call.is_over:
            try:
                data = call.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError as error:
                self._end(call, f"closed: {error.strerror}")
                return
            at = time.time_ns()
            if not data:
                self._end(call, "closed by the peer")
                return
            if not call.is_open:
                head, found, data = data.partition(b"\r\n\r\n")
                if not found or b" 101 " not in head.partition(b"\r\n")[0]:
                    self._end(call, f"closed: {head[:40]!r}")
                    return
                call.is_open = True
                call.caller.connect(at)
                self._send(call, call.stream.opening())
            for kind, content in call.frames.take(data):
                if kind == TEXT:
                    self._take(call, content, at)
                elif kind == PING:
                    self._send(call, frame(content, PONG))
                elif kind == CLOSE:
                    self._end(call, "closed by the peer")

    def _take(self, call: Call, message: bytes, at: int) -> None:
        said, caller, window = read(message), call.caller, self._window
        if said.event == "mark":
            call.player.mark(said.name)
        elif said.event == "clear":
            call.player.clear(at)
            if at > caller.hushes_after_ns:
                caller.hush(at)
                window.barge_ins.append((at - caller.onset_ns) / MS)
        elif said.event == "media":
            played = call.player.take(at, said.sound)
            if played is None:
                return
            call.audible += played.frames
            window.frames += played.frames
            if played.gap_ns is not None:
                window.gaps.append(played.gap_ns / MS)
                if played.dry_ns:
                    window.breaks.append(played.dry_ns / MS)
            if played.heard_ns > caller.hears_after_ns:
                caller.hear(played.heard_ns)
                self._note(call, played.heard_ns)

    def _note(self, call: Call, heard_ns: int) -> None:
        """An answer begins to be heard."""
        caller, window = call.caller, self._window
        if caller.step is Step.GREETED:
            window.set_ups.append((heard_ns - call.dialled_ns) / MS)
            return
        window.turns.append((heard_ns - caller.talk_until_ns) / MS - self._plan.scripted_ms)
        window.heard.append((call.number, len(caller.heard_from_ns) - 1, heard_ns))

    # --- what is said

    def _beat(self, phase: int) -> None:
        now = time.time_ns()
        for call in list(self._calls.values()):
            if call.row % PHASES != phase:
                continue
            if not call.is_open:
                if call.unsent:
                    self._send(call, b"")
                if now - call.dialled_ns > UNANSWERED_NS:
                    self._end(call, "no answer")
                continue
            if call.leaves_ns is not None and now > call.leaves_ns:
                self._end(call)
            else:
                self._act(call, now)
            if not call.is_over:
                data = call.stream.media(call.to_say.popleft() if call.to_say else SILENCE)
                for name in call.player.due(now):
                    data += call.stream.mark(name)
                self._send(call, data)

    def _act(self, call: Call, now: int) -> None:
        caller = call.caller
        before = caller.step
        is_quiet = now - call.player.heard_until_ns >= QUIET_MS * MS
        act = caller.act(now, is_quiet=is_quiet, is_sending=bool(call.to_say))
        if act is None:
            return
        if act is not Act.HANG_UP and before in STEP_OF_TEXT:
            text = self._plan.texts[STEP_OF_TEXT[before]].format(caller=call.number)
            due = FRAMES_A_CHARACTER * len(text)
            self._window.frames_due += due
            self._window.frames_lost += max(0, due - call.audible)
        if act is Act.TALK:
            frames, first, last = self._prompts[(caller.call + len(caller.heard_from_ns)) % len(self._prompts)]
            call.to_say.extend(frames)
            caller.talks(now + first * 20 * MS, now + (last + 1) * 20 * MS)
            call.audible = 0
            if caller.step is not Step.INTERRUPTING:
                call.player.begin()
        elif act is Act.HANG_UP:
            self._end(call)

    def _send(self, call: Call, data: bytes) -> None:
        call.unsent += data
        try:
            call.unsent = call.unsent[call.sock.send(call.unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            call.unsent = b""
            self._end(call, f"closed: {error.strerror}")


if __name__ == "__main__":
    Callers(Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))).run()
