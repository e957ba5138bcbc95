"""A wish to call somebody for a flow, and why it may not come true (contract section 6)."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from offhook.calls.dial_routes import AskedToDial, DialRefused, Purpose
from offhook.errors import OffhookError


@dataclass(frozen=True, slots=True)
class CallWish:
    """Who shall be called for which flow. `target`: a number as it was written, or a `sip:` address. `ring_seconds`
    None: as the flow says. `billing_device` is recorded, and no more."""

    flow_id: str
    target: str
    ring_seconds: float | None = None
    billing_device: str | None = None

    def asked(self, session_id: str, usual_ring_seconds: float) -> AskedToDial:
        """The question to the dial plan."""
        return AskedToDial(
            flow_id=self.flow_id,
            session_id=session_id,
            purpose=Purpose.CALL,
            target=self.target,
            caller_number="",
            caller_name="",
            ring_seconds=self.ring_seconds or usual_ring_seconds,
        )


class Because(StrEnum):
    """Why a call is not placed."""

    NO_FLOW = "no_flow"
    NO_NUMBER = "no_number"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"
    FULL = "full"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """A call that is not placed. `rule` names what says so, where the dial plan refused it."""

    because: Because
    message: str
    remedy: str
    rule: str = ""
    retry_after_seconds: int | None = None


DRAINING: Final = NotPlaced(
    Because.DRAINING, "The service is being stopped and places no more calls.", "Try again when it runs.", "draining"
)


def no_flow(flow_id: str) -> NotPlaced:
    return NotPlaced(Because.NO_FLOW, f"There is no flow {flow_id!r}.", "Use the id of a [[flow]].", "no_flow")


def no_number(flow_id: str) -> NotPlaced:
    remedy = "Give the flow one of its own in numbers, beside `*`."
    return NotPlaced(Because.NO_NUMBER, f"The flow {flow_id!r} has no number to call from.", remedy, "no_number")


def full(calls: int) -> NotPlaced:
    message = f"{calls} calls are in progress; limits.max_calls allows no more."
    return NotPlaced(Because.FULL, message, "Wait for a call to end.", "full")


def no_port(error: OffhookError) -> NotPlaced:
    return NotPlaced(Because.FULL, error.message, error.remedy, error.code)


def not_allowed(refused: DialRefused) -> NotPlaced:
    """What the dial plan says; a rule that counts calls may let one through again later."""
    message = f"{refused.number} is not dialled: {refused.why}"
    wait = refused.retry_after_seconds
    if wait is None:
        return NotPlaced(Because.NOT_ALLOWED, message, refused.remedy, refused.rule)
    return NotPlaced(Because.TOO_MANY, message, refused.remedy, refused.rule, math.ceil(wait))
