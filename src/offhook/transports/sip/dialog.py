"""A dialog seen from the server that answered its INVITE (RFC 3261 section 12)."""

import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import Final

from sipmessage import URI

from offhook.transports.sip import header_fields
from offhook.transports.sip.hop import DEFAULT_PORT, Flow, Hop, host_and_port
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.response import SERVER, to_with_tag

MAX_FORWARDS: Final = 70


@dataclass(frozen=True, slots=True)
class DialogId:
    """What a request within the dialog carries (RFC 3261 12): its Call-ID, its To tag (ours), its From tag (theirs)."""

    call_id: str
    local_tag: str
    remote_tag: str


@dataclass(slots=True)
class Dialog:
    """The state of RFC 3261 12.1.1. Addresses and routes are kept as they were written.

    `direct`: no proxy stands between, as far as the Vias tell.
    """

    id: DialogId
    local_address: str
    remote_address: str
    route_set: tuple[str, ...]
    remote_target: str
    remote_sequence: int
    flow: Flow
    direct: bool
    local_sequence: int = field(default=0)

    @classmethod
    def from_invite(cls, invite: SipRequest, flow: Flow) -> "Dialog":
        """The dialog that a 101–2xx to this INVITE makes."""
        tag = secrets.token_hex(8)
        return cls(
            id=DialogId(invite.call_id, tag, invite.from_tag),
            local_address=to_with_tag(invite, tag),
            remote_address=invite.headers.get("From") or "",
            route_set=tuple(invite.headers.listed("Record-Route")),
            remote_target=_contact_uri(invite) or header_fields.uri_text(invite.headers.get("From") or ""),
            remote_sequence=invite.cseq.sequence,
            flow=flow,
            direct=len(invite.vias) == 1,
        )

    def takes(self, request: SipRequest) -> bool:
        """Whether the request is in order (RFC 3261 12.2.2); if so its number is noted."""
        if request.cseq.sequence < self.remote_sequence:
            return False
        self.remote_sequence = request.cseq.sequence
        return True

    def refresh(self, request: SipRequest, flow: Flow) -> None:
        """Take the remote target of a target refresh request (RFC 3261 12.2.2, RFC 3311)."""
        self.remote_target = _contact_uri(request) or self.remote_target
        self.flow = flow

    def build_request(self, method: str) -> tuple[str, bytes, Hop]:
        """Our next request within the dialog (RFC 3261 12.2.1.1): its branch, its bytes, where it goes."""
        self.local_sequence += 1
        branch = f"z9hG4bK{secrets.token_hex(12)}"
        uri, routes = self.remote_target, self.route_set
        if routes and not _is_loose(routes[0]):
            uri, routes = header_fields.uri_text(routes[0]), (*routes[1:], f"<{self.remote_target}>")
        via = f"SIP/2.0/{self.flow.transport.upper()} {host_and_port(*self.flow.local)};branch={branch};rport"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: {via}",
            f"Max-Forwards: {MAX_FORWARDS}",
            *(f"Route: {route}" for route in routes),
            f"From: {self.local_address}",
            f"To: {self.remote_address}",
            f"Call-ID: {self.id.call_id}",
            f"CSeq: {self.local_sequence} {method}",
            f"User-Agent: {SERVER}",
            "Content-Length: 0",
        ]
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
        return branch, data, self._next_hop()

    def _next_hop(self) -> Hop:
        """The first route or the remote target, where it names an address; else where the peer sent from.

        A peer without a proxy whose Contact is not where its packets come from sits behind a NAT: its packets' source
        is the only way back. Host names are not looked up; the dialog's own path serves.
        """
        flow = self.flow
        here = Hop(flow.transport, flow.link, flow.remote)
        text = header_fields.uri_text(self.route_set[0]) if self.route_set else self.remote_target
        try:
            uri = header_fields.parse_uri(text)
            host = str(ipaddress.ip_address(uri.host.strip("[]")))
        except ValueError:
            return here
        if not _speaks(uri, flow.transport) or (host != flow.remote[0] and self.direct and not self.route_set):
            return here
        return Hop(flow.transport, flow.link, (host, uri.port or DEFAULT_PORT))


def _contact_uri(request: SipRequest) -> str | None:
    """The first Contact's URI if it can be used in a request line."""
    for contact in request.headers.listed("Contact")[:1]:
        text = header_fields.uri_text(contact)
        try:
            uri = header_fields.parse_uri(text)
        except ValueError:
            return None
        return text if uri.scheme in {"sip", "sips"} and not any(char.isspace() for char in text) else None
    return None


def _is_loose(route: str) -> bool:
    try:
        uri = header_fields.parse_uri(header_fields.uri_text(route))
    except ValueError:
        return True
    return header_fields.parameter(uri.parameters, "lr") is not None


def _speaks(uri: URI, transport: str) -> bool:
    """Whether the URI can be reached by the transport that the dialog uses."""
    wanted = header_fields.parameter(uri.parameters, "transport")
    return uri.scheme == "sip" and (wanted is None or wanted.lower() == transport)
