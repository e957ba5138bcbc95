"""A report for people at a terminal, for CI (JUnit XML), for programs (JSON); and the rules as a page's table."""

import json
import re
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from offhook.testing.conformance.finding import Finding, Report
from offhook.testing.conformance.rule_book import RULES, Rule, Severity

COLOURS: Final = {Severity.WRONG: "red", Severity.RISKY: "yellow", Severity.NOTE: "blue"}
TABLE_BEGINS: Final = "<!-- rules: written by make docs -->"
TABLE_ENDS: Final = "<!-- end of rules -->"

# XML 1.0 has no character for these, not even escaped.
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def console_lines(report: Report) -> Iterator[tuple[str, str | None]]:
    """Line by line with its colour."""
    for finding in report.findings:
        rule = finding.rule
        yield f"{rule.severity.upper()}  {rule.number} ({rule.place})  {rule.title}", COLOURS[rule.severity]
        yield from ((f"  {name:<7} {text}", None) for name, text in _told(finding) if text)
        yield "", None
    counts = [f"{report.count(severity)} {severity}" for severity in Severity]
    played = f"{report.calls} calls, {report.events} events, {report.seconds:.1f} s over {report.over}"
    yield f"{', '.join(counts)}. {len(report.judged)} rules judged ({played}).", "green" if report.passed else "red"
    for reason, rules in _by_reason(report).items():
        yield f"Not judged, {reason}: {', '.join(rule.number for rule in rules)}", "grey"


def _told(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "what", finding.what
    yield "in", f"{finding.play}, {finding.event}" + (f" (and {finding.times - 1} more)" * (finding.times > 1))
    yield "sent", finding.sent
    yield "came", finding.came
    yield "remedy", finding.remedy


def _by_reason(report: Report) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for rule, reason in report.unjudged:
        found.setdefault(reason, []).append(rule)
    return found


def as_json(report: Report) -> str:
    """The whole report as one JSON object."""
    status = {rule.number: "passed" for rule in report.judged}
    status |= {rule.number: "not judged" for rule, _ in report.unjudged}
    status |= {finding.rule.number: str(finding.rule.severity) for finding in report.findings}
    reasons = {rule.number: reason for rule, reason in report.unjudged}
    told = {
        "app": report.app,
        "over": str(report.over),
        "passed": report.passed,
        "calls": report.calls,
        "events": report.events,
        "seconds": round(report.seconds, 3),
        "counts": {str(severity): report.count(severity) for severity in Severity},
        "findings": [
            {
                "rule": finding.rule.number,
                "severity": str(finding.rule.severity),
                "contract": list(finding.rule.contract),
                "section": finding.rule.section,
                "title": finding.rule.title,
                **dict(_told(finding)),
                "times": finding.times,
            }
            for finding in report.findings
        ],
        "rules": [
            {
                "rule": rule.number,
                "status": status[rule.number],
                **({"reason": reasons[rule.number]} if rule.number in reasons else {}),
            }
            for rule in RULES
            if rule.number in status
        ],
    }
    return json.dumps(told, ensure_ascii=False, indent=2)


def as_junit(report: Report) -> str:
    """JUnit XML: a test case for each rule. What is wrong or risky fails; a note is its case's output."""
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule.number, []).append(finding)
    failing = {number for number, them in found.items() if them[0].rule.severity is not Severity.NOTE}
    suite = ET.Element(
        "testsuite",
        name=f"offhook conformance {report.app}",
        tests=str(len(report.judged) + len(report.unjudged)),
        failures=str(len(failing)),
        errors="0",
        skipped=str(len(report.unjudged)),
        time=f"{report.seconds:.3f}",
    )
    reasons = dict(report.unjudged)
    for rule in sorted((*report.judged, *reasons), key=lambda rule: rule.number):
        name = f"{rule.number} ({rule.place}) {rule.title}"
        case = ET.SubElement(suite, "testcase", classname="offhook.conformance", name=name)
        if rule in reasons:
            ET.SubElement(case, "skipped", message=reasons[rule])
        elif rule.number in found:
            them = found[rule.number]
            text = "\n\n".join("\n".join(f"{name}: {told}" for name, told in _told(one) if told) for one in them)
            if rule.number in failing:
                failure = ET.SubElement(case, "failure", type=str(rule.severity), message=_xml(them[0].what))
                failure.text = _xml(text)
            else:
                ET.SubElement(case, "system-out").text = _xml(text)
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return _NOT_IN_XML.sub(lambda sign: sign[0].encode("unicode_escape", "surrogatepass").decode(), text)


def rule_table() -> str:
    """All rules as a table in Markdown."""
    head = "| rule | severity | contract | over | what must hold | remedy |\n| --- | --- | --- | --- | --- | --- |\n"
    rows = ((r.number, r.severity, r.place, r.over, _cell(r.title), _cell(r.remedy)) for r in RULES)
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def with_rule_table(page: str) -> str:
    """The page with the table between its marks written anew."""
    before, _, rest = page.partition(TABLE_BEGINS)
    _, _, after = rest.partition(TABLE_ENDS)
    return f"{before}{TABLE_BEGINS}\n\n{rule_table()}\n{TABLE_ENDS}{after}"
