"""In aiohttp, webhooks and WebSockets on one path: `python examples/10_aiohttp.py`."""

import os

from aiohttp import web

from offhook import Assistant, SessionStart, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"))


@assistant.on_session_start
async def greet(event: SessionStart) -> str:
    return "Hello. What can I do for you?"


@assistant.on_user_speak
async def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


def create_app() -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/webhook", assistant.aiohttp())
    return app


if __name__ == "__main__":
    web.run_app(create_app(), host="127.0.0.1", port=3000)
