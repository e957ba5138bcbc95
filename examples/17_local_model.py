"""A model on this machine, by Ollama's own protocol (`pip install httpx`; `ollama pull llama3.2`). OLLAMA_HOST and
OLLAMA_MODEL name others. (llama.cpp, vLLM and LM Studio speak the OpenAI protocol: example 15.)"""

import json
import os
from collections.abc import AsyncIterator

import httpx

from offhook import Assistant, UserSpeak, stream_sentences

assistant = Assistant(on_session_start=lambda event: "Hello. What can I do for you?")
client = httpx.AsyncClient(timeout=60)  # one for all calls: its connections stay open
URL = os.environ.get("OLLAMA_HOST", "http://127.0.0.1:11434").rstrip("/") + "/api/chat"
PROMPT = {"role": "system", "content": "You are on the telephone. Answer in one to three short sentences, no lists."}


async def tokens(talk: list[dict[str, str]]) -> AsyncIterator[str]:
    question = {"model": os.environ.get("OLLAMA_MODEL", "llama3.2"), "stream": True, "messages": [PROMPT, *talk]}
    async with client.stream("POST", URL, json=question) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            yield json.loads(line)["message"]["content"] if line else ""


@assistant.on_user_speak(latest_turn_only=True)
async def reply(event: UserSpeak) -> AsyncIterator[str]:
    return stream_sentences(tokens(event.session.history))
