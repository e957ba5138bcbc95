"""`offhook.example.toml` shows every setting."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from offhook.service.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "offhook.example.toml"
# A line that is switched off shows a setting too.
SWITCHED_OFF = re.compile(r"^# (?=(\[|[a-z0-9_]+ = ))", re.MULTILINE)


def switched_on() -> dict[str, Any]:
    return tomllib.loads(SWITCHED_OFF.sub("", EXAMPLE.read_text()))


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a setting is, or is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_in(part)) is not None), None)


def missing(shown: dict[str, Any], section: type[BaseModel], path: str = "") -> list[str]:
    found: list[str] = []
    for name, field in section.model_fields.items():
        key = field.alias or name
        below = section_in(field.annotation)
        if key not in shown:
            found.append(path + key)
        elif below is not None:
            values = shown[key] if isinstance(shown[key], list) else [shown[key]]
            if get_origin(field.annotation) is dict:
                values = list(shown[key].values())
            merged = {setting: value for each in values for setting, value in each.items()}
            found += missing(merged, below, f"{path}{key}.")
    return found


def test_it_shows_all_settings() -> None:
    assert missing(switched_on(), Settings) == []


@pytest.mark.parametrize("hidden", ["srtp", "max_calls"])
def test_a_setting_that_it_lacks_is_found(hidden: str) -> None:
    shown = switched_on()
    for section in ("sip", "limits"):
        shown[section].pop(hidden, None)
    assert any(path.endswith(f".{hidden}") for path in missing(shown, Settings))
