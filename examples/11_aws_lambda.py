"""On AWS Lambda, behind a function URL: the handler's name is `11_aws_lambda.handler`.

Instances come and go, so the state is in Redis (REDIS_URL); without it, each instance has a memory of its own.
"""

import os

from offhook import Assistant, RedisStates, SessionStart, UserSpeak

redis_url = os.environ.get("REDIS_URL")
assistant = Assistant(
    token=os.environ.get("AI_FLOW_SHARED_SECRET"), states=RedisStates(redis_url) if redis_url else None
)


@assistant.on_session_start
def greet(event: SessionStart) -> str:
    return "Hello. What can I do for you?"


@assistant.on_user_speak
def answer(event: UserSpeak) -> str:
    event.session.state["turns"] = event.session.state.get("turns", 0) + 1
    return f"Turn {event.session.state['turns']}: {event.text}"


handler = assistant.aws_lambda()
