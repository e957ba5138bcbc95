"""Single fields of a real app's action, read as forgivingly as the contract allows; every change becomes a note."""

import math
from dataclasses import dataclass, field
from typing import Any

from offhook.protocol.actions import KEYS
from offhook.protocol.mistakes import shown

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """Something in the answer that was mended or passed over; what could be run was run."""

    code: str
    path: str
    message: str
    remedy: str


@dataclass(slots=True)
class FieldReader:
    """Reads fields of the action at the place `at` (`[1]` or empty) and collects `notes` over a whole answer."""

    at: str = ""
    notes: list[Note] = field(default_factory=list)

    def words(self, item: JsonObject, name: str) -> str | None:
        value = item.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.note("number_as_text", name, f"{shown(value)} is read as text.", "Send a string.")
            return str(value)
        self.note("no_text", name, f"{shown(value)} is no text and is passed over.", "Send a string.")
        return None

    def keys(self, item: JsonObject, name: str, default: str) -> str:
        value = item.get(name)
        if value is None:
            return default
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        keys = "".join(key for key in text if key in KEYS)
        if keys != value:
            self.note(
                "no_keys",
                name,
                f"{shown(value)} is read as {keys or default!r}.",
                "Send a text of 0 to 9, '*' and '#'.",
            )
        return keys if keys or value == "" else default

    def count(self, item: JsonObject, name: str, default: int, most: int) -> int:
        value = item.get(name)
        number = as_number(value)
        if value is None or (number is not None and number >= 1 and number == int(number) and number <= most):
            return default if number is None else int(number)
        if number is None or number < 1:
            self.note(
                "no_count",
                name,
                f"{shown(value)} cannot be used: {default} holds.",
                f"Send a whole number from 1 to {most}.",
            )
            return default
        return int(self.clamped(name, float(round(number)), 1, most))

    def whole(self, owner: JsonObject, prefix: str, name: str, default: int, limits: tuple[int, int]) -> int:
        value = owner.get(name)
        if value is None:
            return default
        number = as_number(value)
        if number is None:
            self.note(
                "no_number",
                f"{prefix}.{name}",
                f"{shown(value)} is no number: {default} holds.",
                "Send a whole number.",
            )
            return default
        return round(self.clamped(f"{prefix}.{name}", number, *limits))

    def number(self, item: JsonObject, name: str, default: float) -> float:
        value = item.get(name)
        number = as_number(value)
        if value is not None and number is None:
            self.note("no_number", name, f"{shown(value)} is no number: {default} holds.", "Send a number.")
        return default if number is None else number

    def clamped(self, name: str, value: float, low: float, high: float) -> float:
        if low <= value <= high:
            return value
        inside = min(max(value, low), high)
        self.note("clamped", name, f"{value:g} is out of range: {inside:g} holds.", f"Send {low:g} to {high:g}.")
        return inside

    def flag(self, item: JsonObject, name: str) -> bool:
        value = item.get(name)
        return value is True or (isinstance(value, str) and value.strip().lower() == "true") or value == 1

    def path(self, name: str) -> str:
        return f"{self.at}.{name}" if self.at else name

    def note(self, code: str, name: str, message: str, remedy: str) -> None:
        self.notes.append(Note(code, self.path(name), message, remedy))


def as_number(value: object) -> float | None:
    """A finite number, also one written as text; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def clean(text: str) -> str:
    """Text that every encoder and engine takes: lone surrogates replaced, no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
