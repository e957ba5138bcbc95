"""In FastAPI, beside routes of your own: `uvicorn --app-dir examples 06_fastapi:app --port 3000`."""

import os

from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute

from offhook import Assistant, SessionStart, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"))


@assistant.on_session_start
async def greet(event: SessionStart) -> str:
    return "Hello. What can I do for you?"


@assistant.on_user_speak
async def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


# Webhooks on /webhook, WebSockets on /calls. (A mounted app would answer /webhook with a redirect to /webhook/.)
app = FastAPI(routes=[Route("/webhook", assistant), WebSocketRoute("/calls", assistant)])


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
