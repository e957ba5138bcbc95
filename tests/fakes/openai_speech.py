"""A server of OpenAI's protocol on loopback: `/v1/audio/transcriptions`, `/v1/audio/speech` and `/v1/models`, as
OpenAI's reference and SDK have them (openai 3.54). `test_openai_speech_fake.py` shows that the SDK is content with it.

A recording says as many words of the script's line as it has voice, and all of them when it ends in silence. One that
continues an earlier one is of the same turn.
"""

import asyncio
import io
import json
import math
import re
import wave
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from aiohttp import BodyPartReader, web
from numpy.typing import NDArray

from tests.fakes.vendor_script import LOUD, PIECE_MS, Fault, VendorScript, pause, tones
from tests.fakes.vendor_server import VendorServer

MODELS: Final = ("whisper-1", "gpt-4o-mini-transcribe", "gpt-transcribe", "gpt-4o-mini-tts", "Qwen/Qwen3-ASR-1.7B")
VOICES: Final = frozenset({"alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer"})
FORMATS: Final = frozenset({"mp3", "opus", "aac", "flac", "wav", "pcm"})
SPEECH_RATE: Final = 24000
MAX_INPUT: Final = 4096
SHORTEST_SECONDS: Final = 0.1
FINISHED_MS: Final = 200
"""A recording that ends in so much silence is a whole turn."""
FRAME_MS: Final = 20


class Refused(Exception):
    """An answer with OpenAI's form of an error."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        kind = "invalid_request_error"
        error = {"message": message, "type": kind, "param": param, "code": code}
        self.answer = web.json_response({"error": error}, status=status)


@dataclass(slots=True)
class Recording:
    """What was asked about, with the fields of the form by their names."""

    fields: dict[str, list[str]]
    samples: NDArray[np.int16]
    rate: int
    answered: bool = False

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def field(self, name: str) -> str | None:
        return self.fields.get(name, [None])[0]


@dataclass(slots=True)
class _Turn:
    words: list[str]
    last: Recording


class FakeOpenAi(VendorServer):
    """`recordings` and `spoken` (the bodies of speech requests) are what was asked, in order. `has_models`: whether
    there is a list of them."""

    def __init__(self, script: VendorScript | None = None, *, has_models: bool = True) -> None:
        super().__init__(script)
        self.recordings: list[Recording] = []
        self.spoken: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._turns: list[_Turn] = []
        self._answers = 0
        self._over = asyncio.Event()
        self._app.router.add_post("/v1/audio/transcriptions", self._transcriptions)
        self._app.router.add_post("/v1/audio/speech", self._speech)
        if has_models:
            self._app.router.add_get("/v1/models", self._models)

    async def drop_all(self) -> None:
        """Those that wait for ever wait no longer."""
        self._over.set()
        await super().drop_all()

    def _refused(self, status: int, reason: str) -> web.Response:
        return Refused(status, reason).answer

    def _admitted(self, request: web.Request) -> web.Response | None:
        self._came(request)
        if (refusal := self._refusal()) is not None:
            return refusal
        if self.script.key and request.headers.get("Authorization") != f"Bearer {self.script.key}":
            return Refused(401, "Incorrect API key provided.", "invalid_api_key").answer
        return None

    async def _models(self, request: web.Request) -> web.Response:
        if (refusal := self._admitted(request)) is not None:
            return refusal
        listed = [{"id": name, "object": "model", "created": 1686935002, "owned_by": "fake"} for name in MODELS]
        return web.json_response({"object": "list", "data": listed})

    # --- ears

    async def _transcriptions(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._admitted(request)) is not None:
            return refusal
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            recording = await _recording_in(request)
            self.recordings.append(recording)
            self._news.set()
            words = self._words_of(recording)
            await pause(self.script.connect_ms + self.script.final_ms)
            self._answers += 1
            if self._answers > self.script.fault_after and (spoilt := await self._spoilt(request)) is not None:
                return spoilt
            recording.answered = request.transport is not None and not request.transport.is_closing()
            return _answer(recording, words)
        except Refused as refused:
            return refused.answer
        finally:
            self._at_once -= 1

    async def _spoilt(self, request: web.Request) -> web.StreamResponse | None:
        match self.script.goes_wrong():
            case Fault.CLOSE:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            case Fault.GARBAGE:
                return web.Response(text='{"this is": no JSON', content_type="application/json")
            case Fault.SAYS:
                return web.Response(text=self.script.fault_says, content_type="application/json")
            case Fault.STOP_SENDING:
                await self._over.wait()
                return web.Response()
            case _:
                return None

    def _words_of(self, recording: Recording) -> list[str]:
        loud = _loud_frames(recording)
        if not loud.any():
            return []
        turn = next((turn for turn in reversed(self._turns) if _continues(recording, turn.last)), None)
        if turn is None:
            turn = _Turn(self.script.next_line(), recording)
            self._turns.append(turn)
        turn.last = recording
        silent_ms = (len(loud) - 1 - int(np.flatnonzero(loud)[-1])) * FRAME_MS
        if silent_ms >= FINISHED_MS:
            return turn.words
        return turn.words[: math.ceil(int(loud.sum()) * FRAME_MS / self.script.ms_per_word)]

    # --- voices

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._admitted(request)) is not None:
            return refusal
        body = await request.json()
        self.spoken.append(body)
        self._news.set()
        try:
            _check_speech(body)
        except Refused as refused:
            return refused.answer
        await pause(self.script.connect_ms + self.script.first_audio_ms)
        if body.get("response_format", "mp3") != "pcm":
            return web.Response(body=b"ID3\x04", content_type="audio/mpeg")
        answer = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        sound = tones(body["input"], SPEECH_RATE, self.script.ms_per_character).astype("<i2").tobytes()
        size = SPEECH_RATE * PIECE_MS // 1000 * 2
        for number, start in enumerate(range(0, len(sound), size)):
            if number >= self.script.fault_after and (spoilt := await self._spoilt(request)) is not None:
                if not answer.prepared:
                    return spoilt
                answer.force_close()
                return answer
            if not answer.prepared:
                await answer.prepare(request)
            # An odd number of bytes: a client must not count on whole samples.
            await answer.write(sound[start : start + 1])
            await answer.write(sound[start + 1 : start + size])
        if not answer.prepared:
            await answer.prepare(request)
        await answer.write_eof()
        return answer


async def _recording_in(request: web.Request) -> Recording:
    fields: dict[str, list[str]] = {}
    sound: bytes | None = None
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        name = part.name or ""
        if name == "file":
            if not part.filename:
                raise Refused(400, "The file has no name.", param="file")
            sound = await part.read()
        else:
            fields.setdefault(name, []).append(await part.text())
    if sound is None:
        raise Refused(400, "Missing required parameter: 'file'.", "missing_required_parameter", "file")
    model = fields.get("model", [""])[0]
    if model not in MODELS:
        raise Refused(404, f"The model '{model}' does not exist.", "model_not_found")
    for language in fields.get("language", []) + fields.get("languages[]", []):
        if not re.fullmatch("[a-z]{2,3}", language):
            raise Refused(400, f"Invalid language '{language}'.", "invalid_language_format", "language")
    form = fields.get("response_format", ["json"])[0]
    if form == "verbose_json" and model != "whisper-1":
        raise Refused(400, f"response_format 'verbose_json' is not compatible with '{model}'.", "unsupported_value")
    if "timestamp_granularities[]" in fields and form != "verbose_json":
        raise Refused(400, "timestamp_granularities needs verbose_json.", param="timestamp_granularities")
    if model != "gpt-transcribe" and {"keywords[]", "languages[]"} & fields.keys():
        raise Refused(400, f"keywords and languages are not for '{model}'.", "unsupported_parameter")
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        recording = Recording(fields, samples, file.getframerate())
    if recording.seconds < SHORTEST_SECONDS:
        raise Refused(400, "Audio file is too short. Minimum audio length is 0.1 seconds.", "audio_too_short", "file")
    return recording


def _continues(recording: Recording, last: Recording) -> bool:
    now, before = recording.samples, last.samples
    if len(now) < len(before) or (len(now) == len(before) and last.answered):
        return False
    return bool(np.array_equal(now[: len(before)], before))


def _loud_frames(recording: Recording) -> NDArray[np.bool_]:
    size = recording.rate * FRAME_MS // 1000
    whole = recording.samples[: len(recording.samples) // size * size].reshape(-1, size)
    loud: NDArray[np.bool_] = np.abs(whole.astype(np.int32)).mean(axis=1) > LOUD
    return loud


def _answer(recording: Recording, words: list[str]) -> web.Response:
    text = " ".join(words)
    seconds = recording.seconds
    usage = {"type": "duration", "seconds": math.ceil(seconds)}
    model, form = recording.field("model"), recording.field("response_format") or "json"
    if form == "text":
        return web.Response(text=f"{text}\n")
    if model == "Qwen/Qwen3-ASR-1.7B":
        # As a server gives it that hands on what the model says.
        return web.json_response({"text": f"language English<asr_text>{text}", "usage": usage})
    if form == "json":
        found: dict[str, Any] = {"text": text, "usage": usage}
        if model == "gpt-transcribe":
            found["languages"] = [{"code": recording.field("languages[]") or "en"}]
        return web.json_response(found)
    each = seconds / max(1, len(words))
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": seconds,
        "text": f" {text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.25 if words else -1.4,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.02 if words else 0.9,
    }
    # Whisper makes words of silence; its own numbers say that they are none.
    made = text or "Thank you."
    body: dict[str, Any] = {"task": "transcribe", "language": "english", "duration": seconds, "text": made}
    granularities = recording.fields.get("timestamp_granularities[]", [])
    if "segment" in granularities or not granularities:
        body["segments"] = [segment | {"text": f" {made}"}]
    if "word" in granularities:
        body["words"] = [
            {"word": word, "start": round(i * each, 2), "end": round((i + 1) * each, 2)} for i, word in enumerate(words)
        ]
    return web.Response(text=json.dumps(body | {"usage": usage}), content_type="application/json")


def _check_speech(body: dict[str, Any]) -> None:
    for name in ("model", "input", "voice"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise Refused(400, f"Missing required parameter: '{name}'.", "missing_required_parameter", name)
    if body["model"] not in MODELS:
        raise Refused(404, f"The model '{body['model']}' does not exist.", "model_not_found")
    if len(body["input"]) > MAX_INPUT:
        raise Refused(400, f"String too long. Expected at most {MAX_INPUT} characters.", "string_above_max_length")
    if body["voice"] not in VOICES:
        raise Refused(400, f"Invalid value: '{body['voice']}'.", "invalid_value", "voice")
    if body.get("response_format", "mp3") not in FORMATS:
        raise Refused(400, "Invalid response_format.", "invalid_value", "response_format")
