"""Azure's Speech service on loopback: recognition and synthesis over WebSocket, the list of voices over HTTP.

It is as strict as it can be where a client could be wrong: what is out of order, lacks a header or is no SSML is closed
with a reason. Sources: Microsoft's SDK for JavaScript (MIT), its public pages on text to speech, and what the SDK for
Python (1.53) says to this server: `test_azure_fake.py` shows that it is content.
"""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

from aiohttp import web

from tests.fakes.vendor_script import PIECE_MS, VendorScript, is_voice, pause, tones
from tests.fakes.vendor_server import FakeSocket, VendorServer

EAR_PATHS: Final = (
    "/speech/recognition/conversation/cognitiveservices/v1",
    "/speech/universal/v2",
    "/stt/speech/universal/v2",
)
VOICE_PATHS: Final = ("/cognitiveservices/websocket/v1", "/tts/cognitiveservices/websocket/v1")
LIST_PATHS: Final = ("/cognitiveservices/voices/list", "/tts/cognitiveservices/voices/list")
VOICES: Final = (
    "de-AT-IngridNeural",
    "de-DE-KatjaNeural",
    "de-DE-SeraphinaMultilingualNeural",
    "en-GB-SoniaNeural",
    "en-US-AvaMultilingualNeural",
    "en-US-JennyNeural",
    "pl-PL-AgnieszkaNeural",
)
TICKS_A_MS: Final = 10_000
PHRASE_ENDS_MS: Final = 500
"""The pause between phrases where the client names none."""
_STEP_MS: Final = 20
_SPEAK: Final = "{http://www.w3.org/2001/10/synthesis}speak"
_VOICE: Final = "{http://www.w3.org/2001/10/synthesis}voice"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(slots=True)
class EarRequest:
    """What one recognition was asked. `ended`: the end of its audio was told."""

    connection: int
    path: str
    query: Mapping[str, str]
    context: dict[str, Any]
    riff: bytes = b""
    audio: bytes = b""
    ended: bool = False


@dataclass(slots=True)
class VoiceRequest:
    """What one synthesis was asked. `finished`: all of its sound was sent."""

    connection: int
    context: dict[str, Any]
    ssml: str
    voice: str = ""
    text: str = ""
    finished: bool = False


@dataclass(frozen=True, slots=True)
class _Message:
    path: str
    request: str
    body: str | bytes


class FakeAzure(VendorServer):
    """The service, at `url` as a resource's endpoint and as a container.

    Attributes:
        spoken_language: what callers speak, where languages are told apart.
        confidence: of each phrase.
        says_status: what a recognition says instead of its phrase, such as `TooManyRequests`.
        ends_early: the next recognition ends at its second word, though the client still sends audio, as the service
            does after long silence.
        voices: which there are.
        piece_every_ms: how long it takes from a piece of sound to the next.
    """

    def __init__(self, script: VendorScript | None = None, *, voices: Sequence[str] = VOICES) -> None:
        super().__init__(script)
        self.spoken_language = "en-US"
        self.confidence = 0.9
        self.says_status: str | None = None
        self.ends_early = False
        self.voices = tuple(voices)
        self.piece_every_ms = 0
        self.ear_requests: list[EarRequest] = []
        self.voice_requests: list[VoiceRequest] = []
        for path in EAR_PATHS:
            self._socket_at(path, self._admit, self._hear)
        for path in VOICE_PATHS:
            self._socket_at(path, self._admit, self._speak)
        for path in LIST_PATHS:
            self._app.router.add_get(path, self._list)

    def _admit(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Ocp-Apim-Subscription-Key", "") != self.script.key:
            return self._refused(401, "Access denied due to invalid subscription key or wrong API endpoint.")
        return None

    async def _list(self, request: web.Request) -> web.Response:
        self._came(request)
        if (refusal := self._refusal() or self._admit(request)) is not None:
            return refusal
        return web.json_response([_listed(name) for name in self.voices])

    # --- the ear

    async def _hear(self, socket: FakeSocket) -> None:
        contexts: dict[str, EarRequest] = {}
        configured = False
        current: _Recognition | None = None
        ended: set[str] = set()
        async for got in _messages(socket):
            if isinstance(got, str):
                await socket.close(1002, got)
            elif got.path == "speech.config":
                configured = True
            elif got.path == "speech.context" and configured:
                where = socket.connection
                number = self.connections.index(where)
                contexts[got.request] = EarRequest(number, where.path, where.query, json.loads(got.body))
            elif got.path == "audio" and got.request in contexts and isinstance(got.body, bytes):
                if got.request in ended:
                    continue  # sent before the client read that the turn is over
                current = current or self._begun(socket, got.request, contexts[got.request])
                if current.id != got.request:
                    await socket.close(1002, "A turn is still in progress.")
                elif not current.asked.riff and not got.body.startswith(b"RIFF"):
                    await socket.close(1007, "The audio has no header.")
                elif await current.hear(got.body):
                    ended.add(current.id)
                    current = None
            elif got.path != "telemetry":
                await socket.close(1002, f"'{got.path}' is out of order.")

    def _begun(self, socket: FakeSocket, request: str, asked: EarRequest) -> "_Recognition":
        self.ear_requests.append(asked)
        return _Recognition(self, socket, request, asked)

    # --- the voice

    async def _speak(self, socket: FakeSocket) -> None:
        contexts: dict[str, dict[str, Any]] = {}
        configured = False
        async with asyncio.TaskGroup() as tasks:
            speaking: asyncio.Task[None] | None = None
            async for got in _messages(socket):
                if isinstance(got, str):
                    await socket.close(1002, got)
                elif got.path == "speech.config":
                    configured = True
                elif got.path == "synthesis.context":
                    contexts[got.request] = json.loads(got.body)
                elif got.path == "ssml" and configured and got.request in contexts and isinstance(got.body, str):
                    if speaking is not None and not speaking.done():
                        await socket.close(1002, "A turn is still in progress.")
                        continue
                    number = self.connections.index(socket.connection)
                    asked = VoiceRequest(number, contexts[got.request], got.body)
                    self.voice_requests.append(asked)
                    speaking = tasks.create_task(self._say(socket, got.request, asked))
                elif got.path != "telemetry":
                    await socket.close(1002, f"'{got.path}' is out of order.")
            if speaking is not None:
                speaking.cancel()

    async def _say(self, socket: FakeSocket, request: str, asked: VoiceRequest) -> None:
        said = spoken_of(asked.ssml, self.voices)
        if isinstance(said, str):
            await socket.close(1007, said[:120])
            return
        asked.voice, asked.text = said
        output = asked.context["synthesis"]["audio"]
        rate = int(str(output["outputFormat"]).removeprefix("raw-").partition("khz")[0]) * 1000
        tagged = {"context": {"serviceTag": "fake"}}
        stream = new_stream(request)
        await socket.say(_text("turn.start", request, tagged), counts=False)
        response = tagged | {"audio": {"type": "inline", "streamId": stream}}
        await socket.say(_text("response", request, response), counts=False)
        await pause(self.script.first_audio_ms)
        sound = tones(asked.text, rate, self.script.ms_per_character)
        boundaries = word_boundaries(asked.text, self.script.ms_per_character)
        if not output["metadataOptions"]["wordBoundaryEnabled"]:
            boundaries = []
        step = rate * PIECE_MS // 1000
        for start in range(0, len(sound), step):
            until = (start + step) * 1000 * TICKS_A_MS // rate
            while boundaries and boundaries[0]["Data"]["Offset"] < until:
                metadata = {"Metadata": [boundaries.pop(0)]}
                await socket.say(_text("audio.metadata", request, metadata), counts=False)
            await socket.say(_binary("audio", request, stream, sound[start : start + step].tobytes()))
            await pause(self.piece_every_ms)
            await asyncio.sleep(0)
        end = {"Type": "SessionEnd", "Data": {"Offset": len(sound) * 1000 * TICKS_A_MS // rate}}
        await socket.say(_text("audio.metadata", request, {"Metadata": [end]}))
        await socket.say(_text("turn.end", request, {}))
        asked.finished = True


class _Recognition:
    """One request at the ear: from its header to the end of its audio."""

    def __init__(self, fake: FakeAzure, socket: FakeSocket, request: str, asked: EarRequest) -> None:
        self._fake = fake
        self._socket = socket
        self._rate = 0
        self._words: list[str] = []
        self._voiced_ms = 0
        self._quiet_ms = 0
        self._heard_ms = 0
        self._begins_ms = 0
        self._revealed = 0
        self._told = 0
        self.id = request
        self.asked = asked

    async def hear(self, body: bytes) -> bool:
        """One audio message; whether the turn is over."""
        if not self.asked.riff:
            self.asked.riff = body
            self._rate = struct.unpack_from("<I", body, 24)[0]
            await self._say("turn.start", {"context": {"serviceTag": "fake"}}, counts=False)
            return False
        if not body:
            self.asked.ended = True
            await self._finish()
            return True
        self.asked.audio += body
        step = 2 * self._rate * _STEP_MS // 1000
        for start in range(0, len(body), step):
            await self._hear_step(body[start : start + step])
            if self._fake.ends_early and self._revealed >= 2:
                self._fake.ends_early = False
                await self._tell_phrase()
                await self._say("turn.end", {})
                return True
        return False

    async def _hear_step(self, piece: bytes) -> None:
        ms = len(piece) * 500 // self._rate
        self._heard_ms += ms
        if not is_voice(piece):
            self._quiet_ms += ms
            if self._quiet_ms >= self._phrase_ends_ms() and self._revealed > self._told:
                await self._tell_phrase()
            return
        if not self._voiced_ms:
            self._words = self._fake.script.next_line()
            self._begins_ms = self._heard_ms - ms
            await self._say("speech.startDetected", {"Offset": self._begins_ms * TICKS_A_MS}, counts=False)
        self._quiet_ms = 0
        self._voiced_ms += ms
        reached = min(self._voiced_ms // self._fake.script.ms_per_word, len(self._words))
        if reached > self._revealed:
            self._revealed = reached
            await self._tell_hypothesis()

    def _phrase_ends_ms(self) -> int:
        detection = self.asked.context.get("phraseDetection", {})
        segmentation = detection.get("CONVERSATION", {}).get("segmentation", {})
        return int(segmentation.get("segmentationSilenceTimeoutMs", PHRASE_ENDS_MS))

    async def _finish(self) -> None:
        await pause(self._fake.script.final_ms)
        end = {"Offset": self._heard_ms * TICKS_A_MS}
        if self._fake.says_status is not None:
            await self._say("speech.phrase", end | {"RecognitionStatus": self._fake.says_status, "Duration": 0})
        elif self._words:
            self._revealed = len(self._words)
            if self._revealed > self._told:
                await self._tell_hypothesis()
                await self._tell_phrase()
        else:
            await self._say("speech.phrase", end | {"RecognitionStatus": "InitialSilenceTimeout", "Duration": 0})
        await self._say("speech.endDetected", end)
        await self._say("speech.phrase", end | {"RecognitionStatus": "EndOfDictation", "Duration": 0})
        await self._say("turn.end", {})

    async def _tell_hypothesis(self) -> None:
        text = " ".join(_lexical(word) for word in self._words[self._told : self._revealed])
        await self._say("speech.hypothesis", {"Id": self.id, "Text": text} | self._span() | self._language())

    async def _tell_phrase(self) -> None:
        words = self._words[self._told : self._revealed]
        lexical = " ".join(_lexical(word) for word in words)
        best: dict[str, Any] = {"Confidence": self._fake.confidence, "Lexical": lexical, "ITN": lexical}
        best |= {"MaskedITN": lexical, "Display": " ".join(words)}
        output = self.asked.context.get("phraseOutput", {})
        if "WordTimings" in output.get("detailed", {}).get("options", []):
            best["Words"] = [self._timed(self._told + n, word) for n, word in enumerate(words)]
        phrase: dict[str, Any] = {"Id": self.id, "RecognitionStatus": "Success", "DisplayText": " ".join(words)}
        phrase |= {"Channel": 0} | self._span() | self._language()
        if output.get("format") == "Detailed" or self.asked.query.get("format") == "detailed":
            phrase["NBest"] = [best]
        self._told = self._revealed
        await self._say("speech.phrase", phrase)

    def _timed(self, number: int, word: str) -> dict[str, Any]:
        each = self._fake.script.ms_per_word
        start = (self._begins_ms + number * each) * TICKS_A_MS
        return {"Word": _lexical(word), "Offset": start, "Duration": each * TICKS_A_MS, "Confidence": 0.8}

    def _span(self) -> dict[str, int]:
        each = self._fake.script.ms_per_word * TICKS_A_MS
        count = self._revealed - self._told
        return {"Offset": self._begins_ms * TICKS_A_MS + self._told * each, "Duration": count * each}

    def _language(self) -> dict[str, Any]:
        if "languageId" not in self.asked.context:
            return {}
        candidates = self.asked.context["languageId"]["languages"]
        # As the service: one of the candidates, even when something else was spoken.
        heard = self._fake.spoken_language if self._fake.spoken_language in candidates else candidates[0]
        return {"PrimaryLanguage": {"Language": heard, "Confidence": "High"}}

    async def _say(self, path: str, body: object, *, counts: bool = True) -> None:
        await self._socket.say(_text(path, self.id, body), counts=counts)


# --- messages


async def _messages(socket: FakeSocket) -> AsyncIterator[_Message | str]:
    while (message := await socket.receive()) is not None:
        yield _read(message)


def _read(message: str | bytes) -> _Message | str:
    """The message, or what is wrong with it."""
    data: str | bytes
    if isinstance(message, str):
        head, parted, data = message.partition("\r\n\r\n")
        if not parted:
            return "The message has no body."
    else:
        length = int.from_bytes(message[:2], "big")
        head, data = message[2 : 2 + length].decode(), message[2 + length :]
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.split("\r\n") if line)
    }
    if not headers.get("x-timestamp"):
        return "X-Timestamp is missing."
    path = headers.get("path", "").lower()
    request = headers.get("x-requestid", "")
    if path != "speech.config" and (len(request) != 32 or not request.isalnum()):
        return "X-RequestId is not 32 hexadecimal digits."
    return _Message(path, request, data)


def new_stream(request: str) -> str:
    """The id of a request's sound."""
    return request[::-1].upper()


def _text(path: str, request: str, body: object) -> str:
    head = f"X-RequestId:{request}\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}"
    return f"{head}\r\n\r\n{json.dumps(body)}"


def _binary(path: str, request: str, stream: str, body: bytes) -> bytes:
    head = f"X-RequestId:{request}\r\nContent-Type:audio/x-wav\r\nX-StreamId:{stream}\r\nPath:{path}\r\n".encode()
    return len(head).to_bytes(2, "big") + head + body


def _lexical(word: str) -> str:
    return word.strip(".,?!").lower()


def _listed(name: str) -> dict[str, object]:
    locale = "-".join(name.split("-")[:2])
    short = name.rpartition("-")[2]
    return {
        "Name": f"Microsoft Server Speech Text to Speech Voice ({locale}, {short})",
        "DisplayName": short.removesuffix("Neural"),
        "LocalName": short.removesuffix("Neural"),
        "ShortName": name,
        "Gender": "Female",
        "Locale": locale,
        "LocaleName": locale,
        "SampleRateHertz": "48000",
        "VoiceType": "Neural",
        "Status": "GA",
        "WordsPerMinute": "150",
    }


# --- speech


def spoken_of(ssml: str, voices: Sequence[str]) -> tuple[str, str] | str:
    """The first voice and all the text of this SSML; or why the service would close the socket."""
    try:
        root = ET.fromstring(ssml)
    except ET.ParseError as error:
        return f"The SSML is invalid: {error}"
    if root.tag != _SPEAK or not root.get("version"):
        return "The root must be 'speak' of the synthesis namespace, with its version."
    if not root.get(_LANGUAGE):
        return "Ssml should only contain one language."
    found = list(root.iter(_VOICE))
    if not found or (root.text or "").strip() or any((element.tail or "").strip() for element in root):
        return "Text must be inside of 'voice'."
    known = {name.lower() for name in voices}
    unknown = [name for element in found if (name := element.get("name", "")).lower() not in known]
    if unknown:
        return f"Unsupported voice {unknown[0]}."
    return found[0].get("name", ""), " ".join(" ".join("".join(element.itertext()).split()) for element in found)


def word_boundaries(text: str, ms_per_character: int) -> list[dict[str, Any]]:
    """The metadata of each word of the text, when it is spoken at this pace."""
    each = ms_per_character * TICKS_A_MS
    found = []
    at = 0
    for word in text.split():
        at = text.index(word, at)
        boundary = {"Text": word, "Length": len(word), "BoundaryType": "WordBoundary"}
        data = {"Offset": at * each, "Duration": len(word) * each, "text": boundary}
        found.append({"Type": "WordBoundary", "Data": data})
        at += len(word)
    return found
