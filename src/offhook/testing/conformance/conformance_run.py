"""A whole run: all plays that are asked for, one after the other, and what they come to."""

from collections.abc import Callable
from typing import Final

from offhook.testing.conformance import rule_book
from offhook.testing.conformance.aim import Aim
from offhook.testing.conformance.finding import Complaint, Report
from offhook.testing.conformance.play import FIRST, PLAYS, Play
from offhook.testing.conformance.rule_book import RULES, Over, Rule, selected
from offhook.testing.conformance.stage import Stage
from offhook.testing.conformance.wire_clock import now_ms

__all__ = ["Aim", "check_app"]

_BY_PLAY: Final = frozenset(rule for play in PLAYS for rule in play.rules)
_NEEDED: Final = {"token": "no --token was given", "secret": "no --signing-secret was given"}


async def check_app(aim: Aim, told: Callable[[str], None] = lambda _: None) -> Report:
    """Play the contract at the app, and report.

    Args:
        told: gets the title of each play before it begins.

    Raises:
        SettingsInvalid: an address, a token, a secret or a rule that is none.
    """
    wanted = selected(aim.only)
    stage = Stage(aim, wanted)
    began = now_ms()
    judged: set[Rule] = set()
    reasons: dict[Rule, str] = {}
    for play in PLAYS:
        if play is not FIRST and not _is_wanted(play, wanted):
            continue
        reason = _obstacle(play, stage)
        if reason is not None:
            reasons |= {rule: reason for rule in play.rules if rule not in judged}
            continue
        told(play.title)
        stage.play = play.title
        await _played(play, stage)
        judged |= set(play.rules)
        stage.learning = False
    await stage.http.close()
    about_actions = set(RULES) - _BY_PLAY
    if stage.actions:
        judged |= about_actions
    reasons |= dict.fromkeys(about_actions, "the app sent no action")
    judged |= {finding.rule for finding in stage.book.findings}
    mine = {rule for rule in judged & wanted if rule.over in {Over.BOTH, stage.over}}
    return Report(
        app=aim.url,
        over=stage.over,
        calls=stage.calls,
        events=stage.events,
        seconds=(now_ms() - began) / 1000,
        findings=stage.book.findings,
        judged=tuple(rule for rule in RULES if rule in mine),
        unjudged=tuple((rule, _why(rule, stage, reasons)) for rule in RULES if rule in wanted - mine),
    )


async def _played(play: Play, stage: Stage) -> None:
    try:
        await play.act(stage)
    except OSError as gone:
        said = " ".join(str(gone).split()) or type(gone).__name__
        complaint = Complaint(rule_book.REACHED, f"The app could no longer be reached: {said}.")
        stage.complain(complaint, "a new connection", "", said)


def _is_wanted(play: Play, wanted: frozenset[Rule]) -> bool:
    return bool(set(play.rules) & wanted or (wanted - _BY_PLAY))


def _obstacle(play: Play, stage: Stage) -> str | None:
    """Why this play would tell nothing."""
    if play.over not in {Over.BOTH, stage.over}:
        return f"only over {play.over}"
    if stage.hopeless:
        return stage.hopeless
    given = {"": True, "token": stage.aim.token, "secret": stage.aim.signing_secret}[play.needs]
    if not given:
        return _NEEDED[play.needs]
    if failing := [kind for kind in play.kinds if kind in stage.failing]:
        return f"{failing[0]} fails already"
    if broken := [rule for rule in play.after if rule in stage.book]:
        return f"{broken[0].number} is broken already"
    return None


def _why(rule: Rule, stage: Stage, reasons: dict[Rule, str]) -> str:
    if rule.over not in {Over.BOTH, stage.over}:
        return f"only over {rule.over}"
    return reasons.get(rule, stage.hopeless or "no play came to it")
