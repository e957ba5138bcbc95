"""The settings of a trunk."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from offhook.service.outbound_settings import CallerId
from offhook.service.setting_section import Section
from offhook.service.setting_types import Country, Listed, SipDomain, as_registrar, checked_own_host

SHORTEST_SESSION: Final = 90


def _hosts_or_registrar(hosts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    elsewhere = (info.data.get("registrar", "mistaken"), info.data.get("proxy", "mistaken"))
    if not hosts and elsewhere == (None, None):
        raise PydanticCustomError(
            "setting",
            "{problem}",
            {"problem": "It is missing.", "remedy": "Write where its calls come from, or set registrar or proxy."},
        )
    return hosts


def _none_or_long(seconds: int) -> int:
    if 0 < seconds < SHORTEST_SESSION:
        remedy = f"Write {SHORTEST_SESSION} or more, or 0 for none."
        raise PydanticCustomError(
            "setting", "{problem}", {"problem": f"{seconds} s is too short (RFC 4028).", "remedy": remedy}
        )
    return seconds


class Trunk(Section):
    """A carrier or a telephone system that may call; with a registrar, one that the service registers at, and with that
    or a proxy, one that calls are placed by."""

    name: str = Field(min_length=1)
    """How it is called in logs."""
    registrar: Annotated[SipDomain | None, BeforeValidator(as_registrar)] = None
    """Domain to register at, whose DNS says where (RFC 3263); `host:port`: just there. Its addresses may call. None:
    the service does not register."""
    proxy: Annotated[SipDomain | None, BeforeValidator(as_registrar)] = None
    """Domain or `host:port` that calls are sent to. None: the registrar; a trunk with neither places no calls."""
    hosts: Annotated[Listed[str], AfterValidator(_hosts_or_registrar)] = Field(default=(), validate_default=True)
    """Addresses, networks or host names that its calls come from, beside the registrar; looked up at the start."""
    username: str | None = None
    """The user to register, which is the account's number or name. Needed with `registrar`."""
    password: str | None = Field(default=None, repr=False)
    """Answers the registrar's challenge (digest)."""
    auth_username: str | None = None
    """The user that the password belongs to, where the carrier gives another one. None: `username`."""
    transport: Literal["udp", "tcp", "tls"] | None = None
    """How to reach it: `udp`, `tcp` or `tls`; `sip.listen` must have an address of that kind (of `tls`: it should).
    None: as its DNS says, and `udp` when it says nothing."""
    tls_ca: Path | None = None
    """PEM file with the certificates of those who may have signed the trunk's. None: those that this machine trusts."""
    tls_verify: bool = True
    """Whether the trunk's certificate must be valid, and for its domain (RFC 5922). Without that anybody in between can
    read passwords and calls."""
    expires_seconds: int = Field(default=600, ge=30, le=86400)
    """For how long to register. The registrar decides in the end; it is refreshed at 80 % of that."""
    keep_alive_seconds: int = Field(default=25, ge=0, le=3600)
    """How often the registrar is asked whether it still knows us, or the proxy of a trunk without a registrar whether
    it is there (OPTIONS). It also keeps a NAT open. 0: never."""
    default_country: Country | None = None
    """Two letters, ISO 3166: how numbers in national form that come by it are read. None: as the flow's."""
    dial_format: Literal["e164", "digits", "international", "national"] = "e164"
    """How it wants numbers written: `e164` (`+49211…`), `digits` (`49211…`), `international` (`0049211…`) or `national`
    (`0211…` for numbers of its `default_country`, `00…` for others)."""
    from_domain: Annotated[str, AfterValidator(checked_own_host)] | None = None
    """The domain of the number that calls show, where the carrier wants another one than its own."""
    asserts_identity: bool = False
    """Send the number that calls show as P-Asserted-Identity too (RFC 3325), for carriers that take it from there."""
    codecs: Annotated[Listed[Literal["opus", "G722", "PCMU", "PCMA"]], Field(min_length=1)] | None = None
    """What calls by it are offered in. None: `sip.codecs`."""
    keys: Literal["rfc4733", "inband"] = "rfc4733"
    """How callers' keys come: `rfc4733` as telephone events, or as tones from who offers no events; `inband` as tones,
    whatever was agreed on. INFO is read always. What comes twice is one key."""
    srtp: Literal["off", "accept", "offer", "require"] | None = None
    """Whether media of its calls is encrypted, as `sip.srtp`. None: as there."""
    transfer: Literal["bridge", "refer"] = "bridge"
    """What becomes of callers who came by it and are transferred: `bridge` calls the target from here and connects
    both; `refer` asks the trunk to call the target itself (SIP REFER), which frees the line here."""
    follow_redirects: bool = False
    """Call where it redirects a call to (3xx), within its own domain; for telephone systems that are trusted with
    that, as nobody looks at the new number. `false`: such a call fails."""
    session_seconds: Annotated[int, AfterValidator(_none_or_long)] = Field(default=1800, ge=0, le=86400)
    """How often both sides make sure that a call is still there (RFC 4028), at least 90. 0: never."""
    caller_ids: Listed[CallerId] = ()
    """Numbers that calls may show beside those of their flow: `+4921155660`, `+49211556*` for all that begin so, or
    `*` for any. A number that is not allowed is replaced by the flow's (contract D15)."""

    @property
    def sends_to(self) -> SipDomain | None:
        """Where calls that are placed by it go; None: it places none."""
        return self.proxy or self.registrar

    @property
    def watched(self) -> SipDomain | None:
        """Where it is asked whether it is there; None: nobody asks, or its registrar."""
        return self.proxy if self.registrar is None and self.keep_alive_seconds else None

    @property
    def dials(self) -> bool:
        """Whether calls can be placed by it."""
        return self.sends_to is not None
