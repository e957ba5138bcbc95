"""Whole transfers by hand: the caller, the assistant, and somebody who is called (contract D15)."""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from offhook.calls.call_log import read_call_log
from offhook.calls.dial_routes import Purpose
from offhook.calls.flow import WhileItRings
from offhook.conversation.record import order_to_record, replay_steps
from offhook.errors import OffhookError
from offhook.media.messages import Codec, MediaTerms, PacketsStopped, Report
from offhook.transports.call_leg import Dial
from offhook.transports.simulator.callee import BUSY, NEVER_ANSWERS, REJECTS, UNREACHABLE, Reception
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.steps import HangUp, Hold, Press, Resume, Say, Wait
from tests.calls.hand_house import RATE, Answers, HandHouse, Json, on, ringing, speak, talk, tone, wav

Samples = npt.NDArray[np.int16]
TARGET = "+4930123456"


def transfer(timeout: int | None = 20, **more: Any) -> Json:
    asked = {"type": "transfer", "target_phone_number": TARGET, **more}
    return asked if timeout is None else asked | {"timeout": timeout}


def transferring(*, timeout: int | None = 20, again: Json | None = None, **answers: Any) -> Answers:
    """An app that transfers at once, and says `again` when the caller is back."""
    starts = deque([[transfer(timeout)], [again or speak("Nobody is there")]])
    return on(session_start=starts, **answers)


@asynccontextmanager
async def house_with(
    answers: Answers, tmp_path: Path, receives: Reception | Callable[[Dial], Reception] | None = None, **more: Any
) -> AsyncIterator[HandHouse]:
    """A house of one call. In the end nothing of it is left, and its log replays to the same orders, byte for byte."""
    given = receives or Reception()
    async with HandHouse(answers, receives=given if callable(given) else lambda _: given, **more) as house:
        yield house
        await house.tick(5)
        if not house.register.calls_in_progress():
            assert house.link.rows_open == 0
    assert house.link.rows_open == 0
    assert all(callee.over for callee in house.dialler.placed)
    for number, sink in enumerate(house.logs.sinks.values()):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("\n".join(sink.lines) + "\n")
        recorded = read_call_log(path)
        assert not recorded.is_cut
        steps = replay_steps(recorded.settings, recorded.facts)
        again = [json.loads(json.dumps(order_to_record(order))) for _, _, orders in steps for order in orders]
        assert again == [order for _, order in recorded.orders]


def noise(ms: int, seed: int) -> Samples:
    """What is like nothing else, so that it is found again in a recording."""
    rough = np.random.default_rng(seed).normal(0, 4000, ms * RATE // 1000 // 4)
    return np.repeat(rough, 4).clip(-20000, 20000).astype(np.int16)


def likeness(said: Samples, heard: Samples) -> float:
    """The best correlation of what was said with a part of what was heard, -1 to 1."""
    size = len(said) + len(heard)
    together = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    at = int(np.argmax(together[: len(heard) - len(said) + 1]))
    part = heard[at : at + len(said)].astype(np.float64)
    return float(np.corrcoef(said, part)[0, 1])


def heard_by(party: Caller) -> Samples:
    return party.recording()[:, 1]


async def bridged(house: HandHouse, *script: Any) -> Caller:
    """The call, up to the moment at which caller and target hear each other."""
    caller = await house.dial(*script)
    await house.until(lambda: "TransferAnswered" in house.facts())
    return caller


async def over(house: HandHouse, caller: Caller) -> None:
    await house.until(lambda: caller.ending is not None and house.register.calls_in_progress() == 0)


# --- it is answered


async def test_caller_and_target_hear_each_other_and_nobody_else(tmp_path: Path) -> None:
    mine, theirs = noise(600, 1), noise(600, 2)
    how = Reception(answers_after_ms=1500, script=(Wait(400), Say(theirs, RATE)))
    async with house_with(transferring(), tmp_path, how) as house:
        caller = await bridged(house)
        caller.add(Say(mine, RATE))
        await house.tick(80)
        assert likeness(mine, heard_by(house.callee.party)) > 0.95
        assert likeness(theirs, heard_by(caller)) > 0.95
        assert likeness(mine, heard_by(caller)) < 0.3
        caller.hang_up()
        await over(house, caller)
        assert house.events() == ["session_start", "session_end"]
    (asked,) = house.asked
    assert (asked.purpose, asked.target, asked.flow_id) == (Purpose.TRANSFER, TARGET, "test")
    assert asked.ring_seconds == 20
    assert asked.caller_number == "+4921155660"


async def test_narrow_and_wide_are_bridged(tmp_path: Path) -> None:
    how = Reception(answers_after_ms=500, codec=Codec.PCMA, script=(Say(tone(700, 600)[::2], 8000),))
    async with house_with(transferring(), tmp_path, how) as house:
        caller = await bridged(house, Wait(1000), Say(tone(500, 600)))
        await house.tick(120)
        assert likeness(tone(700, 400), heard_by(caller)) > 0.95
        assert likeness(tone(500, 400)[::2], heard_by(house.callee.party)) > 0.95
        caller.hang_up()
        await over(house, caller)


async def test_the_caller_hears_ringing_until_it_is_answered(tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path, Reception(rings_after_ms=200, answers_after_ms=5200)) as house:
        caller = await bridged(house)
        await house.tick(50)
        assert [round((span.end_ms - span.start_ms) / 100) for span in caller.heard] == [10, 10, 10]
        gaps = [b.start_ms - a.start_ms for a, b in zip(caller.heard, caller.heard[1:], strict=False)]
        assert all(abs(gap - 2000) <= 20 for gap in gaps)
        assert caller.heard[-1].end_ms < caller.now_ms - 900
        caller.hang_up()
        await over(house, caller)


async def test_a_flow_s_own_loop_is_heard_from_the_beginning(tmp_path: Path) -> None:
    music = WhileItRings(lambda rate: tone(300, 500)[:: RATE // rate], at_once=True)
    how = Reception(rings_after_ms=1000, answers_after_ms=3000)
    async with house_with(transferring(), tmp_path, how, while_it_rings=music) as house:
        caller = await bridged(house)
        (span,) = caller.heard
        assert span.start_ms <= 100
        assert span.end_ms - span.start_ms >= 2800
        caller.hang_up()
        await over(house, caller)


async def test_early_media_is_heard_instead_of_the_tone(tmp_path: Path) -> None:
    announcement = noise(800, 3)
    how = Reception(
        rings_after_ms=200, early_media_after_ms=700, answers_after_ms=3000, script=(Say(announcement, RATE),)
    )
    async with house_with(transferring(), tmp_path, how) as house:
        caller = await house.dial(Wait(1000), talk(800))
        await house.until(lambda: caller.now_ms > 2500)
        assert "TransferAnswered" not in house.facts()
        assert likeness(announcement, heard_by(caller)) > 0.95
        assert not house.callee.party.heard  # what the caller says is not for somebody who has not answered
        await house.until(lambda: "TransferAnswered" in house.facts())
        caller.hang_up()
        await over(house, caller)


# --- it ends


@pytest.mark.parametrize("who", ["caller", "target", "app", "limit", "service"])
async def test_whoever_ends_a_bridged_call_ends_it_for_both(who: str, tmp_path: Path) -> None:
    """(contract D4, D15, D37)"""
    limit = 4000 if who == "limit" else 7_200_000
    answers = transferring(dtmf_received=[{"type": "hangup"}])
    async with house_with(answers, tmp_path, max_call_ms=limit) as house:
        caller = await bridged(house)
        await house.tick(20)
        if who == "caller":
            caller.hang_up()
        elif who == "target":
            house.callee.party.hang_up()
        elif who == "app":
            caller.add(Press("1"))
        elif who == "service":
            house.begin(house.register.end_all("drain", "Goodbye"))
        await over(house, caller)
        assert house.callee.over
        assert house.events().count("session_end") == 1
        assert house.events()[-1] == "session_end"


async def test_a_target_whose_telephone_is_dead_ends_the_call_for_both(tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path) as house:
        caller = await bridged(house)
        house.register.take(Report(house.link.ticks, (PacketsStopped(2, 60_000, gone=True),), 0.0, 0.0))
        await over(house, caller)
        assert house.callee.over


async def test_a_caller_who_hangs_up_while_it_rings_cancels_it(tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path, NEVER_ANSWERS) as house:
        caller = await house.dial()
        await house.until(lambda: "TransferRinging" in house.facts())
        caller.hang_up()
        await over(house, caller)
        ending = house.callee.party.ending
        assert ending is not None
        assert not ending.by_caller
        assert house.events() == ["session_start", "session_end"]


async def test_the_app_may_hang_up_while_it_rings(tmp_path: Path) -> None:
    async with house_with(transferring(dtmf_received=[{"type": "hangup"}]), tmp_path, NEVER_ANSWERS) as house:
        caller = await house.dial(Wait(1500), Press("1"))
        await over(house, caller)
        assert house.events() == ["session_start", "dtmf_received", "session_end"]


async def test_a_fault_of_ours_leaves_nobody_on_the_line(tmp_path: Path) -> None:
    """The outer wall (house rule 7)."""

    def answers(event: Json) -> list[Json]:
        if event["type"] == "dtmf_received":
            raise ZeroDivisionError("a fault in here")
        return [transfer()] if event["type"] == "session_start" else []

    async with HandHouse(answers) as house:
        caller = await bridged(house)
        caller.add(Press("1"))
        await over(house, caller)
        assert house.callee.over
        assert house.link.rows_open == 0


# --- nobody takes it


@pytest.mark.parametrize(
    ("how", "cause", "sip_code"),
    [
        (BUSY, "busy", 486),
        (REJECTS, "rejected", 603),
        (NEVER_ANSWERS, "no_answer", 487),
        (UNREACHABLE, "failed", 404),
        (Reception(answers_after_ms=None, early_media_after_ms=300, refuses_after_ms=1500), "rejected", 603),
    ],
)
async def test_the_caller_is_back_and_the_conversation_goes_on(
    how: Reception, cause: str, sip_code: int, tmp_path: Path
) -> None:
    """Same id, the cause in the event and in the log, and words are heard as before (contract D15)."""
    answers = transferring(timeout=5, user_speak=[speak("We will call you back"), {"type": "hangup"}])
    async with house_with(answers, tmp_path, how, words=["please do"]) as house:
        caller = await house.dial()
        await house.until(lambda: house.events().count("session_start") == 2)
        again = house.app.received[-1]
        assert again["transfer_failed"] == {"cause": cause, "sip_code": sip_code}
        assert again["session"]["id"] == house.app.received[0]["session"]["id"]
        await house.until(lambda: "assistant_speech_ended" in house.events())
        caller.add(talk())
        await over(house, caller)
        assert house.events()[1:] == [
            *("session_start", "assistant_speak", "assistant_speech_ended"),
            *("user_speak", "assistant_speak", "assistant_speech_ended", "session_end"),
        ]
        assert next(e for e in house.app.received if e["type"] == "user_speak")["text"] == "please do"
        failed = [record["fact"] for record in house.log() if record.get("fact", {}).get("type") == "TransferFailed"]
        assert failed == [{"type": "TransferFailed", "cause": cause, "sip_code": sip_code}]


async def test_a_target_who_hangs_up_while_it_rings_has_rejected(tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path, NEVER_ANSWERS) as house:
        caller = await house.dial()
        await house.until(lambda: "TransferRinging" in house.facts())
        house.callee.party.hang_up()
        await house.until(lambda: house.events().count("session_start") == 2)
        assert house.app.received[-1]["transfer_failed"]["cause"] == "rejected"
        caller.hang_up()
        await over(house, caller)


async def test_a_second_attempt_may_succeed(tmp_path: Path) -> None:
    hows = deque([BUSY, Reception()])
    async with house_with(transferring(again=transfer()), tmp_path, lambda _: hows.popleft()) as house:
        caller = await bridged(house)
        assert len(house.dialler.placed) == 2
        caller.hang_up()
        await over(house, caller)


async def test_without_a_timeout_a_failed_transfer_ends_the_call(tmp_path: Path) -> None:
    async with house_with(transferring(timeout=None), tmp_path, BUSY) as house:
        caller = await house.dial()
        await over(house, caller)
        assert house.events() == ["session_start", "session_end"]
        assert house.asked[0].ring_seconds == 60


async def test_a_target_that_may_not_be_dialled_is_explained_in_the_call_s_log(tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path) as house:
        house.forbidden.add(TARGET)
        caller = await house.dial()
        await house.until(lambda: bool(caller.heard))
        assert house.dialler.placed == []
        assert house.app.received[1]["transfer_failed"] == {"cause": "not_allowed"}
        assert f"{TARGET} is not dialled (not_listed)" in house.notes()
        assert "dial.allow" in house.notes()
        caller.hang_up()
        await over(house, caller)


# --- keys, hold, what plays


async def test_keys_pass_through_both_ways_and_the_app_s_go_to_the_target(tmp_path: Path) -> None:
    """The app hears of the caller's keys, and of the target's nothing (contract D15)."""
    answers = transferring(dtmf_received=[{"type": "dtmf", "dtmf": "#"}])
    async with house_with(answers, tmp_path, Reception(script=(Wait(300), Press("42")))) as house:
        caller = await bridged(house)
        caller.add(Wait(1500))
        caller.add(Press("7"))
        await house.until(lambda: house.callee.party.keys_heard == "7#" and caller.keys_heard == "42")
        await house.until(lambda: house.facts().count("DigitSent") == 2)
        assert [e["digit"] for e in house.app.received if e["type"] == "dtmf_received"] == ["7"]
        caller.hang_up()
        await over(house, caller)


async def test_keys_by_signalling_pass_through_too(tmp_path: Path) -> None:
    how = Reception(telephone_events=False, script=(Wait(300), Press("5")))
    async with house_with(transferring(), tmp_path, how) as house:
        caller = await bridged(house)
        await house.until(lambda: caller.keys_heard == "5")
        caller.hang_up()
        await over(house, caller)


@pytest.mark.parametrize("who", ["caller", "target"])
async def test_either_side_may_hold_and_resume(who: str, tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path) as house:
        caller = await bridged(house)
        await house.tick(20)
        party = caller if who == "caller" else house.callee.party
        other = house.callee.party if who == "caller" else caller
        party.add(Hold())
        party.exchange()
        await house.tick(5)
        held_at = party.now_ms
        other.add(Say(noise(400, 5), RATE))
        await house.tick(30)
        assert party.now_ms - held_at <= 20
        mine = noise(400, 6)
        party.add(Resume())
        await party.do(Resume())
        other.add(Say(mine, RATE))
        await house.tick(40)
        assert likeness(mine, heard_by(party)) > 0.95
        caller.hang_up()
        await over(house, caller)


async def test_the_background_loop_rests_and_is_back_when_the_transfer_has_failed(tmp_path: Path) -> None:
    """(contract D12)"""
    loop = {"type": "mix_audio", "audio": wav(tone(300, 1000, level=6000)), "volume": 1.0}
    starts = deque([[loop, speak("One moment"), transfer(5)], []])
    how = Reception(rings_after_ms=None, answers_after_ms=None, refuses_after_ms=2000)
    async with house_with(on(session_start=starts), tmp_path, how) as house:
        caller = await house.dial()
        await house.until(lambda: "TransferFailed" in house.facts())
        back = caller.now_ms
        await house.tick(40)
        quiet, loud = heard_by(caller)[: back * 16][-1500 * 16 : -500 * 16], heard_by(caller)[-400 * 16 :]
        assert np.abs(quiet).max() < 300
        assert np.abs(loud).max() > 3000
        caller.hang_up()
        await over(house, caller)


async def test_a_callee_who_hangs_up_at_once_is_a_transfer_that_ended(tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path, Reception(script=(HangUp(),))) as house:
        caller = await house.dial()
        await over(house, caller)
        facts = house.facts()
        assert facts[facts.index("TransferAnswered") :][:3] == ["TransferAnswered", "TransferEnded", "CallerHungUp"]


def test_the_ringing_of_these_tests_is_what_they_say() -> None:
    assert len(ringing(8000)) == 16000


# --- the caller's trunk calls the target itself (REFER)


async def test_a_referred_caller_who_reaches_the_target_has_left_us(tmp_path: Path) -> None:
    """Contract D15: a transfer by REFER that succeeded is the end of the session."""
    async with house_with(transferring(), tmp_path, refers=True) as house:
        caller = await house.dial()
        await over(house, caller)
        assert caller.referred_to == [f"sip:{TARGET}@trunk.test"]
        assert house.dialler.placed == []
        assert "TransferHandedOver" in house.facts()
        assert house.events() == ["session_start", "session_end"]


@pytest.mark.parametrize(
    ("status", "cause"), [(486, "busy"), (480, "no_answer"), (603, "rejected"), (503, "failed"), (None, "no_answer")]
)
async def test_a_referred_caller_who_does_not_is_still_with_us(status: int | None, cause: str, tmp_path: Path) -> None:
    """Contract D15: the conversation goes on, whether the caller's side says why or never says anything."""
    async with house_with(transferring(timeout=5), tmp_path, refers=True) as house:
        caller = await house.dial(referral=status)
        await house.until(lambda: house.events().count("session_start") == 2)
        again = house.app.received[-1]
        assert again["transfer_failed"]["cause"] == cause
        assert again["transfer_failed"].get("sip_code") == status
        await house.until(lambda: "assistant_speech_ended" in house.events())
        caller.hang_up()
        await over(house, caller)
        assert house.events()[-1] == "session_end"


async def test_a_referred_caller_may_hang_up_before_anything_is_said(tmp_path: Path) -> None:
    async with house_with(transferring(), tmp_path, refers=True) as house:
        caller = await house.dial(referral=None)
        await house.until(lambda: bool(caller.referred_to))
        caller.hang_up()
        await over(house, caller)
        assert house.events() == ["session_start", "session_end"]


async def test_a_target_for_whom_there_is_no_room_is_left_and_the_caller_is_back(tmp_path: Path) -> None:
    """Nobody is kept on a line that carries no sound."""
    async with house_with(transferring(), tmp_path) as house:
        caller = await house.dial()
        await house.until(lambda: "TransferRinging" in house.facts())
        spare: list[int] = []
        with suppress(OffhookError):
            spare.extend(house.link.open(MediaTerms(Codec.L16, 96)).lease for _ in range(100))
        await house.until(lambda: house.events().count("session_start") == 2)
        assert house.app.received[-1]["transfer_failed"] == {"cause": "failed"}
        assert house.callee.over
        assert "No row for another call" in house.notes()
        for lease in spare:
            house.link.close(lease)
        caller.hang_up()
        await over(house, caller)
