"""A house in this process with its clock by hand, an assistant in it, and one caller on the line.

Media, register, core and engines are those of every service; the caller and whoever he is transferred to are
simulated. A tick ends when nothing is under way any more, so every call is the same each time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeAlias

from offhook.app_links.app_link import AppLink
from offhook.calls.call_log import CallWatcher
from offhook.calls.heartbeat import Heartbeat, stopped
from offhook.calls.media_link import InProcessMediaLink
from offhook.calls.outbound import CallWish
from offhook.errors import OffhookError
from offhook.protocol.session import Session
from offhook.sdk.assistant import Assistant
from offhook.service.assistant_link import AssistantLink
from offhook.service.practice_target import PracticeRoutes
from offhook.service.settings_file import from_tree
from offhook.service.speech_settings import EMBEDDED_EAR, EMBEDDED_VOICE
from offhook.service.spoken_call import SpokenTexts
from offhook.service.wiring import ByHand, House, open_house
from offhook.transports.simulator.babble import babble
from offhook.transports.simulator.callee import Reception
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.dialled_leg import DialledLeg
from offhook.transports.simulator.dialler import SimulatorDialler
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Press, Say, ready

Engines: TypeAlias = Literal["scripted", "real"]

FLOW: Final = "call"
IDLE_TURNS: Final = 12
"""So many turns of the loop without anything under way, and nothing is."""
LOOP_SAMPLES: Final = 1 << 22
_NEITHER: Final = Reception(answers_after_ms=None)
"""It rings until the test says what becomes of it."""


class WordsOfTheTurn(Sequence[str | None]):
    """A script whose every line is what the caller says right now."""

    def __init__(self) -> None:
        self.now = ""

    def __getitem__(self, index: object) -> str:
        return self.now

    def __len__(self) -> int:
        return 1 << 31


class PhoneLine:
    """What a test holds in its hand: the clock, and the caller's telephone."""

    def __init__(
        self,
        house: House,
        link: InProcessMediaLink,
        simulator: SimulatorListener,
        dialler: SimulatorDialler,
        links: list[AssistantLink],
        words: WordsOfTheTurn | None,
    ) -> None:
        self._house: Final = house
        self._link: Final = link
        self._simulator: Final = simulator
        self._dialler: Final = dialler
        self._links: Final = links
        self._words: Final = words
        self._caller: Caller | None = None

    @property
    def is_over(self) -> bool:
        """Whether the call was placed and is over, its last event delivered."""
        return self._caller is not None and self._house.register.calls_in_progress() == 0

    @property
    def ms(self) -> int:
        """What time it is."""
        return self._house.heart.ms

    async def dial(self, called: str, caller: str | None) -> None:
        """The caller places the call."""
        self._caller = await self._simulator.call(called=called, caller=caller, record=False)
        await self.settle()

    async def be_called(self, number: str) -> None:
        """The house calls this number, and who is there answers: the caller, in all that follows."""
        placed = self._house.register.place(CallWish(FLOW, number))
        assert isinstance(placed, Session), "practice routes dial every number"
        self._caller = self._dialler.placed[-1].party
        await self.tick()
        self.target_answers()
        await self.settle()

    async def tick(self) -> None:
        """Let 20 ms pass."""
        self._house.heart.take(await self._link.tick(), ())
        self._simulator.exchange()
        self._dialler.exchange()
        await self.settle()

    async def settle(self) -> None:
        """Let everything that is under way become what it will be, without time passing."""
        idle = 0
        while idle < IDLE_TURNS:
            for link in self._links:
                await link.all_answered()
            await _turn_of_the_loop()
            idle = 0 if self._house.register.busy else idle + 1

    def raise_failure(self) -> None:
        """Raises what a handler has raised, once."""
        for link in self._links:
            if link.failures:
                raise link.failures.pop(0)

    async def says(self, words: str, ms: int) -> Callable[[], bool]:
        """Begin to say this; scripted, for so long. Gives whether that is done."""
        rate = self._the_caller.rate
        if self._words is None:
            return self._does(Say(await SpokenTexts(self._house.engines.voices[EMBEDDED_VOICE]).samples(words, rate)))
        self._words.now = words
        return self._does(Say(babble(ms, rate)))

    def presses(self, keys: str) -> Callable[[], bool]:
        """Begin to press these keys; gives whether that is done. Raises OffhookError for what is no key."""
        return self._does(Press(keys))

    def _does(self, step: Say | Press) -> Callable[[], bool]:
        number = self._the_caller.add(ready(step, self._the_caller.rate))
        return lambda: len(self._the_caller.outcomes) > number

    def hangs_up(self) -> None:
        """The caller is gone."""
        self._the_caller.hang_up()

    # --- who is called

    def target_answers(self) -> None:
        """Who is called takes the call."""
        self._target.far_end_answers()

    def target_refuses(self, cause: str, sip_code: int | None) -> None:
        """Who is called does not."""
        self._target.far_end_refuses(cause, sip_code)

    def target_hangs_up(self) -> None:
        """Who is called has had enough."""
        self._target.far_end_hangs_up()

    @property
    def _target(self) -> DialledLeg:
        leg = self._dialler.placed[-1].party.leg
        assert isinstance(leg, DialledLeg), "whoever is dialled has such a leg"
        return leg

    @property
    def _the_caller(self) -> Caller:
        assert self._caller is not None, "the call is placed first"
        return self._caller


async def _turn_of_the_loop() -> None:
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turned.set_result, None)
    await turned


@asynccontextmanager
async def open_phone_line(
    assistant: Assistant, watch: Callable[[Session], CallWatcher | None], engines: Engines, own_number: str
) -> AsyncIterator[PhoneLine]:
    """A house with this assistant for every number, and a telephone to call it by, or to be called from `own_number`.

    Raises:
        OffhookError: an engine does not start.
    """
    words = WordsOfTheTurn() if engines == "scripted" else None
    ear, voice = ("scripted", "scripted") if words is not None else (EMBEDDED_EAR, EMBEDDED_VOICE)
    flow = {"id": FLOW, "app": "ws://assistant.invalid/", "numbers": ["*", own_number]}
    tree = {
        "sip": {"listen": []},
        "storage": {"call_logs": ""},
        "flow": [{**flow, "speech": {"transcriber": ear, "synthesizer": [voice]}}],
    }
    link = InProcessMediaLink(loop_samples=LOOP_SAMPLES)
    links: list[AssistantLink] = []

    def open_app(session_id: str, url: str | None, tasks: asyncio.TaskGroup) -> AppLink:
        if url is not None:
            raise OffhookError("There is no second app here.", remedy="Test it by itself.", code="no_second_app")
        links.append(AssistantLink(assistant, session_id, tasks))
        return links[-1]

    by_hand = ByHand(link, Heartbeat(link, clock=stopped), open_app, words)
    settings = from_tree(tree, {}, source="the test")
    async with open_house(settings, watch=watch, practice=PracticeRoutes(), by_hand=by_hand) as house:
        simulator, dialler = SimulatorListener(), SimulatorDialler(lambda _: _NEITHER, record=False)
        await simulator.start()
        line = PhoneLine(house, link, simulator, dialler, links, words)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(house.register.run([simulator], [dialler], beside=[dialler]))
            await line.settle()
            try:
                yield line
            finally:
                await simulator.stop()
                dialler.stop()
                while house.register.calls_in_progress():
                    await line.tick()
                running.cancel()
