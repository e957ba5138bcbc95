"""What is done for each order of the core: the hands of a call. One branch an order, and nothing decided here."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any, Final, assert_never

from offhook.app_links.app_link import AppLink
from offhook.audio.resample import resample
from offhook.audio.wav import read_wav
from offhook.calls.assistant_voice import AssistantVoice, wav_as_speech
from offhook.calls.beat_book import CallBeat
from offhook.calls.caller_ear import CallerEar
from offhook.calls.dial_routes import AskedToDial, Purpose
from offhook.calls.engine_notes import EngineNotes
from offhook.calls.flow import Flow
from offhook.calls.leg_changes import LegChanges
from offhook.calls.media_link import MediaLink, Row
from offhook.calls.placed_leg import PlacedLeg, WayOut
from offhook.calls.transfer_leg import TransferLeg
from offhook.conversation.inputs import Input
from offhook.conversation.outputs import (
    AnswerCall,
    ConfigureRecognition,
    Dropped,
    FinishRecognition,
    HangUp,
    Ignored,
    Output,
    PauseLoop,
    PlayAudio,
    PlayUrl,
    PrepareSpeech,
    ResumeLoop,
    Say,
    SendDigit,
    SendEvent,
    StartLoop,
    StartRecognition,
    StartTransfer,
    StopLoop,
    StopOnVoice,
    StopPlayback,
    SwitchApp,
)
from offhook.errors import OffhookError
from offhook.media.messages import TICK_MS, MediaTerms
from offhook.speech.transcriber import Samples, TranscriberStream, TranscriptionSettings
from offhook.transports.call_leg import CallLeg

# A telephone plays what it receives through a buffer, which a BYE empties unheard: the last words get so much longer.
LAST_WORDS_TICKS: Final = 200 // TICK_MS


class Sound:
    """What a call has once its leg is answered: a row, a voice, an ear. `silent_since` is the tick of the last end of
    an utterance."""

    def __init__(self, row: Row, voice: AssistantVoice, ear: CallerEar) -> None:
        self.row: Final = row
        self.voice: Final = voice
        self.ear: Final = ear
        self.silent_since: int | None = None


class Hands:
    """Carries out the orders of one call.

    Args:
        tasks: the call's task group.
        happened: the call's inbox, for what comes of an order.
        note: the call's log, for what the core need not know.
        open_app: opens the link to the second app of D26 and reads it from then on.
        listen: reads a recogniser's stream from now on.
        recognition: what recognition begins with.
        way_out: places the second leg of a transfer.
        placed: the leg as it was placed, when we have called and not the caller.
        changes: what to do when a leg gives way to another one; `leg` is the caller's at any time.
    """

    def __init__(
        self,
        *,
        leg: CallLeg,
        flow: Flow,
        app: AppLink,
        link: MediaLink,
        beat: CallBeat[Any],
        tasks: asyncio.TaskGroup,
        happened: Callable[[Input], None],
        note: Callable[[str], None],
        open_app: Callable[[str], AppLink],
        listen: Callable[[TranscriberStream], None],
        recognition: ConfigureRecognition,
        session_id: str,
        way_out: WayOut,
        placed: PlacedLeg | None,
        changes: LegChanges,
    ) -> None:
        self.leg = leg
        self._flow: Final = flow
        self._app = app
        self._link: Final = link
        self._beat: Final = beat
        self._tasks: Final = tasks
        self._happened: Final = happened
        self._note: Final = note
        self._open_app: Final = open_app
        self._listen: Final = listen
        self._recognition: Final = recognition
        self._session_id: Final = session_id
        self._way_out: Final = way_out
        self._placed: Final = placed
        self._changes: Final = changes
        self._ear_notes: Final = EngineNotes("ear", note)
        self._transfers = 0
        self._loop_task: asyncio.Task[None] | None = None
        self._leaving: str | None = None
        self.sound: Sound | None = None
        self.transfer: TransferLeg | None = None
        self.events_sent = 0

    @property
    def reads_loop(self) -> bool:
        """Whether a background loop is being read."""
        return self._loop_task is not None and not self._loop_task.done()

    def obey(self, order: Output) -> None:
        """Do it. What can only be done on an answered leg is noted and left when there is none."""
        match order:
            case AnswerCall():
                self._answer()
            case SendEvent(number, event):
                self.events_sent = number
                self._app.send(number, event)
            case SwitchApp(url):
                self._app = self._open_app(url)
            case HangUp(cause):
                if self.transfer is not None:
                    self.transfer.hang_up(cause)
                self._leaving = cause
                self._hang_up_after_the_last_words()
            case Ignored() | Dropped():
                pass
            case _:
                if self.sound is None:
                    self._note(f"{type(order).__name__} on a call that is not connected")
                else:
                    self._obey_in_sound(order, self.sound)

    def tick(self) -> None:
        """At a beat: do what was put off until this tick."""
        self._changes.tick()
        if self.transfer is not None:
            self.transfer.tick()
        self._hang_up_after_the_last_words()
        if self.sound is not None:
            self.sound.ear.tick()

    def rest(self) -> None:
        """The call is over: what is still being made is not needed."""
        self._replace_loop(None)
        if self.sound is not None:
            self.sound.voice.silence()
        if self.transfer is not None:
            self.transfer.close()
        self._changes.close()

    def connect(self, terms: MediaTerms) -> bool:
        """The call that was placed is answered on these terms. False: there is no row for it, and it is ended."""
        assert self._placed is not None
        try:
            self._sound_on(self._placed.open(terms))
        except OffhookError as error:
            self._note(str(error))
            self.leg.hang_up("no_media")
            return False
        return True

    def _hang_up_after_the_last_words(self) -> None:
        if self._leaving is None:
            return
        silent_since = None if self.sound is None else self.sound.silent_since
        if silent_since is None or self._beat.tick >= silent_since + LAST_WORDS_TICKS:
            self.leg.hang_up(self._leaving)
            self._leaving = None
        else:
            self._beat.at(silent_since + LAST_WORDS_TICKS)

    def _answer(self) -> None:
        try:
            row = self._link.open(self.leg.offer.terms, self.leg.media_socket())
        except OffhookError as error:
            self._note(str(error))
            self.leg.refuse(503, "Service Unavailable", 10)
            return
        self._sound_on(row)
        self.leg.answer(row.host, row.port)

    def _sound_on(self, row: Row) -> None:
        voice = AssistantVoice(self._link, row.lease, row.rate, self._tasks, self._happened, self._note)
        self.sound = Sound(row, voice, CallerEar(self._link, row.lease, row.rate, self._beat))
        self._configure(self._recognition, self.sound)

    def _start_transfer(self, order: StartTransfer, sound: Sound) -> None:
        self._transfers += 1
        self.transfer = TransferLeg(
            sound.row,
            self.leg,
            self._link,
            self._way_out,
            self._flow.while_it_rings,
            self._transfers,
            self._changes,
            beat=self._beat,
            tasks=self._tasks,
            happened=self._happened,
            note=self._note,
        )
        self.transfer.start(
            AskedToDial(
                flow_id=self._flow.id,
                session_id=self._session_id,
                purpose=Purpose.TRANSFER,
                target=order.target,
                caller_number=order.caller_id_number,
                caller_name=order.caller_id_name,
                ring_seconds=order.timeout_seconds or self._flow.ring_seconds,
                came_by=self.leg.offer.trunk,
                account=self.leg.offer.account,
            )
        )

    def _obey_in_sound(
        self,
        order: PrepareSpeech
        | Say
        | PlayAudio
        | PlayUrl
        | StopPlayback
        | StopOnVoice
        | StartLoop
        | StopLoop
        | PauseLoop
        | ResumeLoop
        | StartRecognition
        | FinishRecognition
        | ConfigureRecognition
        | SendDigit
        | StartTransfer,
        sound: Sound,
    ) -> None:
        lease = sound.row.lease
        match order:
            case PrepareSpeech(number, text, ssml, tts):
                sound.voice.prepare(number, self._flow.voice.speak(text, ssml, tts, opening=number == 1))
            case Say(number, text, ssml, tts):
                sound.voice.say(number, lambda: self._flow.voice.speak(text, ssml, tts, opening=number == 1))
            case PlayAudio(number, audio):
                sound.voice.say(number, lambda: wav_as_speech(base64.b64decode(audio)))
            case PlayUrl(number, url):
                sound.voice.say(number, lambda: self._flow.fetch(url))
            case StopPlayback(number):
                sound.voice.stop(number)
            case StopOnVoice(number, not_before_ms):
                self._link.stop_on_voice(lease, number, not_before_ms)
            case StartLoop(audio, volume):
                self._replace_loop(self._tasks.create_task(self._start_loop(sound.row, audio, volume)))
            case StopLoop():
                self._replace_loop(None)
                self._link.loop(lease, None, 0.0)
            case PauseLoop():
                self._link.rest_loop(lease, True)
            case ResumeLoop():
                self._link.rest_loop(lease, False)
            case StartRecognition(turn):
                sound.ear.begin(turn)
            case FinishRecognition(turn):
                sound.ear.finish(turn)
                self._link.rearm_voice(lease)
            case ConfigureRecognition():
                self._configure(order, sound)
            case SendDigit(digit):
                if self.transfer is not None and self.transfer.bridged:
                    self.transfer.send_digit(digit)
                else:
                    self._link.send_digit(lease, digit)
            case StartTransfer():
                self._start_transfer(order, sound)
            case _:
                assert_never(order)

    def _configure(self, order: ConfigureRecognition, sound: Sound) -> None:
        engine = self._flow.ears.named(order.provider)
        self._ear_notes.works(engine.name)
        stream = engine.open(TranscriptionSettings(sound.row.rate, order.languages, order.custom_vocabulary))
        sound.ear.listen_with(stream)
        self._listen(stream)

    def _replace_loop(self, task: asyncio.Task[None] | None) -> None:
        if self._loop_task is not None:
            self._loop_task.cancel()
        self._loop_task = task

    async def _start_loop(self, row: Row, audio: str, volume: float) -> None:
        try:
            samples = await asyncio.to_thread(_decode_loop, audio, row.rate)
            self._link.loop(row.lease, samples if samples.size else None, volume)
        except OffhookError as error:
            self._note(f"background loop not played: {error}")


def _decode_loop(audio: str, rate: int) -> Samples:
    pcm = read_wav(base64.b64decode(audio))
    return resample(pcm.samples, pcm.rate, rate)
