"""Deepgram's ear, over the WebSocket `/v1/listen` (https://developers.deepgram.com/reference/listen-live).

A call has one socket that is kept open while nobody speaks; Deepgram bills audio, not connections. Its own endpointing
is off: a turn's last words are asked for with `Finalize` (D40), and with `CloseStream` where that is not answered.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from offhook.speech.deepgram_languages import MULTI, language_parameters, vocabulary_parameters
from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode
from offhook.speech.socket_ear import SocketEars, SocketEarStream
from offhook.speech.transcriber import Samples, TimedWord, TranscriptionSettings, WordsHeard
from offhook.speech.vendor_messages import JsonObject, json_object, well_formed
from offhook.speech.vendor_socket import Message, SocketAddress, first_answer

NAME: Final = "deepgram"
URL: Final = "https://api.deepgram.com"
MODEL: Final = "nova-3"
TROUBLE: Final = ProviderTrouble("Deepgram", "speech.deepgram")

_FINALIZE: Final = '{"type": "Finalize"}'
_KEEP_ALIVE: Final = '{"type": "KeepAlive"}'
_CLOSE_STREAM: Final = '{"type": "CloseStream"}'
KEEP_ALIVE_SECONDS: Final = 4.0
"""Deepgram closes a socket on which there was neither audio nor this for 10 s, and asks for it every 3 to 5 s."""
_ROUNDING_SECONDS: Final = 0.005
_CHECK_RATE: Final = 8000


@dataclass(frozen=True, slots=True)
class DeepgramEarSettings:
    """`url`: of a regional or a self-hosted Deepgram too. `parameters`: more of the query, such as `mip_opt_out`; they
    do not take the place of those that are set here."""

    key: str = field(repr=False)
    url: str = URL
    model: str = MODEL
    parameters: tuple[tuple[str, str], ...] = ()
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS


class DeepgramTranscriber:
    """Deepgram, shared by all calls; a socket a call, and for a moment two where a caller goes on at once."""

    name = NAME

    def __init__(self, settings: DeepgramEarSettings, client: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._client = client
        self._ears = SocketEars(client, TROUBLE)

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
        """See `VendorEngine`: opens a socket and closes it."""
        address = _Ear(self._settings, TranscriptionSettings(rate=_CHECK_RATE)).address
        json_object(await first_answer(self._client, address, TROUBLE, _CLOSE_STREAM), TROUBLE)
        return f"key accepted, model {self._settings.model}"


class _Ear:
    """Deepgram's ear for one call."""

    def __init__(self, settings: DeepgramEarSettings, wanted: TranscriptionSettings) -> None:
        self._rate = wanted.rate
        languages = list(language_parameters(settings.model, wanted.languages))
        self._language = None if ("language", MULTI) in languages else next(iter(wanted.languages), None)
        query = (
            ("model", settings.model),
            ("encoding", "linear16"),
            ("sample_rate", str(wanted.rate)),
            ("channels", "1"),
            ("interim_results", "true"),
            ("punctuate", "true"),
            ("endpointing", "false"),
            *languages,
            *vocabulary_parameters(settings.model, wanted.custom_vocabulary),
        )
        ours = {name for name, _ in query}
        self.address: Final = SocketAddress(
            f"{settings.url.rstrip('/')}/v1/listen",
            (*query, *((name, value) for name, value in settings.parameters if name not in ours)),
            {"Authorization": f"Token {settings.key}"},
            keep_alive=_KEEP_ALIVE,
            keep_alive_seconds=settings.keep_alive_seconds,
            goodbye=_CLOSE_STREAM,
            reason_header="dg-error",
        )

    def begin(self, turn: int, first_sample: int) -> "_Turn":
        """See `EarVendor`."""
        return _Turn(turn, self._rate, first_sample / self._rate, self._language)


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of the turn that Deepgram will not change any more."""

    text: str
    confidence: float
    words: tuple[TimedWord, ...]
    languages: tuple[str, ...]


class _Turn:
    """See `TurnWire`. Deepgram counts its times in seconds of audio on the socket; the turn began at `starts`, and what
    is said of times before that belongs to an earlier turn."""

    def __init__(self, turn: int, rate: int, starts: float, language: str | None) -> None:
        self._turn = turn
        self._rate = rate
        self._starts = starts
        self._language = language
        self._parts: list[_Part] = []
        self._told = ""
        self._asked = False
        self.over = False
        self.clean = True
        self.sent = 0

    def audio(self, samples: Samples) -> Iterable[Message]:
        self.sent += samples.size
        return (samples.tobytes(),)

    def finish(self) -> Iterable[Message]:
        self._asked = True
        return (_FINALIZE,)

    def insist(self) -> Iterable[Message]:
        self.clean = False
        return (_CLOSE_STREAM,)

    def take(self, message: Message) -> WordsHeard | None:
        said = json_object(message, TROUBLE)
        with well_formed(TROUBLE):
            match said.get("type"):
                case "Results":
                    return self._results(said)
                case "Metadata":
                    self.over = not self.clean  # the summary, which follows what `CloseStream` has brought out
                case "Error":
                    raise TROUBLE.of(TroubleCode.GARBLED, "reports an error", str(said.get("description", "")))
        return None

    def final(self) -> WordsHeard:
        counted = Counter(language for part in self._parts for language in part.languages)
        words = tuple(word for part in self._parts for word in part.words)
        spoken = [part for part in self._parts if part.text]
        return WordsHeard(
            self._turn,
            self._text(),
            True,
            counted.most_common(1)[0][0] if counted else self._language,
            sum(part.confidence * len(part.text) for part in spoken) / sum(len(part.text) for part in spoken)
            if spoken
            else None,
            words,
        )

    def _results(self, said: JsonObject) -> WordsHeard | None:
        until = float(said["start"]) + float(said["duration"])
        if until <= self._starts + _ROUNDING_SECONDS:
            return None
        best = said["channel"]["alternatives"][0]
        text = str(best["transcript"]).strip()
        if said.get("is_final"):
            self._parts.append(
                _Part(text, float(best["confidence"]), self._words(best), tuple(best.get("languages") or ()))
            )
            self.over = self.over or (self._asked and bool(said.get("from_finalize")))
            text = ""
        so_far = self._text(text)
        if not so_far or so_far == self._told:
            return None
        self._told = so_far
        return WordsHeard(self._turn, so_far, False, self._language)

    def _text(self, interim: str = "") -> str:
        return " ".join(text for text in (*(part.text for part in self._parts), interim) if text)

    def _words(self, best: JsonObject) -> tuple[TimedWord, ...]:
        return tuple(
            TimedWord(
                str(word.get("punctuated_word") or word["word"]),
                max(0, round((word["start"] - self._starts) * 1000)),
                max(0, round((word["end"] - self._starts) * 1000)),
                float(word["confidence"]),
            )
            for word in best.get("words") or ()
        )
