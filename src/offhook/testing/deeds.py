"""What a caller did, so that it can be done again, and be written down as Python."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

DeedName: TypeAlias = Literal[
    "says",
    "interrupts",
    "interrupts_after",
    "presses",
    "stays_silent",
    "listens",
    "hangs_up",
    "transfer_is_answered",
    "transfer_fails",
    "target_hangs_up",
]


@dataclass(frozen=True, slots=True)
class Deed:
    """A method of a call, and what it was given."""

    name: DeedName
    given: tuple[str | float | None, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(literal(value) for value in self.given)})"

    @property
    def words(self) -> str | None:
        """What the caller said with it; None: nothing."""
        if self.name not in {"says", "interrupts", "interrupts_after"}:
            return None
        return str(self.given[-1])


def literal(value: object) -> str:
    """The value as Python, a text in double quotes where that needs no escapes."""
    text = repr(value)
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
