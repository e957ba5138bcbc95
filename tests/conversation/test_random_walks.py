"""Whatever happens, in whatever order: what a call promises is kept.

Two worlds: one that obeys the orders of the core as the house does, with chance delays; and a hostile one, in which
any fact may come at any time. A walk that fails is printed as a transcript.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings, Fallback
from offhook.conversation.inputs import (
    CallConnected,
    CallOffered,
    FinalWords,
    Input,
    Ms,
    TransferAnswered,
)
from offhook.conversation.outputs import (
    FinishRecognition,
    Ignored,
    Output,
    PlayAudio,
    PlayUrl,
    Say,
    SendEvent,
    StartRecognition,
)
from offhook.conversation.record import (
    fact_to_record,
    order_to_record,
    record_to_fact,
    record_to_settings,
    replay,
    settings_to_record,
)
from offhook.conversation.transcript import format_call
from offhook.protocol.events import (
    AssistantSpeak,
    AssistantSpeechEnded,
    Event,
    SessionEnd,
    SessionStart,
    UserSpeak,
    UserSpeechStarted,
)
from offhook.protocol.session import Session

SESSION = Session(
    id="7b8e6c1a-0000-4000-8000-000000000001",
    account_id="account",
    phone_number="+4921155660",
    direction="inbound",
    from_phone_number="+491701234567",
    to_phone_number="+4921155660",
)
FALLBACKS = [Fallback(), Fallback("Sorry.", "https://example.net/second", "+4930123456"), Fallback("")]

walks = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
chances = st.integers(0, 2**32).map(Random)
flows = st.builds(
    CallSettings,
    session=st.just(SESSION),
    began_at=st.just(1_700_000_000_000),
    sends_speech_started=st.booleans(),
    reports_spoken_text=st.booleans(),
    reports_words=st.booleans(),
    answer_after_ms=st.sampled_from([0, 1000]),
    max_call_ms=st.sampled_from([8_000, 60_000]),
    fallback=st.sampled_from(FALLBACKS),
)
Orders: TypeAlias = Sequence[tuple[Ms, Output]]


def events_of(orders: Orders) -> list[Event]:
    return [order.event for _, order in orders if isinstance(order, SendEvent)]


def count(events: list[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


def check_promises(orders: Orders) -> None:
    """What holds in every world, hostile or not."""
    events = events_of(orders)
    numbers = [order.number for _, order in orders if isinstance(order, SendEvent)]
    assert numbers == list(range(1, len(numbers) + 1))
    if events:
        assert isinstance(events[0], SessionStart)
        assert count(events, SessionEnd) <= 1
    if count(events, SessionEnd):
        last = orders[-1][1]
        assert isinstance(last, SendEvent)
        assert isinstance(last.event, SessionEnd)

    begun = [order.utterance for _, order in orders if isinstance(order, Say | PlayAudio | PlayUrl)]
    assert begun == sorted(set(begun)), "the queue keeps its order, and nothing is said twice"

    turns = [order.turn for _, order in orders if isinstance(order, StartRecognition)]
    assert turns == list(range(1, len(turns) + 1))
    finished = [order.turn for _, order in orders if isinstance(order, FinishRecognition)]
    assert finished == sorted(set(finished))
    assert set(finished) <= set(turns)
    assert count(events, UserSpeechStarted) <= len(turns)
    spoken = [event for event in events if isinstance(event, UserSpeak) and not event.gathered_dtmf]
    assert len(spoken) <= len(turns)
    assert all(event.text.strip() == event.text != "" for event in spoken)

    open_speech = 0
    for event in events:
        if isinstance(event, AssistantSpeak):
            open_speech += 1
        elif isinstance(event, AssistantSpeechEnded):
            open_speech = max(0, open_speech - 1)
    assert open_speech == 0 or not count(events, SessionEnd), "what was announced has ended before the session does"


def check_the_record(flow: CallSettings, facts: Sequence[tuple[Ms, Input]], orders: Orders, until: Ms) -> None:
    """The same facts give the same orders, also after a journey through JSON, and however late deadlines were run."""
    stored = json.loads(json.dumps([(at, fact_to_record(fact)) for at, fact in facts]))
    again = [(at, record_to_fact(record)) for at, record in stored]
    assert again == list(facts)
    same_flow = record_to_settings(json.loads(json.dumps(settings_to_record(flow))))
    assert same_flow == flow
    replayed = [json.dumps(order_to_record(order)) for order in replay(same_flow, again, until)]
    assert replayed == [json.dumps(order_to_record(order)) for _, order in orders]


@walks
@given(flow=flows, chance=chances, steps=st.integers(5, 60))
def test_a_call_in_a_world_that_obeys(
    build_world: Callable[[CallSettings, Random], Any], flow: CallSettings, chance: Random, steps: int
) -> None:
    world = build_world(flow, chance)
    world.walk(steps)
    try:
        check_promises(world.orders)
        check_the_record(flow, world.facts, world.orders, world.now)
        check_what_was_heard(world.orders, world.heard, world.cut)
        check_no_words_vanish(world.orders, world.facts, world.last_words)
        assert world.core.ended
    except AssertionError:
        print(format_call(flow, [*world.facts, (world.now, None)]))
        raise


def check_what_was_heard(orders: Orders, heard: set[int], cut: list[int]) -> None:
    """In a world that obeys, every utterance that was heard ends exactly once, and nobody barges in without a cut."""
    events = events_of(orders)
    if not events:
        return
    assert isinstance(events[-1], SessionEnd)
    said = {order.utterance: order for _, order in orders if isinstance(order, Say | PlayAudio | PlayUrl)}
    assert heard <= set(said)
    empty = sum(isinstance(event, AssistantSpeak) and not (event.text or "").strip() for event in events)
    assert count(events, AssistantSpeechEnded) == len(heard) + empty
    spoken = sum(isinstance(said[number], Say) for number in heard)
    assert count(events, AssistantSpeak) == spoken + empty
    barged_in = sum(isinstance(event, UserSpeak) and event.barged_in for event in events)
    assert barged_in <= len(cut)
    assert count(events, SessionEnd) == 1


def check_no_words_vanish(orders: Orders, facts: Sequence[tuple[Ms, Input]], last_words: Sequence[FinalWords]) -> None:
    """Final words, in time or late, are told or stand in the timeline, once, and turns are told in their order
    (contract D22, D39, D40). Who is bridged talks to somebody else: what was not told until then is over (D15)."""
    told = [event.text for event in events_of(orders) if isinstance(event, UserSpeak)]
    numbered = [int(text.split()[-1]) for text in told if "bill " in text]
    assert numbered == sorted(set(numbered))
    if any(isinstance(fact, TransferAnswered) for _, fact in facts):
        return
    ignored = [order.happened for _, order in orders if isinstance(order, Ignored)]
    for words in last_words:
        if "bill " in words.text:
            assert told.count(words.text) + ignored.count(words) == 1


@walks
@given(flow=flows, chance=chances, steps=st.integers(1, 60))
def test_a_call_in_a_hostile_world(
    fact_by_chance: Callable[[Random], Input], flow: CallSettings, chance: Random, steps: int
) -> None:
    """Any fact, at any time, with any number: nothing raises, and the promises hold."""
    call = Conversation(flow)
    facts: list[tuple[Ms, Input]] = []
    orders: list[tuple[Ms, Output]] = []
    clock = latest = 0
    for _ in range(steps):
        clock += chance.choice([-50, 0, 20, 300, 700, 2000])
        latest = max(latest, clock)
        fact = fact_by_chance(chance)
        facts.append((clock, fact))
        orders += [(latest, order) for order in call.receive(fact, clock)]
        assert call.next_deadline is None or call.next_deadline > latest
        if chance.random() < 0.5:
            orders += [(latest, order) for order in call.advance(latest)]
    until = latest + 100_000
    orders += [(until, order) for order in call.advance(until)]
    if call.ended:
        assert call.receive(facts[0][1], until) == ()
        assert call.next_deadline is None
    try:
        check_promises(orders)
        check_the_record(flow, facts, orders, until)
    except AssertionError:
        print(format_call(flow, [*facts, (until, None)]))
        raise


def test_late_deadlines_change_nothing() -> None:
    """`advance` may come late, or not at all before the next fact (ARCHITECTURE.md, "The core")."""
    flow = replace(CallSettings(SESSION, 0), answer_after_ms=500)
    punctual, late = Conversation(flow), Conversation(flow)
    offered = CallOffered()
    punctual.receive(offered, 0)
    late.receive(offered, 0)
    connected = CallConnected()
    orders = [*punctual.advance(500), *punctual.receive(connected, 540)]
    assert orders == list(late.receive(connected, 540))
