"""The body of a request to call somebody (contract section 6): read strictly, with every mistake at once."""

import json
from http import HTTPStatus

from offhook.calls.outbound import CallWish
from offhook.control.refusal import Refusal
from offhook.protocol.json_codec import RefusedAction
from offhook.protocol.phone_numbers import can_be_called


def read_call_wish(flow_id: str, body: bytes) -> CallWish:
    """The wish that a body holds: `toPhoneNumber`, and a `billingDevice` that is recorded; other keys mean nothing.

    Raises:
        Refusal: 422, with every mistake.
    """
    try:
        read = json.loads(body)
    except ValueError as error:
        raise _refusal("nonsense", f"The body cannot be read: {error}.") from error
    if not isinstance(read, dict):
        raise _refusal("nonsense", "The body is not an object.")
    target, device = read.get("toPhoneNumber"), read.get("billingDevice")
    mistakes = []
    if not isinstance(target, str) or not can_be_called(target):
        what = "is missing" if target is None else "is no number that can be called"
        remedy = "Write the number to call, like '+4915112345678', or a sip: address."
        mistakes.append(RefusedAction("invalid", "toPhoneNumber", f"toPhoneNumber {what}.", remedy))
    if device is not None and not isinstance(device, str):
        remedy = "Write a text, or leave it out."
        mistakes.append(RefusedAction("invalid", "billingDevice", "billingDevice is not a text.", remedy))
    if mistakes:
        raise _refusal("invalid_call", "The call cannot be placed as it was asked for.", mistakes)
    return CallWish(flow_id, str(target).strip(), billing_device=device)


def _refusal(code: str, message: str, mistakes: tuple[RefusedAction, ...] | list[RefusedAction] = ()) -> Refusal:
    remedy = """Send {"toPhoneNumber": "+4915112345678"} as JSON."""
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, code, message, remedy, mistakes)
