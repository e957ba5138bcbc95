"""Azure's ear: the Speech service over its WebSocket, or its container of speech to text.

A turn is one request on the call's socket: what shall be heard (`speech.context`), a RIFF header, audio, and an empty
message that asks for the final words at once. The pause at which Azure would end a phrase by itself is longer than any
within a turn (D40). Azure may end a request before its audio has ended, after long silence or music; the turn then goes
on with another one, from where the words of the first one end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from offhook.speech import azure_wire as wire
from offhook.speech.azure_locales import candidates
from offhook.speech.azure_wire import NAME, TICKS_A_SECOND, TROUBLE, AzureMessage, AzurePlaces
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.socket_ear import SocketEars, SocketEarStream
from offhook.speech.transcriber import Samples, TimedWord, TranscriptionSettings, WordsHeard
from offhook.speech.vendor_messages import JsonObject, well_formed
from offhook.speech.vendor_socket import Message, SocketAddress, first_answer

MAX_PHRASES: Final = 500
"""Azure's documentation of phrase lists."""
LONGEST_PAUSE_MS: Final = 5000
"""The longest that Azure takes as the pause between phrases."""
KEPT_SECONDS: Final = 60
"""So much audio that Azure has said nothing about is kept for another request."""
_CHECK_RATE: Final = 8000
_BYTES: Final = 2

_NOTHING_HEARD: Final = frozenset({"NoMatch", "InitialSilenceTimeout", "BabbleTimeout", "EndOfDictation"})
_FAILURES: Final = {
    "TooManyRequests": (TroubleCode.LIMITED, "takes no more"),
    "Forbidden": (TroubleCode.REFUSED, "refused the key"),
    "BadRequest": (TroubleCode.GARBLED, "does not take what it was sent"),
}


@dataclass(frozen=True, slots=True)
class AzureEarSettings:
    """`languages`: BCP-47, up to four, that callers may speak where neither app nor flow says any."""

    key: str = field(repr=False)
    places: AzurePlaces
    languages: tuple[str, ...] = ("en-US",)


class AzureTranscriber:
    """Azure, shared by all calls; a socket a call."""

    name = NAME

    def __init__(self, settings: AzureEarSettings, client: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._client = client
        self._ears = SocketEars(client, settings.places.ear_trouble)

    async def start(self) -> None:
        """See `Transcriber`."""
        await self._ears.start()

    async def stop(self) -> None:
        """See `Transcriber`."""
        await self._ears.stop()

    def open(self, settings: TranscriptionSettings) -> SocketEarStream:
        """See `Transcriber`."""
        return self._ears.open(_Ear(self._settings, settings))

    async def check(self) -> str:
        """See `VendorEngine`: opens a request without audio and waits for its beginning."""
        ear = _Ear(self._settings, TranscriptionSettings(rate=_CHECK_RATE))
        asking = ear.begin(0, 0)
        trouble = self._settings.places.ear_trouble
        await first_answer(self._client, ear.address, trouble, *asking.open(), *asking.finish())
        return "key accepted"


class _Ear:
    """Azure's ear for one call."""

    def __init__(self, settings: AzureEarSettings, wanted: TranscriptionSettings) -> None:
        self.rate: Final = wanted.rate
        self.languages: Final = candidates(wanted.languages, settings.languages)
        self.context: Final = _context(self.languages, wanted.custom_vocabulary[:MAX_PHRASES])
        self._settings = settings

    @property
    def address(self) -> SocketAddress:
        """See `EarVendor`. Each connection has an id of its own."""
        query = [
            ("language", self.languages[0]),
            ("format", "detailed"),
            ("wordLevelTimestamps", "true"),
            ("wordLevelConfidence", "true"),
        ]
        if len(self.languages) > 1:
            query.append(("lidEnabled", ",".join(self.languages)))
        place = self._settings.places.ear
        # `universal` is told the same in each request's context.
        return SocketAddress(
            place, () if place.endswith("/universal/v2") else tuple(query), wire.headers(self._settings.key)
        )

    def begin(self, turn: int, first_sample: int) -> "_Turn":
        """See `EarVendor`."""
        return _Turn(turn, self, fresh=first_sample == 0)


def _context(languages: tuple[str, ...], vocabulary: tuple[str, ...]) -> JsonObject:
    """What shall be heard, and how it shall be told."""
    pause = {"segmentation": {"mode": "Custom", "segmentationSilenceTimeoutMs": LONGEST_PAUSE_MS}}
    detection: JsonObject = {"mode": "CONVERSATION", "CONVERSATION": pause}
    output: JsonObject = {"format": "Detailed", "detailed": {"options": ["WordTimings", "WordConfidence"]}}
    context: JsonObject = {"phraseDetection": detection, "phraseOutput": output}
    if len(languages) == 1:
        detection["language"] = languages[0]
    else:
        detection |= {"onSuccess": {"action": "None"}, "onInterim": {"action": "None"}}
        output |= {"interimResults": {"resultType": "Auto"}, "phraseResults": {"resultType": "Always"}}
        context["languageId"] = {
            "languages": list(languages),
            "mode": "DetectAtAudioStart",
            "Priority": "PrioritizeLatency",
            "onSuccess": {"action": "Recognize"},
            "onUnknown": {"action": "None"},
        }
    if vocabulary:
        items = [{"Text": phrase} for phrase in vocabulary]
        context["dgi"] = {"Groups": [{"Type": "Generic", "Items": items}], "bias": 1.0}
    return context


@dataclass(frozen=True, slots=True)
class _Phrase:
    text: str
    confidence: float | None
    words: tuple[TimedWord, ...]


class _Turn:
    """See `TurnWire`. `fresh`: nothing was sent on this socket before."""

    def __init__(self, turn: int, ear: _Ear, *, fresh: bool) -> None:
        self._turn = turn
        self._ear = ear
        self._fresh = fresh
        self._request: str | None = None
        self._finished = False
        self._unheard = bytearray()  # of the audio that was sent, what Azure has not answered
        self._unheard_from = 0  # samples since the turn began
        self._request_from = 0
        self._phrases: list[_Phrase] = []
        self._partial = ""
        self._told = ""
        self._language = ear.languages[0] if len(ear.languages) == 1 else None
        self.over = False
        self.clean = True
        self.sent = 0

    def open(self) -> Iterator[Message]:
        """Begin a request, with the audio that none has answered."""
        if self._fresh:
            self._fresh = False
            yield wire.config()
        self._request = wire.new_id()
        self._request_from = self._unheard_from
        yield wire.text("speech.context", self._request, self._ear.context)
        yield wire.audio(self._request, wire.wave_header(self._ear.rate), "audio/x-wav")
        if self._unheard:
            yield wire.audio(self._request, bytes(self._unheard))

    def audio(self, samples: Samples) -> Iterable[Message]:
        if self._request is None:
            yield from self.open()
        assert self._request is not None, "it was opened"
        heard = samples.tobytes()
        self.sent += samples.size
        self._unheard += heard
        self._forget_before(self._unheard_from + len(self._unheard) // _BYTES - KEPT_SECONDS * self._ear.rate)
        yield wire.audio(self._request, heard)

    def finish(self) -> Iterable[Message]:
        if self._request is None:
            yield from self.open()
        assert self._request is not None, "it was opened"
        self._finished = True
        yield wire.audio(self._request, b"")

    def insist(self) -> Iterable[Message]:
        return ()

    def take(self, message: Message) -> WordsHeard | None:
        said = wire.read(message)
        if said.request != self._request:
            return None
        with well_formed(TROUBLE):
            match said.path:
                case "speech.hypothesis" | "speech.fragment":
                    self._take_hypothesis(said.json())
                case "speech.phrase":
                    self._take_phrase(said)
                case "turn.end" if self._finished:
                    self.over = True
                case "turn.end":
                    self._request = None
        return self._news()

    def final(self) -> WordsHeard:
        weighed = [(p.confidence, len(p.text)) for p in self._phrases if p.confidence is not None]
        characters = sum(length for _, length in weighed)
        return WordsHeard(
            self._turn,
            self._text(),
            True,
            self._language,
            sum(sure * length for sure, length in weighed) / characters if characters else None,
            tuple(word for phrase in self._phrases for word in phrase.words),
        )

    def _take_hypothesis(self, said: JsonObject) -> None:
        self._partial = str(said["Text"]).strip()
        self._take_language(said)

    def _take_phrase(self, message: AzureMessage) -> None:
        said = message.json()
        status = str(said["RecognitionStatus"])
        if status != "Success":
            if status not in _NOTHING_HEARD:
                code, what = _FAILURES.get(status, (TroubleCode.CLOSED, "gave up"))
                raise TROUBLE.of(code, what, status)
            if status == "NoMatch":
                self._partial = ""
            return
        self._take_language(said)
        best = (said.get("NBest") or [{}])[0]
        text = str(best.get("Display") or said["DisplayText"]).strip()
        confidence = best.get("Confidence")
        words = tuple(self._timed(word) for word in best.get("Words") or ())
        self._partial = ""
        if text:
            self._phrases.append(_Phrase(text, None if confidence is None else float(confidence), words))
        ends = (int(said["Offset"]) + int(said["Duration"])) * self._ear.rate // TICKS_A_SECOND
        self._forget_before(self._request_from + ends)

    def _take_language(self, said: JsonObject) -> None:
        if (found := said.get("PrimaryLanguage")) and found.get("Language"):
            self._language = str(found["Language"])

    def _timed(self, word: JsonObject) -> TimedWord:
        began = self._request_from * 1000 // self._ear.rate
        start = began + int(word["Offset"]) * 1000 // TICKS_A_SECOND
        confidence = word.get("Confidence")
        return TimedWord(
            str(word["Word"]),
            start,
            start + int(word["Duration"]) * 1000 // TICKS_A_SECOND,
            None if confidence is None else float(confidence),
        )

    def _forget_before(self, sample: int) -> None:
        over = min(max(0, sample - self._unheard_from), len(self._unheard) // _BYTES)
        del self._unheard[: over * _BYTES]
        self._unheard_from += over

    def _news(self) -> WordsHeard | None:
        text = self._text()
        if not text or text == self._told:
            return None
        self._told = text
        return WordsHeard(self._turn, text, False, self._language)

    def _text(self) -> str:
        return " ".join(part for part in (*(phrase.text for phrase in self._phrases), self._partial) if part)
