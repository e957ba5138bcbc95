"""A webhook in Flask, plain JSON, without the SDK: `python examples/02_flask_webhook.py --port 3000`.

The token is read from AI_FLOW_SHARED_SECRET; without it everybody is let in.
"""

import argparse
import hmac
import os
from typing import Any

from flask import Flask, Response, jsonify, request

Action = dict[str, Any]


def create_app(token: str | None = None) -> Flask:
    """The webhook as a Flask app; `token` is what the service must send as X-API-TOKEN."""
    app = Flask(__name__)

    @app.post("/webhook")
    def webhook() -> Response | tuple[Response | str, int]:
        if token and not hmac.compare_digest(request.headers.get("X-API-TOKEN", "").encode(), token.encode()):
            return jsonify(error="wrong token"), 401
        event = request.get_json()
        actions = answer(event)
        for action in actions:
            action["session_id"] = event["session"]["id"]
        return jsonify(actions) if actions else ("", 204)

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    return app


def answer(event: dict[str, Any]) -> list[Action]:
    """The actions that answer one event."""
    match event["type"]:
        case "session_start":
            return [
                {
                    "type": "speak",
                    "text": "Welcome to the echo line. Say something, or press a key.",
                    "barge_in": {"strategy": "immediate"},
                    "user_input_timeout_seconds": 8,
                }
            ]
        case "user_speak" if "bye" in event["text"].lower().split():
            return farewell()
        case "user_speak":
            return [speak(f"You said: {event['text']}")]
        case "dtmf_received" if event["digit"] == "#":
            return [{"type": "barge_in"}, *farewell()]
        case "dtmf_received":
            return [{"type": "barge_in"}, speak(f"You pressed {event['digit']}.")]
        case "user_input_timeout":
            return [speak("Are you still there? Say bye to end the call.")]
        case _:
            return []


def speak(text: str) -> Action:
    return {"type": "speak", "text": text, "user_input_timeout_seconds": 8}


def farewell() -> list[Action]:
    return [
        {"type": "speak", "text": "Thank you for calling. Goodbye!", "barge_in": {"strategy": "none"}},
        {"type": "hangup"},
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    options = parser.parse_args()
    create_app(os.environ.get("AI_FLOW_SHARED_SECRET")).run(options.host, options.port, threaded=True)
