"""An engine that did not do its part of a call, as the call's log tells it. What stands before the first colon is names
and codes alone, so that it may be given away (see `calls.redaction`)."""

from dataclasses import dataclass
from typing import Final

from offhook.speech.engine_health import Kind

_CHECK: Final = "Try: offhook check"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """`code` is one of `provider_trouble` where it failed, `why` and `remedy` are its words then."""

    name: str
    what: str
    why: str = ""
    remedy: str = _CHECK

    @classmethod
    def failed(cls, name: str, code: str, why: str, remedy: str) -> "PassedOver":
        """It was asked and failed."""
        return cls(name, f"failed ({code})", why, remedy or _CHECK)

    @classmethod
    def rests(cls, name: str) -> "PassedOver":
        """It was not asked, as it had failed before."""
        return cls(name, "rests after failures", "nobody asks it for a while", _CHECK)

    @classmethod
    def absent(cls, name: str) -> "PassedOver":
        """There is none of this name."""
        return cls(
            name[:100].replace(":", " "),
            "is not here",
            "no engine of this name was started",
            "Is the name right, is the engine set up, does it start? Try: offhook check",
        )

    def told(self, kind: Kind, instead: str) -> str:
        """One line of a call's log, with the remedy at its end."""
        why = self.why if self.why.endswith((".", "!", "?")) or not self.why else f"{self.why}."
        return f"the {kind} {self.name} {self.what}, {instead}: {why} Remedy: {self.remedy}"
