"""ElevenLabs' realtime ear (Scribe), over the WebSocket `/v1/speech-to-text/realtime`
(https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime).

Its own endpointing is off (`commit_strategy=manual`): a turn's last words are asked for with a commit (D40). ElevenLabs
closes a socket that has had no audio for about 15 s and has no message that keeps it open; then the next turn connects
while the caller begins to speak, and nothing of what he says is lost.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Final

import aiohttp
import numpy as np

from offhook.speech.eleven_labs_trouble import TROUBLE, of_error
from offhook.speech.socket_ear import SocketEars, SocketEarStream
from offhook.speech.transcriber import Samples, TimedWord, TranscriptionSettings, WordsHeard
from offhook.speech.vendor_messages import JsonObject, json_object, well_formed
from offhook.speech.vendor_socket import Message, SocketAddress, first_answer

NAME: Final = "eleven_labs"
URL: Final = "https://api.elevenlabs.io"
MODEL: Final = "scribe_v2_realtime"
MAX_TERMS: Final = 50
MAX_TERM_CHARACTERS: Final = 20
_SMALL_WORD: Final = 3

COMMIT_EVERY_SECONDS: Final = 20.0
"""So much audio of a long turn is committed by itself. ElevenLabs would, after about 36 s, without being asked, and its
answer could not be told from that to our own."""
_LEAST_COMMIT_SECONDS: Final = 0.5
"""A commit of less than 0.3 s is refused; a shorter rest is made longer with silence."""
_CHUNK_SECONDS: Final = 1.0
_CHECK_RATE: Final = 8000
_PLAIN: Final = frozenset({"committed_transcript", "final_transcript"})
_TIMED: Final = frozenset({"committed_transcript_with_timestamps", "final_transcript_with_timestamps"})


@dataclass(frozen=True, slots=True)
class ElevenLabsEarSettings:
    """`word_times`: ask for the time of each word and the language too, which come a little after the words; the final
    words wait for them."""

    key: str = field(repr=False)
    url: str = URL
    model: str = MODEL
    word_times: bool = False
    zero_retention: bool = False


class ElevenLabsTranscriber:
    """ElevenLabs, shared by all calls; a socket a call."""

    name = NAME

    def __init__(self, settings: ElevenLabsEarSettings, client: aiohttp.ClientSession) -> None:
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
        """See `VendorEngine`: opens a session and closes it."""
        ear = _Ear(self._settings, TranscriptionSettings(rate=_CHECK_RATE))
        said = json_object(await first_answer(self._client, ear.address, TROUBLE), TROUBLE)
        if said.get("message_type") != "session_started":
            raise of_error(str(said.get("message_type")), str(said.get("error", "")))
        return f"key accepted, model {self._settings.model}"


class _Ear:
    """ElevenLabs' ear for one call. One language, the first (D13)."""

    def __init__(self, settings: ElevenLabsEarSettings, wanted: TranscriptionSettings) -> None:
        self._rate = wanted.rate
        self._language = next(iter(wanted.languages), None)
        self._word_times = settings.word_times
        query = [
            ("model_id", settings.model),
            ("audio_format", f"pcm_{wanted.rate}"),
            ("commit_strategy", "manual"),
            ("include_timestamps", "true" if settings.word_times else "false"),
        ]
        if self._language is not None:
            query.append(("language_code", self._language.lower().partition("-")[0]))
        if settings.zero_retention:
            query.append(("enable_logging", "false"))
        query += (("keyterms", term) for term in key_terms(wanted.custom_vocabulary))
        self.address: Final = SocketAddress(
            f"{settings.url.rstrip('/')}/v1/speech-to-text/realtime", tuple(query), {"xi-api-key": settings.key}
        )

    def begin(self, turn: int, first_sample: int) -> "_Turn":
        """See `EarVendor`."""
        return _Turn(turn, self._rate, first_sample / self._rate, self._language, word_times=self._word_times)


def key_terms(vocabulary: Sequence[str]) -> list[str]:
    """The vocabulary as ElevenLabs takes it: of a phrase that is too long the words that are neither that nor small;
    what is over the limits is dropped."""
    return list(dict.fromkeys(term for phrase in vocabulary for term in _fitting(phrase)))[:MAX_TERMS]


def _fitting(phrase: str) -> Iterator[str]:
    if len(phrase) <= MAX_TERM_CHARACTERS:
        yield phrase
    else:
        yield from (word for word in phrase.split() if _SMALL_WORD < len(word) <= MAX_TERM_CHARACTERS)


class _Turn:
    """See `TurnWire`. Each commit is answered once, in order: the turn is over when all of them are."""

    def __init__(self, turn: int, rate: int, starts: float, language: str | None, *, word_times: bool) -> None:
        self._turn = turn
        self._rate = rate
        self._starts = starts
        self._language = language
        self._answers = _TIMED if word_times else _PLAIN
        self._committed: list[str] = []
        self._words: list[TimedWord] = []
        self._partial = ""
        self._told = ""
        self._plain: list[str] = []
        self._not_committed = 0
        self._asked = 0
        self._answered = 0
        self._finished = False
        self.over = False
        self.clean = True
        self.sent = 0

    def audio(self, samples: Samples) -> Iterable[Message]:
        step = int(self._rate * _CHUNK_SECONDS)
        for start in range(0, samples.size, step):
            piece = samples[start : start + step]
            self._not_committed += piece.size
            due = self._not_committed >= COMMIT_EVERY_SECONDS * self._rate
            yield self._chunk(piece, commit=due)

    def finish(self) -> Iterable[Message]:
        missing = int(_LEAST_COMMIT_SECONDS * self._rate) - self._not_committed
        self._finished = True
        return (self._chunk(np.zeros(max(0, missing), np.int16), commit=True),)

    def insist(self) -> Iterable[Message]:
        """Word times that do not come are not waited for longer."""
        if self._answers is _TIMED and len(self._plain) >= self._asked:
            self._committed = self._plain
            self.clean, self.over = False, True
        return ()

    def take(self, message: Message) -> WordsHeard | None:
        said = json_object(message, TROUBLE)
        with well_formed(TROUBLE):
            kind = said["message_type"]
            if kind == "partial_transcript":
                self._partial = said["text"].strip()
            elif kind in _PLAIN or kind in _TIMED:
                self._commit(kind, said)
            elif kind == "commit_throttled":
                self._answered += 1
                self.clean = False  # what was not committed would be heard in the next turn
            elif "error" in said:
                raise of_error(str(kind), str(said["error"]))
        if self._finished and self._answered >= self._asked:
            self.over = True
            # Of word times and words the later ones would come in the next turn.
            self.clean = self.clean and (self._answers is _PLAIN or len(self._plain) >= self._answered)
        so_far = " ".join(text for text in (*self._committed, self._partial) if text)
        if not so_far or so_far == self._told:
            return None
        self._told = so_far
        return WordsHeard(self._turn, so_far, False, self._language)

    def final(self) -> WordsHeard:
        sure = [word.confidence for word in self._words if word.confidence is not None]
        return WordsHeard(
            self._turn,
            " ".join(text for text in self._committed if text),
            True,
            self._language,
            sum(sure) / len(sure) if sure else None,
            tuple(self._words),
        )

    def _commit(self, kind: str, said: JsonObject) -> None:
        text = said["text"].strip()
        if kind in _PLAIN:
            self._plain.append(text)
        if kind not in self._answers:
            return
        self._answered += 1
        self._committed.append(text)
        self._partial = ""
        self._language = said.get("language_code") or self._language
        self._words += (self._timed(word) for word in said.get("words") or () if word.get("type") != "spacing")

    def _timed(self, word: JsonObject) -> TimedWord:
        log_probability = word.get("logprob")
        return TimedWord(
            str(word["text"]),
            max(0, round((word["start"] - self._starts) * 1000)),
            max(0, round((word["end"] - self._starts) * 1000)),
            None if log_probability is None else exp(min(0.0, float(log_probability))),
        )

    def _chunk(self, samples: Samples, *, commit: bool) -> Message:
        self.sent += samples.size
        self._asked += commit
        if commit:
            self._not_committed = 0
        return json.dumps(
            {
                "message_type": "input_audio_chunk",
                "audio_base_64": base64.b64encode(samples.tobytes()).decode(),
                "commit": commit,
                "sample_rate": self._rate,
            }
        )
