"""A rehearsed call behaves as a call: order, interruption, timeouts, keys, transfers, and time by hand."""

import asyncio
import base64
import io
import wave
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from offhook.protocol.actions import (
    Action,
    Audio,
    BargeIn,
    Dtmf,
    GatherDtmf,
    Hangup,
    MixAudio,
    Speak,
    Transfer,
)
from offhook.protocol.speech_options import BargeInConfig, BargeInStrategy
from offhook.sdk.assistant import Assistant
from offhook.sdk.handlers import HandlerFailed
from offhook.testing import CallStuck, Rehearsal

Rehearse = Callable[..., Rehearsal]


def silence(milliseconds: int) -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(bytes(32 * milliseconds))
    return base64.b64encode(file.getvalue()).decode()


def kinds(call: Rehearsal) -> list[str]:
    return [event.type for event in call.events]


async def test_a_whole_call_has_its_events_in_the_order_of_the_contract(rehearse: Rehearse) -> None:
    call = rehearse(Assistant(on_session_start=lambda event: "Welcome", on_user_speak=lambda event: ["Bye", Hangup()]))
    await call.starts()
    await call.says("that is all")
    await call.listens()
    assert kinds(call) == [
        "session_start",
        "assistant_speak",
        "assistant_speech_ended",
        "user_speech_started",
        "user_speak",
        "assistant_speak",
        "assistant_speech_ended",
        "session_end",
    ]
    assert call.heard == ["Welcome", "Bye"]
    assert call.ended


async def test_an_interruption_cuts_at_a_word_and_is_told_to_the_app(rehearse: Rehearse) -> None:
    """Contract D8, D19."""
    greeting = Speak(
        text="Welcome to our service, how can I help you today",
        barge_in=BargeInConfig(strategy=BargeInStrategy.IMMEDIATE),
    )
    barged: list[bool] = []
    assistant = Assistant(on_session_start=lambda event: greeting)
    assistant.on_user_speak(lambda event: barged.append(event.barged_in))
    call = rehearse(assistant)
    await call.starts()
    await call.interrupts_after(0.8, "wait")
    assert call.heard == ["Welcome to…"]
    assert barged == [True]


async def test_what_may_not_be_interrupted_is_heard_to_its_end(rehearse: Rehearse) -> None:
    notice = Speak(text="This call is recorded.", barge_in=BargeInConfig(strategy=BargeInStrategy.NONE))
    call = rehearse(Assistant(on_session_start=lambda event: notice))
    await call.starts()
    await call.interrupts_after(0.5, "wait a moment")
    await call.listens()
    assert call.heard == ["This call is recorded."]


async def test_silence_brings_the_timeout_after_the_speech_and_not_before(rehearse: Rehearse) -> None:
    """Contract D23."""
    ask = Speak(text="Are you there?", user_input_timeout_seconds=5)
    call = rehearse(Assistant(on_session_start=lambda event: ask, on_user_input_timeout=lambda event: Hangup()))
    await call.starts()
    await call.stays_silent(4.9)
    assert "user_input_timeout" not in kinds(call)
    await call.stays_silent(0.2)
    assert kinds(call)[-2:] == ["user_input_timeout", "session_end"]


async def test_keys_arrive_one_by_one_and_can_be_gathered(rehearse: Rehearse) -> None:
    """Contract D16."""
    heard: list[str] = []
    assistant = Assistant(on_session_start=lambda event: GatherDtmf(num_characters=4))
    assistant.on_user_speak(lambda event: heard.append(f"{event.text} {event.gathered_dtmf}"))
    call = rehearse(assistant)
    await call.starts()
    await call.presses("12#")
    assert kinds(call).count("dtmf_received") == 3
    assert heard == ["12 True"]


async def test_audio_lasts_as_long_as_its_wav_and_loops_are_seen(rehearse: Rehearse) -> None:
    answer: list[Action | str] = [MixAudio(audio=silence(100)), Audio(audio=silence(1200)), Dtmf(dtmf="5"), "Thank you"]
    call = rehearse(Assistant(on_session_start=lambda event: answer))
    await call.starts()
    await call.listens()
    assert call.heard == ["[audio 1.2 s]", "[key 5]", "Thank you"]
    assert call.background
    assert call.now == pytest.approx(1.2 + 0.6)


async def test_a_stream_is_heard_piece_by_piece(rehearse: Rehearse) -> None:
    async def stream(event: Any) -> AsyncIterator[str]:
        yield "One."
        yield "Two."

    call = rehearse(Assistant(on_session_start=stream))
    await call.starts()
    await call.listens()
    assert call.heard == ["One.", "Two."]


async def test_a_failed_transfer_comes_back(rehearse: Rehearse) -> None:
    """Contract D15."""
    starts: list[Any] = []
    transfer = Transfer(target_phone_number="+4930123456", caller_id_name="", caller_id_number="", timeout=20)

    def start(event: Any) -> Action | str:
        starts.append(event.transfer_failed)
        return "Nobody is there." if len(starts) > 1 else transfer

    call = rehearse(Assistant(on_session_start=start))
    await call.starts()
    await call.transfer_fails("busy")
    assert call.transfer is not None
    assert call.transfer.target == "+4930123456"
    assert [failed and failed.cause for failed in starts] == [None, "busy"]
    assert call.heard == ["Nobody is there."]


async def test_a_transfer_that_is_answered_ends_with_the_target(rehearse: Rehearse) -> None:
    transfer = Transfer(target_phone_number="+4930123456", caller_id_name="", caller_id_number="")
    call = rehearse(Assistant(on_session_start=lambda event: transfer))
    await call.starts()
    await call.transfer_is_answered()
    await call.target_hangs_up()
    assert kinds(call) == ["session_start", "session_end"]


async def test_each_attempt_of_a_transfer_has_its_own_outcome(rehearse: Rehearse) -> None:
    """Contract D15."""
    transfer = Transfer(target_phone_number="+4930123456", caller_id_name="", caller_id_number="", timeout=20)
    failures: list[Any] = []

    def start(event: Any) -> Action:
        failures.append(event.transfer_failed and (event.transfer_failed.cause, event.transfer_failed.sip_code))
        return transfer

    call = rehearse(Assistant(on_session_start=start))
    await call.starts()
    await call.transfer_fails("busy", 486)
    await call.transfer_fails("no_answer")
    await call.transfer_is_answered()
    assert call.bridged
    assert [attempt.target for attempt in call.transfers] == ["+4930123456"] * 3
    assert failures == [None, ("busy", 486), ("no_answer", None)]
    await call.target_hangs_up()
    assert call.ended


async def test_a_target_that_has_not_answered_cannot_hang_up(rehearse: Rehearse) -> None:
    call = rehearse(Assistant(on_session_start=lambda event: "Hello"))
    await call.starts()
    with pytest.raises(CallStuck, match="has not answered"):
        await call.target_hangs_up()


async def test_a_call_that_the_flow_places(rehearse: Rehearse) -> None:
    """Contract D1."""
    call = Rehearsal.to(Assistant(on_session_start=lambda event: f"Is this {event.session.phone_number}?"), "+49301")
    await call.starts()
    assert call.heard == ["Is this +49301?"]
    session = call.events[0].session
    assert (session.direction, session.from_phone_number) == ("outbound", "+4921155660")


async def test_a_caller_who_hangs_up_is_gone(rehearse: Rehearse) -> None:
    call = rehearse(Assistant(on_session_start=lambda event: "A very long greeting indeed"))
    await call.starts()
    await call.hangs_up()
    assert call.ended
    assert kinds(call)[-1] == "session_end"
    with pytest.raises(CallStuck, match="the call is over") as caught:
        await call.says("hello?")
    assert "event session_end" in caught.value.__notes__[0]


async def test_the_app_may_take_its_time(rehearse: Rehearse) -> None:
    call = rehearse(Assistant(on_session_start=lambda event: "Welcome"), app_takes=0.5)
    await call.starts()
    assert call.heard == []
    await call.listens()
    assert call.heard == ["Welcome"]


async def test_an_action_that_does_not_run_is_shown(rehearse: Rehearse) -> None:
    """Contract D17, D39."""
    assistant = Assistant(on_user_speak=lambda event: BargeIn(), on_session_start=lambda event: [Hangup(), "too late"])
    call = rehearse(assistant)
    await call.starts()
    await call.listens()
    assert call.heard == []
    assert len(call.dropped) == 1


async def test_a_failing_handler_fails_the_test_with_the_call_so_far(rehearse: Rehearse) -> None:
    assistant = Assistant(on_session_start=lambda event: "Welcome", on_user_speak=lambda event: 1 / 0)  # type: ignore[arg-type, return-value]  # it raises
    call = rehearse(assistant)
    await call.starts()
    with pytest.raises(HandlerFailed) as caught:
        await call.says("hello")
    assert "final 'hello'" in caught.value.__notes__[0]


async def test_interrupting_silence_is_a_mistake_of_the_test(rehearse: Rehearse) -> None:
    call = rehearse(Assistant(on_session_start=lambda event: "Hi"))
    await call.starts()
    with pytest.raises(CallStuck, match=r"nothing is playing|lasted"):
        await call.interrupts_after(10, "wait")


async def test_the_timeline_reads_as_a_call(rehearse: Rehearse) -> None:
    call = rehearse(Assistant(on_session_start=lambda event: "Welcome"))
    await call.starts()
    await call.listens()
    lines = call.timeline.splitlines()
    assert lines[:2] == ["  0.000 call offered", "        > answer call"]
    assert "  0.000 app: speak 'Welcome'" in lines
    assert "        > say #1 'Welcome'" in lines
    assert call.timeline in repr(call)


async def test_nothing_waits_really(rehearse: Rehearse) -> None:
    call = rehearse(Assistant(on_session_start=lambda event: Speak(text="Hello", user_input_timeout_seconds=3000)))
    await call.starts()
    async with asyncio.timeout(20):
        await call.stays_silent(3001)
    assert kinds(call)[-1] == "user_input_timeout"
