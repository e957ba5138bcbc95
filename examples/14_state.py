"""A call's own state, typed: `offhook chat examples/14_state.py`. With REDIS_URL it is in Redis, for several workers:
`uvicorn --app-dir examples 14_state:assistant --port 3000 --workers 4`."""

import os
from dataclasses import dataclass, field

from offhook import Action, Assistant, Hangup, RedisStates, SessionStart, Speak, UserSpeak


@dataclass
class Order:
    items: list[str] = field(default_factory=list[str])


redis_url = os.environ.get("REDIS_URL")
assistant = Assistant(state=Order, states=RedisStates(redis_url) if redis_url else None)


@assistant.on_session_start
def greet(event: SessionStart) -> str:
    return "What would you like?"


@assistant.on_user_speak
def take(event: UserSpeak) -> str | list[Action]:
    order: Order = event.session.state
    if "that is all" in event.text.lower():
        return [Speak(text=f"{len(order.items)} things: {', '.join(order.items)}. Goodbye!"), Hangup()]
    order.items.append(event.text)
    return f"{event.text}. Anything else?"
