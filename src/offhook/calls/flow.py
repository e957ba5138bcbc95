"""What a call needs to know of the flow it belongs to. Concrete engines and links are chosen in service/wiring.py."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from offhook.app_links.app_link import AppLink
from offhook.conversation.defaults import CallSettings
from offhook.media.shared_audio import Samples
from offhook.protocol.session import Session
from offhook.protocol.speech_options import TtsConfig
from offhook.speech.synthesizer import SpeechChunk
from offhook.speech.transcriber import Transcriber


class Voice(Protocol):
    """The flow's chain of voices (D10): it resolves provider names and falls back by itself."""

    def speak(
        self, text: str | None, ssml: str | None, tts: TtsConfig | None, *, opening: bool = False
    ) -> AsyncIterator[SpeechChunk]:
        """Speech as it is made; `opening`: the call begins with it. Raises ProviderFailed when no engine of the chain
        can say it."""

    async def warm(self) -> None:
        """It rings: have ready what calls begin with (D36)."""


class Ears(Protocol):
    """The engines that may transcribe for a flow."""

    def named(self, provider: str | None) -> Transcriber:
        """The engine of this contract name (D13), the flow's own for None or an unknown name."""


@dataclass(frozen=True, slots=True)
class WhileItRings:
    """What a caller hears while a transfer rings (D15): `samples(rate)` is one round of it, played over and over. The
    ringing tone waits until it rings there; a loop of the flow's begins `at_once`."""

    samples: Callable[[int], Samples]
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow, ready for calls.

    `open_app(session_id, url, tasks)` opens the link to the flow's app, or to `url` (the second app of D26); what the
    link does are children of `tasks`.
    `settings(session, began_at)` resolves everything that the core decides by. `fetch(url)` brings the prompt of a
    `gather_dtmf` (D16). A call that is placed, and a transfer without `timeout`, is given up after `ring_seconds`.
    """

    id: str
    account_id: str
    settings: Callable[[Session, int], CallSettings]
    open_app: Callable[[str, str | None, asyncio.TaskGroup], AppLink]
    voice: Voice
    ears: Ears
    fetch: Callable[[str], AsyncIterator[SpeechChunk]]
    while_it_rings: WhileItRings
    ring_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class CallOfFlow:
    """The flow that a call belongs to, with both numbers as they go out in events (D1, D2). `caller` of a call that is
    placed is the flow's own number, "" when it has none."""

    flow: Flow
    called: str
    caller: str


class Switchboard(Protocol):
    """Which flow answers which number, and which number it calls from."""

    def find(self, called: str, caller: str | None, trunk: str | None = None) -> CallOfFlow | None:
        """`trunk`: the one that the call came by, which may say how numbers are to be read. None: no flow has this
        number (D41: 404)."""

    def calling(self, flow_id: str, called: str) -> CallOfFlow | None:
        """The flow of this id, about to call somebody. None: there is no such flow."""
