"""A dialog (RFC 3261 section 12), made by an INVITE that came, or by the responses to one that was sent."""

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sipmessage import URI

from offhook.transports.sip import header_fields
from offhook.transports.sip.client_request import MAX_FORWARDS
from offhook.transports.sip.hop import Flow, Hop, default_port, host_and_port
from offhook.transports.sip.message import SipMessage, SipRequest, SipResponse
from offhook.transports.sip.response import SERVER, to_with_tag

INSIDE: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128")
)
"""Networks whose addresses mean nothing outside (RFC 1918, 6598, 4193)."""
NOWHERE: Final = Flow("", 0, ("", 0), ("", 0))
"""The path of a dialog before it is known."""


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
        tag = f"{flow.mark}{secrets.token_hex(8)}"
        return cls(
            id=DialogId(invite.call_id, tag, invite.from_tag),
            local_address=to_with_tag(invite, tag),
            remote_address=invite.headers.get("From") or "",
            route_set=tuple(invite.headers.listed("Record-Route")),
            remote_target=_contact_uri(invite) or header_fields.uri_text(invite.headers.get("From") or ""),
            remote_sequence=invite.cseq.sequence,
            flow=flow,
            direct=len(invite.vias) == (1 if flow.proxy is None else 2),
        )

    @classmethod
    def placed(cls, call_id: str, local_address: str, remote_address: str, target: str) -> "Dialog":
        """What an INVITE of ours starts from: From (tag and all), To, Request-URI. No dialog yet: that takes a tag."""
        tag = header_fields.parameter(header_fields.parse_address(local_address).parameters, "tag") or ""
        return cls(
            id=DialogId(call_id, tag, ""),
            local_address=local_address,
            remote_address=remote_address,
            route_set=(),
            remote_target=target,
            remote_sequence=0,
            flow=NOWHERE,
            direct=False,
        )

    @classmethod
    def from_response(cls, placed: "Dialog", response: SipResponse, flow: Flow) -> "Dialog":
        """The dialog that this 101–2xx to our INVITE makes (RFC 3261 12.1.2); each end of a fork makes its own."""
        contact = _contact_uri(response)
        routes = tuple(reversed(response.headers.listed("Record-Route")))
        return cls(
            id=replace(placed.id, remote_tag=response.to_tag),
            local_address=placed.local_address,
            remote_address=response.headers.get("To") or placed.remote_address,
            route_set=routes,
            remote_target=contact or placed.remote_target,
            remote_sequence=0,
            flow=flow,
            direct=contact is None or _is_behind_nat(contact, flow.remote[0]),
            local_sequence=placed.local_sequence,
        )

    def takes(self, request: SipRequest) -> bool:
        """Whether the request is in order (RFC 3261 12.2.2); if so its number is noted."""
        if request.cseq.sequence < self.remote_sequence:
            return False
        self.remote_sequence = request.cseq.sequence
        return True

    def refresh(self, message: SipMessage, flow: Flow) -> None:
        """Take the remote target of a target refresh request or of its 2xx (RFC 3261 12.2, RFC 3311)."""
        self.remote_target = _contact_uri(message) or self.remote_target
        self.flow = flow

    @property
    def contact(self) -> str:
        """Where the peer reaches us, as Contact has it."""
        transport = f";transport={self.flow.transport}" if self.flow.reliable else ""
        return f"<sip:{host_and_port(*self.flow.local)}{transport}>"

    def build_request(
        self, method: str, headers: Sequence[tuple[str, str]] = (), content: tuple[str, bytes] | None = None
    ) -> tuple[str, bytes, Hop]:
        """Our next request within the dialog, or the INVITE that asks for one (RFC 3261 12.2.1.1): its branch, its
        bytes, where it goes. `content`: media type and body."""
        self.local_sequence += 1
        return self._build(method, self.local_sequence, headers, content)

    def build_ack(self, sequence: int, headers: Sequence[tuple[str, str]] = ()) -> tuple[bytes, Hop]:
        """The ACK of a 2xx to our INVITE of this number, with the credentials of that INVITE (RFC 3261 13.2.2.4)."""
        _, data, hop = self._build("ACK", sequence, headers, None)
        return data, hop

    def _build(
        self, method: str, sequence: int, headers: Sequence[tuple[str, str]], content: tuple[str, bytes] | None
    ) -> tuple[str, bytes, Hop]:
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
            f"CSeq: {sequence} {method}",
            *(f"{name}: {value}" for name, value in headers),
            f"User-Agent: {SERVER}",
        ]
        kind, body = content or ("", b"")
        lines += [f"Content-Type: {kind}"] if kind else []
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n"
        return branch, head.encode("utf-8", "surrogateescape") + body, self._next_hop()

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
        return Hop(flow.transport, flow.link, (host, uri.port or default_port(flow.transport)))


def _contact_uri(message: SipMessage) -> str | None:
    """The first Contact's URI if it can be used in a request line."""
    for contact in message.headers.listed("Contact")[:1]:
        text = header_fields.uri_text(contact)
        try:
            uri = header_fields.parse_uri(text)
        except ValueError:
            return None
        return text if uri.scheme in {"sip", "sips"} and not any(char.isspace() for char in text) else None
    return None


def _is_behind_nat(contact: str, source: str) -> bool:
    """Whether a Contact names an address that only its owner's network knows, and its messages come from outside."""
    try:
        named = ipaddress.ip_address(header_fields.parse_uri(contact).host.strip("[]"))
    except ValueError:
        return False
    came_from = ipaddress.ip_address(source.partition("%")[0])
    return any(named in each for each in INSIDE) and not any(came_from in each for each in INSIDE)


def _is_loose(route: str) -> bool:
    try:
        uri = header_fields.parse_uri(header_fields.uri_text(route))
    except ValueError:
        return True
    return header_fields.parameter(uri.parameters, "lr") is not None


def _speaks(uri: URI, transport: str) -> bool:
    """Whether the URI can be reached by the transport that the dialog uses."""
    wanted = header_fields.parameter(uri.parameters, "transport")
    if uri.scheme == "sips":
        return transport == "tls"
    return uri.scheme == "sip" and (wanted is None or wanted.lower() == transport)
