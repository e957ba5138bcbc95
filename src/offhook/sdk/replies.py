"""What a handler returns, as actions (contract D31): strictly, with every mistake listed at once."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from offhook.protocol.actions import ACTION_TYPES, Action, Speak, with_session
from offhook.protocol.json_codec import build_action
from offhook.protocol.mistakes import Mistake, MistakesFound

OneReply: TypeAlias = str | Action | Mapping[str, Any]
Reply: TypeAlias = OneReply | Sequence[OneReply | None] | None
"""A text (spoken), an action, an action as a dict, a list of these, or None for nothing to do."""

_ACTIONS = tuple(ACTION_TYPES.values())


def actions_of(reply: object, session_id: str) -> list[Action]:
    """The actions of one reply, each with its `session_id`.

    Raises:
        MistakesFound: the reply cannot be sent; the paths name the place in a list (`[1].text`).
    """
    alone = isinstance(reply, str | Mapping) or not isinstance(reply, Sequence)
    items = [reply] if alone else list(reply) if isinstance(reply, Sequence) else []
    actions: list[Action] = []
    mistakes: list[Mistake] = []
    for index, item in enumerate(items):
        try:
            action = _action_of(item, session_id)
        except MistakesFound as found:
            at = "" if alone else f"[{index}]"
            mistakes += [Mistake(one.code, _joined(at, one.path), one.message, one.remedy) for one in found.mistakes]
        else:
            actions += [action] if action is not None else []
    if mistakes:
        raise MistakesFound("The reply cannot be sent", mistakes)
    return actions


def _action_of(item: object, session_id: str) -> Action | None:
    if item is None:
        return None
    if isinstance(item, str):
        return Speak(text=item, session_id=session_id)
    if isinstance(item, _ACTIONS):
        action = item
    elif isinstance(item, Mapping):
        action = build_action(dict(item))
    else:
        remedy = "Return a text, an action, a dict, a list of these, or None."
        message = f"A handler cannot return {type(item).__name__!r}."
        raise MistakesFound("The reply cannot be sent", [Mistake("no_reply", "", message, remedy)])
    if action.session_id not in {None, session_id}:
        message = f"{action.session_id!r} is another session than this event's."
        remedy = "Leave session_id out: it is filled in."
        raise MistakesFound("The reply cannot be sent", [Mistake("wrong_session", "session_id", message, remedy)])
    return with_session(action, session_id)


def _joined(at: str, path: str) -> str:
    return f"{at}.{path}" if at and path and not path.startswith("[") else at + path
