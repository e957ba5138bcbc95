"""In Flask, as a blueprint: `flask --app examples/08_flask.py run --port 3000`."""

import os

from flask import Flask

from offhook import Assistant, SessionStart, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"))


@assistant.on_session_start
def greet(event: SessionStart) -> str:
    return "Hello. What can I do for you?"


@assistant.on_user_speak
def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


app = Flask(__name__)
app.register_blueprint(assistant.flask("/webhook"))
