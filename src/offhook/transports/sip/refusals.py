"""What was turned away at the door: counted by rule, and logged: a line a source and a minute."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from offhook.transports.sip.hop import Ms

LINE_AGAIN_MS: Final = 60_000
MAX_LINES: Final = 30
MAX_RECORDS: Final = 1024


class Rule(StrEnum):
    """Which rule turned a message, a call or a connection away; the label of `offhook_sip_refused_total`."""

    DENIED = "denied"
    STRANGER = "stranger"
    RATE = "rate"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 -- a label
    CALLER_NUMBER = "caller_number"
    CALLED_NUMBER = "called_number"
    USER_CALLS = "user_calls"
    CONNECTIONS = "connections"
    UNFINISHED = "unfinished"


REMEDIES: Final[Mapping[Rule, str]] = MappingProxyType(
    {
        Rule.DENIED: "The address is in sip.deny_from, which wins over all else; take it out there.",
        Rule.STRANGER: "Add the caller's network to sip.allow_from; in `offhook dev`: --allow-from.",
        Rule.RATE: "If these requests are meant, raise limits.source_requests_per_second, of a trunk "
        "limits.trunk_requests_per_second, of telephones that have not signed in limits.stranger_requests_per_second.",
        Rule.WRONG_PASSWORD: "Compare name and password of the telephone with user.name and user.password.",
        Rule.CALLER_NUMBER: "Add the number that the telephone calls from to user.numbers.",
        Rule.CALLED_NUMBER: "Add the number called to user.may_dial.",
        Rule.USER_CALLS: "Is its password known to others? If so many calls of one telephone are meant, "
        "raise user.max_calls.",
        Rule.CONNECTIONS: "Too many connections are open; allowed networks (sip.allow_from) may have more.",
        Rule.UNFINISHED: "Nothing whole was sent in time; connections that are not used are closed.",
    }
)


@dataclass(frozen=True, slots=True)
class RefusalLine:
    """A line for the log. `count`: refusals of this source by this rule since its last line."""

    source: str
    rule: Rule
    count: int
    who: str


@dataclass(slots=True)
class _Record:
    count: int
    who: str
    line_at: Ms
    told: int


class RefusalBook:
    """Counts by rule that only rise, and what the log was told about the `MAX_RECORDS` sources turned away last."""

    def __init__(self) -> None:
        self._counted = dict.fromkeys(Rule, 0)
        self._records: OrderedDict[tuple[str, Rule], _Record] = OrderedDict()
        self._lines: dict[Rule, tuple[Ms, int]] = {}

    @property
    def counted(self) -> Mapping[Rule, int]:
        """Refusals since the start, for every rule."""
        return MappingProxyType(self._counted)

    def __len__(self) -> int:
        return len(self._records)

    def note(self, source: str, rule: Rule, now: Ms, who: str = "") -> RefusalLine | None:
        """Count a refusal. Returns the line that the log should get about it: the first of its source and rule, then
        one a minute; a wrong password has one each time (programs that lock addresses out count lines). One rule gets
        at most `MAX_LINES` a minute for all sources together."""
        self._counted[rule] += 1
        record = self._records.get((source, rule))
        if record is None:
            record = self._records[source, rule] = _Record(0, who, now, 0)
            if len(self._records) > MAX_RECORDS:
                self._records.popitem(last=False)
        else:
            self._records.move_to_end((source, rule))
        record.count += 1
        record.who = who or record.who
        again = rule is Rule.WRONG_PASSWORD or now - record.line_at >= LINE_AGAIN_MS
        if not (again or record.told == 0) or not self._may_write(rule, now):
            return None
        line = RefusalLine(source, rule, record.count - record.told, record.who)
        record.told, record.line_at = record.count, now
        return line

    def _may_write(self, rule: Rule, now: Ms) -> bool:
        until, lines = self._lines.get(rule, (now, 0))
        if now >= until:
            until, lines = now + LINE_AGAIN_MS, 0
        self._lines[rule] = (until, lines + 1)
        return lines < MAX_LINES
