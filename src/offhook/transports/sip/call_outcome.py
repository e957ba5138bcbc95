"""Statuses that a call of ours ends with although nobody sent them."""

from typing import Final

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
