"""The app changes language or vendor while the caller speaks, or while his last words are awaited: nothing of what he
says is lost (contract D13).

Whole calls in a whole service, with its own voice detection, chains and connectors; callers say prompts that a person
has read, vendors are fakes on loopback, time goes by hand.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from offhook.app_links.app_link import ActionsCame
from offhook.audio.g711 import decode_alaw, encode_alaw
from offhook.calls.heartbeat import Heartbeat, stopped
from offhook.calls.media_link import InProcessMediaLink
from offhook.conversation.inputs import FinalWords, Input, PartialWords
from offhook.conversation.outputs import ConfigureRecognition, Output
from offhook.media.messages import Codec
from offhook.protocol.json_codec import read_actions
from offhook.protocol.session import Session
from offhook.service.phone_line import PhoneLine
from offhook.service.settings_file import from_tree
from offhook.service.wiring import ByHand, open_house
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.dialler import SimulatorDialler
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Say, ready
from tests.calls.hand_house import AppInMemory, Json
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.vendor_script import KEY, VendorScript
from tests.fakes.vendor_server import Connection
from tests.peers.sound import RATE, best_match, prompt, wideband_prompt

pytestmark = pytest.mark.speech

Samples: TypeAlias = npt.NDArray[np.int16]

NUMBER: Final = "+4921155660"
WORDS_OF_PROMPTS: Final = Path(__file__).parents[1] / "data" / "prompts_en.tsv"
AUDIBLE: Final = 500
"""A person's voice on a telephone line is louder: -36 dB of full scale."""
IN_MID_SENTENCE: Final = 45
"""Ticks after the onset is known, in prompts of more than two seconds."""
WITHIN_SECONDS: Final = 10.0
BEFORE: Final = "what was known before"

PATIENT: Final = {"switching": {"words_within_ms": 20_000, "final_within_ms": 8000}}
"""Here time goes by faster than engines recognise."""


class Story:
    """What the ears of one call said, and how they were configured, in order (calls.call_log.CallWatcher)."""

    def __init__(self) -> None:
        self.told: list[PartialWords | FinalWords | ConfigureRecognition] = []
        self._news = asyncio.Event()

    def fact(self, at: int, fact: Input) -> None:
        if isinstance(fact, PartialWords | FinalWords):
            self.told.append(fact)
            self._news.set()

    def order(self, at: int, order: Output) -> None:
        if isinstance(order, ConfigureRecognition):
            self.told.append(order)

    def note(self, at: int, text: str) -> None:
        """Notes are for the call's log."""

    def close(self) -> None:
        """The test ends the call."""

    async def words(self) -> None:
        """Wait until words are known. Meanwhile no time goes by in the call."""
        async with asyncio.timeout(WITHIN_SECONDS):
            while not any(isinstance(each, PartialWords) for each in self.told):
                self._news.clear()
                await self._news.wait()


@dataclass(eq=False)
class Call:
    """One caller, and the app that answers him."""

    caller: Caller
    app: AppInMemory
    story: Story
    codec: Codec
    _said: int = 0

    def says(self, name: str) -> None:
        """Begin to say this prompt, as it was read, up to its last sound."""
        read = prompt(name) if self.codec.rate == RATE else wideband_prompt(name)
        spoken = (read * 32767).astype(np.int16)
        spoken = spoken[: np.flatnonzero(np.abs(spoken) > AUDIBLE)[-1]]
        self._said = self.caller.add(ready(Say(spoken), self.codec.rate))

    @property
    def is_speaking(self) -> bool:
        return len(self.caller.outcomes) <= self._said

    def configures(self, **change: Any) -> None:
        """The app sends `configure_transcription`, out of turn."""
        session_id = self.app.received[0]["session"]["id"]
        read = read_actions(json.dumps({"type": "configure_transcription", **change}), session_id)
        assert read.actions
        self.app.tell(ActionsCame(read.actions, read.refused))

    def was_told(self, kind: str) -> list[Json]:
        """The events of this type that the app has received."""
        return [event for event in self.app.received if event["type"] == kind]

    @property
    def texts(self) -> list[str]:
        """What the app knows that the caller has said."""
        return [event["text"] for event in self.was_told("user_speak")]

    def line(self) -> Samples:
        """All that the caller has said, silence too, as the line carried it."""
        said: Samples = np.ascontiguousarray(self.caller.recording()[:, 0])
        return decode_alaw(encode_alaw(said)) if self.codec is Codec.PCMA else said


class Calls:
    """What a test holds in its hand: the clock, and callers."""

    def __init__(
        self, line: PhoneLine, simulator: SimulatorListener, apps: list[AppInMemory], stories: list[Story]
    ) -> None:
        self._line: Final = line
        self._simulator: Final = simulator
        self._apps: Final = apps
        self._stories: Final = stories

    async def dial(self, how_many: int, codec: Codec = Codec.PCMA) -> list[Call]:
        """So many callers, connected at the same time."""
        calls: list[Call] = []
        for _ in range(how_many):
            caller = await self._simulator.call(called=NUMBER, codec=codec)
            await self._line.settle()
            calls.append(Call(caller, self._apps[-1], self._stories[-1], codec))
        await self.until(lambda: all(call.was_told("session_start") for call in calls))
        return calls

    async def tick(self, ticks: int = 1) -> None:
        """Let 20 ms pass, so many times."""
        for _ in range(ticks):
            await self._line.tick()

    async def until(self, condition: Callable[[], bool], within_ms: int = 20_000) -> None:
        """Let time pass until this is so."""
        for _ in range(within_ms // 20):
            if condition():
                return
            await self._line.tick()
        raise AssertionError(f"not within {within_ms} ms: {[app.received for app in self._apps]}")

    async def until_in_mid_sentence(self, calls: Sequence[Call]) -> None:
        """All of them speak, and go on speaking."""
        await self.until(lambda: all(call.was_told("user_speech_started") for call in calls))
        await self.tick(IN_MID_SENTENCE)
        assert all(call.is_speaking for call in calls)

    async def until_understood(self, calls: Sequence[Call], turns: int = 1) -> None:
        """The app knows what all of them have said, and nothing more comes."""
        await self.until(lambda: all(len(call.texts) >= turns for call in calls))
        await self.tick(50)
        assert [len(call.texts) for call in calls] == [turns] * len(calls)


@asynccontextmanager
async def service(
    deepgram: FakeDeepgram, eleven_labs: FakeElevenLabs, transcriber: str, **more: Mapping[str, Any]
) -> AsyncIterator[Calls]:
    """A service with these engines, and `more` of `[speech]`, whose flow hears with this ear. That it asked the vendors
    about their keys is forgotten."""
    speech = {
        **PATIENT,
        "deepgram": {"key": KEY, "url": deepgram.url},
        "eleven_labs": {"key": KEY, "url": eleven_labs.url},
        **more,
    }
    apps: list[AppInMemory] = []
    stories: list[Story] = []
    flow = {"id": "test", "app": "ws://app.invalid/", "numbers": [NUMBER], "speech": {"transcriber": [transcriber]}}
    tree = {"sip": {"listen": []}, "storage": {"call_logs": ""}, "speech": speech, "flow": [flow]}

    def open_app(session_id: str, url: str | None, tasks: asyncio.TaskGroup) -> AppInMemory:
        del url, tasks
        apps.append(AppInMemory(session_id, lambda _: []))
        return apps[-1]

    def watch(session: Session) -> Story:
        del session
        stories.append(Story())
        return stories[-1]

    link = InProcessMediaLink(loop_samples=1 << 17)
    by_hand = ByHand(link, Heartbeat(link, clock=stopped), open_app, None)
    async with open_house(from_tree(tree, {}, source="the test"), watch=watch, by_hand=by_hand) as house:
        await house.engines.tasks.settle()
        for vendor in (deepgram, eleven_labs):
            vendor.connections.clear()
        simulator = SimulatorListener()
        await simulator.start()
        line = PhoneLine(house, link, simulator, SimulatorDialler(), [], None)
        running = asyncio.ensure_future(house.register.run([simulator]))
        await line.settle()
        try:
            yield Calls(line, simulator, apps, stories)
        finally:
            await simulator.stop()
            while house.register.calls_in_progress():
                await line.tick()
            running.cancel()
            await asyncio.wait([running])


def words_of(name: str) -> str:
    """What is said in this prompt."""
    lines = WORDS_OF_PROMPTS.read_text().splitlines()
    return next(words for prompt_of, words in (line.split("\t") for line in lines) if prompt_of == name)


def heard_by_deepgram(connection: Connection) -> Samples:
    """All audio that came on this socket."""
    return np.frombuffer(b"".join(each for each in connection.messages if isinstance(each, bytes)), np.int16)


def heard_by_eleven_labs(connection: Connection) -> Samples:
    """All audio that came on this socket."""
    chunks = (json.loads(each)["audio_base_64"] for each in connection.messages)
    return np.frombuffer(b"".join(base64.b64decode(each) for each in chunks), np.int16)


def only(connections: Sequence[Connection], **query: str) -> Connection:
    """The one socket that was opened with this in its query."""
    (found,) = [each for each in connections if query.items() <= dict(each.query).items()]
    return found


def assert_is_the_whole_turn(heard: Samples, call: Call, turn: int = 0) -> None:
    """It is what the caller said, sample by sample without a gap, from before his first sound to behind his last."""
    line = call.line()
    _, at = best_match(line / 32768, heard / 32768)
    assert np.array_equal(heard, line[at : at + heard.size])
    said = call.caller.said[turn]
    audible = np.flatnonzero(np.abs(line[: said.end_ms * call.codec.rate // 1000]) > AUDIBLE)
    assert at <= audible[audible >= said.start_ms * call.codec.rate // 1000][0]
    assert at + heard.size > audible[-1]


@pytest.mark.parametrize("codec", [Codec.PCMA, Codec.L16])
async def test_an_ear_that_takes_over_while_the_caller_speaks_is_told_every_sample_of_his_turn(codec: Codec) -> None:
    """Another language of the same vendor; another vendor; two changes in one turn; and one in the silence behind his
    last word, when the turn has not ended yet."""
    name = "cannot-complete-as-dialed"
    sentence = words_of(name)
    async with (
        FakeDeepgram(VendorScript(heard=[BEFORE] * 4 + [sentence] * 3)) as deepgram,
        FakeElevenLabs(VendorScript(heard=[sentence] * 2)) as eleven_labs,
        service(deepgram, eleven_labs, "deepgram") as calls,
    ):
        every = language, vendor, twice, in_silence = await calls.dial(4, codec)
        for call in every:
            call.says(name)
        await calls.until_in_mid_sentence(every)
        for call in every:
            await call.story.words()
        language.configures(languages=["de-DE"])
        vendor.configures(provider="ELEVEN_LABS")
        twice.configures(provider="ELEVEN_LABS", languages=["fr-FR"])
        await calls.tick(20)
        assert twice.is_speaking
        twice.configures(provider="DEEPGRAM", languages=["es-ES"])
        await calls.until(lambda: not in_silence.is_speaking)
        await calls.tick(5)
        assert not in_silence.texts
        in_silence.configures(languages=["it-IT"])
        await calls.until_understood(every)

        assert [call.texts for call in every] == [[sentence]] * 4
        for call in every:
            assert isinstance(call.story.told[0], PartialWords)
            assert BEFORE.startswith(call.story.told[0].text)
        assert_is_the_whole_turn(heard_by_deepgram(only(deepgram.connections, language="de")), language)
        (without_language,) = [each for each in eleven_labs.connections if "language_code" not in each.query]
        assert_is_the_whole_turn(heard_by_eleven_labs(without_language), vendor)
        assert_is_the_whole_turn(heard_by_deepgram(only(deepgram.connections, language="es")), twice)
        assert_is_the_whole_turn(heard_by_deepgram(only(deepgram.connections, language="it")), in_silence)
        # Nobody listens any more who was replaced.
        replaced = [each for each in deepgram.connections if each.query["language"] == "multi"]
        assert len(replaced) == 4
        await deepgram.until(lambda: all(each.close_code is not None for each in replaced))
        between = only(eleven_labs.connections, language_code="fr")
        await eleven_labs.until(lambda: between.close_code is not None)


async def test_the_embedded_ear_that_takes_over_has_all_words_of_the_turn() -> None:
    """From a vendor; and from itself, where in mid-turn only the vocabulary is changed. They are the same words as
    without a change."""
    one, other = "conf-placeintoconf", "cannot-complete-as-dialed"
    vocabulary = [words_of(name) for name in (one, other, "agent-pass", "conf-now-recording", "im-sorry")]
    async with (
        FakeDeepgram(VendorScript(heard=[BEFORE])) as deepgram,
        FakeElevenLabs() as eleven_labs,
        service(deepgram, eleven_labs, "pocketsphinx") as calls,
    ):
        every = *unchanged, from_vendor, from_itself = await calls.dial(4)
        for call in unchanged:
            call.configures(custom_vocabulary=vocabulary)
        from_vendor.configures(provider="DEEPGRAM")
        from_itself.configures(custom_vocabulary=["something else"])
        await calls.tick()
        for call, name in zip(every, (one, other, one, other), strict=True):
            call.says(name)
        await calls.until_in_mid_sentence(every)
        await from_vendor.story.words()
        from_vendor.configures(provider="pocketsphinx", custom_vocabulary=vocabulary)
        from_itself.configures(custom_vocabulary=vocabulary)
        await calls.until_understood(every)

        assert [call.texts for call in every] == [[words_of(name)] for name in (one, other, one, other)]
        assert any(isinstance(told, PartialWords) and BEFORE.startswith(told.text) for told in from_vendor.story.told)


async def test_a_scripted_ear_that_takes_over_has_heard_as_much_as_one_that_was_there_from_the_start() -> None:
    """It gives a word for each 20 ms."""
    script = " ".join(str(number) for number in range(300))
    async with (
        FakeDeepgram(VendorScript(heard=[BEFORE])) as deepgram,
        FakeElevenLabs() as eleven_labs,
        service(deepgram, eleven_labs, "scripted", scripted={"script": [script], "word_every_ms": 20}) as calls,
    ):
        every = unchanged, language, vendor, twice = await calls.dial(4)
        vendor.configures(provider="DEEPGRAM")
        await calls.tick()
        for call in every:
            call.says("cannot-complete-as-dialed")
        await calls.until_in_mid_sentence(every)
        await vendor.story.words()
        language.configures(languages=["de-DE"])
        vendor.configures(provider="scripted")
        twice.configures(provider="ELEVEN_LABS")
        await calls.tick(20)
        twice.configures(provider="scripted", languages=["es-ES"])
        await calls.until_understood(every)

        assert [call.texts for call in every] == [[script]] * 4
        heard = {call: _words_by_audio(call.story) for call in every}
        # The voice detector looks at each call in chunks of 32 ms, which begin at different places.
        assert all(abs(heard[call] - heard[unchanged]) <= 3 for call in every), heard.values()


def _words_by_audio(story: Story) -> int:
    """How many words the audio of the turn has revealed, before all others came with its end."""
    (*_, last) = [told for told in story.told if isinstance(told, PartialWords)]
    return len(last.text.split())


async def test_a_vendor_that_owes_the_last_words_is_heard_out_though_another_one_listens_now() -> None:
    first, second = "cannot-complete-as-dialed", "conf-placeintoconf"
    async with (
        FakeDeepgram(VendorScript(heard=[words_of(first)], final_ms=200)) as deepgram,
        FakeElevenLabs(VendorScript(heard=[words_of(second)])) as eleven_labs,
        service(deepgram, eleven_labs, "deepgram") as calls,
    ):
        (call,) = await calls.dial(1)
        call.says(first)
        going_on = asyncio.ensure_future(calls.until_understood([call]))
        await deepgram.until(lambda: any(_asks_for_the_end(each) for each in deepgram.connections), WITHIN_SECONDS)
        call.configures(provider="ELEVEN_LABS")
        await going_on

        assert call.texts == [words_of(first)]
        assert [type(told) for told in call.story.told[-2:]] == [ConfigureRecognition, FinalWords]
        await eleven_labs.until(lambda: bool(eleven_labs.connections))
        (old,), (new,) = deepgram.connections, eleven_labs.connections
        assert_is_the_whole_turn(heard_by_deepgram(old), call)
        assert new.messages == []
        await deepgram.until(lambda: old.close_code is not None)

        call.says(second)
        await calls.until_understood([call], turns=2)

        assert call.texts == [words_of(first), words_of(second)]
        assert_is_the_whole_turn(heard_by_eleven_labs(new), call, turn=1)
        assert deepgram.connections == [old]


def _asks_for_the_end(connection: Connection) -> bool:
    return any(isinstance(each, str) and json.loads(each)["type"] == "Finalize" for each in connection.messages)
