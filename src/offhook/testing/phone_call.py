"""`PhoneCall`: one call to an assistant through a real service in this process, with time by hand.

```python
async def test_the_desk_says_goodbye():
    async with PhoneCall(assistant) as call:
        await call.says("no thank you")
        await call.listens()
        assert call.heard == ["Welcome. Do you need an appointment?", "Goodbye!"]
```
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from offhook.conversation.inputs import (
    ActionsArrived,
    FinalWords,
    Input,
    Ms,
    PlaybackFinished,
    PlaybackStarted,
    SpeechFailed,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
)
from offhook.conversation.outputs import HangUp, Output, PlayAudio, PlayUrl, Say, StartRecognition, StopPlayback
from offhook.errors import ExtraMissing, OffhookError
from offhook.protocol.session import Session
from offhook.sdk.assistant import Assistant
from offhook.testing.earpiece import speaking_ms
from offhook.testing.played_call import PlayedCall
from offhook.testing.rehearsal import CALLER, PATIENCE_MS, SHORTEST_TURN_MS

__tracebackhide__ = True  # pytest shows the lines of the test that failed, not these

TICK_MS: Final = 20
UNDERSTOOD_WITHIN_MS: Final = 30_000
"""After what was said; a turn ends with at most two seconds of silence (contract D14)."""


class Line(Protocol):
    """The house and the caller's telephone (service/phone_line.py)."""

    @property
    def is_over(self) -> bool: ...

    @property
    def ms(self) -> int: ...

    async def dial(self, called: str, caller: str | None) -> None: ...

    async def be_called(self, number: str) -> None: ...

    async def tick(self) -> None: ...

    def raise_failure(self) -> None: ...

    async def says(self, words: str, ms: int) -> Callable[[], bool]: ...

    def presses(self, keys: str) -> Callable[[], bool]: ...

    def hangs_up(self) -> None: ...

    def target_answers(self) -> None: ...

    def target_refuses(self, cause: str, sip_code: int | None) -> None: ...

    def target_hangs_up(self) -> None: ...


class PhoneCall(PlayedCall):
    """A simulated caller, a whole service (media, voice detection, ear, core, voice) and the assistant under test.

    Audio is made, sent, heard and mixed as in every call, 20 ms at a time, and time moves only as the caller acts.
    Needs `offhook[server]`. Use it as `async with PhoneCall(assistant) as call`: then the call is up, and the greeting
    has begun.

    Args:
        assistant: the app under test.
        engines: `scripted`: the ear hears what the caller says, and the voice speaks in tones; `real`: the embedded
            engines (`offhook[server,espeak]`), with what they understand, or do not: the same each time, since a call
            is. Where a single word is misheard, the ear was in doubt: say a phrase, or `await call.stays_silent(1)`
            before it.
        called: the number that is called.
        caller: the caller's number; None withholds it.
    """

    size = "phone call"

    def __init__(
        self,
        assistant: Assistant,
        *,
        engines: Literal["scripted", "real"] = "scripted",
        called: str = CALLER.to_phone_number,
        caller: str | None = CALLER.from_phone_number,
    ) -> None:
        super().__init__()
        self.assistant = assistant
        self._engines: Final = engines
        self._called: Final = called
        self._number: Final = caller
        self._stack: Final = AsyncExitStack()
        self._we_call: str | None = None
        self._line_or_none: Line | None = None
        self._began_at: Ms = 0
        self._left: tuple[Ms, bool] | None = None
        self._playing: dict[int, Ms | None] = {}
        self._open_turns: set[int] = set()
        self._turns = 0
        self._is_ending = False
        self._facts_of_transfer: list[TransferAnswered | TransferFailed | TransferEnded] = []

    @classmethod
    def to(
        cls,
        assistant: Assistant,
        number: str = CALLER.from_phone_number,
        *,
        engines: Literal["scripted", "real"] = "scripted",
    ) -> Self:
        """A call that the flow places to `number`, who answers: its session is `outbound` (contract D1)."""
        call = cls(assistant, engines=engines)
        call._we_call = number
        return call

    async def __aenter__(self) -> Self:
        try:
            from offhook.service.phone_line import open_phone_line
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] == "offhook":
                raise
            raise ExtraMissing("PhoneCall", extra="server") from missing
        is_up = False
        try:
            self._line_or_none = await self._stack.enter_async_context(
                open_phone_line(self.assistant, self._watch, self._engines, self._called)
            )
            if self._we_call is None:
                await self._line.dial(self._called, self._number)
            else:
                await self._line.be_called(self._we_call)
            await self._until(lambda: self._connected, "be connected")
            await self._until_begun()
            is_up = True
        finally:
            if not is_up:
                await self._stack.aclose()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = self._now, self.ended
        # The house is closed without the test's failure, which would else become a part of a group.
        await self._stack.aclose()
        if error is None:
            self._line.raise_failure()

    # --- what the caller does

    async def interrupts_after(self, seconds: float, words: str) -> None:
        """The caller speaks `seconds` after the present utterance has begun.

        Raises:
            CallStuck: nothing is playing then.
        """
        await self._until_begun()
        current = self._current
        if current is None:
            raise self._stuck(f"The caller cannot interrupt with {words!r}: nothing is playing.", "Use says().")
        utterance, began = current
        await self._run_to(began + round(seconds * 1000))
        if utterance not in self._playing:
            raise self._stuck(
                f"The caller cannot interrupt after {seconds} s: that utterance lasted less.",
                "Interrupt earlier, or use says().",
            )
        await self._speak(words)
        self._did("interrupts_after", seconds, words)

    async def presses(self, keys: str) -> None:
        """The caller presses keys, at once, 200 ms apart."""
        self._must_be_up(f"press {keys}")
        done = self._line.presses(keys)
        await self._until(lambda: self.ended or done(), "press keys")
        await self._until_begun()
        self._did("presses", keys)

    async def stays_silent(self, seconds: float) -> None:
        """The caller lets the assistant finish, and then says nothing for so long."""
        await self._hear_out()
        await self._run_to(self._now + round(seconds * 1000))
        self._did("stays_silent", seconds)

    async def hangs_up(self) -> None:
        """The caller is gone, at once."""
        self._must_be_up("hang up")
        self._line.hangs_up()
        await self._until(lambda: self.ended, "hang up")
        self._did("hangs_up")

    # --- what becomes of a transfer

    async def transfer_is_answered(self) -> None:
        """The target of the transfer answers: caller and target are bridged."""
        await self._becomes(self._line.target_answers)
        self._did("transfer_is_answered")

    async def transfer_fails(self, cause: str = "no_answer", sip_code: int | None = None) -> None:
        """The target cannot be reached: `no_answer`, `busy`, `rejected` or `failed` (contract D15), with the SIP status
        that said so."""
        await self._becomes(lambda: self._line.target_refuses(cause, sip_code))
        self._did("transfer_fails", *((cause,) if sip_code is None else (cause, sip_code)))

    async def target_hangs_up(self) -> None:
        """The target of a bridged transfer ends the call."""
        if not self.bridged:
            raise self._stuck("The target cannot hang up: it has not answered.", "Use transfer_is_answered() before.")
        self._line.target_hangs_up()
        await self._until(lambda: not self.bridged, "hear the target hang up")
        self._did("target_hangs_up")

    async def _becomes(self, act: Callable[[], None]) -> None:
        await self._until(lambda: self.ended or self.is_transferring, "be transferred")
        await self._run_to(self._now + TICK_MS)
        known = len(self._facts_of_transfer)
        act()
        await self._until(lambda: self.ended or len(self._facts_of_transfer) > known, "know what becomes of it")
        await self._until_begun()

    # --- what can be asked

    @property
    def is_transferring(self) -> bool:
        """Whether the caller waits for the target of a transfer."""
        outcomes = sum(isinstance(fact, TransferAnswered | TransferFailed) for fact in self._facts_of_transfer)
        return not self.ended and len(self.transfers) > outcomes

    @property
    def bridged(self) -> bool:
        """Whether the caller is talking to the target of a transfer."""
        facts = self._facts_of_transfer
        return not self.ended and bool(facts) and isinstance(facts[-1], TransferAnswered)

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return self._now / 1000

    @property
    def ended(self) -> bool:
        """Whether the call is over; once the test has left it, whether it was."""
        return self._line.is_over if self._left is None else self._left[1]

    def __repr__(self) -> str:
        return f"<PhoneCall at {self.now:.3f} s>\n{self.timeline}"

    # --- time

    @property
    def _line(self) -> Line:
        if self._line_or_none is None:
            raise self._stuck("There is no call yet.", "Use it as `async with PhoneCall(assistant) as call`.")
        return self._line_or_none

    @property
    def _now(self) -> Ms:
        return self._line.ms - self._began_at if self._left is None else self._left[0]

    @property
    def _connected(self) -> bool:
        return any(event.type == "session_start" for event in self.events)

    @property
    def _current(self) -> tuple[int, Ms] | None:
        return next(((one, began) for one, began in self._playing.items() if began is not None), None)

    async def _hear_out(self) -> None:
        await self._until(lambda: self.ended or not (self._playing or self._is_ending), "listen")

    async def _until_begun(self) -> None:
        """Until what is to be said is being said."""
        await self._until(lambda: self.ended or not self._playing or self._current is not None, "hear something")

    async def _run_to(self, end: Ms) -> None:
        while not self.ended and self._now < end:
            await self._tick()

    async def _until(self, condition: Callable[[], bool], what: str, patience_ms: Ms = PATIENCE_MS) -> None:
        limit = self._now + patience_ms
        while not condition():
            if self._now > limit or self.ended:
                raise self._stuck(f"The caller waits in vain to {what}.", "See the timeline.")
            await self._tick()

    async def _tick(self) -> None:
        await self._line.tick()
        try:
            self._line.raise_failure()
        except OffhookError as error:
            self._told(error)
            raise

    async def _speak(self, words: str) -> None:
        self._must_be_up(f"say {words!r}")
        before = self._turns
        done = await self._line.says(words, max(speaking_ms(words), SHORTEST_TURN_MS))
        await self._until(lambda: self.ended or done(), f"say {words!r}")
        if not (self.is_transferring or self.bridged):  # then nobody listens to words
            await self._until(
                lambda: self.ended or (self._turns > before and not self._open_turns),
                "be understood",
                UNDERSTOOD_WITHIN_MS,
            )
        await self._until_begun()

    def _must_be_up(self, what: str) -> None:
        if self.ended:
            raise self._stuck(f"The caller cannot {what}: the call is over.", "See the timeline.")

    # --- what happens

    def _watch(self, session: Session) -> "_Watcher":
        del session
        self._began_at = self._line.ms
        return _Watcher(self)

    def saw_fact(self, at: Ms, fact: Input) -> None:
        """A fact of this call, from whoever watches it; what comes of leaving the call is no part of it."""
        if self._left is not None:
            return
        self._saw_fact(at, fact)
        match fact:
            case ActionsArrived(actions):
                self.actions.extend(actions)
            case FinalWords(turn):
                self._open_turns.discard(turn)
            case PlaybackStarted(utterance) if utterance in self._playing:
                self._playing[utterance] = at
            case PlaybackFinished(utterance) | SpeechFailed(utterance):
                self._playing.pop(utterance, None)
            case TransferAnswered() | TransferFailed() | TransferEnded():
                self._facts_of_transfer.append(fact)
            case _:
                pass

    def saw_order(self, at: Ms, order: Output) -> None:
        """An order of this call, as `saw_fact`."""
        if self._left is not None:
            return
        self._saw_order(at, order)
        match order:
            case Say(utterance) | PlayAudio(utterance) | PlayUrl(utterance):
                self._playing[utterance] = None
            case StartRecognition(turn):
                self._turns += 1
                self._open_turns.add(turn)
            case StopPlayback(utterance) if self._playing.get(utterance) is None:
                self._playing.pop(utterance, None)
            case HangUp():
                self._is_ending = True
            case _:
                pass


class _Watcher:
    """Tells the test what happens in its call (calls.call_log.CallWatcher)."""

    def __init__(self, call: PhoneCall) -> None:
        self._call: Final = call

    def fact(self, at: Ms, fact: Input) -> None:
        self._call.saw_fact(at, fact)

    def order(self, at: Ms, order: Output) -> None:
        self._call.saw_order(at, order)

    def note(self, at: Ms, text: str) -> None:
        """Notes are for the call's log."""

    def close(self) -> None:
        """The call is over when the line says so."""
