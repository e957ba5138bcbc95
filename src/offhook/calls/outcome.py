"""How a call ended, in one word: what its record says, and metrics count."""

from dataclasses import dataclass
from typing import Final

ANSWERED: Final = "answered"
UNANSWERED: Final = frozenset({"no_answer", "busy", "rejected", "failed"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`what`: `answered`; or why it was not: `no_answer`, `busy`, `rejected`, `failed`, or `cancelled`, by the caller
    or by us. `ended_by`: the cause that the leg's end had. `sip_code`: the status that said so."""

    what: str
    ended_by: str
    sip_code: int | None

    def record(self) -> dict[str, object]:
        """As it stands in the call's log."""
        return {"outcome": self.what, "ended_by": self.ended_by, "sip_code": self.sip_code}


def outcome_of(cause: str, sip_code: int | None, *, connected: bool) -> Outcome:
    """The outcome of a leg that ended for this cause. `connected`: it had been answered."""
    what = ANSWERED if connected else cause if cause in UNANSWERED else "cancelled"
    return Outcome(what, cause, sip_code)
