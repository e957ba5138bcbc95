"""One call from its first ring to its last event: one inbox, one core, one task group.

Everything that happens to a call, from whatever side, comes through `happened`; the core's orders are obeyed at once,
in order, and both are logged. Whoever wants to know how a call went reads its log.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from typing import Final, assert_never

import structlog

from offhook.app_links.app_link import ActionsCame, AnswerCame, AnswerFailed, AppFact, AppLink, LinkLost, LinkNoted
from offhook.calls.beat_book import BeatBook, CallBeat
from offhook.calls.call_log import CallLog
from offhook.calls.flow import Flow
from offhook.calls.heartbeat import Heartbeat
from offhook.calls.key_doubles import KeyDoubles, KeyWay
from offhook.calls.leg_changes import LegChanges
from offhook.calls.media_link import MediaLink
from offhook.calls.obey import Hands, Sound
from offhook.calls.out_of_turn import OutOfTurn
from offhook.calls.outcome import Outcome, outcome_of
from offhook.calls.placed_leg import PlacedLeg, WayOut
from offhook.calls.tone_while_ringing import is_tone
from offhook.calls.words_heard import WordsOfCall
from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    AppLost,
    CallConnected,
    CallerHungUp,
    CallHeld,
    CallOffered,
    CallResumed,
    DigitPressed,
    DigitSent,
    EndRequested,
    Input,
    Ms,
    PlaybackFinished,
    PlaybackStarted,
    VoiceStarted,
    VoiceStopped,
)
from offhook.conversation.outputs import ConfigureRecognition, Output
from offhook.media.messages import (
    TICK_MS,
    AudioEnd,
    AudioEnded,
    AudioStarted,
    KeyPressed,
    MediaTerms,
    PacketsStopped,
    RowFact,
    TelephoneEventSent,
    VoiceOnset,
    VoicePause,
)
from offhook.protocol.actions import Action
from offhook.protocol.json_codec import RefusedAction
from offhook.speech.transcriber import TranscriberStream
from offhook.transports.call_leg import (
    CallLeg,
    LegAskedToRefer,
    LegConnected,
    LegDigit,
    LegEarlyMedia,
    LegEnded,
    LegFact,
    LegReferred,
    LegRinging,
    LegTermsChanged,
    PlaysAhead,
)

logger = structlog.get_logger()


class LiveCall:
    """A call in progress.

    Args:
        leg: the caller's leg, ringing; or the leg of whoever is called, as it was placed.
        flow: the flow that answers, or calls.
        settings: what the core decides by; `began_at` is the Unix time of the current tick.
        log, way_out: where facts and orders are written; who places the second leg of a transfer.
    """

    def __init__(
        self,
        leg: CallLeg | PlacedLeg,
        flow: Flow,
        settings: CallSettings,
        link: MediaLink,
        heart: Heartbeat,
        beats: BeatBook["LiveCall"],
        log: CallLog,
        way_out: WayOut,
    ) -> None:
        self.session: Final = settings.session
        self._placed: Final = leg if isinstance(leg, PlacedLeg) else None
        self._leg_changed = False
        self._leg: CallLeg = leg.leg if isinstance(leg, PlacedLeg) else leg
        self._way_out: Final = way_out
        self._flow: Final = flow
        self._link: Final = link
        self._heart: Final = heart
        self._beat: Final = CallBeat(beats, self)
        self._log: Final = log
        self._settings: Final = settings
        self._core: Final = Conversation(settings)
        self._began: Final = heart.ms
        self._inbox: Final[deque[Input]] = deque()
        self._taking = False
        self._keys: Final = KeyDoubles()
        self._over: Final = asyncio.Event()
        self._readers: Final[list[asyncio.Task[None]]] = []
        self._words: Final = WordsOfCall(self._sound, self.happened, self._began, self._note)
        self._apps: Final[list[AppLink]] = []
        self._out_of_turn: Final = OutOfTurn(app_answers=not settings.sends_speech_started)
        self._hands: Hands | None = None
        self._failure: BaseException | None = None
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, once its leg is gone."""
        return self._outcome

    @property
    def now(self) -> Ms:
        """ms since the call began."""
        return self._heart.ms - self._began

    @property
    def lease(self) -> int | None:
        """The lease of the caller's media row, once it has one."""
        return None if self._hands is None or self._hands.sound is None else self._hands.sound.row.lease

    @property
    def leases(self) -> tuple[int, ...]:
        """The leases of its media rows: the caller's, and that of the one he is transferred to."""
        far = None if self._hands is None or self._hands.transfer is None else self._hands.transfer.lease
        return tuple(lease for lease in (self.lease, far) if lease is not None)

    @property
    def busy(self) -> bool:
        """Whether something is under way that becomes a fact without another tick: an answer of the app, a synthesis,
        final words, a loop that is being read. A clock driven by hand waits for it."""
        if self._hands is None:
            return not self._over.is_set()
        sound = self._hands.sound
        speech = sound is not None and (sound.voice.busy or bool(sound.ear.owed))
        return speech or self._hands.reads_loop or bool(self._inbox) or self._out_of_turn.owed(self._hands.events_sent)

    async def run(self) -> None:
        """Live until the call is over and its last event is delivered. A failure in here ends this call only."""
        try:
            async with asyncio.TaskGroup() as links:
                try:
                    await self._live(links)
                    if self._failure is not None:
                        self._give_up(self._failure)
                finally:
                    await self._close()
        except* Exception as failures:
            logger.error("call_ended_badly", session_id=self.session.id, exc_info=failures)

    async def _live(self, links: asyncio.TaskGroup) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(tasks, links)
                await self._over.wait()
                for task in self._readers:
                    task.cancel()
                if self._hands is not None:
                    self._hands.rest()
        except* Exception as failures:  # noqa: BLE001 - the outer wall (house rule 7)
            self._failure = failures

    def happened(self, fact: Input) -> None:
        """Take one fact: run the core to completion and obey. Facts that come of obeying wait for their turn."""
        self._inbox.append(fact)
        if self._taking:
            return
        self._taking = True
        try:
            while self._inbox:
                next_fact, now = self._inbox.popleft(), self.now
                # What is due comes first: it may begin or end the gathering whose keys are masked.
                self._obey(self._core.advance(now))
                # The very time that the core is given: a replay has no other.
                self._log.fact(now, next_fact, self._core.masked(next_fact))
                self._obey(self._core.receive(next_fact, now))
            self._beat.when(self._core.next_deadline, self._began)
        finally:
            self._taking = False

    def beat(self, facts: Sequence[RowFact]) -> None:
        """A tick in which media rows have facts, or which was wanted. The call's outer wall: whatever breaks in here
        ends this call and no other."""
        try:
            for fact in facts:
                self._take(fact)
            if self._hands is not None:
                self._hands.tick()
            self._obey(self._core.advance(self.now))
            self._beat.when(self._core.next_deadline, self._began)
        except Exception as error:  # noqa: BLE001 - the outer wall (house rule 7)
            self._failure = error
            self._over.set()

    def _take(self, fact: RowFact) -> None:
        if self._hands is None or self._hands.sound is None:
            return
        transfer = self._hands.transfer
        if fact.lease == self._hands.sound.row.lease:
            self._take_of_caller(fact, self._hands.sound, bridged=transfer is not None and transfer.bridged)
        elif transfer is not None and fact.lease == transfer.lease:
            transfer.take(fact)

    def _take_of_caller(self, fact: RowFact, sound: Sound, *, bridged: bool) -> None:
        match fact:
            case AudioStarted(utterance=utterance) | AudioEnded(utterance=utterance) if is_tone(utterance):
                pass
            case VoiceOnset(_, heard):
                sound.ear.voice_at(heard)
                self.happened(VoiceStarted())
            case VoicePause(_, last_voice_tick):
                self.happened(VoiceStopped(max(0, last_voice_tick * TICK_MS - self._began)))
            case KeyPressed(_, digit, inband):
                self._key(digit, KeyWay.TONES if inband else KeyWay.EVENT)
            case AudioStarted(_, utterance):
                self.happened(PlaybackStarted(utterance))
            case AudioEnded(_, utterance, samples, end):
                said = sound.voice.finished(utterance, played_ms := samples * 1000 // sound.row.rate)
                sound.silent_since = self._heart.tick
                if end is not AudioEnd.FINISHED and isinstance(self._leg, PlaysAhead):
                    self._leg.playback_cut()
                self.happened(PlaybackFinished(utterance, played_ms, end is AudioEnd.BY_VOICE, said))
            case TelephoneEventSent(_, digit):
                # A key that the caller hears in a bridge was pressed by the other one, not by us.
                if not bridged:
                    self.happened(DigitSent(digit))
            case PacketsStopped(_, silent_ms, gone):
                self._note(f"no audio from the caller for {silent_ms} ms")
                if gone:
                    self._leg.hang_up("no_media")
            case _:
                assert_never(fact)

    def end(self, reason: str, notice: str) -> None:
        """The service wants this call to end; `notice` is spoken first."""
        self.happened(EndRequested(reason, notice))

    def act(self, actions: tuple[Action, ...], refused: tuple[RefusedAction, ...], after: int | None = None) -> None:
        """Actions that come out of turn, through the REST API. `after`: they go on from the answer to this event, which
        may still be on its way (D31)."""
        self._out_of_turn.add(ActionsArrived(actions, None, refused), after)
        self._follow()

    def _follow(self) -> None:
        """Let what came out of turn happen, unless the answer that it goes on from has not come."""
        for arrived in self._out_of_turn.ready(self._hands.events_sent if self._hands is not None else 0):
            self.happened(arrived)

    def let_go(self) -> None:
        """Nobody asks anything of it any more: its parts, which point at each other, are freed without a collector."""
        vars(self).clear()

    # --- the call's tasks

    def _start(self, tasks: asyncio.TaskGroup, links: asyncio.TaskGroup) -> None:
        self._tasks, self._links = tasks, links
        app = self._open_app(None)
        self._changes = LegChanges(
            self._link, self._way_out, self._flow, self.session.id, self._beat, tasks=tasks, note=self._note
        )
        self._hands = Hands(
            leg=self._leg,
            flow=self._flow,
            app=app,
            link=self._link,
            beat=self._beat,
            tasks=tasks,
            happened=self.happened,
            note=self._note,
            open_app=self._open_app,
            listen=self._listen,
            recognition=ConfigureRecognition(
                self._settings.transcriber, self._settings.languages, self._settings.custom_vocabulary
            ),
            session_id=self.session.id,
            way_out=self._way_out,
            placed=self._placed,
            changes=self._changes,
        )
        self._read(self._read_leg(self._leg, self._leg.facts()))
        self._read(app.warm())
        self._read(self._flow.voice.warm())
        if self._placed is None:
            self._leg.ring()
            self.happened(CallOffered())

    def _read(self, reader: Coroutine[None, None, None]) -> None:
        self._readers.append(self._tasks.create_task(reader))

    def _open_app(self, url: str | None) -> AppLink:
        app = self._flow.open_app(self.session.id, url, self._links)
        self._apps.append(app)
        self._read(self._read_app(app.facts()))
        return app

    def _listen(self, stream: TranscriberStream) -> None:
        self._readers.append(self._words.listen(stream, self._tasks))

    def _sound(self) -> Sound | None:
        return None if self._hands is None else self._hands.sound

    def _key(self, digit: str, way: KeyWay) -> None:
        if self._keys.is_press(digit, way, self.now):
            self.happened(DigitPressed(digit))

    async def _read_leg(self, leg: CallLeg, facts: AsyncIterator[LegFact]) -> None:
        async for fact in facts:
            if leg is not self._leg:
                continue  # another one has taken its place
            match fact:
                case LegConnected(terms):
                    self._connected(terms)
                case LegAskedToRefer():
                    row = None if self._hands is None or self._hands.sound is None else self._hands.sound.row
                    self._changes.wished(leg, fact, row, self._go_on_with)
                case LegReferred():
                    if self._hands is not None and self._hands.transfer is not None:
                        self._hands.transfer.referred(fact)
                case LegEnded():
                    if not self._changes.left(leg, partial(self._over_by, fact)):
                        self._over_by(fact)
                case LegRinging():
                    self._note(f"it rings at {self._leg.offer.called}")
                case LegEarlyMedia():
                    self._note(f"{self._leg.offer.called} is heard before the answer")
                case LegTermsChanged(terms, held):
                    if self.lease is not None:
                        self._link.change_terms(self.lease, terms)
                    self.happened(CallHeld() if held else CallResumed())
                case LegDigit(digit):
                    self._key(digit, KeyWay.SIGNALLING)
                case _:
                    assert_never(fact)

    def replace(self, old: CallLeg, new: CallLeg) -> bool:
        """Another call takes the place of one of this call's legs. False: it is none of this call's, or it cannot."""
        if self._hands is None or self._hands.sound is None:
            return False
        if old is self._leg:
            return self._changes.take_place(old, new, self._hands.sound.row, self._go_on_with)
        return self._hands.transfer is not None and self._hands.transfer.replace(old, new)

    def _go_on_with(self, leg: CallLeg, facts: AsyncIterator[LegFact]) -> None:
        """The caller's leg is this one from now on. Whoever held the old one, the new one listens."""
        assert self._hands is not None
        self._leg = self._hands.leg = leg
        self._leg_changed = True
        self._read(self._read_leg(leg, facts))
        self.happened(CallResumed())

    def _over_by(self, ended: LegEnded) -> None:
        self._outcome = outcome_of(ended.cause, ended.sip_code, connected=self.lease is not None)
        self.happened(CallerHungUp(ended.cause, ended.sip_code))

    def _connected(self, terms: MediaTerms | None) -> None:
        if self._leg_changed:
            return  # a leg that takes another one's place is on its row already
        if self._placed is None or self._hands is None or self._hands.connect(terms or self._leg.offer.terms):
            self.happened(CallConnected())

    async def _read_app(self, facts: AsyncIterator[AppFact]) -> None:
        async for fact in facts:
            match fact:
                case AnswerCame(number, actions, refused, took_ms):
                    self._note(f"answer to event {number} after {took_ms} ms")
                    self._out_of_turn.answered(number)
                    self.happened(ActionsArrived(actions, number, refused))
                case ActionsCame(actions, refused):
                    self.happened(ActionsArrived(actions, None, refused))
                case AnswerFailed(number, reason):
                    self._out_of_turn.answered(number)
                    self.happened(AppFailed(number, reason))
                case LinkNoted(text):
                    self._note(text)
                case LinkLost(reason):
                    self._out_of_turn.all_answered(self._hands.events_sent if self._hands is not None else 0)
                    self.happened(AppLost(reason))
                case _:
                    assert_never(fact)
            self._follow()

    # --- orders

    def _obey(self, orders: Sequence[Output]) -> None:
        if self._hands is None:
            return
        for order in orders:
            self._log.order(self.now, order)
            self._hands.obey(order)
        if self._core.ended:
            self._over.set()

    def _note(self, text: str) -> None:
        self._log.note(self.now, text)

    # --- the end

    def _give_up(self, failure: BaseException) -> None:
        """The call ends with its `session_end`, and the log says why."""
        logger.error("call_failed", session_id=self.session.id, exc_info=failure)
        self._leg.hang_up("internal_error")
        self._inbox.clear()
        self._note(f"internal error: {failure!r}")
        self.happened(CallerHungUp("internal_error"))

    def _tell_line(self) -> None:
        """How good the caller's line was, for whoever reads the log."""
        line = None if self.lease is None else self._link.quality(self.lease)
        if line is not None:
            self._note(f"line: {line}")
            self._log.about(self.now, {"quality": line.record()})

    async def _close(self) -> None:
        self._leg.hang_up("call_over")
        self._tell_line()
        if self._hands is not None:
            self._hands.rest()
        if self.lease is not None:
            self._link.close(self.lease)
        if self._placed is not None:
            self._placed.release()
        await self._words.close()
        for app in self._apps:
            await app.close()
        if self._outcome is not None:
            self._log.about(self.now, self._outcome.record())
        self._log.close()
