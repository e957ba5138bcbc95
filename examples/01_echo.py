"""An assistant in ten lines. `offhook dev examples/01_echo.py`, or `uvicorn --app-dir examples 01_echo:assistant`, or
`python examples/01_echo.py` (needs nothing but offhook; a webhook on port 3000)."""

from offhook import Action, Assistant, Hangup, SessionStart, Speak, UserSpeak

assistant = Assistant()


@assistant.on_session_start
def greet(event: SessionStart) -> str:
    return "Welcome. What can I do for you?"


@assistant.on_user_speak
def answer(event: UserSpeak) -> str | list[Action]:
    if "bye" in event.text.lower():
        return [Speak(text="Goodbye!"), Hangup()]
    return f"You said: {event.text}"


if __name__ == "__main__":
    assistant.run(port=3000)
