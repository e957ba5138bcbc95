"""The vendors that whole calls are tried with: each a fake, and the settings that lead to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.azure import FakeAzure
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.openai_realtime import FakeOpenAiRealtime
from tests.fakes.openai_speech import FakeOpenAi
from tests.fakes.vendor_script import KEY, VendorScript
from tests.fakes.vendor_server import VendorServer


@dataclass(frozen=True)
class Vendor:
    """A connector and its fake. `name` is its engine's, `section` what of `[speech]` leads to a fake at this URL;
    `ends_with` is what the vendor wants behind each sentence."""

    name: str
    fake: Callable[[VendorScript], VendorServer]
    section: Callable[[str], Mapping[str, Any]]
    speaks: bool = True
    ends_with: str = ""


def _own(name: str, **more: Any) -> Callable[[str], Mapping[str, Any]]:
    return lambda url: {"openai": {name: {"key": KEY, "url": f"{url}/v1", **more}}}


VENDORS: Final = (
    Vendor("azure", FakeAzure, lambda url: {"azure": {"key": KEY, "url": url}}),
    Vendor("deepgram", FakeDeepgram, lambda url: {"deepgram": {"key": KEY, "url": url}}),
    Vendor("eleven_labs", FakeElevenLabs, lambda url: {"eleven_labs": {"key": KEY, "url": url}}, ends_with=" "),
    Vendor("server", FakeOpenAi, _own("server", ear_model="whisper-1", voice_model="gpt-4o-mini-tts", voice="alloy")),
    Vendor(
        "realtime", FakeOpenAiRealtime, _own("realtime", ear_model="gpt-4o-transcribe", realtime=True), speaks=False
    ),
)


def merged(sections: list[Mapping[str, Any]]) -> dict[str, Any]:
    """One `[speech]` with all of them."""
    speech: dict[str, Any] = {}
    for section in sections:
        for key, value in section.items():
            speech[key] = {**speech.get(key, {}), **value}
    return speech
