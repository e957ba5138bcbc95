"""What the status that refuses a call of ours means to the house: `busy`, `rejected`, `no_answer` or `failed`."""

from typing import Final

BUSY: Final = frozenset({486, 600})
NO_ANSWER: Final = frozenset({408, 480, 487})
REJECTED: Final = frozenset(
    {401, 402, 403, 405, 406, 407, 413, 414, 415, 416, 420, 421, 422, 433, 488, 603, 606, 607, 608}
)

NOTHING_CAME: Final = 408
"""What silence counts as (RFC 3261 8.1.3.1)."""
NO_WAY: Final = 503
"""What a hop that cannot be reached counts as (RFC 3261 8.1.3.1)."""
NO_ADDRESS: Final = 484
"""A target that cannot be read."""
RANG_TOO_LONG: Final = 487
"""What a call that we gave up is ended with."""
NOT_UNDERSTOOD: Final = 488
"""An answer that cannot be used."""


def cause_of(status: int) -> str:
    """The cause of `LegEnded` for the final status of an INVITE that placed a call."""
    if status in BUSY:
        return "busy"
    if status in NO_ANSWER:
        return "no_answer"
    return "rejected" if status in REJECTED else "failed"
