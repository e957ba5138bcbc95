"""The 200s to INVITEs that wait for their ACK (RFC 3261 13.3.1.4), as a pure machine."""

from dataclasses import dataclass

from offhook.transports.sip.hop import Ms, Send, earliest
from offhook.transports.sip.transaction import T1, T2


@dataclass(slots=True)
class _Waiting:
    send: Send
    interval: Ms
    again_at: Ms
    give_up_at: Ms


class UnacknowledgedOks:
    """Each is repeated until its ACK comes, on TCP too: a proxy may lose it. By the CSeq number of the INVITE."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_deadline(self) -> Ms | None:
        return earliest(min(each.again_at, each.give_up_at) for each in self._waiting.values())

    def sent(self, sequence: int, send: Send, now: Ms) -> None:
        """A 200 went out for the first time."""
        self._waiting[sequence] = _Waiting(send, T1, now + T1, now + 64 * T1)

    def acknowledged(self, sequence: int) -> bool:
        """Its ACK has come: whether it was waited for."""
        return self._waiting.pop(sequence, None) is not None

    def due(self, now: Ms) -> list[Send]:
        """Those to be sent again now."""
        due = [each for each in self._waiting.values() if each.again_at <= now]
        for each in due:
            each.interval = min(2 * each.interval, T2)
            each.again_at = now + each.interval
        return [each.send for each in due]

    def lapsed(self, now: Ms) -> bool:
        """Whether one was never acknowledged."""
        return any(each.give_up_at <= now for each in self._waiting.values())

    def clear(self) -> None:
        """The call is over, or about to be."""
        self._waiting.clear()
