"""Whether a request may begin something here, and as what: a trunk's, an allowed caller's, or nothing at all. Pure."""

from dataclasses import dataclass
from typing import Final

from offhook.transports.sip.admission import Source
from offhook.transports.sip.front_door import FrontDoor
from offhook.transports.sip.hop import Flow, Ms
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.refusals import Rule
from offhook.transports.sip.request_checks import Refusal

RETRY_WHEN_OVER_LIMIT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Entered:
    """It may go on. `trunk`: whose address it came from."""

    trunk: str | None = None


class Entrance:
    """What stands between the front door and the user agent."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door

    def judge(self, request: SipRequest, flow: Flow, source: Source, now: Ms) -> Entered | Refusal | None:
        """Let a request in that belongs to no transaction and no call, or refuse it; None: it gets no answer."""
        host = flow.remote[0]
        if not self._door.takes(source, now):
            self._door.refuse(host, Rule.RATE, now)
            headers = (("Retry-After", str(RETRY_WHEN_OVER_LIMIT_SECONDS)),)
            return Refusal(503, "Too many requests", headers) if self._door.answers(source, now) else None
        if source.may_call:
            return Entered(source.trunk)
        self._door.refuse(host, Rule.STRANGER, now, request.method[:16])
        return Refusal(403, "Not allowed from here")
