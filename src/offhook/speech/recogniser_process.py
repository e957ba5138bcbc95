"""A worker of the embedded recogniser: `python -m offhook.speech.recogniser_process <descriptor> <turns at once>`.

Turns over the cap wait, their audio with them, for a decoder to be free.
"""

import sys
from dataclasses import asdict
from typing import Any

from offhook.speech.ear_worker import TurnHeard, TurnInHand, TurnWanted, run_ear
from offhook.speech.frames import CannotStart
from offhook.speech.sphinx_turn import CallerProfile, GrammarSearch, SphinxTurn, new_decoder
from offhook.speech.transcriber import Samples


class SphinxEngine:
    """Decoders, loaded one after another, that turns take and give back."""

    failures = (RuntimeError,)

    def __init__(self, turns_at_once: int) -> None:
        self._to_load = turns_at_once - 1
        self._free: list[Any] = [new_decoder()]
        self._grammars = GrammarSearch()

    def begin(self, wanted: TurnWanted) -> TurnInHand | None:
        """See `EarEngine`."""
        return _SphinxTurnInHand(self._free, self._grammars, wanted) if self._free else None

    def prepare(self) -> bool:
        """See `EarEngine`. Loading takes a third of a second."""
        if self._to_load == 0:
            return False
        self._to_load -= 1
        self._free.append(new_decoder())
        return True


class _SphinxTurnInHand:
    def __init__(self, free: list[Any], grammars: GrammarSearch, wanted: TurnWanted) -> None:
        self._free = free
        self._decoder = free.pop()
        profile = CallerProfile(**wanted.profile)
        self._turn = SphinxTurn(self._decoder, wanted.rate, profile, grammars, list(wanted.vocabulary))

    def hear(self, samples: Samples, *, behind: bool) -> str | None:
        del behind  # the words so far cost nothing
        return self._turn.hear(samples)

    def finish(self) -> TurnHeard:
        text, profile = self._turn.finish()
        return TurnHeard(text, profile=asdict(profile))

    def close(self, *, broken: bool) -> None:
        if broken:
            # The decoder may be in any state.
            self._decoder = new_decoder()
        else:
            self._turn.abandon()
        self._free.append(self._decoder)


def load() -> SphinxEngine:
    """The engine with its model."""
    try:
        return SphinxEngine(int(sys.argv[2]))
    except ImportError as missing:
        raise CannotStart("The embedded ear", extra="server") from missing
    except RuntimeError as error:
        remedy = "pip install --force-reinstall pocketsphinx"
        raise CannotStart(f"pocketsphinx cannot load its model: {error}.", remedy=remedy) from error


if __name__ == "__main__":
    run_ear(int(sys.argv[1]), load)
