"""Claude, over plain HTTP (`pip install httpx`); the key is in ANTHROPIC_API_KEY. `offhook dev 16_anthropic.py`"""

import json
import os
from collections.abc import AsyncIterator

import httpx

from offhook import Assistant, UserSpeak, stream_sentences

assistant = Assistant(on_session_start=lambda event: "Hello. What can I do for you?")
HEADERS = {"x-api-key": os.environ.get("ANTHROPIC_API_KEY", ""), "anthropic-version": "2023-06-01"}
client = httpx.AsyncClient(timeout=30, headers=HEADERS)  # one for all calls: its connections stay open
URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"
MODEL = {"model": os.environ.get("ANTHROPIC_MODEL", "claude-3-5-haiku-latest"), "max_tokens": 500, "stream": True}
PROMPT = "You are on the telephone. Answer in one to three short sentences, no lists."


async def tokens(talk: list[dict[str, str]]) -> AsyncIterator[str]:
    talk = talk if talk[0]["role"] == "user" else [{"role": "user", "content": "(calls)"}, *talk]
    async with client.stream("POST", URL, json={**MODEL, "system": PROMPT, "messages": talk}) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            yield json.loads(line[6:]).get("delta", {}).get("text", "") if line.startswith("data: ") else ""


@assistant.on_user_speak(latest_turn_only=True)
async def reply(event: UserSpeak) -> AsyncIterator[str]:
    return stream_sentences(tokens(event.session.history))
