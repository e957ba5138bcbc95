"""Who may be called, and how often: what stands between an app, or whoever has got hold of one, and a bill.

Pure: targets that were read, lists and time in; a refusal or nothing out. Nothing may be called that no list names. Of
two entries that name a number the longer one counts; a range that is denied by itself (premium rate, satellites …)
counts as an entry of its length, so that only an entry within it opens it.
"""

import re
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from offhook.calls.dial_routes import DialRefused

MINUTE: Final = 60.0
DAY: Final = 86400.0
SESSIONS_REMEMBERED: Final = 10_000
CALL_LIMIT_RULES: Final = ("calls_per_day", "calls_per_minute", "calls_per_session", "concurrent")
"""The rules that count calls, by the names of their settings."""
_EXTENSION = re.compile(r"[0-9*#x]+")


@dataclass(frozen=True, slots=True)
class SpecialRange:
    """Numbers with this `prefix` (E.164) are denied by the `rule` unless an entry lists just them."""

    prefix: str
    rule: str
    what: str


@dataclass(frozen=True, slots=True)
class Callee:
    """Whom a call is for, as it was read.

    `text` is what is called (`+49…`, `100`, `sip:alice@pbx.example`); `number` the number of the public network that it
    is or that the address leads to, with the `special` range that it lies in; `name` the extension or name otherwise.
    `emergency`: it calls for help.
    """

    text: str
    number: str | None = None
    name: str | None = None
    special: SpecialRange | None = None
    emergency: bool = False

    @property
    def is_address(self) -> bool:
        return self.text.startswith(("sip:", "sips:"))


@dataclass(frozen=True, slots=True)
class CallLists:
    """What a flow may call. Entries: `+49` (numbers that begin so), `100` or `1xx` (extensions; x: a digit), `alice`,
    and `sip:*@pbx.example` (addresses; *: anything). `setting` and `denying`: the names of the two lists."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    setting: str = "outbound.allow"
    denying: str = "outbound.deny"


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How many calls one session, and one flow, may place."""

    per_session: int
    per_minute: int
    per_day: int
    at_once: int


class DialGuard:
    """Judges calls and counts those that it lets through. `refused` and `allowed` are counted for metrics."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits: Final = limits
        self._of_session: Final[OrderedDict[str, int]] = OrderedDict()
        self._of_flow: Final[defaultdict[str, deque[float]]] = defaultdict(deque)
        self._in_progress: Final[Counter[str]] = Counter()
        self.refused: Final[Counter[str]] = Counter()
        self.allowed = 0

    def judge(
        self, callee: Callee, lists: CallLists, *, flow_id: str, session_id: str, now: float
    ) -> DialRefused | None:
        """Why this call is not placed; None: it may be, and is counted. `now` in seconds, of a clock that never goes
        back."""
        refusal = not_listed(callee, lists) or self._over_limit(callee, flow_id, session_id, now)
        if refusal is not None:
            return self.refuse(refusal)
        self._of_session[session_id] = self._of_session.pop(session_id, 0) + 1
        while len(self._of_session) > SESSIONS_REMEMBERED:
            self._of_session.popitem(last=False)
        self._of_flow[flow_id].append(now)
        self._in_progress[flow_id] += 1
        self.allowed += 1
        return None

    def refuse(self, refusal: DialRefused) -> DialRefused:
        """Count a refusal, also one that somebody else has found."""
        self.refused[refusal.rule] += 1
        return refusal

    def over(self, flow_id: str) -> None:
        """A call that was let through is over."""
        if self._in_progress[flow_id] > 0:
            self._in_progress[flow_id] -= 1

    def _over_limit(self, callee: Callee, flow_id: str, session_id: str, now: float) -> DialRefused | None:
        placed = self._of_flow[flow_id]
        while placed and placed[0] <= now - DAY:
            placed.popleft()
        lately = sum(1 for _ in takewhile(lambda at: at > now - MINUTE, reversed(placed)))
        limits = self._limits
        of_flow = f"flow {flow_id} has"
        for rule, count, limit, told, wait in (
            ("calls_per_session", self._of_session.get(session_id, 0), limits.per_session, "this session has", None),
            ("concurrent", self._in_progress[flow_id], limits.at_once, f"{of_flow} in progress", MINUTE),
            ("calls_per_minute", lately, limits.per_minute, f"{of_flow} in the last minute", MINUTE),
            ("calls_per_day", len(placed), limits.per_day, f"{of_flow} in the last 24 hours", DAY),
        ):
            if count >= limit:
                why = f"{told} placed {count} calls, and no more than {limit} are allowed."
                if rule == "concurrent":
                    why = f"flow {flow_id} has {count} calls in progress that it placed; {limit} are allowed."
                return DialRefused(rule, callee.text, why, f"Raise outbound.{rule}, or let it wait.", wait)
        return None


def not_listed(callee: Callee, lists: CallLists) -> DialRefused | None:
    """What the lists say against it; nothing is counted."""
    if callee.is_address:
        return _address_not_listed(callee, lists)
    if callee.number is not None:
        return _number_not_listed(callee, callee.number, lists)
    return _name_not_listed(callee, callee.name or callee.text, lists)


def _number_not_listed(callee: Callee, number: str, lists: CallLists) -> DialRefused | None:
    allowed = _longest(number, lists.allow)
    denied = _longest(number, lists.deny)
    special = callee.special
    if callee.emergency:
        return None if number in lists.allow else _emergency(callee, lists)
    if denied and len(denied) >= len(allowed):
        why = f'"{denied}" in {lists.denying} denies it.'
        return DialRefused("denied", callee.text, why, f"Take it out, or add a longer prefix to {lists.setting}.")
    if special is not None and len(special.prefix) > len(allowed):
        why = f"{special.prefix} is {special.what}, and no entry lists it."
        return DialRefused(special.rule, callee.text, why, f'To allow it, add "{special.prefix}" to {lists.setting}.')
    if not allowed:
        return DialRefused("not_allowed", callee.text, "no entry lists it.", _add(f"{number[:3]}…", lists))
    return None


def _address_not_listed(callee: Callee, lists: CallLists) -> DialRefused | None:
    allowed = _longest_pattern(callee.text, lists.allow)
    denied = _longest_pattern(callee.text, lists.deny)
    if denied and len(denied) >= len(allowed):
        why = f'"{denied}" in {lists.denying} denies it.'
        return DialRefused("denied", callee.text, why, f"Take it out, or add the whole address to {lists.setting}.")
    is_whole = allowed.lower() == callee.text.lower()
    if not allowed:
        host = callee.text.rpartition("@")[2].partition(":")[2] if "@" not in callee.text else ""
        pattern = f"sip:*@{callee.text.rpartition('@')[2]}" if not host else f"sip:{host}"
        return DialRefused("not_allowed", callee.text, "no entry lists the address.", _add(pattern, lists))
    if callee.emergency:
        return None if is_whole else _emergency(callee, lists)
    if callee.number is not None and not is_whole:
        # A telephone system that numbers are sent to may dial them.
        return _number_not_listed(callee, callee.number, lists)
    return None


def _name_not_listed(callee: Callee, name: str, lists: CallLists) -> DialRefused | None:
    if callee.emergency:
        return None if name in lists.allow else _emergency(callee, lists)
    if any(_names(entry, name) for entry in lists.deny) and name not in lists.allow:
        why = f"{lists.denying} denies it."
        return DialRefused("denied", callee.text, why, f'Take it out there, or add "{name}" to {lists.setting}.')
    if any(_names(entry, name) for entry in lists.allow):
        return None
    return DialRefused("not_allowed", callee.text, "no entry lists this extension or name.", _add(name, lists))


def _emergency(callee: Callee, lists: CallLists) -> DialRefused:
    text = callee.text if callee.is_address or callee.number else callee.name or callee.text
    why = "it is an emergency number, and no entry lists just it."
    remedy = f'Nobody there would know who calls from where; to allow it, add "{text}" to {lists.setting}.'
    return DialRefused("emergency", callee.text, why, remedy)


def _add(entry: str, lists: CallLists) -> str:
    return f'To allow it, add "{entry}" to {lists.setting}.'


def _longest(number: str, entries: tuple[str, ...]) -> str:
    """The longest entry that the number begins with, "" for none."""
    return max((entry for entry in entries if entry.startswith("+") and number.startswith(entry)), key=len, default="")


def _longest_pattern(address: str, entries: tuple[str, ...]) -> str:
    patterns = (entry for entry in entries if entry.lower().startswith(("sip:", "sips:")))
    return max((entry for entry in patterns if _matches(entry.lower(), address.lower())), key=len, default="")


def _matches(pattern: str, address: str) -> bool:
    """`*` stands for anything but what would leave its part of the address. `sip:` entries hold for `sips:` too."""
    if address.startswith("sips:") and pattern.startswith("sip:"):
        pattern = f"sips:{pattern.removeprefix('sip:')}"
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^@;?]*"), address) is not None


def _names(entry: str, name: str) -> bool:
    entry = entry.lower()
    if not _EXTENSION.fullmatch(entry):
        return entry == name.lower()
    return re.fullmatch(re.escape(entry).replace("x", "[0-9]"), name) is not None
