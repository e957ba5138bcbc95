"""JSON in and out. The service writes strictly (`event_to_json`) and reads forgivingly (`read_actions`); the SDK reads
events (`read_event`) and writes strictly checked actions (`actions_to_json`) (contract, introduction)."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from offhook.errors import OffhookError
from offhook.protocol.actions import ACTION_TYPES, Action
from offhook.protocol.events import EVENT_TYPES, Event, SessionEnd
from offhook.protocol.forgiving_fields import Note
from offhook.protocol.forgiving_reader import ForgivingReader, RefusedAction, nearest_type
from offhook.protocol.mistakes import Mistake, MistakesFound, mistakes_of
from offhook.protocol.speech_options import OWN_TRANSCRIBERS

__all__ = [
    "BODY_LIMIT",
    "ActionsRead",
    "EventInvalid",
    "EventTypeUnknown",
    "Note",
    "RefusedAction",
    "action_to_json",
    "actions_to_json",
    "build_action",
    "build_models",
    "event_to_json",
    "read_actions",
    "read_event",
]

BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a body or message, each way (D27)."""


class EventInvalid(MistakesFound):
    """A body that is no event; every mistake is listed (D32: answer 400)."""


class EventTypeUnknown(OffhookError):
    """An event of a type that this version does not know (D32: answer 204, log a line)."""

    def __init__(self, event_type: str, session_id: str) -> None:
        super().__init__(
            f"The event type {event_type!r} is unknown.",
            remedy="Nothing needs to be done; a newer Offhook may know it.",
            code="event_type_unknown",
        )
        self.event_type = event_type
        self.session_id = session_id


@dataclass(frozen=True, slots=True)
class ActionsRead:
    """What an answer holds.

    `actions` in order; `refused` was dropped, each alone (D17); `notes` tell what was mended or passed over (D24,
    D28); `nonsense` is the reason why the whole text cannot be read, else None (D24, D26).
    """

    actions: tuple[Action, ...] = ()
    refused: tuple[RefusedAction, ...] = ()
    notes: tuple[Note, ...] = ()
    nonsense: str | None = None


def build_models() -> None:
    """Build all events and actions now. Else each is built at its first use, and the very first takes some 50 ms: too
    long where a caller is waiting, and not needed by whoever only imports them."""
    for model in (*EVENT_TYPES.values(), *ACTION_TYPES.values()):
        model.model_rebuild()


def event_to_json(event: Event) -> bytes:
    """The event as it goes over the wire; keys that are None are left out."""
    return event.model_dump_json(exclude_none=True).encode()


def action_to_json(action: Action) -> bytes:
    """One action as it goes over the wire; keys that are None are left out."""
    return action.model_dump_json(exclude_none=True).encode()


def actions_to_json(actions: Sequence[Action]) -> bytes:
    """Several actions as one array."""
    return b"[" + b",".join(action_to_json(action) for action in actions) + b"]"


def build_action(fields: dict[str, Any]) -> Action:
    """An action from a plain dict, strictly.

    Raises:
        MistakesFound: with every mistake, also for a `type` that does not exist.
    """
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in ACTION_TYPES:
        remedy = nearest_type(kind) if isinstance(kind, str) else f"Add 'type': one of {', '.join(ACTION_TYPES)}."
        raise MistakesFound(
            "The action cannot be built", [Mistake("unknown_type", "type", f"No action is called {kind!r}.", remedy)]
        )
    model = ACTION_TYPES[kind]
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise MistakesFound(f"The action {kind!r} cannot be built", mistakes_of(error, model)) from None


def read_event(body: bytes | str) -> Event:
    """The event in a request's body or a WebSocket message.

    Raises:
        EventInvalid: no event; holds every mistake.
        EventTypeUnknown: well-formed, but of a type that this version does not know.
    """
    try:
        found = _parsed(body)
    except ValueError as error:
        raise EventInvalid(
            "The body is no event", [Mistake("no_json", "", f"{error}.", "Send one JSON object.")]
        ) from None
    if not isinstance(found, dict):
        raise EventInvalid(
            "The body is no event", [Mistake("no_object", "", "It is no JSON object.", "Send one JSON object.")]
        )
    kind = found.get("type")
    if isinstance(kind, str) and kind not in EVENT_TYPES:
        session = found.get("session")
        session_id = session.get("id") if isinstance(session, dict) else None
        raise EventTypeUnknown(kind, session_id if isinstance(session_id, str) else "")
    mistakes = []
    if not isinstance(kind, str):
        mistakes.append(Mistake("missing", "type", "This text is required.", f"Send one of: {', '.join(EVENT_TYPES)}."))
    model = EVENT_TYPES[kind] if isinstance(kind, str) else SessionEnd
    try:
        event = model.model_validate(found if isinstance(kind, str) else {"session": found.get("session")})
    except ValidationError as error:
        mistakes.extend(mistakes_of(error, model))
    if mistakes:
        raise EventInvalid("The body is no event", mistakes)
    return event


def read_actions(
    text: bytes | str,
    session_id: str,
    *,
    default_country: str | None = None,
    transcribers: Collection[str] = OWN_TRANSCRIBERS,
) -> ActionsRead:
    """What the app answered, read as forgivingly as the contract allows. Never raises, whatever the bytes are.

    Args:
        text: the body of an answer, or one WebSocket message.
        session_id: the session of the request or connection; actions for another one are refused (D17).
        default_country: ISO 3166 or calling code for numbers in national form (D2).
        transcribers: the operator's own recognition engines, beside the names of the public service (D13).
    """
    if len(text) > BODY_LIMIT:
        return ActionsRead(nonsense=f"it is {len(text)} long, over the limit of {BODY_LIMIT}")
    if isinstance(text, bytes | bytearray | memoryview):
        try:
            text = bytes(text).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return ActionsRead(nonsense=f"it is not UTF-8 ({error.reason} at byte {error.start})")
    text = text.lstrip("\ufeff").strip()
    try:
        found = _parsed(text) if text else None
    except ValueError as error:
        return ActionsRead(nonsense=f"it begins like JSON, but {error}") if text[0] in "[{" else ActionsRead()
    reader = ForgivingReader(session_id, default_country, transcribers)
    return _read_items(found, reader)


def _read_items(found: object, reader: ForgivingReader) -> ActionsRead:
    actions: list[Action] = []
    refused: list[RefusedAction] = []
    alone = not isinstance(found, list)
    for index, item in enumerate(found if isinstance(found, list) else [found]):
        at = "" if alone else f"[{index}]"
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(kind, str) and kind in ACTION_TYPES:
            read = reader.read(item, at)
            if isinstance(read, RefusedAction):
                refused.append(read)
            else:
                actions.append(read)
        elif not alone and isinstance(kind, str) and kind not in EVENT_TYPES:
            refused.append(
                RefusedAction("unknown_type", f"{at}.type", f"No action is called {kind!r}.", nearest_type(kind))
            )
        elif item and item != [None]:
            reader.pass_over(item, at)
    return ActionsRead(tuple(actions), tuple(refused), tuple(reader.fields.notes))


def _parsed(text: bytes | str) -> Any:
    """The JSON value in this text.

    Raises:
        ValueError: it is none; the message says why, without a final stop.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it does not parse ({error.msg} at character {error.pos})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from None
