"""The session: who talks to whom, in every event under the key `session` (contract section 1)."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from offhook.protocol.mistakes import WireValue

Direction: TypeAlias = Literal["inbound", "outbound"]

ANONYMOUS = "anonymous"
"""The number of a caller who does not show one (D2)."""


def _absent_is_empty(value: object) -> object:
    return "" if value is None else value


_MaybeEmpty = Annotated[str, BeforeValidator(_absent_is_empty)]


class Session(WireValue):
    """One call's session. The service sends all six fields; a reader requires only `id`, the others are then empty."""

    model_config = ConfigDict(extra="ignore", title="Session")

    id: str = Field(min_length=1, description="UUID of the session.")
    account_id: _MaybeEmpty = Field("", description="The account that the flow belongs to.")
    phone_number: _MaybeEmpty = Field(
        "",
        description="The number of this flow session: the called number inbound, the recipient's number outbound (D1).",
    )
    direction: Direction | None = Field(None, description="`inbound` or `outbound`.")
    from_phone_number: _MaybeEmpty = Field(
        "", description="The caller's number, E.164 with a leading `+`; `anonymous` when it is not shown (D2)."
    )
    to_phone_number: _MaybeEmpty = Field("", description="The called number, E.164 with a leading `+` (D2).")
