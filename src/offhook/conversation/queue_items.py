"""What can wait in the session's one queue (contract D6)."""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final, TypeAlias, assert_never

from offhook.conversation.inputs import Ms
from offhook.conversation.outputs import PlayAudio, PlayUrl, Say
from offhook.protocol.actions import GatherDtmf
from offhook.protocol.speech_options import BargeInConfig, VadConfig


@dataclass(slots=True, eq=False)
class Utterance:
    """Something the assistant says or plays, and what became of it. `announced` is its `assistant_speak`'s number,
    `characters` how much of its text was said, where the voice knows."""

    order: Say | PlayAudio | PlayUrl
    barge_in: BargeInConfig
    input_timeout_seconds: float | None = None
    vad: VadConfig | None = None
    prepared_at: Ms | None = None
    started_at: Ms | None = None
    duration_ms: Ms | None = None
    stopped_at: Ms | None = None
    announced: int | None = None
    characters: int | None = None
    failure: str | None = None

    @property
    def number(self) -> int:
        return self.order.utterance

    @property
    def is_empty_speech(self) -> bool:
        """Text that is empty plays nothing but still counts as an utterance (D10)."""
        return isinstance(self.order, Say) and self.order.ssml is None and not (self.order.text or "").strip()


@dataclass(slots=True, eq=False)
class Gathering:
    """A `gather_dtmf`: its prompt, and the keys so far (D16). `masked` is what a log holds of `digits` (D43)."""

    action: GatherDtmf
    prompt: Utterance | None = None
    digits: str = ""
    masked: str = ""
    finished_by_key: str | None = None

    def is_complete(self) -> bool:
        """Whether nothing more needs to be pressed."""
        return self.finished_by_key is not None or len(self.digits) >= self.action.num_characters


@dataclass(frozen=True, slots=True, eq=False)
class Digit:
    """One key to be sent."""

    digit: str


class OnFailure(StrEnum):
    """What a failed transfer leads to: the app again (`timeout`), the end (none), or D26's next fallback."""

    SESSION_START = auto()
    HANG_UP = auto()
    FALLBACK = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Connect:
    """A transfer. Empty caller ids are filled in with the flow's own."""

    target: str
    caller_id_name: str
    caller_id_number: str
    timeout_seconds: int | None
    on_failure: OnFailure


@dataclass(frozen=True, slots=True, eq=False)
class Leave:
    """A `hangup`, or the end after a notice."""

    cause: str


Item: TypeAlias = Utterance | Gathering | Digit | Connect | Leave

NEVER_INTERRUPTED: Final = BargeInConfig.model_validate({"strategy": "none"})


def kind(item: Item) -> str:
    """The name of the action that an item comes from."""
    match item:
        case Utterance():
            return "speak" if isinstance(item.order, Say) else "audio"
        case Gathering():
            return "gather_dtmf"
        case Digit():
            return "dtmf"
        case Connect():
            return "transfer"
        case Leave():
            return "hangup"
        case _:
            assert_never(item)
