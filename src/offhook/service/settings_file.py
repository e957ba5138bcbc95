"""Reads the settings: one TOML file, `env:NAME` inside it, and `OFFHOOK_SECTION__KEY` variables over it.

All mistakes are found at once, each with its place and its remedy: what cannot be read is left out, and the rest is
searched for contradictions.
"""

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from offhook.errors import SettingsInvalid
from offhook.service.contradictions import contradictions
from offhook.service.setting_mistakes import (
    THE_SETTINGS,
    Place,
    SettingMistake,
    SettingsMistaken,
    dotted,
    explained,
    keys_of,
)
from offhook.service.settings import Settings
from offhook.service.speech_settings import NAMED_SECTIONS, Speech

PREFIX: Final = "OFFHOOK_"


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this file. Raises SettingsInvalid (no such file, no TOML) and SettingsMistaken."""
    return from_tree(tree_of(path), os.environ if environment is None else environment, source=str(path))


def tree_of(path: Path) -> dict[str, Any]:
    """What is written in this file. Raises SettingsInvalid (no such file, no TOML)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as refusal:
        raise SettingsInvalid(
            f"The settings file {path} cannot be read: {refusal}.",
            remedy="Name one with -c; offhook.example.toml shows every setting.",
        ) from refusal
    return _parsed(text, str(path))


def loads(text: str, environment: Mapping[str, str] | None = None, *, source: str = THE_SETTINGS) -> Settings:
    """The settings in this TOML text; `environment` is the process's own unless given."""
    return from_tree(_parsed(text, source), os.environ if environment is None else environment, source=source)


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as refusal:
        raise SettingsInvalid(
            f"{source} is not TOML: {refusal}.", remedy="Correct the line; texts need quotes, tables are [like_this]."
        ) from refusal


def from_tree(tree: dict[str, Any], environment: Mapping[str, str], *, source: str = THE_SETTINGS) -> Settings:
    """The settings in this tree (as TOML gives it), which is not changed."""
    mistakes: list[SettingMistake] = []
    variables: dict[Place, str] = {}
    filled = _with_environment_values(tree, (), environment, mistakes, variables)
    _override(filled, environment, mistakes, variables)
    absent = {mistake.path for mistake in mistakes}
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(filled)
    except ValidationError as refusal:
        errors = refusal.errors(include_url=False)
        mistakes += (explained(error, filled, variables) for error in errors if dotted(error["loc"]) not in absent)
        known = {mistake.path for mistake in mistakes}
        mistakes += (found for found in contradictions(*_readable(filled, errors)) if found.path not in known)
    else:
        mistakes += (found for found in contradictions(settings) if found.path not in absent)
    if mistakes or settings is None:
        raise SettingsMistaken(source, tuple(mistakes))
    return settings


# --- what can be read of settings with mistakes

_LEFT_OUT: Final = object()
# What no contradiction is about.
_STAND_INS: Final[Mapping[str, Any]] = {"app": "http://localhost/"}
# Judged by the mistaken key, so that nothing can be said about them.
_JUDGED_BY: Final[Mapping[str, str]] = {"default_country": "numbers"}


def _readable(tree: dict[str, Any], errors: Sequence[ErrorDetails]) -> tuple[Settings, frozenset[str]]:
    """The settings without what these errors are about, and the engines whose sections some are about. Flows whose
    engines may be any keep none when the aliases, or the engines' names, cannot be read."""
    left = deepcopy(tree)
    aliases_unknown = False
    unread: set[str] = set()
    while True:
        for error in errors:
            if error["loc"][:1] == ("speech",):
                engine = _engine_at(error["loc"])
                aliases_unknown |= engine is None
                unread |= {engine} if engine else set()
            _leave_out(left, error["loc"], is_missing=error["type"] == "missing")
        left = _swept(left)
        if aliases_unknown:
            for flow in left.get("flow", ()):
                flow.pop("speech", None)
        try:
            return Settings.model_validate(left), frozenset(unread)
        except ValidationError as refusal:
            errors = refusal.errors(include_url=False)


def _engine_at(place: Place) -> str | None:
    """The engine whose section this place below `speech` is in, empty where it is in none; None: it might be any."""
    field = Speech.model_fields.get(str(place[1])) if len(place) > 1 else None
    if field is None or place[1] == "aliases":
        return None
    if place[1] in NAMED_SECTIONS:
        if len(place) == 2:
            return None
        return str(place[2]) if len(place) > 3 else ""
    return "" if field.is_required() or field.default is not None else str(place[1])


def _leave_out(tree: dict[str, Any], place: Place, *, is_missing: bool) -> None:
    """Take out the value at this place: of a list in one text all of it, and the whole entry for a key it lacks."""
    node: Any = tree
    holders: list[tuple[Any, Any]] = []
    for step in place:
        is_there = step in node if isinstance(node, dict) else isinstance(node, list) and int(step) < len(node)
        if not is_there:
            break
        holders.append((node, step))
        node = node[step]
    if is_missing and place[-1] in _STAND_INS and isinstance(node, dict):
        node[place[-1]] = _STAND_INS[str(place[-1])]
        return
    holder, step = holders[-1]
    holder[step] = _LEFT_OUT
    if step in _JUDGED_BY:
        holder[_JUDGED_BY[step]] = _LEFT_OUT


def _swept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _swept(entry) for key, entry in value.items() if entry is not _LEFT_OUT}
    if isinstance(value, list):
        return [_swept(entry) for entry in value if entry is not _LEFT_OUT]
    return value


# --- the environment


def _with_environment_values(
    value: Any, place: Place, environment: Mapping[str, str], mistakes: list[SettingMistake], named: dict[Place, str]
) -> Any:
    if isinstance(value, dict):
        return {
            key: _with_environment_values(v, (*place, key), environment, mistakes, named) for key, v in value.items()
        }
    if isinstance(value, list):
        return [_with_environment_values(v, (*place, i), environment, mistakes, named) for i, v in enumerate(value)]
    if not (isinstance(value, str) and value.startswith("env:")):
        return value
    name = value.removeprefix("env:")
    named[place] = name
    if name not in environment:
        mistakes.append(
            SettingMistake(dotted(place), f"The environment has no {name}.", f"Set {name}, or write the value here.")
        )
    return environment.get(name, "")


def _override(
    tree: dict[str, Any], environment: Mapping[str, str], mistakes: list[SettingMistake], named: dict[Place, str]
) -> None:
    sections = sorted(keys_of(Settings))
    in_file = set(named.values())
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in in_file:
            continue
        steps = name.removeprefix(PREFIX).lower().split("__")
        if len(steps) > 1:
            place = _set_at(tree, steps, _as_written(environment[name]))
            if place is None:
                mistakes.append(
                    SettingMistake(
                        name, "It names no such place.", "Flows and trunks are named by id, name or position.", name
                    )
                )
            else:
                named[place] = name
        elif steps[0].partition("_")[0] in sections:
            proposal = name.replace("_", "__", 2).replace("__", "_", 1)
            mistakes.append(
                SettingMistake(
                    name, "A section and its key are parted by two underscores.", f"Did you mean {proposal}?", name
                )
            )


def _as_written(text: str) -> Any:
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _set_at(tree: dict[str, Any], steps: list[str], value: Any) -> Place | None:
    """Set the value at the place that a variable names; returns the place, or None when there is none such."""
    node: Any = tree
    place: Place = ()
    for step in steps[:-1]:
        if isinstance(node, list):
            index = next((i for i, entry in enumerate(node) if step in {str(i), *_names(entry)}), None)
            if index is None:
                return None
            node, place = node[index], (*place, index)
        elif isinstance(node, dict):
            node, place = node.setdefault(step, {}), (*place, step)
        else:
            return None
    if not isinstance(node, dict):
        return None
    node[steps[-1]] = value
    return (*place, steps[-1])


def _names(entry: Any) -> set[str]:
    if not isinstance(entry, dict):
        return set()
    names = {str(entry[key]).lower() for key in ("id", "name") if key in entry}
    return names | {name.replace("-", "_") for name in names}
