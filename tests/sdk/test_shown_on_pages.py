"""What docs/write-an-app shows of state and language models, as it stands there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from offhook import BargeInConfig, BargeInStrategy, RedisStates, ScriptedModel, Speak


def spoken(actions: list[Any]) -> list[str]:
    return [action.text for action in actions]


async def test_a_model_is_spoken_in_sentences(events: Any) -> None:
    my_model = ScriptedModel({"": "It costs 3.50. Anything else?"})

    from offhook import Assistant, UserSpeak, stream_sentences

    assistant = Assistant()

    @assistant.on_user_speak(latest_turn_only=True)
    async def answer(event: UserSpeak) -> AsyncIterator[str]:
        return stream_sentences(my_model(event.session.history))

    assert spoken(await assistant.on_event(events.words("How much?"))) == ["It costs 3.50.", "Anything else?"]

    async def with_options(event: UserSpeak) -> AsyncIterator[Speak]:
        async for sentence in stream_sentences(my_model(event.session.history)):
            yield Speak(text=sentence, barge_in=BargeInConfig(strategy=BargeInStrategy.IMMEDIATE))

    actions = await Assistant(on_user_speak=with_options).on_event(events.words("How much?"))
    assert spoken(actions) == ["It costs 3.50.", "Anything else?"]
    assert all(isinstance(action, Speak) and action.barge_in for action in actions)


async def test_a_call_has_a_state_of_the_developer_s_own(events: Any) -> None:
    from offhook import Assistant, UserSpeak

    @dataclass
    class Order:
        items: list[str] = field(default_factory=list[str])

    assistant = Assistant(state=Order)

    @assistant.on_user_speak
    def take(event: UserSpeak) -> str:
        order: Order = event.session.state
        order.items.append(event.text)
        return f"{len(order.items)} things. Anything else?"

    await assistant.on_event(events.words("a tea"))
    assert spoken(await assistant.on_event(events.words("a cake"))) == ["2 things. Anything else?"]
    assistant = Assistant(state=Order, states=RedisStates("redis://localhost"))
    assert assistant.on_user_speak.handler is None
