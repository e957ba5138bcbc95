"""Provisional responses that must arrive (RFC 3262, PRACK), in both roles. Pure."""

import secrets
from dataclasses import dataclass
from typing import Final

from offhook.transports.sip.hop import Ms
from offhook.transports.sip.message import SipMessage, SipRequest, SipResponse
from offhook.transports.sip.response import Response
from offhook.transports.sip.transaction import T1

RELIABLE: Final = "100rel"


def requires_reliable(message: SipMessage) -> bool:
    """Whether `Require: 100rel` stands in it."""
    return RELIABLE in {tag.strip().lower() for tag in message.headers.listed("Require")}


def rseq_in(response: SipResponse) -> int | None:
    """The number of a reliable provisional response; None when it is none."""
    text = (response.headers.get("RSeq") or "").strip()
    usable = requires_reliable(response) and text.isascii() and text.isdigit() and len(text) < 11
    return int(text) if usable else None


class ReliableOrder:
    """What of one dialog's reliable provisional responses is taken: each once, in order (RFC 3262 section 4)."""

    def __init__(self) -> None:
        self._last: int | None = None

    def takes(self, rseq: int) -> bool:
        """Whether this is the next one; repetitions and what came too early are passed over."""
        if self._last is not None and rseq != self._last + 1:
            return False
        self._last = rseq
        return True


@dataclass(slots=True)
class _Unconfirmed:
    """A response that is repeated until its PRACK comes."""

    rseq: int
    response: Response
    interval: Ms
    again_at: Ms
    give_up_at: Ms


class ReliableSender:
    """The provisional responses of one INVITE that requires them to be reliable."""

    def __init__(self, invite: SipRequest) -> None:
        self._invite = invite
        self._rseq = secrets.randbelow(2**31 - 1) + 1
        self._open: _Unconfirmed | None = None

    @property
    def next_deadline(self) -> Ms | None:
        return min(self._open.again_at, self._open.give_up_at) if self._open else None

    @property
    def waits(self) -> bool:
        """Whether the last one is not confirmed yet: no other may be sent."""
        return self._open is not None

    def headers(self) -> list[tuple[str, str]]:
        """What makes the next response reliable."""
        return [("Require", RELIABLE), ("RSeq", str(self._rseq))]

    def sent(self, response: Response, now: Ms) -> None:
        """It was sent with those headers."""
        self._open = _Unconfirmed(self._rseq, response, T1, now + T1, now + 64 * T1)
        self._rseq += 1

    def confirms(self, prack: SipRequest) -> bool:
        """Whether this PRACK is for the response that waits; if so it waits no more."""
        named = (prack.headers.get("RAck") or "").split()
        if self._open is None or named != [str(self._open.rseq), str(self._invite.cseq.sequence), "INVITE"]:
            return False
        self._open = None
        return True

    def due(self, now: Ms) -> Response | None:
        """The response to be repeated now, if one is."""
        waiting = self._open
        if waiting is None or waiting.again_at > now:
            return None
        waiting.interval *= 2
        waiting.again_at = now + waiting.interval
        return waiting.response

    def lapsed(self, now: Ms) -> bool:
        """Whether no PRACK came in 64*T1: the INVITE must be refused (RFC 3262 section 3)."""
        return self._open is not None and self._open.give_up_at <= now

    def stop(self) -> None:
        """A final response was sent."""
        self._open = None
