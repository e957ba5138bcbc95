"""The examples with language models talk their models' protocols, to a server that streams as those do."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from offhook.testing import Rehearsal
from tests.testing.model_servers import SPOKEN, Asked, model_of

Example = Callable[[str], ModuleType]
GREETING = "Hello. What can I do for you?"


async def asked_by(example: Example, name: str) -> Asked:
    """What the model is asked in a call of two questions; both are answered aloud, sentence by sentence."""
    async with model_of(name) as asked:
        module = example(name)
        async with module.client, Rehearsal(module.assistant) as call:
            await call.says("what does it cost")
            await call.listens()
            await call.says("thank you")
            await call.listens()
        assert call.heard == [GREETING, *SPOKEN, *SPOKEN]
    return asked


def talk(body: Any) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in body["messages"] if message["role"] != "system"]


async def test_the_openai_protocol(example: Example) -> None:
    asked = await asked_by(example, "15_openai_compatible")
    assert asked.requests[0].headers["Authorization"] == "Bearer k1"
    assert asked.bodies[0]["messages"][0]["role"] == "system"
    assert talk(asked.bodies[1]) == [
        ("assistant", GREETING),
        ("user", "what does it cost"),
        ("assistant", " ".join(SPOKEN)),
        ("user", "thank you"),
    ]


async def test_the_anthropic_protocol(example: Example) -> None:
    """A talk begins with the user there."""
    asked = await asked_by(example, "16_anthropic")
    assert asked.requests[0].headers["x-api-key"] == "k2"
    assert asked.bodies[0]["system"].startswith("You are on the telephone")
    assert [role for role, _ in talk(asked.bodies[1])] == ["user", "assistant", "user", "assistant", "user"]
    assert talk(asked.bodies[0])[:2] == [("user", "(calls)"), ("assistant", GREETING)]


async def test_a_local_model(example: Example) -> None:
    asked = await asked_by(example, "17_local_model")
    assert asked.bodies[0]["stream"] is True
    assert talk(asked.bodies[0]) == [("assistant", GREETING), ("user", "what does it cost")]


async def test_the_order_is_kept_in_the_call_s_state(example: Example) -> None:
    call = Rehearsal(example("14_state").assistant)
    await call.starts()
    await call.says("a tea")
    await call.says("a cake")
    await call.says("that is all")
    await call.listens()
    assert call.heard[-1] == "2 things: a tea, a cake. Goodbye!"
    assert call.ended
