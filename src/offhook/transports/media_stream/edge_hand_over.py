"""Callers whom their carrier connects with somebody else: the carrier is asked by REST to ask us what to do with the
call, is told to dial, and says what became of it.

Every address that the carrier is given for this holds a token of the call; the number to dial is in none of them.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import aiohttp

from offhook.transports.media_stream.answer_document import dial
from offhook.transports.media_stream.carrier_rest import redirect
from offhook.transports.media_stream.edge_link import LinkEnd
from offhook.transports.media_stream.edge_messages import (
    CallerGone,
    CallHandedOver,
    CallKey,
    EdgeNoted,
    EdgeOrder,
    EdgeReport,
    HandOver,
    HandOverRefused,
)
from offhook.transports.media_stream.edge_stream import EdgeStream
from offhook.transports.media_stream.settings import StreamAccount
from offhook.transports.media_stream.stream_token import issued

REACHED: Final = frozenset({"completed", "answered"})
"""`DialCallStatus` of somebody who has answered."""
SIP_CODES: Final = {"busy": 486, "no-answer": 480, "canceled": 487, "failed": 500}
"""What the others mean, as SIP says it."""
NO_NEW_CALL: Final = 0
"""When the tokens of these addresses expire: no stream of a new call comes with one."""
IN_PROGRESS: Final = frozenset({"in-progress", "answered"})
OVER: Final = frozenset({"completed", "canceled", "failed", "busy", "no-answer"})
"""`CallStatus` of a caller who has hung up."""
REMEDY: Final = 'Are rest_user and rest_key those of this account? Else set transfer = "bridge" and add a [[trunk]].'


class HandOvers:
    """All of one edge.

    Args:
        address: where the accounts are, as the carriers know it.
        secret: signs the tokens.
        counts: of the edge; added to.
    """

    def __init__(self, address: str, secret: bytes, link: LinkEnd[EdgeOrder, EdgeReport], counts: Counter[str]) -> None:
        self._address: Final = address
        self._secret: Final = secret
        self._link: Final = link
        self._counts: Final = counts
        self._orders: Final[dict[CallKey, HandOver]] = {}

    async def ask(
        self, order: HandOver, account: StreamAccount, stream: EdgeStream | None, client: aiohttp.ClientSession
    ) -> None:
        """Redirect the call, when all that was said has been heard."""
        call = order.call
        self._orders[call] = order
        if stream is not None:
            await stream.heard_out()
        if self._orders.get(call) is not order:
            return  # the call has ended meanwhile
        failure = await redirect(client, account, call[1], self._url(call, "dial"))
        if failure is None:
            self._counts["transfers_asked"] += 1
        elif self._orders.pop(call, None) is not None:
            self._counts["transfers_refused"] += 1
            fields = {"call": call[1], "account": call[0], "why": failure, "remedy": REMEDY}
            self._link.send(EdgeNoted("media_stream_transfer_failed", True, fields))
            self._link.send(HandOverRefused(call))

    def document(self, call: CallKey) -> str | None:
        """What the carrier shall dial for this call; None: nothing is known of that (any more)."""
        order = self._orders.get(call)
        if order is None:
            return None
        return dial(
            order.number, order.caller, order.ring_seconds, self._url(call, "answered"), self._url(call, "over")
        )

    def told(self, call: CallKey, fields: Mapping[str, str]) -> None:
        """How the number that was called is doing; the edge that asked for it may have been another one."""
        if fields.get("CallStatus") in IN_PROGRESS:
            self._link.send(CallHandedOver(call, answered=True))

    def over(self, call: CallKey, fields: Mapping[str, str]) -> bool:
        """It is over with the number that was called. Gives whether it is over with the caller, too; else he is to be
        streamed again."""
        self._orders.pop(call, None)
        status = fields.get("DialCallStatus", "")
        if status in REACHED:
            self._link.send(CallHandedOver(call, answered=True))
            return True
        if fields.get("CallStatus") in OVER:
            self._link.send(CallerGone(call))
            return True
        self._link.send(CallHandedOver(call, answered=False, sip_code=SIP_CODES.get(status)))
        return False

    def forget(self, call: CallKey) -> None:
        """The call is over, here at least."""
        self._orders.pop(call, None)

    def _url(self, call: CallKey, about: str) -> str:
        token = issued(self._secret, *call, NO_NEW_CALL)
        return f"{self._address}/{call[0]}/answer/{about}/{token}"
