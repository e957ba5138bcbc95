"""In Starlette, with an endpoint of your own around the WebSocket: `uvicorn --app-dir examples 07_starlette:app`."""

import os

from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from offhook import Assistant, SessionStart, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"))


@assistant.on_session_start
async def greet(event: SessionStart) -> str:
    return "Hello. What can I do for you?"


@assistant.on_user_speak
async def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


async def calls(socket: WebSocket) -> None:
    """Not accepted yet: the assistant does that, when the token is right."""
    await assistant.handle_websocket(socket)


app = Starlette(routes=[Route("/webhook", assistant), WebSocketRoute("/calls", calls)])
