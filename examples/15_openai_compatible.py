"""A language model that speaks the OpenAI protocol, over plain HTTP (`pip install httpx`). OPENAI_API_KEY is the key;
OPENAI_BASE_URL and OPENAI_MODEL name any other service. `offhook dev examples/15_openai_compatible.py`"""

import json
import os
from collections.abc import AsyncIterator

import httpx

from offhook import Assistant, UserSpeak, stream_sentences

assistant = Assistant(on_session_start=lambda event: "Hello. What can I do for you?")
client = httpx.AsyncClient(timeout=30)  # one for all calls: its connections stay open
URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1").rstrip("/") + "/chat/completions"
PROMPT = {"role": "system", "content": "You are on the telephone. Answer in one to three short sentences, no lists."}


async def tokens(talk: list[dict[str, str]]) -> AsyncIterator[str]:
    question = {"model": os.environ.get("OPENAI_MODEL", "gpt-4o-mini"), "stream": True, "messages": [PROMPT, *talk]}
    headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    async with client.stream("POST", URL, json=question, headers=headers) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            for choice in json.loads(line[6:])["choices"] if line.startswith("data: {") else ():
                yield choice["delta"].get("content") or ""


@assistant.on_user_speak(latest_turn_only=True)
async def reply(event: UserSpeak) -> AsyncIterator[str]:
    return stream_sentences(tokens(event.session.history))
