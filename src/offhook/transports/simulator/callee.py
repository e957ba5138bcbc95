"""Somebody who is called: how the call is received, and what is said then."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from offhook.media.messages import TICK_MS, Codec
from offhook.transports.call_leg import Dial
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.dialled_leg import DialledLeg
from offhook.transports.simulator.leg import LegState
from offhook.transports.simulator.steps import Step

GIVEN_UP: Final = 487  # what a callee says to a CANCEL (RFC 3261 section 15.1.2)


@dataclass(frozen=True, slots=True)
class Reception:
    """How a call is received. Times are ms since it was dialled; None: that never happens. What comes first of an
    answer, a refusal and the end of the caller's patience (`Dial.ring_seconds`) counts.

    `refusal` is a cause of `LegEnded` (`busy`, `rejected`, `no_answer`, `failed`) with its SIP status. `script`: what
    the callee does from early media on, else from the answer on.
    """

    rings_after_ms: int | None = 100
    early_media_after_ms: int | None = None
    answers_after_ms: int | None = 1000
    refuses_after_ms: int | None = None
    refusal: tuple[str, int] = ("rejected", 603)
    script: Sequence[Step] = ()
    codec: Codec = Codec.L16
    telephone_events: bool = True


BUSY: Final = Reception(None, answers_after_ms=None, refuses_after_ms=200, refusal=("busy", 486))
REJECTS: Final = Reception(answers_after_ms=None, refuses_after_ms=2000)
NEVER_ANSWERS: Final = Reception(answers_after_ms=None)
UNREACHABLE: Final = Reception(None, answers_after_ms=None, refuses_after_ms=200, refusal=("failed", 404))


class Callee:
    """One call that the house has placed, seen from who is called.

    `party` is who speaks and hears once media flow: all that a simulated caller can do (`Caller`).

    Args:
        order: what was dialled.
        began: the tick at which it was dialled.
    """

    def __init__(self, order: Dial, reception: Reception, party: Caller, leg: DialledLeg, began: int) -> None:
        self.order: Final = order
        self.party: Final = party
        self._reception: Final = reception
        self._leg: Final = leg
        self._began: Final = began
        self.prepared: Final = asyncio.Event()

    @property
    def over(self) -> bool:
        return self._leg.state is LegState.ENDED

    def tick(self, tick: int) -> None:
        """It is this tick now: do what is due. Who has not thought of his words yet (`prepared`) lets it ring."""
        now, how, state = (tick - self._began) * TICK_MS, self._reception, self._leg.state
        if state is LegState.OFFERED and _due(how.rings_after_ms, now):
            self._leg.far_end_rings()
        if _due(how.refuses_after_ms, now):
            self._leg.far_end_refuses(*how.refusal)
        elif self.prepared.is_set() and _due(how.answers_after_ms, now):
            self._leg.far_end_answers()
        elif self.prepared.is_set() and _due(how.early_media_after_ms, now):
            self._leg.far_end_is_heard()
        if now >= self.order.ring_seconds * 1000:
            self._leg.far_end_refuses("no_answer", GIVEN_UP)


def _due(at: int | None, now: int) -> bool:
    return at is not None and now >= at
