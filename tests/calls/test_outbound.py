"""Calls that the house places: who is let out, what the app hears of them, and what their record says (contract D1,
D4, section 6)."""

import json
from pathlib import Path
from typing import Any

import pytest

from offhook.calls.call_log import read_call_log
from offhook.calls.dial_routes import DialRefused
from offhook.calls.outbound import Because, CallWish, NotPlaced, not_allowed
from offhook.protocol.actions import Hangup
from offhook.protocol.session import Session
from offhook.transports.simulator.callee import BUSY, NEVER_ANSWERS, REJECTS, UNREACHABLE, Reception
from offhook.transports.simulator.steps import HangUp, Press, Wait, WaitUntilQuiet
from tests.calls.hand_house import HandHouse, Json, on, speak, talk

RECIPIENT = "+4915112345678"


def place(house: HandHouse, target: str = RECIPIENT, **more: Any) -> Session:
    placed = house.register.place(CallWish("test", target, **more))
    assert isinstance(placed, Session), placed
    return placed


def refused(house: HandHouse, wish: CallWish) -> NotPlaced:
    answer = house.register.place(wish)
    assert isinstance(answer, NotPlaced)
    return answer


async def over(house: HandHouse) -> None:
    await house.until(lambda: house.register.calls_in_progress() == 0)


def about(house: HandHouse) -> Json:
    told: Json = {}
    for record in house.log():
        told |= record.get("about", {})
    return told


async def test_a_call_is_answered_and_a_conversation_begins() -> None:
    """(contract D1: the session is about the recipient's number; D36: it begins when he answers)"""
    answers = on(session_start=[speak("Good morning")], user_speak=[speak("Goodbye"), {"type": "hangup"}])
    how = Reception(answers_after_ms=800, script=(WaitUntilQuiet(300), talk()))
    async with HandHouse(answers, words=["hello"], receives=lambda _: how) as house:
        session = place(house, billing_device="p0")
        await house.tick(20)
        assert house.app.warmed
        assert house.app.received == []
        await over(house)
        assert house.events() == [
            *("session_start", "assistant_speak", "assistant_speech_ended", "user_speak"),
            *("assistant_speak", "assistant_speech_ended", "session_end"),
        ]
        told = house.app.received[0]["session"]
        assert (told["id"], told["direction"]) == (session.id, "outbound")
        assert (told["phone_number"], told["to_phone_number"]) == (RECIPIENT, RECIPIENT)
        assert told["from_phone_number"] == "+4921155660"
        assert house.callee.order.caller == "+4921155660"
        assert len(house.callee.party.heard) == 2
        assert about(house) == {
            "flow": "test",
            "transport": "simulator",
            "call_id": "simulator-dialled-1",
            "called": RECIPIENT,
            "caller": "+4921155660",
            "trunk": "simulator",
            "billing_device": "p0",
            "outcome": "answered",
            "ended_by": "app",
            "sip_code": None,
        }
        assert house.register.counted["calls_placed_answered"] == 1
    assert house.link.rows_open == 0


async def test_the_recipient_hangs_up() -> None:
    how = Reception(script=(Wait(400), HangUp()))
    async with HandHouse(on(session_start=[speak("x" * 200)]), receives=lambda _: how) as house:
        place(house)
        await over(house)
        assert house.events() == ["session_start", "assistant_speak", "assistant_speech_ended", "session_end"]
        assert about(house)["ended_by"] == "caller_hung_up"


@pytest.mark.parametrize(
    ("how", "outcome", "sip_code"),
    [
        (BUSY, "busy", 486),
        (REJECTS, "rejected", 603),
        (NEVER_ANSWERS, "no_answer", 487),
        (UNREACHABLE, "failed", 404),
        (Reception(early_media_after_ms=100, answers_after_ms=None, refuses_after_ms=900), "rejected", 603),
    ],
)
async def test_nobody_answers_and_the_app_hears_nothing(how: Reception, outcome: str, sip_code: int) -> None:
    """No session_start, so no session_end (contract D4); the record says why, with the status."""
    async with HandHouse(on(session_start=[speak("hello")]), receives=lambda _: how) as house:
        place(house, ring_seconds=5)
        await over(house)
        assert house.app.received == []
        assert house.app.closed
        assert (about(house)["outcome"], about(house)["sip_code"]) == (outcome, sip_code)
        (fact,) = [record["fact"] for record in house.log() if "fact" in record]
        assert fact == {"type": "CallerHungUp", "cause": outcome, "sip_code": sip_code}
        assert house.register.counted[f"calls_placed_{outcome}"] == 1
    assert house.link.rows_open == 0


async def test_it_rings_for_sixty_seconds_unless_it_is_said_otherwise() -> None:
    async with HandHouse(receives=lambda _: BUSY) as house:
        place(house)
        place(house, ring_seconds=15)
        assert [asked.ring_seconds for asked in house.asked] == [60, 15]
        await over(house)


async def test_a_call_may_be_hung_up_while_it_rings() -> None:
    async with HandHouse(receives=lambda _: NEVER_ANSWERS) as house:
        session = place(house)
        await house.tick(20)
        assert house.callee.party.is_ringing
        assert house.register.act(session.id, (Hangup(session_id=session.id),), ())
        await over(house)
        assert house.callee.over
        assert about(house)["outcome"] == "cancelled"
        assert house.app.received == []


async def test_keys_and_a_transfer_of_a_call_that_was_placed() -> None:
    """(contract D15: from the flow's own number)"""
    answers = on(dtmf_received=[{"type": "transfer", "target_phone_number": "+4930123456", "timeout": 20}])
    how = Reception(script=(Wait(300), Press("1")))
    async with HandHouse(answers, receives=lambda dial: how if dial.target == RECIPIENT else Reception()) as house:
        place(house)
        await house.until(lambda: "TransferAnswered" in house.facts())
        assert house.asked[1].caller_number == "+4921155660"
        recipient, target = house.dialler.placed
        target.party.hang_up()
        await over(house)
        assert recipient.over
        assert house.events() == ["session_start", "dtmf_received", "session_end"]


# --- who is let out


async def test_calls_that_go_out_are_counted_with_those_that_come_in() -> None:
    async with HandHouse(max_calls=2) as house:
        caller = await house.dial()
        place(house)
        answer = refused(house, CallWish("test", RECIPIENT))
        assert (answer.because, answer.retry_after_seconds) == (Because.FULL, 5)
        late = await house.dial()
        await house.tick(2)
        assert late.ending is not None
        assert late.ending.status == 503
        caller.hang_up()
        await house.until(lambda: house.register.calls_in_progress() == 1)
        place(house)


async def test_while_the_service_is_stopped_no_call_goes_out() -> None:
    async with HandHouse() as house:
        house.register.refuse_new_calls()
        assert refused(house, CallWish("test", RECIPIENT)).because is Because.DRAINING
        assert house.dialler.placed == []


async def test_the_dial_plan_has_the_last_word() -> None:
    async with HandHouse() as house:
        house.forbidden.add(RECIPIENT)
        answer = refused(house, CallWish("test", RECIPIENT))
        assert (answer.because, answer.rule) == (Because.NOT_ALLOWED, "not_listed")
        assert "dial.allow" in answer.remedy
        assert house.register.calls_in_progress() == 0
        assert house.apps == []


async def test_a_rule_that_counts_calls_says_when_to_try_again() -> None:
    answer = not_allowed(DialRefused("per_minute", RECIPIENT, "too many.", "Wait.", retry_after_seconds=12.2))
    assert (answer.because, answer.retry_after_seconds) == (Because.TOO_MANY, 13)


async def test_a_trunk_that_nothing_dials_by_is_explained() -> None:
    async with HandHouse() as house:
        house.way_out.diallers = ()
        answer = refused(house, CallWish("test", RECIPIENT))
        assert (answer.because, answer.rule) == (Because.NOT_ALLOWED, "no_dialler")
        assert house.out == []


async def test_a_flow_that_is_not_there_or_has_no_number_calls_nobody() -> None:
    async with HandHouse() as house:
        assert refused(house, CallWish("sales", RECIPIENT)).because is Because.NO_FLOW
    async with HandHouse(number="") as house:
        assert refused(house, CallWish("test", RECIPIENT)).because is Because.NO_NUMBER
        assert house.dialler.placed == []


async def test_draining_ends_a_call_that_rings() -> None:
    async with HandHouse(receives=lambda _: NEVER_ANSWERS) as house:
        place(house)
        await house.tick(10)
        house.begin(house.register.end_all("drain", "We close"))
        await over(house)
        assert house.callee.over


async def test_a_log_of_a_call_that_nobody_took_replays(tmp_path: Path) -> None:
    async with HandHouse(receives=lambda _: BUSY) as house:
        place(house)
        await over(house)
        path = tmp_path / "call.jsonl"
        path.write_text("\n".join(json.dumps(record) for record in house.log()) + "\n")
        recorded = read_call_log(path)
        assert recorded.orders == ()
        assert not recorded.is_cut
