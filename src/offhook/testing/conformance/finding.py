"""What was found, and what all of it comes to."""

from dataclasses import dataclass, replace
from typing import Final

from offhook.testing.conformance.rule_book import Over, Rule, Severity

MOST_OF_ONE_RULE: Final = 5
"""Different findings of one rule that are listed; further ones are counted."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing in what an app sent that breaks a rule. `path` is its place there; `remedy` replaces the rule's own."""

    rule: Rule
    what: str
    path: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule: in which play, after which event, what went out, what came, and how often."""

    rule: Rule
    what: str
    play: str
    event: str
    sent: str
    came: str
    remedy: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a run. `judged`: rules that could be; `unjudged`: the others of those asked for, and why."""

    app: str
    over: Over
    calls: int
    events: int
    seconds: float
    findings: tuple[Finding, ...]
    judged: tuple[Rule, ...]
    unjudged: tuple[tuple[Rule, str], ...]

    @property
    def passed(self) -> bool:
        """Nothing wrong and nothing risky."""
        return all(finding.rule.severity is Severity.NOTE for finding in self.findings)

    def count(self, severity: Severity) -> int:
        """Findings of this severity."""
        return sum(finding.rule.severity is severity for finding in self.findings)


class FindingBook:
    """Collects findings: the same one again is only counted."""

    def __init__(self, wanted: frozenset[Rule]) -> None:
        self._wanted: Final = wanted
        self._found: Final[dict[tuple[str, str], Finding]] = {}

    def add(self, finding: Finding, kind: str) -> None:
        """`kind` tells findings of one rule apart (`no_wav audio`, `user_speak`)."""
        if finding.rule not in self._wanted:
            return
        key = (finding.rule.number, kind)
        before = self._found.get(key)
        if before is None and sum(number == finding.rule.number for number, _ in self._found) >= MOST_OF_ONE_RULE:
            key = next(known for known in self._found if known[0] == finding.rule.number)
            before = self._found[key]
        self._found[key] = finding if before is None else replace(before, times=before.times + 1)

    def __contains__(self, rule: Rule) -> bool:
        return any(finding.rule is rule for finding in self._found.values())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The worst first, then by number."""
        order = list(Severity)
        return tuple(sorted(self._found.values(), key=lambda f: (order.index(f.rule.severity), f.rule.number)))
