"""Pipecat answers calls as its guides say: a pipeline a call, telephony WebSocket, Silero; its engines scripted.

    python pipecat_bot.py SETTINGS.json one     answers all calls; its port is printed
    python pipecat_bot.py SETTINGS.json each    a number on its standard input: so many processes; prints their ports

Those processes are forked of one that has loaded everything, which is cheaper than to start each. What its examples
switch on and what costs time without being needed is off: metrics, RTVI, collecting garbage after each call, logs below
warnings, the model that judges whether a turn is over.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

import uvicorn  # noqa: E402
import uvloop  # noqa: E402
from fastapi import FastAPI, WebSocket  # noqa: E402
from loguru import logger  # noqa: E402
from pipecat.audio.vad.silero import SileroVADAnalyzer  # noqa: E402
from pipecat.frames.frames import (  # noqa: E402
    Frame,
    InterimTranscriptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineParams, PipelineWorker  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.aggregators.llm_response_universal import (  # noqa: E402
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.utils import parse_telephony_websocket  # noqa: E402
from pipecat.serializers.twilio import TwilioFrameSerializer  # noqa: E402
from pipecat.services.llm_service import LLMService  # noqa: E402
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings  # noqa: E402
from pipecat.services.stt_service import STTService  # noqa: E402
from pipecat.services.tts_service import TTSService  # noqa: E402
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport  # noqa: E402
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy  # noqa: E402
from pipecat.turns.user_turn_strategies import UserTurnStrategies  # noqa: E402
from pipecat.utils.time import time_now_iso8601  # noqa: E402
from pipecat.workers.runner import WorkerRunner  # noqa: E402

from offhook.speech.synthesizers.scripted import tones  # noqa: E402

RATE: Final = 8000
DETECTOR_STOP_S: Final = 0.2
"""Of its detector, as it comes: the first part of the silence that ends a turn."""
UNUSED: Final = (
    *("system_instruction", "temperature", "max_tokens", "top_p", "top_k", "frequency_penalty", "presence_penalty"),
    *("seed", "filter_incomplete_user_turns", "user_turn_completion_config"),
)
"""Settings of a language model, which must be said to be none."""
CHUNK: Final = RATE // 10 * 2

Script = dict[str, Any]


class ScriptedEar(STTService):  # type: ignore[misc]  # Pipecat is not installed where types are checked
    """A word more for each so many ms of a turn's audio, the final words so long after the end of the turn."""

    def __init__(self, script: Script) -> None:
        self._script = script
        silence_s = script["silence_ms"] / 1000
        self._final_s = silence_s - DETECTOR_STOP_S + script["final_words_ms"] / 1000
        settings = STTSettings(model=None, language=None)
        super().__init__(sample_rate=RATE, ttfs_p99_latency=DETECTOR_STOP_S + self._final_s, settings=settings)
        self._turn, self._heard, self._told = -1, -1, 0
        self._final: asyncio.Task[None] | None = None

    def _words(self) -> list[str]:
        turns = self._script["turns"]
        return turns[self._turn].split() if 0 <= self._turn < len(turns) else []

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Audio reveals words."""
        if self._heard >= 0:
            self._heard += len(audio) // 2
            words = self._words()
            reached = min(self._heard * 1000 // RATE // self._script["ms_per_word"], len(words))
            if reached > self._told:
                self._told = reached
                yield InterimTranscriptionFrame(" ".join(words[:reached]), "", time_now_iso8601())

    async def _handle_vad_user_started_speaking(self, frame: Frame) -> None:
        await super()._handle_vad_user_started_speaking(frame)
        if self._final is not None:
            await self.cancel_task(self._final)
            self._final = None
        elif self._heard < 0:
            self._turn, self._heard, self._told = self._turn + 1, 0, 0

    async def _handle_vad_user_stopped_speaking(self, frame: Frame) -> None:
        await super()._handle_vad_user_stopped_speaking(frame)
        if self._heard >= 0 and self._final is None:
            self._final = self.create_task(self._finish())

    async def _finish(self) -> None:
        await asyncio.sleep(self._final_s)
        self._final, self._heard = None, -1
        await self.push_frame(TranscriptionFrame(" ".join(self._words()), "", time_now_iso8601(), finalized=True))


def note(ledger: Path, line: dict[str, Any]) -> None:
    """A line more."""
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


class ScriptedMind(LLMService):  # type: ignore[misc]  # as above
    """The answers, in turn, at once; when each left goes to the ledger."""

    def __init__(self, script: Script, caller: str) -> None:
        nothing = dict.fromkeys(UNUSED)
        super().__init__(settings=LLMSettings(model="scripted", **nothing))
        self._answers = iter(script["answers"])
        self._ledger = script["ledger"]
        self._caller = caller

    async def process_frame(self, frame: Frame, direction: Any) -> None:
        """A context is a question."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        came = time.time_ns()
        answer = next(self._answers, None)
        if answer is None:
            return
        line = {"caller": self._caller, "type": "user_speak", "came": came, "answered": time.time_ns()}
        note(Path(self._ledger), line)
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame(answer.format(caller=self._caller)))
        await self.push_frame(LLMFullResponseEndFrame())


class ScriptedVoice(TTSService):  # type: ignore[misc]  # as above
    """The tones of the scripted voice; the first after so many ms, the rest at once. The greeting is always there."""

    def __init__(self, script: Script, greeting: bytes) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(
            sample_rate=RATE, push_start_frame=True, push_stop_frames=True, settings=settings,
        )  # fmt: skip
        self._first_s = script["first_audio_ms"] / 1000
        self._greeting_text, self._greeting = script["greeting"], greeting

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Chunks of 100 ms."""
        if text.strip() == self._greeting_text:
            sound = self._greeting
        else:
            await asyncio.sleep(self._first_s)
            sound = tones(text.strip(), RATE).tobytes()
        for at in range(0, len(sound), CHUNK):
            yield TTSAudioRawFrame(sound[at : at + CHUNK], RATE, 1, context_id=context_id)


async def converse(script: Script, greeting: bytes, stream: WebSocket) -> None:
    """One call."""
    await stream.accept()
    _, call = await parse_telephony_websocket(stream)
    serializer = TwilioFrameSerializer(
        call["stream_id"], call["call_id"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        stream, FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer)
    )
    rest_s = script["silence_ms"] / 1000 - DETECTOR_STOP_S
    user, assistant = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(),
            user_turn_strategies=UserTurnStrategies(
                stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=rest_s)]
            ),
        ),
    )
    caller = call["body"]["caller"]
    pipeline = Pipeline(
        [
            *(transport.input(), ScriptedEar(script), user, ScriptedMind(script, caller)),
            *(ScriptedVoice(script, greeting), transport.output(), assistant),
        ]
    )
    params = PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE)
    worker = PipelineWorker(pipeline, params=params, enable_rtvi=False)

    @transport.event_handler("on_client_connected")  # type: ignore[untyped-decorator]  # as above
    async def greet(_transport: Any, _client: Any) -> None:
        await worker.queue_frames([TTSSpeakFrame(script["greeting"])])

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]  # as above
    async def leave(_transport: Any, _client: Any) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def answer_calls(script: Script, told: int) -> None:
    """One process: calls on a free port, which it writes to the descriptor `told`."""
    app = FastAPI()
    app.add_api_websocket_route("/ws", partial(converse, script, tones(script["greeting"], RATE).tobytes()))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    os.write(told, f"[{listening.getsockname()[1]}]\n".encode())
    uvloop.run(server.serve(sockets=[listening]))


def main() -> None:
    script: Script = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    if sys.argv[2] == "one":
        answer_calls(script, sys.stdout.fileno())
        return
    ports: list[int] = []
    children: list[int] = []
    sys.stdout.write("[]\n")
    sys.stdout.flush()
    try:
        for line in sys.stdin:
            while len(ports) < int(line):
                reads, writes = os.pipe()
                child = os.fork()
                if not child:
                    answer_calls(script, writes)
                    return
                os.close(writes)
                children.append(child)
                with os.fdopen(reads) as port:
                    ports += json.loads(port.readline())
            sys.stdout.write(json.dumps(ports) + "\n")
            sys.stdout.flush()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
