"""Prints the settings as a page, from the tree itself: `python -m offhook.service.settings_reference PAGE.md`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from offhook.service.setting_section import meanings
from offhook.service.settings import Settings

_HEAD = """# Settings

One TOML file (`offhook serve -c offhook.toml`); [offhook.example.toml](../../offhook.example.toml) holds all of it.
This page is written by `make docs` from `src/offhook/service/settings.py`.

- Every value may be `"env:NAME"`: it is read from the environment, and a missing variable is a mistake.
- `OFFHOOK_SECTION__KEY` sets a value from outside, over the file: `OFFHOOK_LIMITS__MAX_CALLS=50`. Flows
  and trunks are named by their id or name: `OFFHOOK_FLOW__SUPPORT__TOKEN`, `OFFHOOK_FLOW__SUPPORT__SPEECH__LANGUAGE`.
  Commas part the values of a list.
- An unknown key is a mistake, and the message names the nearest known one. All mistakes are listed at once.
- An empty text is the same as no value where "none" is the default.
"""

_LIMITS_HEAD = """
## Limits

Everything that is bounded by a setting, with what `/metrics` shows of it.

| setting | default | from | to | metric |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_section(Settings, "")) + _LIMITS_HEAD + "".join(_limits(Settings, ""))


def _section(model: type[BaseModel], path: str) -> Iterator[str]:
    rows = []
    below = []
    for name, field in _fields(model):
        inner = _model_in(field.annotation)
        if inner is None:
            rows.append(f"| `{name}` | {_default(field)} | {_about(model, name)} |\n")
        else:
            named = ".<name>" if get_origin(field.annotation) is dict else ""
            below.append((inner, f"{path}.{name}{named}" if path else name))
    if rows:
        brackets = f"[[{path}]]" if path in {"flow", "trunk", "user", "media_stream.account"} else f"[{path}]"
        yield f"\n## {brackets}\n\n{(model.__doc__ or '').strip()}\n\n"
        yield "| key | default | meaning |\n| --- | --- | --- |\n"
        yield from rows
    for inner, place in below:
        yield from _section(inner, place)


def _limits(model: type[BaseModel], path: str) -> Iterator[str]:
    for name, field in _fields(model):
        place = f"{path}.{name}" if path else name
        inner = _model_in(field.annotation)
        if inner is not None:
            place += ".<name>" if get_origin(field.annotation) is dict else ""
            yield from _limits(inner, place)
            continue
        lowest = next((m.ge for m in field.metadata if isinstance(m, Ge)), None)
        highest = next((m.le for m in field.metadata if isinstance(m, Le)), None)
        if highest is not None:
            extra = field.json_schema_extra
            metric = f"`{extra['metric']}`" if isinstance(extra, dict) and "metric" in extra else "–"
            yield f"| `{place}` | {_default(field)} | {lowest:g} | {highest:g} | {metric} |\n"


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in (_model_in(a) for a in get_args(annotation)) if m is not None), None)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required():
        return "*required*"
    if value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{entry}`" for entry in value)
    return f"`{value}`"


def _about(model: type[BaseModel], key: str) -> str:
    return meanings(model).get(key, "").replace("|", "\\|")


def main(arguments: list[str]) -> None:
    """Write the page to the file that is named."""
    Path(arguments[0]).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
