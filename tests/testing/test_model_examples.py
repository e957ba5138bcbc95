"""The examples with language models talk their models' protocols, to a server that streams as those do."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web

from offhook.testing import Rehearsal

Example = Callable[[str], ModuleType]
TOKENS = ["Good", " morning", ".", " It", " costs", " 3", ".", "50", "."]
SPOKEN = ["Good morning.", "It costs 3.50."]


def openai_lines() -> list[str]:
    pieces = [{"choices": [{"delta": {"role": "assistant", "content": None}}]}]
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


@asynccontextmanager
async def model_server(path: str, lines: list[str]) -> AsyncIterator[tuple[str, list[web.Request], list[Any]]]:
    """Its address, the requests that came, and their bodies."""
    requests: list[web.Request] = []
    asked: list[Any] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        asked.append(await request.json())
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in lines:
            await answer.write(line.encode())
        return answer

    app = web.Application()
    app.router.add_post(path, stream)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", requests, asked
    await runner.cleanup()


async def heard_from(assistant: Any) -> list[str]:
    call = Rehearsal(assistant)
    await call.starts()
    await call.says("what does it cost")
    await call.listens()
    await call.says("thank you")
    await call.listens()
    return call.heard


async def test_the_openai_protocol(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    async with model_server("/v1/chat/completions", openai_lines()) as (url, requests, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "k1")
        assert await heard_from(example("15_openai_compatible").assistant) == SPOKEN * 2
    assert requests[0].headers["Authorization"] == "Bearer k1"
    assert [message["role"] for message in asked[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert asked[1]["messages"][2]["content"] == " ".join(SPOKEN)


async def test_the_anthropic_protocol(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    async with model_server("/v1/messages", anthropic_lines()) as (url, requests, asked):
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k2")
        assert await heard_from(example("16_anthropic").assistant) == SPOKEN * 2
    assert requests[0].headers["x-api-key"] == "k2"
    assert asked[0]["system"].startswith("You are on the telephone")
    assert [message["role"] for message in asked[1]["messages"]] == ["user", "assistant", "user"]


async def test_a_local_model(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    async with model_server("/api/chat", ollama_lines()) as (url, _, asked):
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert await heard_from(example("17_local_model").assistant) == SPOKEN * 2
    assert asked[0]["stream"] is True


async def test_the_order_is_kept_in_the_call_s_state(example: Example) -> None:
    call = Rehearsal(example("14_state").assistant)
    await call.starts()
    await call.says("a tea")
    await call.says("a cake")
    await call.says("that is all")
    await call.listens()
    assert call.heard[-1] == "2 things: a tea, a cake. Goodbye!"
    assert call.ended
