"""An appointment desk: an assistant that gets a caller through a few questions.

Run it: `offhook dev examples/04_appointment_desk.py`, or `uvicorn --app-dir examples 04_appointment_desk:assistant`, or
`python examples/04_appointment_desk.py` (needs nothing but offhook; a webhook on port 3000).

It shows a greeting that can be interrupted, a question with a timeout and retries, a choice by keypad or by voice, hold
music while a slot is looked up, and a farewell that is heard to its end. It needs few words, and every question can be
answered by the keypad too.
"""

import asyncio
import base64
import functools
import io
import math
import struct
import wave
from collections.abc import Awaitable, Callable

from offhook import (
    Action,
    Assistant,
    AssistantSpeak,
    AssistantSpeechEnded,
    BargeIn,
    BargeInConfig,
    BargeInStrategy,
    ConfigureTranscription,
    DtmfReceived,
    Event,
    Hangup,
    MixAudio,
    SessionStart,
    Speak,
    UserSpeak,
)

Replies = list[Action]
LookUp = Callable[[str, int], Awaitable[str]]

GREETING = "Welcome to the appointment desk."
QUESTIONS = {
    "book": "Would you like to book an appointment? Please say yes or no.",
    "time": "Shall it be in the morning or in the afternoon? You can also press 1 for morning, 2 for afternoon.",
    "confirm": "Does that suit you? Please say yes or no.",
}
HINTS = {
    "book": "Sorry, I did not get that. Say yes, or press 1, to book an appointment. Say no, or press 2, to leave.",
    "time": "Sorry, I did not get that. Press 1 for morning, or 2 for afternoon.",
    "confirm": "Sorry, I did not get that. Press 1 to take it, or 2 for another time.",
}
YES = {"yes", "yeah", "yep", "yea", "sure", "okay", "ok", "please", "correct", "fine", "perfect", "book", "appointment"}
NO = {"no", "nope", "nah", "not", "don't", "never"}
MORNING = {"morning", "mornings", "early"}
AFTERNOON = {"afternoon", "afternoons", "noon", "late", "later"}
NUMBERS = {"one": "1", "two": "2"}
BYE = {"bye", "goodbye", "cancel"}
VOCABULARY = (
    "yes", "yes please", "no", "no thank you", "morning", "in the morning", "afternoon", "in the afternoon",
    "goodbye",
)  # fmt: skip
SECONDS_TO_ANSWER = 7
MOST_TRIES = 3
MOST_OFFERS = 2


async def look_up_slot(half_day: str, offered: int) -> str:
    """A free slot in the `morning` or in the `afternoon`; stands for a calendar that takes its time."""
    await asyncio.sleep(2.5)
    days = ("Tuesday", "Thursday")
    return (
        f"{days[offered % len(days)]} at {'ten in the morning' if half_day == 'morning' else 'three in the afternoon'}"
    )


class AppointmentDesk:
    """The desk's handlers. What a call has come to is in its state: `step` is the question that was asked last."""

    def __init__(self, look_up: LookUp) -> None:
        self.look_up = look_up
        self.assistant = Assistant(
            on_session_start=self.greet,
            on_user_speak=self.hear,
            on_dtmf_received=self.press,
            on_user_input_timeout=self.ask_again,
            on_assistant_speak=self.begin_search,
            on_assistant_speech_ended=self.offer,
        )

    # --- what happens in a call

    def greet(self, event: SessionStart) -> Replies:
        return [ConfigureTranscription(custom_vocabulary=VOCABULARY), *self.ask(event, "book", GREETING)]

    def hear(self, event: UserSpeak) -> Replies:
        return self.understood(event, meaning_of(event.text, self.step(event)))

    def press(self, event: DtmfReceived) -> Replies:
        replies = self.understood(event, choice(event.digit, self.step(event)))
        return [BargeIn(), *replies] if replies else []

    def begin_search(self, event: AssistantSpeak) -> None:
        state = self.assistant.state(event)
        if self.step(event) == "looking" and event.text == state["looking"]:
            state["step"] = "searching"

    async def offer(self, event: AssistantSpeechEnded) -> Replies:
        """The caller has heard "One moment please": the music plays while the slot is looked up."""
        if self.step(event) != "searching":
            return []
        state = self.assistant.state(event)
        offered = state.get("offered", 0)
        state["slot"] = await self.look_up(state["half_day"], offered)
        state["offered"] = offered + 1
        return [MixAudio(stop=True), *self.ask(event, "confirm", f"I can offer you {state['slot']}.")]

    # --- what the desk does

    def step(self, event: Event) -> str:
        return str(self.assistant.state(event).get("step", "book"))

    def understood(self, event: Event, meaning: str | None) -> Replies:
        state = self.assistant.state(event)
        match self.step(event), meaning:
            case (("leaving" | "looking" | "searching"), _):
                return []
            case _, "bye":
                return self.farewell(event, "Thank you for calling.")
            case "book", "yes":
                return self.ask(event, "time", "Good.")
            case "book", "no":
                return self.farewell(event, "All right. Thank you for calling.")
            case (("book" | "time"), ("morning" | "afternoon")):
                return self.search(event, str(meaning))
            case "confirm", "yes":
                return self.farewell(event, f"Your appointment is booked for {state['slot']}. Thank you for calling.")
            case "confirm", "no" if state["offered"] >= MOST_OFFERS:
                return self.farewell(event, "I have no other slot this week. Please call again.")
            case "confirm", ("no" | "morning" | "afternoon"):
                return self.ask(event, "time", "Let us find another one.")
            case _:
                return self.ask_again(event)

    def ask(self, event: Event, step: str, first: str) -> Replies:
        self.assistant.state(event).update(step=step, tries=0)
        return [question(f"{first} {QUESTIONS[step]}")]

    def ask_again(self, event: Event) -> Replies:
        state = self.assistant.state(event)
        state["tries"] = state.get("tries", 0) + 1
        if state["tries"] >= MOST_TRIES:
            return self.farewell(event, "I am sorry, I could not understand you. Please call again.")
        return [question(HINTS[self.step(event)])]

    def search(self, event: Event, half_day: str) -> Replies:
        text = f"One moment please, I am looking for a free slot in the {half_day}."
        self.assistant.state(event).update(step="looking", half_day=half_day, looking=text)
        return [MixAudio(audio=hold_music(), volume=0.3), Speak(text=text, barge_in=PROTECTED)]

    def farewell(self, event: Event, text: str) -> Replies:
        self.assistant.state(event)["step"] = "leaving"
        return [MixAudio(stop=True), Speak(text=f"{text} Goodbye!", barge_in=PROTECTED), Hangup()]


def create_assistant(look_up: LookUp = look_up_slot) -> Assistant:
    """The desk. `look_up(half_day, number of slots offered before)` finds a slot."""
    return AppointmentDesk(look_up).assistant


PROTECTED = BargeInConfig(strategy=BargeInStrategy.NONE)


def question(text: str) -> Speak:
    """A question that can be interrupted by voice, and that does not wait for ever."""
    return Speak(
        text=text,
        barge_in=BargeInConfig(strategy=BargeInStrategy.IMMEDIATE),
        user_input_timeout_seconds=SECONDS_TO_ANSWER,
    )


def choice(digit: str, step: str) -> str | None:
    """What a key means at this question."""
    keys = {"1": "morning", "2": "afternoon"} if step == "time" else {"1": "yes", "2": "no"}
    return keys.get(digit)


def meaning_of(text: str, step: str) -> str | None:
    """`yes`, `no`, `morning`, `afternoon`, `bye`, or None when it is unclear."""
    words = set(text.lower().replace(".", " ").replace(",", " ").split())
    if words & BYE:
        return "bye"
    if bool(words & MORNING) != bool(words & AFTERNOON):
        return "morning" if words & MORNING else "afternoon"
    if words & NO:
        return "no"
    if words & YES:
        return "yes"
    numbers = [NUMBERS[word] for word in words & set(NUMBERS)]
    return choice(numbers[0], step) if len(numbers) == 1 else None


RATE = 16_000
NOTES = (261.63, 329.63, 392.00, 493.88, 440.00, 392.00, 329.63, 293.66)
NOTE_SECONDS = 0.5
RING_SECONDS = 1.6


@functools.cache
def hold_music() -> str:
    """Four seconds of soft bells as a WAV in base64. What rings over the end is folded into the beginning: no seam."""
    length = round(len(NOTES) * NOTE_SECONDS * RATE)
    mixed = [0.0] * length
    for index, pitch in enumerate(NOTES):
        begin = round(index * NOTE_SECONDS * RATE)
        for step in range(round(RING_SECONDS * RATE)):
            at = step / RATE
            attack = min(1.0, at / 0.03)
            fade = math.exp(-2.5 * at) * (1 - at / RING_SECONDS)
            tone = math.sin(math.tau * pitch * at) + 0.25 * math.sin(math.tau * 2 * pitch * at)
            mixed[(begin + step) % length] += attack * fade * tone
    loudest = max(abs(value) for value in mixed)
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(struct.pack(f"<{length}h", *(round(12_000 * value / loudest) for value in mixed)))
    return base64.b64encode(file.getvalue()).decode()


assistant = create_assistant()

if __name__ == "__main__":
    assistant.run(port=3000)
