"""What a transfer is asked for, and what the core says about it (contract D15)."""

from offhook.conversation.inputs import TransferFailed
from offhook.conversation.outputs import StartTransfer
from offhook.conversation.queue_items import Connect, OnFailure
from offhook.protocol.actions import Transfer
from offhook.protocol.events import TransferFailure
from offhook.protocol.session import Session

SHORTEST_SECONDS = 5
LONGEST_SECONDS = 120


def own_number(session: Session) -> str:
    """The flow's own number: what it was called on, or what it calls from."""
    return session.from_phone_number if session.direction == "outbound" else session.to_phone_number


def asked_by_app(action: Transfer) -> Connect:
    """With `timeout` (clamped) the caller comes back when it fails; without, the call ends."""
    seconds = action.timeout
    if seconds is not None:
        seconds = min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
    on_failure = OnFailure.HANG_UP if seconds is None else OnFailure.SESSION_START
    return Connect(action.target_phone_number, action.caller_id_name, action.caller_id_number, seconds, on_failure)


def as_fallback(target: str) -> Connect:
    """The transfer of D26: the app is lost, nobody is there to come back to."""
    return Connect(target, "", "", None, OnFailure.FALLBACK)


def start(connect: Connect, session: Session) -> StartTransfer:
    """The order, with the flow's own number where no caller id was given."""
    number = connect.caller_id_number or own_number(session)
    return StartTransfer(connect.target, connect.caller_id_name or number, number, connect.timeout_seconds)


def explained(failed: TransferFailed) -> TransferFailure:
    """The value of `transfer_failed` on the repeated `session_start`."""
    return TransferFailure(cause=failed.cause, sip_code=failed.sip_code)
