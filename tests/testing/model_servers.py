"""Language models whose words are scripted, behind the protocols of the real ones."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from aiohttp import web

TOKENS = ["Good", " morning", ".", " It", " costs", " 3", ".", "50", "."]
SPOKEN = ["Good morning.", "It costs 3.50."]


@dataclass(frozen=True, slots=True)
class Model:
    """`path` of the request, the `lines` of its answer, and how an app is told where it is: `{}` is the address."""

    path: str
    lines: list[str]
    environment: dict[str, str]


@dataclass(slots=True)
class Asked:
    """What a model was asked: requests, and their bodies."""

    requests: list[web.Request] = field(default_factory=list[web.Request])
    bodies: list[Any] = field(default_factory=list[Any])


def openai_lines() -> list[str]:
    pieces: list[dict[str, Any]] = [{"choices": [{"delta": {"role": "assistant", "content": None}}]}]
    pieces += [{"choices": [{"delta": {"content": token}}]} for token in TOKENS]
    pieces += [{"choices": []}]
    return [f"data: {json.dumps(piece)}\n\n" for piece in pieces] + ["data: [DONE]\n\n"]


def anthropic_lines() -> list[str]:
    pieces: list[dict[str, Any]] = [{"type": "message_start", "message": {}}, {"type": "ping"}]
    pieces += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": token}} for token in TOKENS
    ]
    pieces += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    return [f"event: {piece['type']}\ndata: {json.dumps(piece)}\n\n" for piece in pieces]


def ollama_lines() -> list[str]:
    pieces = [{"message": {"role": "assistant", "content": token}, "done": False} for token in TOKENS]
    return [f"{json.dumps(piece)}\n" for piece in [*pieces, {"message": {"content": ""}, "done": True}]]


MODELS: dict[str, Model] = {
    "15_openai_compatible": Model(
        "/v1/chat/completions", openai_lines(), {"OPENAI_BASE_URL": "{}/v1", "OPENAI_API_KEY": "k1"}
    ),
    "16_anthropic": Model("/v1/messages", anthropic_lines(), {"ANTHROPIC_BASE_URL": "{}", "ANTHROPIC_API_KEY": "k2"}),
    "17_local_model": Model("/api/chat", ollama_lines(), {"OLLAMA_HOST": "{}"}),
}
"""For each example, the model that it asks."""


@asynccontextmanager
async def model_of(name: str) -> AsyncIterator[Asked]:
    """The model of this example, where the environment says that it is."""
    model, asked = MODELS[name], Asked()

    async def stream(request: web.Request) -> web.StreamResponse:
        asked.requests.append(request)
        asked.bodies.append(await request.json())
        answer = web.StreamResponse()
        await answer.prepare(request)
        half = len(model.lines) // 2
        for lines in (model.lines[:half], model.lines[half:]):
            await answer.write("".join(lines).encode())
        return answer

    app = web.Application()
    app.router.add_post(model.path, stream)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    told = {variable: value.format(url) for variable, value in model.environment.items()}
    try:
        with patch.dict(os.environ, told):
            yield asked
    finally:
        await runner.cleanup()
