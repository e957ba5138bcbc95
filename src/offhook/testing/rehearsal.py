"""`Rehearsal`: one call to an assistant, in memory, with time by hand.

```python
async def test_the_desk_says_goodbye():
    call = Rehearsal(assistant)
    await call.starts()
    await call.says("no thank you")
    await call.listens()
    assert call.heard == ["Welcome. Do you need an appointment?", "Goodbye!"]
    assert call.ended
```
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Final, Self

from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import (
    ActionsArrived,
    CallConnected,
    CallerHungUp,
    CallOffered,
    DigitPressed,
    DigitSent,
    FinalWords,
    Input,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    SpeechDurationKnown,
    SpeechFailed,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
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
    StopPlayback,
)
from offhook.conversation.state_tables import Call
from offhook.errors import OffhookError
from offhook.protocol.actions import Action
from offhook.protocol.events import Event
from offhook.protocol.json_codec import actions_to_json, event_to_json, read_actions, read_event
from offhook.protocol.session import Session
from offhook.sdk.assistant import Assistant
from offhook.testing.earpiece import UNKNOWN_PROMPT_MS, Playing, plain_text, speaking_ms, wav_ms
from offhook.testing.played_call import PlayedCall

__tracebackhide__ = True  # pytest shows the lines of the test that failed, not these

BEGAN_AT: Final = 1_700_000_000_000
SHORTEST_TURN_MS: Final = 300
KEY_EVERY_MS: Final = 200
PATIENCE_MS: Final = 600_000
"""How long a caller listens to an assistant that never stops."""

CALLER = Session(
    id="00000000-0000-4000-8000-000000000001",
    account_id="rehearsal",
    phone_number="+4921155660",
    direction="inbound",
    from_phone_number="+4915112345678",
    to_phone_number="+4921155660",
)


class Rehearsal(PlayedCall):
    """A caller made of text, the real conversation core, and the assistant under test.

    The assistant answers over the JSON of the wire, as if by WebSocket. Time stands still while its handlers run and
    moves only as the caller acts: nothing waits really. Speech lasts as long as its text is (15 characters a second).

    Args:
        assistant: the app under test.
        settings: what the flow decides; default: the contract's defaults.
        app_takes: seconds that each answer of the app takes.
    """

    size = "rehearsed call"

    def __init__(self, assistant: Assistant, settings: CallSettings | None = None, *, app_takes: float = 0.0) -> None:
        super().__init__()
        self.assistant = assistant
        self.settings = settings or CallSettings(session=CALLER, began_at=BEGAN_AT, sends_speech_started=True)
        self._app_takes_ms = round(app_takes * 1000)
        self._core = Conversation(self.settings)
        self._now = 0
        self._coming: list[tuple[int, int, Input]] = []
        self._count = 0
        self._playing: dict[int, Playing] = {}
        self._turn = 0
        self._saying = ""

    @classmethod
    def to(cls, assistant: Assistant, number: str = "+4915112345678", *, app_takes: float = 0.0) -> Self:
        """A call that the flow places to `number`: its session is `outbound`, and about the recipient (contract D1)."""
        session = CALLER.model_copy(
            update={
                "direction": "outbound",
                "phone_number": number,
                "from_phone_number": CALLER.to_phone_number,
                "to_phone_number": number,
            }
        )
        settings = CallSettings(session=session, began_at=BEGAN_AT, sends_speech_started=True)
        return cls(assistant, settings, app_takes=app_takes)

    # --- what the caller does

    async def starts(self) -> Self:
        """The caller dials, and the call is connected; in a call that we place (`to`), the recipient answers. The
        greeting has begun, and has not been waited for."""
        await self._give(CallConnected() if self.settings.session.direction == "outbound" else CallOffered())
        await self._until(lambda: self._connected, "be connected")
        return self

    async def __aenter__(self) -> Self:
        """The same as `starts`, so that `async with` reads alike for a rehearsal and for a `PhoneCall`."""
        return await self.starts()

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left to be closed."""

    async def interrupts_after(self, seconds: float, words: str) -> None:
        """The caller speaks `seconds` after the present utterance has begun.

        Raises:
            CallStuck: nothing is playing then.
        """
        await self._until(lambda: self.ended or self._current is not None or not self._coming, "interrupt")
        current = self._current
        if current is None or current.began_at is None:
            raise self._stuck(f"The caller cannot interrupt with {words!r}: nothing is playing.", "Use says().")
        at = current.began_at + round(seconds * 1000)
        await self._run_to(at)
        if self._current is not current:
            raise self._stuck(
                f"The caller cannot interrupt after {seconds} s: that utterance lasted {current.duration_ms / 1000} s.",
                "Interrupt earlier, or use says().",
            )
        await self._speak(words)
        self._did("interrupts_after", seconds, words)

    async def presses(self, keys: str) -> None:
        """The caller presses keys, at once, 200 ms apart."""
        for key in keys:
            self._must_be_up(f"press {key}")
            await self._give(DigitPressed(key))
            await self._run_to(self._now + KEY_EVERY_MS)
        self._did("presses", keys)

    async def stays_silent(self, seconds: float) -> None:
        """The caller lets the assistant finish, and then says nothing for so long."""
        await self._hear_out()
        await self._run_to(self._now + round(seconds * 1000))
        self._did("stays_silent", seconds)

    async def hangs_up(self) -> None:
        """The caller is gone, at once."""
        self._must_be_up("hang up")
        await self._give(CallerHungUp("caller"))
        await self._run_to(self._now)
        self._did("hangs_up")

    # --- what becomes of a transfer

    async def transfer_is_answered(self) -> None:
        """The target of the transfer answers: caller and target are bridged."""
        await self._until(lambda: self.ended or self.is_transferring, "be transferred")
        await self._give(TransferAnswered())
        self._did("transfer_is_answered")

    async def transfer_fails(self, cause: str = "no_answer", sip_code: int | None = None) -> None:
        """The target cannot be reached: `no_answer`, `busy`, `rejected`, `failed` or `not_allowed` (contract D15), with
        the SIP status that said so."""
        await self._until(lambda: self.ended or self.is_transferring, "be transferred")
        await self._give(TransferFailed(cause, sip_code))
        await self._run_to(self._now)
        self._did("transfer_fails", *((cause,) if sip_code is None else (cause, sip_code)))

    async def target_hangs_up(self) -> None:
        """The target of a bridged transfer ends the call."""
        if not self.bridged:
            raise self._stuck("The target cannot hang up: it has not answered.", "Use transfer_is_answered() before.")
        await self._give(TransferEnded())
        await self._run_to(self._now)
        self._did("target_hangs_up")

    # --- what can be asked

    @property
    def is_transferring(self) -> bool:
        """Whether the caller waits for the target of a transfer."""
        return self._core.states["call"] == Call.TRANSFERRING

    @property
    def bridged(self) -> bool:
        """Whether the caller is talking to the target of a transfer."""
        return self._core.states["call"] == Call.BRIDGED

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return self._now / 1000

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._core.ended

    def __repr__(self) -> str:
        return f"<Rehearsal at {self.now:.3f} s>\n{self.timeline}"

    # --- time

    async def _hear_out(self) -> None:
        await self._until(lambda: self.ended or (self._connected and not self._playing and not self._coming), "listen")

    async def _run_to(self, end: int) -> None:
        """Everything that happens until `end`, in order; then it is `end`."""
        while (due := self._next_due()) is not None and due <= end:
            await self._step(due)
        if not self.ended:
            self._now = max(self._now, end)

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        limit = self._now + PATIENCE_MS
        await self._run_to(self._now)
        while not condition():
            due = self._next_due()
            if due is None or due > limit:
                raise self._stuck(f"The caller waits in vain to {what}.", "See the timeline.")
            await self._step(due)

    def _next_due(self) -> int | None:
        deadline = None if self.ended else self._core.next_deadline
        times = [time for time in (deadline, self._coming[0][0] if self._coming else None) if time is not None]
        return min(times, default=None)

    async def _step(self, due: int) -> None:
        self._now = max(self._now, due)
        if self._coming and self._coming[0][0] <= self._now:
            await self._give(heapq.heappop(self._coming)[2])
        else:
            orders = self._core.advance(self._now)
            if orders:
                self._timeline.note(self._now, "time has passed")
            await self._obey(orders)

    def _later(self, fact: Input, after_ms: int = 0) -> None:
        self._count += 1
        heapq.heappush(self._coming, (self._now + after_ms, self._count, fact))

    # --- facts and orders

    async def _give(self, fact: Input) -> None:
        if isinstance(fact, PlaybackStarted) and fact.utterance in self._playing:
            self._playing[fact.utterance].began_at = self._now
        elif isinstance(fact, PlaybackFinished):
            self._playing.pop(fact.utterance, None)
        self._saw_fact(self._now, fact)
        await self._obey(self._core.receive(fact, self._now))

    async def _obey(self, orders: Sequence[Output]) -> None:
        for order in orders:
            self._saw_order(self._now, order)
            match order:
                case SendEvent(number, event):
                    await self._tell(number, event)
                case Say(utterance, text, ssml):
                    self._play(Playing(utterance, speaking_ms(plain_text(text, ssml))))
                case PlayAudio(utterance, audio):
                    self._play_wav(utterance, wav_ms(audio))
                case PlayUrl(utterance):
                    self._play(Playing(utterance, UNKNOWN_PROMPT_MS))
                case StopPlayback(utterance):
                    self._stop(utterance)
                case StartRecognition(turn):
                    self._turn = turn
                case FinishRecognition(turn):
                    self._later(FinalWords(turn, self._saying))
                case _:
                    self._obey_line(order)

    def _obey_line(self, order: Output) -> None:
        match order:
            case AnswerCall():
                self._later(CallConnected())
            case HangUp(cause):
                self._later(CallerHungUp(cause))
            case SendDigit(digit):
                self._later(DigitSent(digit))
            case _:
                pass

    async def _tell(self, number: int, event: Event) -> None:
        """The event reaches the app over the wire's JSON; each reply is a fact, `app_takes` later."""
        answered = False

        async def arrive(actions: Sequence[Action]) -> None:
            nonlocal answered
            read = read_actions(actions_to_json(actions), self.settings.session.id)
            self.actions.extend(read.actions)
            fact = ActionsArrived(read.actions, None if answered else number, read.refused)
            answered = True
            self._later(fact, self._app_takes_ms)

        try:
            await self.assistant.answer_event(read_event(event_to_json(event)), arrive)
        except OffhookError as error:
            error.add_note(f"\nThe call so far:\n{self.timeline}")
            raise
        if not answered:
            self._later(ActionsArrived((), number), self._app_takes_ms)

    # --- speech

    def _play(self, playing: Playing) -> None:
        self._playing[playing.utterance] = playing
        self._later(PlaybackStarted(playing.utterance))
        self._later(SpeechDurationKnown(playing.utterance, playing.duration_ms))
        self._later(PlaybackFinished(playing.utterance, playing.duration_ms), playing.duration_ms)

    def _play_wav(self, utterance: int, length: int | None) -> None:
        if length is None:
            self._later(SpeechFailed(utterance, "This is a WAV header without a format."))
        else:
            self._play(Playing(utterance, length))

    def _stop(self, utterance: int) -> None:
        playing = self._playing.pop(utterance, None)
        if playing is None:
            return
        self._coming = [entry for entry in self._coming if getattr(entry[2], "utterance", None) != utterance]
        heapq.heapify(self._coming)
        if playing.began_at is not None:
            self._later(PlaybackFinished(utterance, self._now - playing.began_at))

    async def _speak(self, words: str) -> None:
        self._must_be_up(f"say {words!r}")
        self._saying = words
        before = self._turn
        length = max(speaking_ms(words), SHORTEST_TURN_MS)
        began = self._now
        await self._give(VoiceStarted())
        pieces = words.split()
        for index in range(1, len(pieces)):
            await self._run_to(began + length * index // len(pieces))
            if self._turn != before:
                await self._give(PartialWords(self._turn, " ".join(pieces[:index])))
        await self._run_to(began + length)
        if self.ended:
            return
        if self._turn != before:
            await self._give(PartialWords(self._turn, words))
        await self._give(VoiceStopped(self._now))
        await self._run_to(self._now + self.settings.end_of_turn_silence_ms + self._app_takes_ms)
        await self._until(lambda: self.ended or self._core.states["caller"] == "silent", "finish the turn")
        await self._run_to(self._now + self._app_takes_ms)

    @property
    def _current(self) -> Playing | None:
        return next((one for one in self._playing.values() if one.began_at is not None), None)

    @property
    def _connected(self) -> bool:
        return any(event.type == "session_start" for event in self.events)

    def _must_be_up(self, what: str) -> None:
        if self.ended or not self._connected:
            when = "the call is over" if self.ended else "the call has not begun: await call.starts()"
            raise self._stuck(f"The caller cannot {what}: {when}.", "See the timeline.")
