"""What a run is asked to do."""

from dataclasses import dataclass
from typing import Final

TIME_LIMIT_SECONDS: Final = 5.0
"""As the service's own (D26)."""
CALLS_AT_ONCE: Final = 50
QUIET_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class Aim:
    """Which app, and how.

    Args:
        url: http, https, ws or wss.
        token: goes out as X-API-TOKEN; with it, requests without it and with another one must be refused.
        signing_secret: signs every request (Standard Webhooks); with it, other signatures must be refused.
        only: rules (`C27`), decisions (`D17`) or sections (`§3`) to judge; empty: all.
        time_limit: seconds that an event has to be answered in.
        calls_at_once: how many calls the crowd has.
        quiet_seconds: over a WebSocket, silence after which nothing more is expected to an event that need not be
            answered.
    """

    url: str
    token: str | None = None
    signing_secret: str | None = None
    only: tuple[str, ...] = ()
    time_limit: float = TIME_LIMIT_SECONDS
    calls_at_once: int = CALLS_AT_ONCE
    quiet_seconds: float = QUIET_SECONDS
