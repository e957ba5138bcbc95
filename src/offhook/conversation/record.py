"""Facts, orders and settings as plain JSON-able values, and a call again from its facts.

Facts and settings come back exactly as they were. Orders are only written: always the same way, so that two calls gave
the same orders when their records are equal; long audio stands there as its SHA-256, gathered keys are masked (D43).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, get_args

from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings, Fallback
from offhook.conversation.inputs import ActionsArrived, FinalWords, Input, Ms
from offhook.conversation.outputs import Ignored, Output, PlayAudio, SendEvent, StartLoop
from offhook.protocol.actions import ACTION_TYPES
from offhook.protocol.events import RecognisedWord
from offhook.protocol.json_codec import RefusedAction
from offhook.protocol.mistakes import WireValue
from offhook.protocol.session import Session
from offhook.protocol.speech_options import BargeInConfig

Record: TypeAlias = dict[str, Any]

LONG_AUDIO_CHARACTERS: Final = 256
_PLAIN_KINDS: Final = frozenset({str, int, bool, float})

FACTS: Final[Mapping[str, type[Input]]] = {kind.__name__: kind for kind in get_args(Input)}
ORDERS: Final[Mapping[str, type[Output]]] = {kind.__name__: kind for kind in get_args(Output)}


def fact_to_record(fact: Input) -> Record:
    """The fact's class under `type`, and its fields; `confidence` and `words` of final words where there are any."""
    record = {"type": type(fact).__name__, **_fields(fact)}
    match fact:
        case ActionsArrived(actions, _, refused):
            record["actions"] = [_wire(action) for action in actions]
            record["refused"] = [_fields(one) for one in refused]
        case FinalWords(confidence=confidence, words=words):
            del record["confidence"], record["words"]
            if confidence is not None:
                record["confidence"] = confidence
            if words:
                record["words"] = [_wire(word) for word in words]
        case _:
            pass
    return record


def record_to_fact(record: Mapping[str, Any]) -> Input:
    """The fact again. Raises ValueError, TypeError or KeyError on what `fact_to_record` did not write."""
    values = dict(record)
    name = values.pop("type")
    if name not in FACTS:
        raise ValueError(f"no fact is called {name!r}")
    if name == "ActionsArrived":
        return ActionsArrived(
            tuple(ACTION_TYPES[action["type"]].model_validate(action) for action in values["actions"]),
            values["answers"],
            tuple(RefusedAction(**refused) for refused in values["refused"]),
        )
    if "words" in values:
        values["words"] = tuple(RecognisedWord.model_validate(word) for word in values["words"])
    build: Callable[..., Input] = FACTS[name]
    return build(**values)


def order_to_record(order: Output) -> Record:
    """The order's class under `type`, and its fields."""
    if isinstance(order, SendEvent):
        return {"type": "SendEvent", "number": order.number, "event": _wire(order.masked or order.event)}
    values = {name: _plain(value) for name, value in _fields(order).items()}
    match order:
        case Ignored(happened):
            values["happened"] = fact_to_record(happened)
        case PlayAudio(_, audio) | StartLoop(audio):
            values["audio"] = _digest(audio)
        case _:
            pass
    return {"type": type(order).__name__, **values}


def settings_to_record(settings: CallSettings) -> Record:
    """All settings of a call."""
    values = {name: _plain(value) for name, value in _fields(settings).items()}
    return {**values, "fallback": _fields(settings.fallback)}


def record_to_settings(record: Mapping[str, Any]) -> CallSettings:
    """The settings again. Raises ValueError, TypeError or KeyError on what `settings_to_record` did not write."""
    values = dict(record)
    values["session"] = Session.model_validate(values["session"])
    if "barge_in" in values:
        values["barge_in"] = BargeInConfig.model_validate(values["barge_in"])
    if "fallback" in values:
        values["fallback"] = Fallback(**values["fallback"])
    for name in ("languages", "custom_vocabulary"):
        if name in values:
            values[name] = tuple(values[name])
    return CallSettings(**values)


def replay(settings: CallSettings, facts: Iterable[tuple[Ms, Input]], until: Ms | None = None) -> tuple[Output, ...]:
    """The orders of a call, from its facts with their times. `until`: how long time went on after the last fact."""
    return tuple(order for _, _, orders in replay_steps(settings, facts, until) for order in orders)


def replay_steps(
    settings: CallSettings, facts: Iterable[tuple[Ms, Input | None]], until: Ms | None = None
) -> Iterator[tuple[Ms, Input | None, tuple[Output, ...]]]:
    """Each fact, and each moment when a deadline came (None), with its time and the orders that came of it. None among
    `facts`: time went on until then, and nothing happened."""
    call = Conversation(settings)
    for at, fact in facts:
        yield from _deadlines_until(call, at)
        yield at, fact, tuple(call.advance(at) if fact is None else call.receive(fact, at))
    if until is not None:
        yield from _deadlines_until(call, until)


def _deadlines_until(call: Conversation, at: Ms) -> Iterator[tuple[Ms, None, tuple[Output, ...]]]:
    while (due := call.next_deadline) is not None and due <= at:
        yield due, None, tuple(call.advance(due))


def _fields(value: Any) -> Record:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _wire(value: WireValue) -> Record:
    return value.model_dump(mode="json", exclude_none=True)


def _plain(value: Any) -> Any:
    if value is None or type(value) in _PLAIN_KINDS:
        return value
    match value:
        case WireValue():
            return _wire(value)
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _digest(audio: str) -> str | Record:
    if len(audio) <= LONG_AUDIO_CHARACTERS:
        return audio
    return {"sha256": hashlib.sha256(audio.encode()).hexdigest(), "characters": len(audio)}
