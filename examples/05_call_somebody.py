"""Calls somebody and asks a question. It needs a flow "reminder" with a number, whose app this is, and the address and
a key of the service in OFFHOOK_SERVICE_URL and OFFHOOK_SERVICE_KEY.

Serve it with `uvicorn --app-dir examples 05_call_somebody:assistant --port 3000`; call with
`python examples/05_call_somebody.py +4915112345678`."""

import sys

from offhook import Action, Assistant, CallRefused, Hangup, SessionStart, Speak, UserSpeak

assistant = Assistant()


@assistant.on_session_start
def ask(event: SessionStart) -> str:
    return "Good morning. You have an appointment tomorrow at nine. Will you come?"


@assistant.on_user_speak
def take_answer(event: UserSpeak) -> list[Action]:
    comes = "yes" in event.text.lower()
    return [Speak(text="See you tomorrow. Goodbye." if comes else "We will call again. Goodbye."), Hangup()]


if __name__ == "__main__":
    try:
        print("It rings, session", assistant.call("reminder", sys.argv[1]))
    except CallRefused as refused:
        sys.exit(str(refused))
