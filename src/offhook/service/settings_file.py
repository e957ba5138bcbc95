"""Reads the settings: one TOML file, `env:NAME` inside it, and `OFFHOOK_SECTION__KEY` variables over it.

All mistakes are found at once, each with its place and its remedy.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from offhook.errors import SettingsInvalid
from offhook.service.contradictions import contradictions
from offhook.service.setting_mistakes import Place, SettingMistake, SettingsMistaken, dotted, explained, keys_of
from offhook.service.settings import Settings

PREFIX: Final = "OFFHOOK_"


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this file. Raises SettingsInvalid (no such file, no TOML) and SettingsMistaken."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as refusal:
        raise SettingsInvalid(
            f"The settings file {path} cannot be read: {refusal}.",
            remedy="Name one with -c; offhook.example.toml shows every setting.",
        ) from refusal
    return loads(text, environment, source=str(path))


def loads(text: str, environment: Mapping[str, str] | None = None, *, source: str = "the settings") -> Settings:
    """The settings in this TOML text; `environment` is the process's own unless given."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as refusal:
        raise SettingsInvalid(
            f"{source} is not TOML: {refusal}.", remedy="Correct the line; texts need quotes, tables are [like_this]."
        ) from refusal
    return from_tree(tree, os.environ if environment is None else environment, source=source)


def from_tree(tree: dict[str, Any], environment: Mapping[str, str], *, source: str = "the settings") -> Settings:
    """The settings in this tree (as TOML gives it), which is not changed."""
    mistakes: list[SettingMistake] = []
    named: set[str] = set()
    filled = _with_environment_values(tree, (), environment, mistakes, named)
    _override(filled, environment, mistakes, named)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(filled)
    except ValidationError as refusal:
        mistakes += (explained(error, filled) for error in refusal.errors(include_url=False))
    else:
        mistakes += contradictions(settings)
    if mistakes or settings is None:
        raise SettingsMistaken(source, tuple(mistakes))
    return settings


# --- the environment


def _with_environment_values(
    value: Any, place: Place, environment: Mapping[str, str], mistakes: list[SettingMistake], named: set[str]
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
    named.add(name)
    if name not in environment:
        mistakes.append(
            SettingMistake(dotted(place), f"The environment has no {name}.", f"Set {name}, or write the value here.")
        )
    return environment.get(name, "")


def _override(
    tree: dict[str, Any], environment: Mapping[str, str], mistakes: list[SettingMistake], named: set[str]
) -> None:
    sections = sorted(keys_of(Settings))
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in named:
            continue
        steps = name.removeprefix(PREFIX).lower().split("__")
        if len(steps) > 1:
            if not _set_at(tree, steps, _as_written(environment[name])):
                mistakes.append(
                    SettingMistake(
                        name, "It names no such place.", "Flows and trunks are named by id, name or position."
                    )
                )
        elif steps[0].partition("_")[0] in sections:
            proposal = name.replace("_", "__", 2).replace("__", "_", 1)
            mistakes.append(
                SettingMistake(
                    name, "A section and its key are parted by two underscores.", f"Did you mean {proposal}?"
                )
            )


def _as_written(text: str) -> Any:
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _set_at(tree: dict[str, Any], steps: list[str], value: Any) -> bool:
    node: Any = tree
    for step in steps[:-1]:
        if isinstance(node, list):
            found = next((entry for i, entry in enumerate(node) if step in {str(i), *_names(entry)}), None)
        else:
            found = node.setdefault(step, {}) if isinstance(node, dict) else None
        if found is None:
            return False
        node = found
    if not isinstance(node, dict):
        return False
    node[steps[-1]] = value
    return True


def _names(entry: Any) -> set[str]:
    if not isinstance(entry, dict):
        return set()
    names = {str(entry[key]).lower() for key in ("id", "name") if key in entry}
    return names | {name.replace("-", "_") for name in names}
