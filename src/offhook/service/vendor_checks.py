"""Every engine that is somewhere else is asked whether its key, address and model are right: by `offhook check`, and by
the service once it has started, which works with or without them."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from offhook.errors import OffhookError
from offhook.service.speech_engines import Engines, made_ears, made_voices
from offhook.service.speech_settings import Speech
from offhook.speech.engine_health import Kind
from offhook.speech.provider_trouble import HostNotReached, ProviderDoubted, TroubleCode, is_public
from offhook.speech.speech_cache import CachedSynthesizer, SpeechCache
from offhook.speech.speech_clock import now_ms
from offhook.speech.synthesizer import Synthesizer
from offhook.speech.transcriber import Transcriber
from offhook.speech.vendor_client import open_vendor_client
from offhook.speech.vendor_engine import VendorEngine

logger = structlog.get_logger()

WITHIN_SECONDS: Final = 10.0
OFFLINE: Final = "No vendor can be reached: is this machine offline, or a firewall between?"


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """What came of asking one engine; `code` and `remedy` only when something is wrong, `remedy` alone when something
    may be. `host`: the one that could not be reached."""

    kind: Kind
    name: str
    said: str
    code: str | None = None
    remedy: str | None = None
    host: str | None = None


async def ask_vendors(speech: Speech) -> list[VendorAnswer]:
    """Ask the engines of these settings, all at once, without starting any."""
    async with open_vendor_client() as client:
        engines: list[Transcriber | Synthesizer] = [
            *made_ears(speech, client),
            *made_voices(speech, client, SpeechCache()),
        ]
        try:
            return await _ask(engines)
        finally:
            for engine in engines:
                await engine.stop()


async def say_what_vendors_say(engines: Engines) -> None:
    """Ask the engines that were started, and log what is wrong. One whose key is refused rests at once: no caller has
    to find that out."""
    for answer in await _ask([*engines.ears.values(), *engines.voices.values()]):
        about = {"engine": answer.name, "kind": answer.kind}
        if answer.remedy is None:
            logger.info("engine_answers", **about, said=answer.said)
            continue
        logger.warning("engine_trouble", **about, why=answer.said, remedy=answer.remedy, code=answer.code)
        if answer.code == TroubleCode.REFUSED:
            engines.health.of(answer.kind, answer.name).failed(answer.code, now_ms())


async def _ask(engines: Iterable[Transcriber | Synthesizer]) -> list[VendorAnswer]:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_answer(kind, name, vendor)) for kind, name, vendor in _vendors(engines)]
    answers = [task.result() for task in asked]
    public = [answer for answer in answers if answer.host is not None and is_public(answer.host)]
    several = len({answer.name for answer in public}) > 1 and len({answer.host for answer in public}) > 1
    if not several or any(answer.host is None for answer in answers):
        return answers
    return [replace(answer, remedy=OFFLINE) if answer in public else answer for answer in answers]


def _vendors(engines: Iterable[Transcriber | Synthesizer]) -> Iterable[tuple[Kind, str, VendorEngine]]:
    for engine in engines:
        kind: Kind = "voice" if isinstance(engine, CachedSynthesizer) else "ear"
        inner = engine.engine if isinstance(engine, CachedSynthesizer) else engine
        if isinstance(inner, VendorEngine):
            yield kind, engine.name, inner


async def _answer(kind: Kind, name: str, vendor: VendorEngine) -> VendorAnswer:
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            return VendorAnswer(kind, name, await vendor.check())
    except ProviderDoubted as doubt:
        return VendorAnswer(kind, name, doubt.message, remedy=doubt.remedy)
    except HostNotReached as error:
        return VendorAnswer(kind, name, error.message, error.code, error.remedy, error.host)
    except OffhookError as error:
        return VendorAnswer(kind, name, error.message, error.code, error.remedy)
    except TimeoutError:
        said = f"It did not answer within {WITHIN_SECONDS:g} s."
        return VendorAnswer(kind, name, said, TroubleCode.SILENT, "See the vendor's own status, and try again.")
