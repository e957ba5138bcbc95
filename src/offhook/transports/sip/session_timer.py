"""Session timers (RFC 4028): so that a call whose other end has vanished does not live for ever. Pure.

One side refreshes the session by a request now and then, the other one waits for it. Who refreshes learns from any
answer that the peer is there, also from one that knows nothing of timers; so we refresh where the peer does not.
"""

from dataclasses import dataclass
from typing import Final

from offhook.transports.sip.hop import Ms, earliest
from offhook.transports.sip.message import SipMessage, SipRequest, SipResponse

TIMER: Final = "timer"
MIN_S: Final = 90
"""What no session may be shorter than (RFC 4028 section 4)."""
DEFAULT_S: Final = 1800
MAX_S: Final = 86_400
GRACE_S: Final = 32


@dataclass(frozen=True, slots=True)
class Interval:
    """A session's interval; `refresher`: `uac` or `uas` of the request that it stands in, "" when it does not say."""

    seconds: int
    refresher: str = ""

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else str(self.seconds)


def interval_in(message: SipMessage) -> Interval | None:
    """The Session-Expires of a message; None when it has none that can be read."""
    text, _, parameters = (message.headers.get("Session-Expires") or "").partition(";")
    named = {piece.strip().lower().replace(" ", "") for piece in parameters.split(";")}
    refresher = next((role for role in ("uac", "uas") if f"refresher={role}" in named), "")
    amount = _whole(text)
    return Interval(min(amount, MAX_S), refresher) if amount else None


def least_in(message: SipMessage) -> int:
    """The Min-SE of a message, in seconds."""
    return min(_whole((message.headers.get("Min-SE") or "").partition(";")[0]) or MIN_S, MAX_S)


def _whole(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


class SessionTimer:
    """The timer of one call. `wanted_s`: the interval that we would have, 0 for none of our own accord."""

    def __init__(self, wanted_s: int = DEFAULT_S) -> None:
        self._wanted_s = max(wanted_s, MIN_S) if wanted_s else 0
        self._least_s = MIN_S
        self.refresh_at: Ms | None = None
        self.end_at: Ms | None = None

    @property
    def next_deadline(self) -> Ms | None:
        return earliest((self.refresh_at, self.end_at))

    # --- requests of ours

    def asked(self, *, refresher: str = "") -> list[tuple[str, str]]:
        """The headers of an INVITE or UPDATE of ours."""
        if not self._wanted_s:
            return []
        return [("Session-Expires", str(Interval(self._wanted_s, refresher))), ("Min-SE", str(self._least_s))]

    def too_small(self, response: SipResponse) -> bool:
        """Take the Min-SE of a 422: whether to ask again."""
        least = least_in(response)
        if not self._wanted_s or least <= self._wanted_s:
            return False
        self._wanted_s = self._least_s = least
        return True

    def granted(self, response: SipResponse, now: Ms) -> None:
        """A 2xx to a request of ours. A peer that says nothing of a timer is refreshed by us."""
        interval = interval_in(response)
        if interval is not None and interval.refresher == "uas":
            self._watch(interval.seconds, now)
        else:
            self._refresh(interval.seconds if interval else self._wanted_s, now)

    def answered(self, now: Ms) -> None:
        """Any other answer to a refresh of ours: the peer is there."""
        self._refresh(self._wanted_s, now)

    def refreshing(self, now: Ms) -> None:
        """A refresh of ours is under way: without an end of it the session lasts for what is left of the interval."""
        self.stop()
        self.end_at = now + self._wanted_s * 500

    def postpone(self, ms: Ms, now: Ms) -> None:
        """Not now, but soon."""
        self.stop()
        self.refresh_at = now + ms

    # --- requests of the peer's

    def accepted(self, request: SipRequest, now: Ms) -> list[tuple[str, str]]:
        """The headers of our 2xx to an INVITE or UPDATE; the timer starts anew (RFC 4028 section 9, table 2)."""
        knows = TIMER in {tag.strip().lower() for tag in request.headers.listed("Supported")}
        asked = interval_in(request)
        seconds = asked.seconds if asked else max(self._wanted_s, least_in(request) if self._wanted_s else 0)
        if not seconds:
            return []
        refresher = (asked.refresher or "uac") if asked and knows else "uas"
        if refresher == "uac":
            self._watch(seconds, now)
            return [("Session-Expires", str(Interval(seconds, refresher))), ("Require", TIMER)]
        self._refresh(seconds, now)
        return [("Session-Expires", str(Interval(seconds, refresher)))]

    def stop(self) -> None:
        """The call is over."""
        self.refresh_at = self.end_at = None

    # --- parts

    def _refresh(self, seconds: int, now: Ms) -> None:
        """We refresh, when half of the interval is over."""
        self.stop()
        if seconds:
            self._wanted_s = max(seconds, MIN_S)
            self.refresh_at = now + seconds * 500

    def _watch(self, seconds: int, now: Ms) -> None:
        """The peer refreshes; without it the call is ended a little before the interval is over (RFC 4028 10)."""
        self.stop()
        self._wanted_s = max(seconds, MIN_S)
        self.end_at = now + (seconds - min(GRACE_S, seconds // 3)) * 1000
