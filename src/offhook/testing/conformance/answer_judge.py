"""What an app sent, judged as text: is it actions at all, for this session, in an order that works?"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from offhook.protocol.actions import ACTION_TYPES, Action
from offhook.protocol.events import EVENT_TYPES
from offhook.protocol.forgiving_reader import nearest_type
from offhook.protocol.json_codec import BODY_LIMIT, read_actions
from offhook.protocol.mistakes import shown
from offhook.testing.conformance import rule_book
from offhook.testing.conformance.action_judge import complaints_about, name_of
from offhook.testing.conformance.finding import Complaint

JsonObject = dict[str, Any]

_HARMLESS_WORDS: Final = frozenset({"", "ok", "okay", "done", "true", "success", "accepted", "received", "null"})
_FIELDS_OF_ACTIONS: Final = frozenset(
    name for model in ACTION_TYPES.values() for name in model.model_fields if name not in {"type", "timeout", "stop"}
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the service would run of it, as the app wrote it (`items`) and as it is read, and what is wrong with it."""

    actions: tuple[Action, ...] = ()
    items: tuple[JsonObject, ...] = ()
    complaints: tuple[Complaint, ...] = ()


def judge(body: bytes, session_id: str, other_sessions: Collection[str] = ()) -> Judgement:
    """Judge the body of one answer, or one message.

    Args:
        session_id: the session that it answers.
        other_sessions: the sessions of all other calls of this run, for actions that go astray.
    """
    read = read_actions(body, session_id)
    if read.nonsense is not None:
        rule = rule_book.WITHIN_LIMIT if len(body) > BODY_LIMIT else rule_book.READABLE
        return Judgement(complaints=(Complaint(rule, f"It cannot be used: {read.nonsense}."),))
    text = body.decode("utf-8-sig").strip()
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return Judgement(complaints=tuple(_bare_text(text)))
    if isinstance(found, str):
        return Judgement(complaints=tuple(_bare_text(found)))
    listed = found if isinstance(found, list) else [found]
    items = tuple(item for item in listed if _is_action(item))
    complaints: list[Complaint] = []
    for index, item in enumerate(listed):
        at = f"[{index}]" if isinstance(found, list) else ""
        if _is_action(item):
            complaints += _session(item, session_id, other_sessions, at)
            complaints += complaints_about(item, session_id, at)
        else:
            complaints += _no_action(item, at)
    complaints += _order(items)
    return Judgement(read.actions, items, tuple(complaints))


def _is_action(item: object) -> TypeGuard[JsonObject]:
    return isinstance(item, dict) and isinstance(item.get("type"), str) and item["type"] in ACTION_TYPES


def _bare_text(text: str) -> Iterator[Complaint]:
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        inner = None
    if isinstance(inner, dict | list):
        yield Complaint(rule_book.ENCODED_ONCE, f"It is JSON inside a JSON string: {shown(text)}.")
    elif text.strip().lower().rstrip(".!") not in _HARMLESS_WORDS:
        yield Complaint(rule_book.NOT_BARE_TEXT, f"It is bare text: {shown(text)}.")


def _no_action(item: object, at: str) -> Iterator[Complaint]:
    if isinstance(item, list):
        if any(_is_action(one) for one in item):
            yield Complaint(rule_book.UNWRAPPED, "Actions stand in an array within an array.", at)
        return
    if isinstance(item, str):
        yield from _bare_text(item)
    if not isinstance(item, dict):
        return
    kind = item.get("type")
    wrapper = _wrapper(item)
    if item.get("error"):
        yield Complaint(rule_book.NO_REPORTED_ERROR, f"It says: {shown(item['error'])}.", at)
    elif wrapper:
        yield Complaint(rule_book.UNWRAPPED, f"Actions stand inside {wrapper!r}.", at)
    elif isinstance(kind, str) and kind in EVENT_TYPES:
        yield Complaint(rule_book.NO_ECHO, f"The event {kind!r} came back.", at)
    elif kind is not None:
        remedy = nearest_type(kind) if isinstance(kind, str) else ""
        yield Complaint(rule_book.KNOWN_ACTION, f"No action is called {shown(kind)}.", f"{at}.type".lstrip("."), remedy)
    elif meant := sorted(_FIELDS_OF_ACTIONS & set(item)):
        yield Complaint(rule_book.HAS_TYPE, f"An object with {', '.join(meant)} has no type.", at)


def _wrapper(item: JsonObject) -> str | None:
    for key, value in item.items():
        if _is_action(value) or (isinstance(value, list) and any(_is_action(one) for one in value)):
            return key
    return None


def _session(item: JsonObject, session_id: str, other_sessions: Collection[str], at: str) -> Iterator[Complaint]:
    given = item.get("session_id")
    if given is None or given == "":
        yield Complaint(rule_book.NAMES_SESSION, f"The {item['type']} has no session_id.", name_of("session_id", at))
    elif not isinstance(given, str) or given.strip().lower() != session_id.lower():
        astray = given in other_sessions
        rule = rule_book.KEPT_APART if astray else rule_book.OWN_SESSION
        what = f"The {item['type']} is for {'another call' if astray else shown(given)}, the event's is {session_id}."
        yield Complaint(rule, what, name_of("session_id", at))


def _order(items: tuple[JsonObject, ...]) -> Iterator[Complaint]:
    """What one action of an answer does to another."""
    kinds = [item["type"] for item in items]
    ends = [i for i, item in enumerate(items) if kinds[i] == "hangup" or (kinds[i] == "transfer" and not _back(item))]
    queued = {"speak", "audio", "hangup", "transfer", "dtmf", "gather_dtmf"}
    if ends and (behind := [kind for kind in kinds[ends[0] + 1 :] if kind in queued]):
        what = f"Behind {kinds[ends[0]]} {'waits' if len(behind) == 1 else 'wait'} {', '.join(behind)}."
        yield Complaint(rule_book.NOTHING_AFTER_THE_END, what, f"[{ends[0]}]")
    if "barge_in" in kinds:
        at = len(kinds) - 1 - kinds[::-1].index("barge_in")
        if dropped := [kind for kind in kinds[:at] if kind in {"speak", "audio"}]:
            yield Complaint(rule_book.BARGE_IN_FIRST, f"barge_in drops the {dropped[0]} before it.", f"[{at}]")
    speaks = [item for item in items if item["type"] == "speak"]
    armed = [bool(speak.get("user_input_timeout_seconds")) for speak in speaks]
    if any(armed) and not armed[-1]:
        yield Complaint(rule_book.LAST_ONE_ARMS, "The last speak has no timeout, one before it has.")


def _back(transfer: JsonObject) -> bool:
    return transfer.get("timeout") is not None
