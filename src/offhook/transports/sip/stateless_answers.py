"""Answers that leave no trace here: to requests that are defective, not wanted, or too many (RFC 3261 8.2.7)."""

import hashlib
import secrets

from offhook.transports.sip.hop import Flow, Send
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.request_checks import Refusal
from offhook.transports.sip.response import build_response, response_hop


class StatelessAnswers:
    """Answers requests without a transaction: the same request gets the same answer each time."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)

    def tag(self, request: SipRequest) -> str:
        """The To tag of answers to this request."""
        text = f"{request.call_id}\n{request.vias[0]}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, key=self._secret, digest_size=8).hexdigest()

    def answer(self, request: SipRequest, flow: Flow, refusal: Refusal, *, names_server: bool = True) -> Send:
        response = build_response(
            request,
            flow,
            refusal.status,
            refusal.reason,
            to_tag=self.tag(request),
            headers=refusal.headers,
            names_server=names_server,
        )
        return Send(response.data, response_hop(request, flow))

    def answer_unasked(self, request: SipRequest, size: int, flow: Flow, refusal: Refusal) -> list[Send]:
        """Answer who may not call, over UDP never with more than the `size` of the request: its source may be forged,
        and an answer to somebody who did not ask must be no weapon. A challenge cannot be as short."""
        send = self.answer(request, flow, refusal, names_server=False)
        most = size + sum(len(name) + len(value) + 4 for name, value in refusal.headers)
        return [send] if flow.reliable or len(send.data) <= most else []
