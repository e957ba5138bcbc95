"""What can be asked of a call, and what a caller can do, is the same whatever the size of the call."""

import base64
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import numpy as np
import pytest

from offhook import Assistant, Hangup, MixAudio, Speak, Transfer
from offhook.audio.wav import wav_bytes
from offhook.protocol.actions import Action
from offhook.protocol.events import DtmfReceived, SessionStart, UserInputTimeout, UserSpeak
from offhook.testing import NotHappened, PhoneCall, Rehearsal
from offhook.testing.played_call import PlayedCall

TARGET = "+4921155669"
AnySize: TypeAlias = Rehearsal | PhoneCall
Dial: TypeAlias = Callable[[Assistant], AbstractAsyncContextManager[AnySize]]


def desk() -> Assistant:
    assistant = Assistant()

    @assistant.on_session_start
    def greet(event: SessionStart) -> str | Speak:
        if event.transfer_failed is not None:
            return f"The other one is {event.transfer_failed.cause}"
        return Speak(text="Welcome to the incomprehensibilities of our desk", user_input_timeout_seconds=6)

    @assistant.on_user_input_timeout
    def again(event: UserInputTimeout) -> str:
        return "Are you there?"

    @assistant.on_dtmf_received
    def key(event: DtmfReceived) -> str:
        return f"Key {event.digit}"

    @assistant.on_user_speak
    def answer(event: UserSpeak) -> str | Action | list[Action]:
        match event.text:
            case "goodbye":
                return [Speak(text="Goodbye!"), Hangup()]
            case "somebody please":
                return Transfer(
                    target_phone_number="+4921155669", caller_id_name="A", caller_id_number="+49", timeout=5
                )
        return f"{'Cut by' if event.barged_in else 'You said'} {event.text}"

    return assistant


def kinds(call: PlayedCall) -> list[str]:
    return [event.type for event in call.events]


@pytest.fixture(params=[Rehearsal, PhoneCall])
def size(request: pytest.FixtureRequest) -> type[AnySize]:
    chosen: type[AnySize] = request.param
    return chosen


@pytest.fixture
def dial(size: type[AnySize]) -> Dial:
    return size


class TestEverySizeOfACall:
    async def test_the_assistant_is_heard_out_before_the_caller_speaks(self, dial: Dial) -> None:
        async with dial(desk()) as call:
            await call.says("hello there")
            await call.says("goodbye")
            await call.listens()
            assert call.heard == [
                "Welcome to the incomprehensibilities of our desk",
                "You said hello there",
                "Goodbye!",
            ]
            assert call.ended
            assert kinds(call) == [
                "session_start",
                *("assistant_speak", "assistant_speech_ended"),
                *("user_speech_started", "user_speak", "assistant_speak", "assistant_speech_ended"),
                *("user_speech_started", "user_speak", "assistant_speak", "assistant_speech_ended"),
                "session_end",
            ]

    async def test_an_interruption_cuts_what_is_said(self, dial: Dial) -> None:
        async with dial(desk()) as call:
            await call.interrupts_after(1.2, "wait")
            await call.listens()
            assert call.heard == ["Welcome to the…", "Cut by wait"]
            assert call.in_order("Welcome", "the assistant is interrupted", "wait", "user_speak", "Cut by wait")

    async def test_keys_are_pressed_one_by_one(self, dial: Dial) -> None:
        async with dial(desk()) as call:
            await call.listens()
            await call.presses("12#")
            await call.listens()
            assert call.heard[1:] == ["Key 1", "Key 2", "Key #"]
            assert call.in_order("key 1", "dtmf_received", "key 2", "key #", "Key #")

    async def test_silence_is_waited_for(self, dial: Dial) -> None:
        async with dial(desk()) as call:
            await call.stays_silent(5.5)
            assert not call.heard("Are you there?")
            await call.stays_silent(2)
            assert call.heard("Are you there?")
            waited = call.time_of("user_input_timeout") - call.time_of("assistant_speech_ended")
            assert waited == pytest.approx(6, abs=0.1)

    async def test_a_caller_who_hangs_up_is_gone(self, dial: Dial) -> None:
        async with dial(desk()) as call:
            await call.hangs_up()
            assert call.ended
            assert kinds(call)[-1] == "session_end"

    async def test_a_transfer_that_fails_comes_back(self, dial: Dial) -> None:
        """(contract D15)"""
        async with dial(desk()) as call:
            await call.says("somebody please")
            assert call.transferred_to(TARGET)
            assert not call.transferred_to("+4921155668")
            await call.transfer_fails("busy", 486)
            await call.listens()
            assert call.heard[-1] == "The other one is busy"
            assert call.in_order("session_start", "transfer to", "the transfer fails (busy, 486)", "session_start")

    async def test_who_is_transferred_talks_to_the_target(self, dial: Dial) -> None:
        """(contract D15)"""
        async with dial(desk()) as call:
            await call.says("somebody please")
            transferring = [call.is_transferring]
            await call.transfer_is_answered()
            assert call.bridged
            assert [*transferring, call.is_transferring] == [True, False]
            await call.says("this is for the target")
            assert kinds(call)[-1] == "user_speak", "while bridged no turn events are sent"
            await call.target_hangs_up()
            await call.listens()
            assert call.ended

    async def test_a_call_that_the_flow_places(self, size: type[AnySize]) -> None:
        """(contract D1)"""
        app = Assistant(
            on_session_start=lambda event: f"Is this {event.session.phone_number}?",
            on_user_speak=lambda event: f"You said {event.text}",
        )
        async with size.to(app, "+4930123456") as call:
            await call.says("yes it is")
            await call.presses("1")
            await call.listens()
            assert call.heard == ["Is this +4930123456?", "You said yes it is"]
            session = call.events[0].session
            assert (session.direction, session.from_phone_number) == ("outbound", "+4921155660")

    async def test_what_plays_in_the_background_is_known(self, dial: Dial) -> None:
        loop = base64.b64encode(wav_bytes(np.zeros(1600, np.int16), 16000)).decode()
        app = Assistant(
            on_session_start=lambda event: [MixAudio(audio=loop), "Welcome"],
            on_user_speak=lambda event: MixAudio(stop=True),
        )
        async with dial(app) as call:
            await call.listens()
            music = [call.background]
            await call.says("quiet please")
            assert [*music, call.background] == [True, False]

    async def test_what_did_not_happen_has_no_time_and_shows_the_call(self, dial: Dial) -> None:
        async with dial(desk()) as call:
            await call.listens()
            assert not call.in_order("desk", "Welcome")
            assert not call.heard("Goodbye")
            with pytest.raises(NotHappened, match="Goodbye") as failure:
                call.time_of("Goodbye")
            assert "event session_start" in failure.value.__notes__[0]

    async def test_what_the_caller_did_is_kept(self, dial: Dial) -> None:
        async with dial(desk()) as call:
            await call.interrupts_after(0.8, 'say "no"')
            await call.presses("1")
            await call.hangs_up()
            assert [str(deed) for deed in call.deeds] == [
                "interrupts_after(0.8, 'say \"no\"')",
                'presses("1")',
                "hangs_up()",
            ]
