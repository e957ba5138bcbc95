"""Which engines speak and hear in a call, and which of them failed, as notes in its log: each once, until all is well
again."""

from collections.abc import Callable
from typing import Final, Literal


class EngineNotes:
    """The notes of a call's voices, or of its ears.

    Args:
        note: the call's log.
    """

    def __init__(self, kind: Literal["ear", "voice"], note: Callable[[str], None]) -> None:
        self._kind: Final = kind
        self._note: Final = note
        self._engine = ""
        self._told: Final[set[str]] = set()

    def trouble(self, text: str) -> None:
        """Somebody failed, and somebody else goes on."""
        if text not in self._told:
            self._told.add(text)
            self._note(text)

    def works(self, engine: str) -> None:
        """This one does the work now."""
        if engine != self._engine:
            self._engine = engine
            self._note(f"{self._kind}: {engine}")

    def all_well(self) -> None:
        """Nobody failed this time: what fails from now on is told again."""
        self._told.clear()
