"""What is wrong with the settings, said so that it can be put right."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from offhook.errors import SettingsInvalid
from offhook.service.settings import Settings

Place: TypeAlias = tuple[str | int, ...]
SECRET_KEYS = frozenset({"keys", "token", "signing_secret"})


@dataclass(frozen=True, slots=True)
class SettingMistake:
    """One thing that is wrong: where (`flow[support].token`), what, and what to do."""

    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem} Remedy: {self.remedy}"


class SettingsMistaken(SettingsInvalid):
    """The settings cannot be used; `mistakes` lists everything that is wrong with them."""

    def __init__(self, source: str, mistakes: tuple[SettingMistake, ...]) -> None:
        count = "There is one mistake" if len(mistakes) == 1 else f"There are {len(mistakes)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        super().__init__(f"{count} in {source}:{lines}\n", remedy="Correct what is listed; then: offhook check")
        self.mistakes = mistakes


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def explained(error: ErrorDetails, tree: dict[str, Any]) -> SettingMistake:
    place = error["loc"]
    path = dotted(place, tree)
    if error["type"] == "extra_forbidden":
        known = _known_beside(place)
        nearest = get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        listed = ", ".join(sorted(known))
        remedy = f"Did you mean '{dotted((*place[:-1], nearest[0]), tree)}'?" if nearest else f"Known here: {listed}."
        return SettingMistake(path, "This key is not known.", remedy)
    context = error.get("ctx") or {}
    if error["type"] == "missing":
        return SettingMistake(path, "It is missing.", _about(place, "Write it."))
    if "remedy" in context:
        return SettingMistake(path, str(context["problem"]), str(context["remedy"]))
    return SettingMistake(path, f"{error['msg']}.", _about(place, f"It is {_shown(place, error['input'])} now."))


def _shown(place: Place, value: Any) -> str:
    is_secret = any(step in SECRET_KEYS for step in place)
    return "of another kind" if is_secret else repr(value)


def _about(place: Place, otherwise: str) -> str:
    field = _field_at(place)
    return f"It means: {' '.join(field.description.split())}" if field is not None and field.description else otherwise


def _field_at(place: Place) -> Any:
    model: type[BaseModel] = Settings
    field: Any = None
    for step in place:
        if isinstance(step, int):
            continue
        field = keys_of(model).get(step)
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            return field
        model = inner
    return field


def _known_beside(place: Place) -> list[str]:
    model: type[BaseModel] = Settings
    for step in place[:-1]:
        if isinstance(step, str):
            inner = _model_in(keys_of(model)[step].annotation)
            assert inner is not None, "only a section forbids keys"
            model = inner
    return list(keys_of(model))


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
