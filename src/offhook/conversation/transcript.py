"""A call as text: one line a fact, one line an order. Tests are written in it, and `offhook replay` prints it: a bug
report from production becomes a test by copying it.

    given {"sends_speech_started": true}      what differs from the usual settings, as JSON
    0.120 app answers 1: speak "Welcome"      a fact, at 0.120 s
          > say #1 "Welcome"                  an order that came of it
    5.000 time passes                         nothing happened, but a deadline came
"""

import json
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, Final, TypeAlias

from offhook.conversation.defaults import CallSettings
from offhook.conversation.fact_lines import format_fact, parse_fact
from offhook.conversation.inputs import Input, Ms
from offhook.conversation.order_lines import format_order
from offhook.conversation.record import record_to_settings, replay_steps, settings_to_record

Happening: TypeAlias = tuple[Ms, Input | None]

TIME_PASSES: Final = "time passes"
USUAL: Final[dict[str, Any]] = {
    "session": {
        "id": "7b8e6c1a-0000-4000-8000-000000000001",
        "account_id": "account",
        "phone_number": "+4921155660",
        "direction": "inbound",
        "from_phone_number": "+491701234567",
        "to_phone_number": "+4921155660",
    },
    "began_at": 1_700_000_000_000,
}
"""The settings of a transcript that gives none; the others are the contract's defaults."""

__all__ = ["USUAL", "format_call", "format_fact", "format_order", "parse_call", "parse_fact", "replayed"]


def parse_call(text: str) -> tuple[CallSettings, tuple[Happening, ...]]:
    """The settings and the facts of a transcript; its orders (`>`) and comments (`#`) are passed over.

    Raises ValueError for a line that is none of these, with the line.
    """
    given: dict[str, Any] = dict(USUAL)
    happenings: list[Happening] = []
    for line in text.splitlines():
        words = line.strip()
        if not words or words[0] in "#>":
            continue
        if words.startswith("given "):
            given = _merged(given, json.loads(words.removeprefix("given ")))
            continue
        time, _, said = words.partition(" ")
        try:
            at = round(float(time) * 1000)
            happenings.append((at, None if said.strip() == TIME_PASSES else parse_fact(said.strip(), at)))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a line of a call: {line!r} ({error})") from error
    return record_to_settings(given), tuple(happenings)


def format_call(settings: CallSettings, happenings: Sequence[Happening]) -> str:
    """The whole call: what differs from the usual settings, each fact, and the orders that the core gives."""
    usual = settings_to_record(record_to_settings(USUAL))
    given = {name: value for name, value in settings_to_record(settings).items() if value != usual[name]}
    lines = [f"given {json.dumps(given, ensure_ascii=False)}"] if given else []
    return "\n".join([*lines, *_played(settings, happenings)]) + "\n"


def replayed(text: str) -> str:
    """A transcript as the core plays it: the same text when its orders are right. What stands above its first fact
    (comments, `given`) stays as it is."""
    settings, happenings = parse_call(text)
    head = takewhile(lambda line: not line[:1].isdigit(), text.splitlines())
    return "\n".join([*head, *_played(settings, happenings)]) + "\n"


def _played(settings: CallSettings, happenings: Sequence[Happening]) -> Iterator[str]:
    told: Ms | None = None
    waited_for = {at for at, fact in happenings if fact is None}
    for at, fact, orders in replay_steps(settings, happenings):
        if fact is not None or orders or (at in waited_for and told != at):
            yield f"{at / 1000:.3f} {TIME_PASSES if fact is None else format_fact(fact)}"
            yield from (f"      > {format_order(order)}" for order in orders)
        told = at


def _merged(usual: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = {**usual, **given}
    if "session" in given:
        merged["session"] = {**usual["session"], **given["session"]}
    return merged
