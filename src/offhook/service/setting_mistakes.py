"""What is wrong with the settings, said so that it can be put right."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from offhook.errors import SettingsInvalid
from offhook.service.setting_section import meanings
from offhook.service.settings import Settings

Place: TypeAlias = tuple[str | int, ...]
SECRET_KEYS = frozenset({"key", "keys", "password", "token", "signing_secret", "signing_key", "stream_key", "rest_key"})
COMMAND_LINE: Final = "the command line"
THE_SETTINGS: Final = "the settings"
DEFAULT_FILE: Final = "offhook.toml"
# What the options of `offhook demo`, `dev` and `call` set.
_OPTIONS: Final = {
    "http.listen": "--http",
    "sip.listen": "--sip",
    "sip.allow_from": "--allow-from",
    "flow.app": "the app's address",
    "flow.token": "--token",
}


@dataclass(frozen=True, slots=True)
class SettingMistake:
    """One thing that is wrong: where (`flow[support].token`), what, and what to do; `variable` is the one of the
    environment that holds the value, if one does."""

    path: str
    problem: str
    remedy: str
    variable: str | None = None

    def __str__(self) -> str:
        place = self.path if self.variable in {None, self.path} else f"{self.variable} ({self.path})"
        return f"{place}: {self.problem} Remedy: {self.remedy}"

    def on_command_line(self) -> str:
        place = re.sub(r"\[[^]]*\]", "", self.path)
        return f"{_OPTIONS.get(place, place)}: {self.problem} Remedy: {self.remedy}"


class SettingsMistaken(SettingsInvalid):
    """The settings cannot be used; `mistakes` lists everything that is wrong with them."""

    def __init__(self, source: str, mistakes: tuple[SettingMistake, ...]) -> None:
        count = "There is one mistake" if len(mistakes) == 1 else f"There are {len(mistakes)} mistakes"
        if source == COMMAND_LINE:
            lines = "".join(f"\n  {mistake.on_command_line()}" for mistake in mistakes)
            remedy = "Give the command again with that corrected."
        else:
            lines = "".join(f"\n  {mistake}" for mistake in mistakes)
            file = "" if source in {THE_SETTINGS, DEFAULT_FILE} else f" -c {source}"
            remedy = f"Correct what is listed; then: offhook check{file}"
            set_by_variable = [mistake.variable is not None for mistake in mistakes]
            if all(set_by_variable):
                source = "the environment"
            elif any(set_by_variable):
                source = f"{source} and the environment"
        super().__init__(f"{count} in {source}:{lines}\n", remedy=remedy)
        self.mistakes = mistakes


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def explained(
    error: ErrorDetails, tree: dict[str, Any], variables: Mapping[Place, str] | None = None
) -> SettingMistake:
    """The mistake that this error of pydantic is; `variables` tells which places were filled from the environment."""
    place = error["loc"]
    found = _explained(error, place, dotted(place, tree))
    variable = next(
        (name for length in range(len(place), 0, -1) if (name := (variables or {}).get(place[:length])) is not None),
        None,
    )
    remedy = found.remedy
    if variable is not None and error["type"] == "string_too_short":
        remedy = f"Set {variable} to a text that is not empty. {_about(place)}".rstrip()
    return SettingMistake(found.path, found.problem, remedy, variable)


def _explained(error: ErrorDetails, place: Place, path: str) -> SettingMistake:
    if error["type"] == "extra_forbidden":
        known = _known_beside(place)
        nearest = get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        listed = ", ".join(sorted(known))
        beside = f"{path.rpartition('.')[0]}." if "." in path else ""
        remedy = f"Did you mean '{beside}{nearest[0]}'?" if nearest else f"Known here: {listed}."
        return SettingMistake(path, "This key is not known.", remedy)
    context = error.get("ctx") or {}
    if error["type"] == "missing":
        return SettingMistake(path, "It is missing.", f"Write a line {place[-1]} = … . {_about(place)}".rstrip())
    if "remedy" in context:
        return SettingMistake(path, str(context["problem"]), str(context["remedy"]))
    if error["type"] in _SECTION_WANTED and _lacks_its_name(place):
        header = _header(place[:-1])
        return SettingMistake(
            path,
            f"[{header}] has no key {place[-1]}: below it are sections with names of your own, which have one.",
            f"Write [{header}.<a name of yours>] in the place of [{header}].",
        )
    if error["type"] in _SECTION_WANTED and _is_section(place):
        brackets = f"[[{place[0]}]]" if _is_list_of_sections(place[:1]) and len(place) <= 2 else f"[{_header(place)}]"
        return SettingMistake(path, *_no_section(place, error["input"], brackets))
    problem, remedy = _what_to_write(error, place)
    return SettingMistake(path, problem, f"{remedy} {_about(place)}".rstrip())


_SECTION_WANTED: Final = frozenset({"model_type", "tuple_type", "dict_type"})


def _is_section(place: Place) -> bool:
    field = _field_at(place)
    return field is not None and (_model_in(field.annotation) is not None or get_origin(field.annotation) is dict)


def _lacks_its_name(place: Place) -> bool:
    """Whether this is a key of a section that should have a name, straight below the sections' own: `openai.url`."""
    field = _field_at(place[:-1])
    inner = _model_in(field.annotation) if field is not None and get_origin(field.annotation) is dict else None
    return inner is not None and place[-1] in keys_of(inner)


def _is_list_of_sections(place: Place) -> bool:
    field = _field_at(place)
    return field is not None and get_origin(field.annotation) is tuple


def _header(place: Place) -> str:
    return ".".join(step for step in place if isinstance(step, str))


def _no_section(place: Place, value: Any, brackets: str) -> tuple[str, str]:
    if isinstance(value, dict):
        return (
            f"There may be several of [{place[0]}], so it has two brackets.",
            f"Write {brackets} with two brackets above each.",
        )
    return f"{_shown(place, value)} is not a section.", f"Write {brackets}, and its keys in the lines below."


def _what_to_write(error: ErrorDetails, place: Place) -> tuple[str, str]:
    """What is wrong with a value, and what to write instead."""
    value = error["input"]
    shown = _shown(place, value)
    context = error.get("ctx") or {}
    kind = error["type"]
    if kind == "literal_error":
        allowed = _allowed(_field_at(place).annotation)
        return f"{shown} is none of the possible values.", f"Write one of {_listed(allowed)}."
    if kind.startswith(("int_", "float_", "greater_", "less_", "finite_")):
        whole = kind.startswith("int_")
        what = "is out of range" if kind.startswith(("greater_", "less_")) else f"is no {'whole ' * whole}number"
        return f"{shown} {what}.", f"Write a {'whole ' * whole}number{_range(place)}."
    if kind.startswith("bool_"):
        return f"{shown} is neither true nor false.", "Write true or false, without quotes."
    if kind in {"string_type", "path_type"}:
        example = f': "{value}"' if isinstance(value, int | float) and not _is_secret(place) else ""
        return f"{shown} is not a text.", f"Write a text in quotes{example}."
    if kind == "tuple_type":
        return f"{shown} is not a list.", 'Write a list of texts, such as ["one", "two"].'
    if kind == "string_too_short":
        return "It is empty.", "Write a text that is not empty."
    if kind == "too_short":
        return "It is empty.", "Write at least one."
    if kind == "too_long":
        return f"It has {context.get('actual_length')} entries.", f"Write at most {context.get('max_length')}."
    return f"{shown} cannot be used: {error['msg']}.", "Write another value."


def _is_secret(place: Place) -> bool:
    return any(step in SECRET_KEYS for step in place)


def _shown(place: Place, value: Any) -> str:
    if _is_secret(place):
        return "The value"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _allowed(annotation: Any) -> tuple[str, ...]:
    """The values of the literal in here, be it optional or in a list."""
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    return next((found for part in get_args(annotation) if (found := _allowed(part))), ())


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _range(place: Place) -> str:
    limits = getattr(_field_at(place), "metadata", ())
    lowest = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
    highest = next((limit.le for limit in limits if isinstance(limit, Le)), None)
    return "" if lowest is None or highest is None else f" from {lowest:g} to {highest:g}"


def _about(place: Place) -> str:
    meaning = _walked(place)[2]
    return f"It means: {meaning}" if meaning else ""


def _field_at(place: Place) -> Any:
    return _walked(place)[1]


def _known_beside(place: Place) -> list[str]:
    return list(keys_of(_walked(place[:-1])[0]))


def _walked(place: Place) -> tuple[type[BaseModel], Any, str]:
    """The section that this place leads to, the last field on the way, and what that one means. A section that the
    operator names (`speech.openai.mine`) is what its dict holds."""
    model: type[BaseModel] = Settings
    field: Any = None
    meaning = ""
    names_follow = False
    for step in place:
        if isinstance(step, int) or names_follow:
            names_follow = False
            continue
        field, meaning = keys_of(model).get(step), meanings(model).get(step, "")
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            break
        model, names_follow = inner, get_origin(field.annotation) is dict
    return model, field, meaning


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in (_model_in(a) for a in getattr(annotation, "__args__", ())) if m is not None), None)


def dotted(place: Place, tree: dict[str, Any] | None = None) -> str:
    path = ""
    node: Any = tree
    for step in place:
        if isinstance(step, int):
            entry = node[step] if isinstance(node, list) and step < len(node) else None
            node = entry
            label = entry.get("id") or entry.get("name") or step if isinstance(entry, dict) else step
            path += f"[{label}]"
        else:
            path += f".{step}" if path else step
            node = node.get(step) if isinstance(node, dict) else None
    return path or "the file"
