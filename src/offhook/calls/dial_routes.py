"""Which way a call goes out, or why it may not: what transfers and outbound calls ask before anything is dialled."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from offhook.transports.call_leg import Dial


class Purpose(StrEnum):
    """What a call is placed for."""

    TRANSFER = "transfer"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class AskedToDial:
    """A wish to call somebody. `target` is a number as the app wrote it, or a `sip:`, `sips:` or `tel:` address;
    `caller_number` "" for the flow's own. `came_by`: the trunk of the caller's leg, `account`: the account at a
    carrier that streams it."""

    flow_id: str
    session_id: str
    purpose: Purpose
    target: str
    caller_number: str
    caller_name: str
    ring_seconds: float
    came_by: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class DialRefused:
    """Not dialled: the `rule` that says so, the `number` as it was read, and the setting that would allow it.
    `retry_after_seconds`: the rule counts calls, and may let one through again after that (REST: 429)."""

    rule: str
    number: str
    why: str
    remedy: str
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.number} is not dialled ({self.rule}): {self.why} {self.remedy}"


class DialRoutes(Protocol):
    """The dial plan of this service: guards, trunks, spellings."""

    def route(self, asked: AskedToDial) -> Dial | DialRefused:
        """The way, which is counted against its limits now; or why there is none."""

    def over(self, asked: AskedToDial) -> None:
        """A call that was routed is over, answered or not: it is no longer one of those in progress."""
