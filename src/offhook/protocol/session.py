"""The session: who talks to whom, in every event under the key `session` (contract section 1)."""

from typing import Annotated, Any, Literal, Protocol, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from offhook.errors import OffhookError
from offhook.protocol.mistakes import WireValue

Direction: TypeAlias = Literal["inbound", "outbound"]

ANONYMOUS = "anonymous"
"""The number of a caller who does not show one (D2)."""


_MEMORY = "_memory"


def _absent_is_empty(value: object) -> object:
    return "" if value is None else value


_MaybeEmpty = Annotated[str, BeforeValidator(_absent_is_empty)]


class CallMemory(Protocol):
    """What an app knows of a call beside what is on the wire; the SDK has it (contract D35)."""

    @property
    def state(self) -> Any: ...

    @property
    def history(self) -> list[dict[str, str]]: ...

    @property
    def interrupted(self) -> bool: ...


class Session(WireValue):
    """One call's session. The service sends all six fields; a reader requires only `id`, the others are then empty."""

    model_config = ConfigDict(extra="ignore", title="Session")

    id: str = Field(min_length=1, description="UUID of the session.")
    account_id: _MaybeEmpty = Field(default="", description="The account that the flow belongs to.")
    phone_number: _MaybeEmpty = Field(
        default="",
        description="The number of this flow session: the called number inbound, the recipient's number outbound (D1).",
    )
    direction: Direction | None = Field(default=None, description="`inbound` or `outbound`.")
    from_phone_number: _MaybeEmpty = Field(
        default="", description="The caller's number, E.164 with a leading `+`; `anonymous` when it is not shown (D2)."
    )
    to_phone_number: _MaybeEmpty = Field(default="", description="The called number, E.164 with a leading `+` (D2).")

    # In a handler of an `Assistant` it has these as well; they are no part of the wire.

    @property
    def state(self) -> Any:
        """The call's own object, yours to fill, from its first event until after `session_end` (D35): a dict, or what
        `Assistant(state=…)` makes. Raises OffhookError outside of a handler."""
        return self._remembered().state

    @property
    def history(self) -> list[dict[str, str]]:
        """The talk so far, as language models take it: `{"role": "user" | "assistant", "content": …}`, oldest first.

        What the assistant said is in it as far as it was heard: an utterance that never began is not, and of one that
        was cut only `spoken_text`, when the flow reports that (D3, D5). A new list each time. Raises as `state`.
        """
        return self._remembered().history

    @property
    def interrupted(self) -> bool:
        """Whether what this handler does is of no use any more: a newer turn has come, the caller has cut what this
        handler said, or the call is over (D35). For sync handlers, which cannot be cancelled. Raises as `state`."""
        return self._remembered().interrupted

    @property
    def is_handled(self) -> bool:
        """Whether it was given to a handler already."""
        return _MEMORY in self.__dict__

    def remember(self, memory: CallMemory) -> None:
        """Give this session what its handler finds there. It lies beside the fields: sessions stay equal by what is on
        the wire, and nothing of it is sent."""
        self.__dict__[_MEMORY] = memory

    def _remembered(self) -> CallMemory:
        memory: CallMemory | None = self.__dict__.get(_MEMORY)
        if memory is None:
            raise OffhookError(
                "This session belongs to no call of an Assistant.",
                remedy="Read state, history and interrupted in a handler, from the event that it was given.",
                code="no_call_memory",
            )
        return memory
