"""A call's log without words and numbers, to be given away: the same call in its shape (contract D43).

Facts are rewritten, and the orders are those that the core gives for them: nothing of an order is copied. Every text
that is not in a field of `KEPT` is masked: each letter is an x, each digit a 0, and what the core can tell apart stays
(length, spaces, punctuation), so that it does the same. Audio becomes a WAV without samples; notes are left
out, but for those of engines, which keep names and codes. Ids, times, names of engines, languages, confidences and
settings stay.

Recorded orders that this version of the core does not give stay in the log, masked: a replay differs from the redacted
log exactly where it differs from the log.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

from offhook.calls.call_log import Json, RecordedCall, log_records, read_call_log
from offhook.conversation.conversation import Conversation
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import DigitPressed, Input, Ms
from offhook.conversation.record import (
    fact_to_record,
    order_to_record,
    record_to_fact,
    record_to_settings,
    replay,
    settings_to_record,
)
from offhook.protocol.session import ANONYMOUS

KEPT: Final = frozenset(
    (
        *("type", "id", "session_id", "account_id", "direction", "state", "cause", "code", "path"),
        *("provider", "transcriber", "voice", "language", "languages", "strategy", "default_country"),
        *("allowed_gathered_characters", "finish_on_key", "flow", "transport", "call_id"),
        *("trunk", "outcome", "ended_by"),
    )
)
"""Names of the fields whose text stays: nobody has said it."""

NO_SOUND: Final = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA="
"""A WAV (16 kHz, mono, 16 bits) without samples, in base64."""

_OF_ENGINES: Final = re.compile(r"(voice|ear): [^:]*|the (voice|ear) [^:]*")
"""Of a note about engines: what is names and codes alone (`speech.passed_over`)."""
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_MARKS: Final = frozenset("+<>=")


def redacted_log(path: Path) -> list[str]:
    """The lines of a log, without words and numbers.

    Raises:
        OffhookError: it is no log.
    """
    call = read_call_log(path)
    settings = record_to_settings(masked(settings_to_record(call.settings)))
    facts = tuple(_masked_facts(settings, call.facts))
    orders = iter(_orders(call, settings, facts))
    remaining = iter(facts)
    lines: list[Json] = []
    for _, record in log_records(path):
        if "call" in record:
            about = {**masked(call.about), "redacted": True}
            lines.append({"call": settings_to_record(settings), "about": about})
        elif "fact" in record:
            lines.append({"at": record["at"], "fact": fact_to_record(next(remaining)[1])})
        elif "order" in record:
            lines.append({"at": record["at"], "order": next(orders)})
        elif "note" in record and (head := _OF_ENGINES.match(str(record["note"]))):
            lines.append({"at": record["at"], "note": head.group()})
        elif "about" in record:
            lines.append({"at": record["at"], "about": masked(record["about"])})
    return [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines]


def masked(value: Any, name: str = "") -> Any:
    """A JSON value with its texts masked, but for those in a field of KEPT. `name`: the field that holds it."""
    match value:
        case dict():
            return {key: masked(item, key) for key, item in value.items()}
        case list():
            return [masked(item, name) for item in value]
        case str() if name in KEPT or (value == ANONYMOUS and name.endswith("phone_number")):
            return value
        case str() if name == "audio":
            return NO_SOUND
        case str() if name in {"digit", "dtmf"}:
            return "0" if value.isdecimal() else value
        case str():
            return masked_text(value)
        case int() if name == "dtmf":
            return 0
        case _:
            return value


def masked_text(text: str) -> str:
    """As many characters: x for a letter or a sign, 0 for a digit; spaces and punctuation stay, and what makes a web
    address one."""
    scheme = _SCHEME.match(text)
    kept = scheme.group() if scheme else ""
    return kept + "".join(map(_masked_character, text[len(kept) :]))


def _masked_character(character: str) -> str:
    kind = unicodedata.category(character)[0]
    if character.isspace() or kind == "P" or character in _MARKS:
        return character
    return "0" if kind == "N" else "x"


def _masked_facts(settings: CallSettings, facts: Sequence[tuple[Ms, Input]]) -> Iterator[tuple[Ms, Input]]:
    """The facts with their times. What a key means to a gathering depends on the call, so the call is run alongside."""
    call = Conversation(settings)
    for at, fact in facts:
        call.advance(at)
        instead = call.masked(fact) if isinstance(fact, DigitPressed) else None
        instead = instead or record_to_fact(masked(fact_to_record(fact)))
        call.receive(instead, at)
        yield at, instead


def _orders(call: RecordedCall, settings: CallSettings, facts: Sequence[tuple[Ms, Input]]) -> Iterator[Json]:
    """One for each recorded order: the one that the masked facts give, where the facts give the recorded one."""
    until = max((at for at, _ in (*call.facts, *call.orders)), default=0)
    given = [order_to_record(order) for order in replay(call.settings, call.facts, until)]
    instead = [order_to_record(order) for order in replay(settings, facts, until)]
    recorded = [record for _, record in call.orders]
    assert len(given) == len(instead), "what the core can tell apart stays as it is"
    alike = SequenceMatcher(None, [json.dumps(one) for one in recorded], [json.dumps(one) for one in given], False)
    for what, start, end, of_given, _ in alike.get_opcodes():
        for index in range(start, end):
            yield instead[of_given + index - start] if what == "equal" else masked(recorded[index])
