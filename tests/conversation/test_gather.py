"""Keys that are gathered say nothing in a log, and the log still gives the same call (contract D16, D43)."""

import json
from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import (
    ActionsArrived,
    CallConnected,
    CallerHungUp,
    CallHeld,
    CallResumed,
    DigitPressed,
    Input,
    Ms,
    PlaybackFinished,
    PlaybackStarted,
)
from offhook.conversation.outputs import Output, PlayUrl, SendEvent, StopPlayback
from offhook.conversation.record import fact_to_record, order_to_record, replay
from offhook.protocol.actions import GatherDtmf, Speak
from offhook.protocol.events import UserSpeak
from offhook.protocol.session import Session

FLOW = CallSettings(Session(id="one"), 0)
KEYS = "0123456789*#"
END: Ms = 900_000

keys = st.text(KEYS, min_size=1, max_size=12)
gathers = st.builds(
    GatherDtmf,
    allowed_gathered_characters=keys,
    finish_on_key=st.sampled_from(["", *KEYS]),
    num_characters=st.integers(1, 4),
    timeout_ms=st.sampled_from([200, 900, 5000]),
    audio_url=st.sampled_from([None, "https://example.net/menu.wav"]),
)
happenings = st.lists(
    st.one_of(
        st.sampled_from(KEYS + "A").map(DigitPressed),
        st.sampled_from([CallHeld(), CallResumed()]),
        st.lists(st.one_of(gathers, st.just(Speak(text="Thank you"))), min_size=1, max_size=3).map(
            lambda actions: ActionsArrived(tuple(actions))
        ),
        st.integers(20, 1500),
    ),
    max_size=25,
)
walks = settings(max_examples=150, deadline=None)


class LoggedCall:
    """A call as the house runs it: what is due, then the fact as the log may hold it, then the fact itself. Prompts and
    speech last for 400 ms, or until they are cut."""

    def __init__(self) -> None:
        self.core = Conversation(FLOW)
        self.facts: list[tuple[Ms, Input]] = []
        self.logged: list[tuple[Ms, Input]] = []
        self.orders: list[Output] = []
        self.now: Ms = 0
        self.playing: int | None = None

    def take(self, fact: Input) -> None:
        self.obey(self.core.advance(self.now))
        self.facts.append((self.now, fact))
        self.logged.append((self.now, self.core.masked(fact) or fact))
        self.obey(self.core.receive(fact, self.now))

    def obey(self, orders: Sequence[Output]) -> None:
        self.orders += orders
        for order in orders:
            match order:
                case StopPlayback(number) if number == self.playing:
                    self.playing = None
                    self.take(PlaybackFinished(number, 10))
                case PlayUrl(number):
                    self.playing = number
                    self.take(PlaybackStarted(number))
                case _:
                    pass

    def wait(self, ms: Ms) -> None:
        self.now += ms
        if self.playing is not None and ms > 400:
            ended, self.playing = self.playing, None
            self.take(PlaybackFinished(ended, 400))
        self.obey(self.core.advance(self.now))

    def live(self, what: Sequence[Input | Ms]) -> "LoggedCall":
        self.take(CallConnected())
        for one in what:
            if isinstance(one, int):
                self.wait(one)
            else:
                self.take(one)
        self.wait(60_000)
        self.take(CallerHungUp("caller_hung_up"))
        return self


def lines(orders: Sequence[Output]) -> list[str]:
    return [json.dumps(order_to_record(order)) for order in orders]


@walks
@given(what=happenings)
def test_the_masked_facts_give_the_masked_orders(what: list[Input | Ms]) -> None:
    """(contract D43: a masked log is replayed to the byte)"""
    call = LoggedCall().live(what)
    assert lines(replay(FLOW, call.logged, END)) == lines(call.orders)
    assert lines(replay(FLOW, call.facts, END)) == lines(call.orders)


@walks
@given(gather=gathers, pressed=st.text(KEYS, max_size=6), chance=st.randoms(use_true_random=False))
def test_a_log_is_the_same_whatever_keys_were_gathered(gather: GatherDtmf, pressed: str, chance: Random) -> None:
    """Two callers press different keys that mean the same to the gathering: nothing in their logs differs (D43)."""
    allowed, finish = gather.allowed_gathered_characters, gather.finish_on_key
    swaps: dict[str, str] = {}
    for same in ([key for key in KEYS if (key in allowed) is means and key != finish] for means in (True, False)):
        swaps |= zip(same, chance.sample(same, len(same)), strict=True)
    while_gathering = pressed[: gather.num_characters]
    if finish:
        while_gathering = "".join(while_gathering.partition(finish)[:2])
    logs = [
        LoggedCall().live([ActionsArrived((gather,)), *presses(keys)])
        for keys in (while_gathering, "".join(swaps.get(key, key) for key in while_gathering))
    ]
    one, other = (([fact_to_record(fact) for _, fact in log.logged], lines(log.orders)) for log in logs)
    assert one == other


def gathered(call: LoggedCall) -> list[tuple[str, str | None]]:
    """What the app was told, and what the log holds of it."""
    sent = [order for order in call.orders if isinstance(order, SendEvent) and isinstance(order.event, UserSpeak)]
    return [
        (order.event.text, order.masked.text if isinstance(order.masked, UserSpeak) else None)
        for order in sent
        if isinstance(order.event, UserSpeak)
    ]


def presses(keys: str) -> list[Input | Ms]:
    return [DigitPressed(key) for key in keys]


def test_the_app_gets_the_keys_and_the_log_as_many_others() -> None:
    gather = ActionsArrived((GatherDtmf(num_characters=6),))
    call = LoggedCall().live([gather, *presses("4*711#9")])
    assert gathered(call) == [("4711", "0000")]
    logged = [fact.digit for _, fact in call.logged if isinstance(fact, DigitPressed)]
    assert logged == [*"0*000#", "9"], "what is ignored and what finishes stay so; what comes after is no secret"


def test_the_stand_in_is_allowed_and_does_not_finish() -> None:
    gather = GatherDtmf(allowed_gathered_characters="1234#", finish_on_key="1", num_characters=3)
    call = LoggedCall().live([ActionsArrived((gather,)), *presses("90#431")])
    logged = [fact.digit for _, fact in call.logged if isinstance(fact, DigitPressed)]
    assert logged == [*"002221"]
    assert gathered(call) == [("#43", "222")]


def test_keys_are_masked_during_the_prompt_too() -> None:
    gather = GatherDtmf(num_characters=2, audio_url="https://example.net/menu.wav")
    call = LoggedCall()
    call.take(CallConnected())
    call.take(ActionsArrived((gather,)))
    for key in "47":
        assert call.core.masked(DigitPressed(key)) == DigitPressed("0")
        call.take(DigitPressed(key))
    assert gathered(call) == [("47", "00")]
    assert call.core.masked(DigitPressed("4")) is None


def test_without_a_gathering_keys_are_logged_as_they_are() -> None:
    call = LoggedCall().live(presses("12"))
    assert call.logged == call.facts
    assert call.core.masked(CallConnected()) is None


def test_a_gathering_that_was_due_to_end_masks_no_later_key() -> None:
    """What is due is run before the fact, also when the house is late."""
    call = LoggedCall()
    call.take(CallConnected())
    call.take(ActionsArrived((GatherDtmf(num_characters=3, timeout_ms=200),)))
    call.now = 5000
    call.take(DigitPressed("7"))
    assert call.logged[-1] == (5000, DigitPressed("7"))
