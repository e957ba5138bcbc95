"""The whole house in one process, with the clock by hand: register, media worker, simulator, scripted speech, an app in
memory. A tick ends when nothing is under way any more, so that every run is the same."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from offhook.app_links.app_link import AnswerCame, AppFact, AppLink
from offhook.audio.wav import wav_bytes
from offhook.calls.call_log import CallWatcher, LogSink, MemorySink
from offhook.calls.call_register import CallRegister
from offhook.calls.dial_routes import AskedToDial, DialRefused, Purpose
from offhook.calls.flow import CallOfFlow, Ears, Flow, WhileItRings
from offhook.calls.heartbeat import Heartbeat, stopped
from offhook.calls.media_link import InProcessMediaLink
from offhook.calls.placed_leg import WayOut
from offhook.conversation.defaults import CallSettings
from offhook.protocol.events import Event
from offhook.protocol.json_codec import event_to_json, read_actions
from offhook.protocol.session import Session
from offhook.speech.synthesizer import SpeechChunk
from offhook.speech.synthesizer_chain import SynthesizerChain
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings
from offhook.speech.transcriber import Transcriber
from offhook.speech.transcribers.scripted import ScriptedEarSettings, ScriptedTranscriber
from offhook.transports.call_leg import Dial
from offhook.transports.simulator.callee import Callee, Reception
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.dialler import SimulatorDialler
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Say, Step
from tests.calls.udp_leg import UdpLines

Json: TypeAlias = dict[str, Any]
Floats: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.intp]
Answers: TypeAlias = Callable[[Json], list[Json]]

EPOCH = 1_800_000_000_000
IDLE_TURNS = 12
LOOP_SAMPLES = 1 << 17
RATE = 16000


class LoudnessDetector:
    """Takes for voice whatever is loud."""

    def probabilities(self, chunks: Floats, rows: Rows) -> Floats:
        del rows
        return np.where(np.abs(chunks).mean(axis=1) > 0.05, np.float32(0.9), np.float32(0.1))

    def reset(self, rows: Rows) -> None:
        del rows


class AppInMemory:
    """An app whose answers are a function of the event. `received` are the events as JSON, in order."""

    def __init__(self, session_id: str, answers: Answers) -> None:
        self._session_id = session_id
        self._answers = answers
        self._facts: asyncio.Queue[AppFact | None] = asyncio.Queue()
        self.received: list[Json] = []
        self.warmed = False
        self.closed = False

    async def warm(self) -> None:
        self.warmed = True

    def send(self, number: int, event: Event) -> None:
        received = json.loads(event_to_json(event))
        self.received.append(received)
        read = read_actions(json.dumps(self._answers(received)), self._session_id)
        self.tell(AnswerCame(number, read.actions, read.refused, 3))

    def tell(self, fact: AppFact) -> None:
        """Let something come out of the link."""
        self._facts.put_nowait(fact)

    async def facts(self) -> AsyncIterator[AppFact]:
        while (fact := await self._facts.get()) is not None:
            yield fact

    async def close(self) -> None:
        self.closed = True
        self._facts.put_nowait(None)


@dataclass
class MemoryLogs:
    """The log of every call, in memory, in the order in which the calls came."""

    sinks: dict[str, MemorySink] = field(default_factory=dict)

    def open(self, session_id: str) -> LogSink:
        return self.sinks.setdefault(session_id, MemorySink())


@dataclass
class OneEar:
    """Whatever is asked for, this ear listens."""

    ear: Transcriber

    def named(self, provider: str | None) -> Transcriber:
        del provider
        return self.ear


class HandHouse:
    """Use it as `async with HandHouse(answers, words=[…]) as house`.

    Args:
        answers: what the app answers to each event (JSON in, JSON out).
        words: what the caller says in turns 1, 2, … as the scripted ear hears it.
        receives: how each call that the house places is received.
        refers: whether the trunk wants callers to be referred instead of bridged.
        lines: telephones over UDP, which are called in the place of simulated ones.
        ears: in the place of the one that hears `words`.
        settings: changes to the call's settings.

    Its dial plan dials every number as it is written, but for those in `forbidden`; `asked` is what it was asked, `out`
    what of that is in progress.
    """

    def __init__(
        self,
        answers: Answers = lambda _: [],
        *,
        words: Sequence[str | None] = (),
        max_calls: int = 4,
        number: str = "+4921155660",
        voice: ScriptedSynthesizer | None = None,
        flow_id: str = "test",
        receives: Callable[[Dial], Reception] = lambda _: Reception(),
        while_it_rings: WhileItRings | None = None,
        refers: bool = False,
        lines: UdpLines | None = None,
        ears: Ears | None = None,
        **settings: Any,
    ) -> None:
        self._answers = answers
        self._settings = settings
        self._number = number
        self.voice = voice or ScriptedSynthesizer(ScriptedVoiceSettings(rate=RATE, ms_per_character=20))
        self.ear = ScriptedTranscriber(ScriptedEarSettings(words))
        self.link = InProcessMediaLink(detector=LoudnessDetector(), loop_samples=LOOP_SAMPLES)
        self.heart = Heartbeat(self.link, epoch=EPOCH, clock=stopped)
        self.logs = MemoryLogs()
        self.simulator = SimulatorListener()
        self.dialler = SimulatorDialler(receives)
        self.asked: list[AskedToDial] = []
        self.out: list[AskedToDial] = []
        self.forbidden: set[str] = set()
        self._refers = refers
        self._lines = lines
        self.apps: list[AppInMemory] = []
        self._begun: list[asyncio.Future[None]] = []
        self.watch: Callable[[Session], CallWatcher | None] = lambda _: None
        self.flow = Flow(
            id=flow_id,
            account_id="account",
            settings=self._call_settings,
            open_app=self._open_app,
            voice=SynthesizerChain([self.voice], ["scripted"]),
            ears=ears or OneEar(self.ear),
            fetch=self._fetch,
            while_it_rings=while_it_rings or WhileItRings(ringing),
        )
        self.way_out = WayOut(self.link, self)
        self.register = CallRegister(
            link=self.link,
            heart=self.heart,
            switchboard=self,
            logs=self.logs,
            max_calls=max_calls,
            retry_after_seconds=5,
            way_out=self.way_out,
            watch=self._watch,
        )

    # --- what the register asks

    def find(self, called: str, caller: str | None, trunk: str | None = None) -> CallOfFlow | None:
        del trunk
        return CallOfFlow(self.flow, called, caller or "anonymous") if called == self._number else None

    def calling(self, flow_id: str, called: str) -> CallOfFlow | None:
        return CallOfFlow(self.flow, called, self._number) if flow_id == self.flow.id else None

    def route(self, asked: AskedToDial) -> Dial | DialRefused:
        self.asked.append(asked)
        if asked.target in self.forbidden:
            return DialRefused("not_listed", asked.target, "no allowed prefix lists it.", "Add it to dial.allow.")
        self.out.append(asked)
        caller = asked.caller_number or self._number
        refer_to = f"sip:{asked.target}@trunk.test" if self._refers and asked.purpose is Purpose.TRANSFER else None
        return Dial("simulator", asked.target, caller, asked.caller_name, asked.ring_seconds, refer_to=refer_to)

    def over(self, asked: AskedToDial) -> None:
        self.out.remove(asked)

    def _call_settings(self, session: Session, began_at: int) -> CallSettings:
        return CallSettings(session=session, began_at=began_at, **self._settings)

    def _watch(self, session: Session) -> CallWatcher | None:
        return self.watch(session)

    def _open_app(self, session_id: str, url: str | None, tasks: asyncio.TaskGroup) -> AppLink:
        del url, tasks
        app = AppInMemory(session_id, self._answers)
        self.apps.append(app)
        return app

    async def _fetch(self, url: str) -> AsyncIterator[SpeechChunk]:
        del url
        yield SpeechChunk(tone(400, 600), RATE)

    # --- living

    async def __aenter__(self) -> "HandHouse":
        await self.link.start()
        await self.simulator.start()
        further = [] if self._lines is None else [self._lines]
        self._running = asyncio.ensure_future(
            self.register.run([self.simulator, *further], [*further, self.dialler], beside=[self.dialler])
        )
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.simulator.stop()
        self.dialler.stop()
        if self._lines is not None:
            await self._lines.stop()
        await self.until(lambda: self.register.calls_in_progress() == 0)
        await asyncio.gather(*self._begun)
        self._running.cancel()
        await asyncio.wait([self._running])
        await self.link.end()
        assert self.out == []

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on that waits for calls."""
        self._begun.append(asyncio.ensure_future(work))

    async def dial(
        self,
        *script: Step,
        called: str | None = None,
        caller: str | None = "+491701234567",
        referral: int | None = 200,
    ) -> Caller:
        placed = await self.simulator.call(script, called=called or self._number, caller=caller, referral=referral)
        await self.settle()
        return placed

    @property
    def callee(self) -> Callee:
        """Who was called last."""
        return self.dialler.placed[-1]

    async def tick(self, ticks: int = 1) -> None:
        """Let 20 ms pass, so many times."""
        for _ in range(ticks):
            self.heart.take(await self.link.tick(), ())
            self.simulator.exchange()
            self.dialler.exchange()
            await self.settle()

    async def until(self, condition: Callable[[], bool], *, within_ms: int = 60_000) -> None:
        """Let time pass until something holds. Fails when it does not come in time."""
        for _ in range(within_ms // 20):
            if condition():
                return
            await self.tick()
        raise AssertionError(f"not within {within_ms} ms; the calls' logs: {self.told()}")

    async def settle(self) -> None:
        """Let everything that is under way become what it will be, without time passing."""
        idle = 0
        while idle < IDLE_TURNS:
            await _turn_of_the_loop()
            idle = 0 if self.register.busy else idle + 1

    # --- what came of it

    @property
    def app(self) -> AppInMemory:
        return self.apps[-1]

    def events(self) -> list[str]:
        """The types of the events of the last call."""
        return [event["type"] for event in self.app.received]

    def log(self) -> list[Json]:
        """The log of the last call, as records."""
        return [json.loads(line) for line in next(reversed(self.logs.sinks.values())).lines]

    def facts(self) -> list[str]:
        """The facts of the last call, by name."""
        return [record["fact"]["type"] for record in self.log() if "fact" in record]

    def notes(self) -> str:
        return "\n".join(record["note"] for record in self.log() if "note" in record)

    def told(self) -> str:
        return "\n".join("\n".join(sink.lines) for sink in self.logs.sinks.values())


async def _turn_of_the_loop() -> None:
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turned.set_result, None)
    await turned


def tone(hertz: float, ms: int, level: int = 8000) -> npt.NDArray[np.int16]:
    """A tone at 16 kHz: what a caller's voice is to the loudness detector."""
    at = np.arange(ms * RATE // 1000) / RATE
    return (level * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def ringing(rate: int) -> npt.NDArray[np.int16]:
    """One round of a ringing tone: 1 s of 425 Hz, 1 s of nothing."""
    assert rate in {8000, RATE}
    sounding = tone(425, 1000, level=3000)[:: RATE // rate]
    return np.concatenate([sounding, np.zeros(rate, np.int16)])


def talk(ms: int = 1000) -> Say:
    """The caller speaks for so long; what the words are is the scripted ear's affair."""
    return Say(tone(220, ms))


def wav(samples: npt.NDArray[np.int16], rate: int = RATE) -> str:
    """A WAV as an action carries it."""
    return base64.b64encode(wav_bytes(samples, rate)).decode()


def speak(text: str, **more: Any) -> Json:
    return {"type": "speak", "text": text, **more}


def on(**answers: list[Json] | deque[list[Json]]) -> Answers:
    """An app that answers each type of event the same, or with the next of a queue."""

    def answer(event: Json) -> list[Json]:
        found = answers.get(event["type"], [])
        return (found.popleft() if found else []) if isinstance(found, deque) else found

    return answer
