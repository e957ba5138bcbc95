"""The settings of a trunk."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from offhook.service.outbound_settings import CallerId
from offhook.service.setting_section import Section
from offhook.service.setting_types import Country, Listed, SipDomain, as_registrar


def _hosts_or_registrar(hosts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    if not hosts and info.data.get("registrar", "mistaken") is None:
        raise PydanticCustomError(
            "setting",
            "{problem}",
            {"problem": "It is missing.", "remedy": "Write where its calls come from, or set registrar."},
        )
    return hosts


class Trunk(Section):
    """A carrier or a telephone system that may call; with a registrar, one that the service registers at."""

    name: str = Field(min_length=1)
    """How it is called in logs."""
    registrar: Annotated[SipDomain | None, BeforeValidator(as_registrar)] = None
    """Domain to register at, whose DNS says where (RFC 3263); `host:port`: just there. Its addresses may call. None:
    the service does not register."""
    hosts: Annotated[Listed[str], AfterValidator(_hosts_or_registrar)] = Field(default=(), validate_default=True)
    """Addresses, networks or host names that its calls come from, beside the registrar; looked up at the start."""
    username: str | None = None
    """The user to register, which is the account's number or name. Needed with `registrar`."""
    password: str | None = Field(default=None, repr=False)
    """Answers the registrar's challenge (digest)."""
    auth_username: str | None = None
    """The user that the password belongs to, where the carrier gives another one. None: `username`."""
    transport: Literal["udp", "tcp"] | None = None
    """How to reach it: `udp` or `tcp`; `sip.listen` must have an address of that kind. None: as its DNS says, and `udp`
    when it says nothing."""
    expires_seconds: int = Field(default=600, ge=30, le=86400)
    """For how long to register. The registrar decides in the end; it is refreshed at 80 % of that."""
    keep_alive_seconds: int = Field(default=25, ge=0, le=3600)
    """How often the registrar is asked whether it still knows us, which also keeps a NAT open. 0: never."""
    default_country: Country | None = None
    """Two letters, ISO 3166: how numbers in national form that come by it are read. None: as the flow's."""
    dial_format: Literal["e164", "digits", "international", "national"] = "e164"
    """How it wants numbers written: `e164` (`+49211…`), `digits` (`49211…`), `international` (`0049211…`) or `national`
    (`0211…` for numbers of its `default_country`, `00…` for others)."""
    caller_ids: Listed[CallerId] = ()
    """Numbers that calls may show beside those of their flow: `+4921155660`, `+49211556*` for all that begin so, or
    `*` for any. A number that is not allowed is replaced by the flow's (contract D15)."""

    @property
    def dials(self) -> bool:
        """Whether calls can be placed by it."""
        return self.registrar is not None
