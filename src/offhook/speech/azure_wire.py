"""What ear and voice of Azure have in common: where the Speech service is, and how a message of its WebSockets looks.

The protocol has no specification of its own. What is here is what Microsoft's SDK for JavaScript (MIT:
github.com/microsoft/cognitive-services-speech-sdk-js, `ServiceRecognizerBase`, `SynthesisAdapterBase`) sends and reads.
"""

import json
import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import uuid4

from offhook.speech.provider_trouble import ProviderTrouble
from offhook.speech.vendor_messages import JsonObject
from offhook.speech.vendor_socket import Message

NAME: Final = "azure"
TROUBLE: Final = ProviderTrouble("Azure", "speech.azure", models=("languages", "voice"))
TICKS_A_SECOND: Final = 10_000_000
"""Offsets and durations are in units of 100 ns."""

_LINE: Final = "\r\n"
_BODY: Final = "\r\n\r\n"
_CONFIG: Final = {"context": {"system": {"name": "Offhook", "lang": "Python"}}}


@dataclass(frozen=True, slots=True)
class AzurePlaces:
    """The service's addresses, http(s); an empty one is not there. `ear` hears `universal/v2` or, in a container, the
    path of one language; `voices` lists the voices. `ear_setting` and `voice_setting` say where they are."""

    ear: str = ""
    voice: str = ""
    voices: str = ""
    ear_setting: str = "url"
    voice_setting: str = "url"

    @property
    def ear_trouble(self) -> ProviderTrouble:
        """What can go wrong with the ear there."""
        return replace(TROUBLE, address=self.ear_setting, models=("languages",))

    @property
    def voice_trouble(self) -> ProviderTrouble:
        """What can go wrong with the voice there."""
        return replace(TROUBLE, address=self.voice_setting, models=("voice",))

    @classmethod
    def of_region(cls, region: str) -> Self:
        """The public service in this region, such as `westeurope`; China and the US government have their own."""
        name = region.lower()
        cloud = "azure.cn" if name.startswith("china") else "azure.us" if name.startswith("usgov") else "microsoft.com"
        voice = f"https://{name}.tts.speech.{cloud}/cognitiveservices"
        ear = f"https://{name}.stt.speech.{cloud}/speech/universal/v2"
        return cls(ear, f"{voice}/websocket/v1", f"{voice}/voices/list", "region", "region")

    @classmethod
    def of_resource(cls, url: str) -> Self:
        """The endpoint of a resource, as the Azure portal shows it: `https://name.cognitiveservices.azure.com`."""
        root = url.rstrip("/")
        voice = f"{root}/tts/cognitiveservices"
        return cls(f"{root}/stt/speech/universal/v2", f"{voice}/websocket/v1", f"{voice}/voices/list")

    @classmethod
    def of_containers(cls, ear_url: str | None, voice_url: str | None) -> Self:
        """Containers of the service on one's own machines, which hear and speak at addresses of their own."""
        ear = f"{ear_url.rstrip('/')}/speech/recognition/conversation/cognitiveservices/v1" if ear_url else ""
        voice = f"{voice_url.rstrip('/')}/cognitiveservices" if voice_url else ""
        voices = f"{voice}/voices/list" if voice else ""
        return cls(ear, f"{voice}/websocket/v1" if voice else "", voices, "transcriber_url", "synthesizer_url")


def headers(key: str) -> dict[str, str]:
    """Those of a connection. Containers have no key."""
    return {"X-ConnectionId": new_id()} | ({"Ocp-Apim-Subscription-Key": key} if key else {})


def new_id() -> str:
    """A request's or connection's id: 32 hexadecimal digits."""
    return uuid4().hex


def config() -> str:
    """The first message of a connection."""
    return text("speech.config", new_id(), _CONFIG)


def text(path: str, request: str, body: JsonObject | str) -> str:
    """A text message: JSON, or SSML as it is."""
    content, kind = (body, "application/ssml+xml") if isinstance(body, str) else (json.dumps(body), "application/json")
    return f"{_head(path, request, kind)}{_LINE}{content}"


def audio(request: str, body: bytes, kind: str = "") -> bytes:
    """A binary message: the header's length, the header, the audio. No audio: its end."""
    head = _head("audio", request, kind).encode()
    return struct.pack(">H", len(head)) + head + body


def wave_header(rate: int) -> bytes:
    """What precedes the audio of a request: a RIFF header of linear16 mono, without lengths."""
    form = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 0, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return form + struct.pack("<4sI", b"data", 0)


def _head(path: str, request: str, kind: str) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    lines = [f"Path: {path}", f"X-RequestId: {request}", f"X-Timestamp: {now}Z"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "".join(f"{line}{_LINE}" for line in lines)


@dataclass(frozen=True, slots=True)
class AzureMessage:
    """What Azure said. `path` in lower case; `body` JSON or bytes as they came."""

    path: str
    request: str
    body: str | bytes

    def json(self) -> JsonObject:
        """The body as a JSON object, `{}` when there is none. Raises ProviderFailed."""
        try:
            found: Any = json.loads(self.body or "{}")
        except ValueError as error:
            raise TROUBLE.garbled(str(error)) from None
        if not isinstance(found, dict):
            raise TROUBLE.garbled(f"{self.path} with JSON that is no object")
        return found


def read(message: Message) -> AzureMessage:
    """The message in its parts. Raises ProviderFailed."""
    body: str | bytes
    if isinstance(message, str):
        head, _, body = message.partition(_BODY)
    else:
        length = struct.unpack_from(">H", message)[0] if len(message) >= 2 else len(message)
        if len(message) < 2 + length:
            raise TROUBLE.garbled("a binary message that is shorter than its header")
        head, body = message[2 : 2 + length].decode("latin-1"), message[2 + length :]
    fields = {
        name.strip().lower(): value.strip()
        for name, parted, value in (line.partition(":") for line in head.split(_LINE))
        if parted
    }
    if "path" not in fields:
        raise TROUBLE.garbled(f"a message without a path: {head[:40]}")
    return AzureMessage(fields["path"].lower(), fields.get("x-requestid", "").lower(), body)
