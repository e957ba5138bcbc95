"""A whole service in this process, with its audio in real time, whose engines are vendors' connectors against fakes:
simulated callers talk to it, and their recordings tell how long they heard nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import numpy as np

from offhook.media.messages import Codec
from offhook.service.settings_file import from_tree
from offhook.service.wiring import House, open_house
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.hearing import Span
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import HangUp, Step, WaitUntilQuiet
from tests.peers.apps import Decides, ScriptedApp

CALL_WITHIN_SECONDS: Final = 40.0
FRAME_MS: Final = 20
AUDIBLE: Final = 50.0
"""Mean level of a frame in which something is heard: about -56 dBFS."""


class SpeechHouse:
    """Use it as `async with SpeechHouse(decide, speech, flows) as house`.

    Args:
        decide: what the app answers to each event; one app for all flows.
        speech: the section `[speech]`.
        flows: for each number what is in `[flow.speech]`.
    """

    def __init__(self, decide: Decides, speech: Mapping[str, Any], flows: Mapping[str, Mapping[str, Any]]) -> None:
        self.app: Final = ScriptedApp(decide)
        self._speech: Final = speech
        self._flows: Final = flows
        self._stack: Final = AsyncExitStack()
        self._simulator: Final = SimulatorListener()
        self.house: House

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.app)
        tree = {
            "sip": {"listen": []},
            "storage": {"call_logs": ""},
            "speech": dict(self._speech),
            "flow": [
                {"id": f"flow{number}", "app": self.app.socket, "numbers": [number], "speech": dict(engines)}
                for number, engines in self._flows.items()
            ],
        }
        self.house = await self._stack.enter_async_context(open_house(from_tree(tree, {})))
        # What was found out at the start is forgotten: callers shall find it out.
        await self.house.engines.tasks.settle()
        self.forget()
        await self._simulator.start()
        self._register = asyncio.ensure_future(self.house.register.run([self._simulator]))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._simulator.stop()
        await self.house.register.all_over()
        self._register.cancel()
        await asyncio.wait([self._register])
        await self._stack.aclose()

    def forget(self) -> None:
        """All engines are well, and the app has heard of nothing: as if the service had just been started."""
        for engine in self.house.engines.health.engines:
            engine.succeeded()
        self.app.ledger.received.clear()

    async def call(self, number: str, *script: Step, codec: Codec = Codec.L16) -> Caller:
        """One call until it is over; the caller hangs up after the script."""
        caller = await self._simulator.call([*script, HangUp()], called=number, codec=codec)
        async with asyncio.timeout(CALL_WITHIN_SECONDS):
            await caller.over()
        return caller


def hear_out(quiet_ms: int = 2000) -> WaitUntilQuiet:
    """Until the assistant has said all: longer than any silence that is allowed."""
    return WaitUntilQuiet(quiet_ms, at_most_ms=15_000, speech_at_most_ms=30_000)


def audible(caller: Caller) -> list[Span]:
    """When the caller heard something, to the frame."""
    heard = caller.recording()[:, 1].astype(np.float64)
    frame = caller.rate * FRAME_MS // 1000
    levels = np.abs(heard[: len(heard) // frame * frame]).reshape(-1, frame).mean(axis=1)
    spans: list[Span] = []
    for at in np.flatnonzero(levels > AUDIBLE):
        start, end = int(at) * FRAME_MS, int(at + 1) * FRAME_MS
        if spans and spans[-1].end_ms == start:
            spans[-1] = Span(spans[-1].start_ms, end)
        else:
            spans.append(Span(start, end))
    return spans


def longest_silence(spans: Sequence[Span], since_ms: int) -> int:
    """The longest time from `since_ms` to the last sound in which nothing was heard."""
    longest, quiet_from = 0, since_ms
    for span in spans:
        if span.end_ms > since_ms:
            longest = max(longest, span.start_ms - quiet_from)
            quiet_from = span.end_ms
    return longest
