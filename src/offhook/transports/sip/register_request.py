"""REGISTER requests, and what registrars answer about bindings (RFC 3261 section 10)."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from offhook.transports.sip import header_fields
from offhook.transports.sip.account import Account, Path
from offhook.transports.sip.hop import host_and_port
from offhook.transports.sip.message import SipResponse
from offhook.transports.sip.response import ALLOW, SERVER

MAX_FORWARDS: Final = 70


def registrar_uri(account: Account) -> str:
    """The Request-URI: the registrar's domain without user and port (RFC 3261 10.2)."""
    return f"sip:{_host(account.host)}"


def contact_uri(account: Account, path: Path) -> str:
    """Where calls for this account shall come to."""
    suffix = f";transport={path.hop.transport}" if path.hop.reliable else ""
    return f"sip:{_user(account)}@{host_and_port(*path.local)}{suffix}"


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """One REGISTER. `expires_s` None asks for the bindings and changes none (RFC 3261 10.2.3); 0 ends ours."""

    account: Account
    path: Path
    call_id: str
    tag: str
    sequence: int
    expires_s: int | None

    def build(self, credentials: Iterable[tuple[str, str]]) -> tuple[str, bytes]:
        """Its branch and its bytes."""
        branch = f"z9hG4bK{secrets.token_hex(12)}"
        account = self.account
        via = f"SIP/2.0/{self.path.hop.transport.upper()} {host_and_port(*self.path.local)};branch={branch};rport"
        address = f"<sip:{_user(account)}@{_host(account.host)}>"
        lines = [
            f"REGISTER {registrar_uri(account)} SIP/2.0",
            f"Via: {via}",
            f"Max-Forwards: {MAX_FORWARDS}",
            f"From: {address};tag={self.tag}",
            f"To: {address}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.sequence} REGISTER",
        ]
        if self.expires_s is not None:
            lines.append(f"Contact: <{contact_uri(account, self.path)}>;expires={self.expires_s}")
            lines.append(f"Expires: {self.expires_s}")
        lines += [f"{name}: {value}" for name, value in credentials]
        lines += [f"Allow: {ALLOW}", f"User-Agent: {SERVER}", "Content-Length: 0"]
        return branch, ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def granted_s(response: SipResponse, account: Account, path: Path) -> int | None:
    """For how many seconds a 200 lists our contact; 0 when it names no time, None when it is not among the contacts."""
    for value in response.headers.listed("Contact"):
        try:
            address = header_fields.parse_address(value)
        except ValueError:
            continue
        uri = address.uri
        if (uri.user, uri.host.strip("[]"), uri.port) == (account.username, path.local[0], path.local[1]):
            return seconds(header_fields.parameter(address.parameters, "expires")) or 0
    return None


def seconds(text: str | None) -> int | None:
    """A whole number of seconds as Expires, Min-Expires and Retry-After (with its comment) give it."""
    digits = (text or "").partition(";")[0].partition("(")[0].strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _user(account: Account) -> str:
    return quote(account.username, safe="-_.!~*'()&=+$,;?/")


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
