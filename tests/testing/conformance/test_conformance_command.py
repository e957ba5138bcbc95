"""`offhook conformance`: what it prints, writes and exits with; and its page in the documentation."""

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from offhook.cli import main
from offhook.errors import SettingsInvalid
from offhook.service.commands.conformance import run
from offhook.service.commands.options import ConformanceOptions
from offhook.service.commands.terminal import Terminal
from offhook.testing.conformance.report_texts import with_rule_table
from offhook.testing.conformance.rule_book import RULES, selected
from tests.testing.conformance.webhooks import Event, deciding, right, webhook

PAGE = Path(__file__).parents[3] / "docs" / "write-an-app" / "conformance.md"


def bad(event: Event) -> object:
    """Wrong in one thing, noted in another."""
    if event["type"] == "user_speak":
        return {"type": "speak", "text": f"\u0007{event['text']}", "session_id": "another"}
    return {"type": "hangup", "session_id": event["session"]["id"]} if event["type"] == "session_end" else right(event)


async def checked(app: object, **options: object) -> tuple[int, str]:
    out = io.StringIO()
    async with webhook(deciding(app)) as url:  # type: ignore[arg-type]  # one of the two above
        asked = ConformanceOptions(url, calls=4, **options)  # type: ignore[arg-type]  # its own fields
        code = await asyncio.to_thread(run, asked, Terminal(out))
    return code, out.getvalue()


async def test_each_finding_is_told_with_its_remedy() -> None:
    code, printed = await checked(bad)
    assert code == 1
    assert "WRONG  C27 (D17, section 3)  session_id is the id of the event's session." in printed
    assert "what    session_id: The speak is for 'another'" in printed
    assert 'sent    {"type":"user_speak"' in printed
    assert "remedy  Copy event.session.id into every action." in printed
    assert "1 wrong, 0 risky, 1 note." in printed
    assert "Not judged, no --token was given: C85" in printed


async def test_an_app_without_fault_ends_with_0() -> None:
    code, printed = await checked(right)
    assert code == 0
    assert "0 wrong, 0 risky, 0 note." in printed


async def test_json_holds_all_of_it() -> None:
    code, printed = await checked(bad, json=True)
    told = json.loads(printed)
    assert code == 1
    assert told["counts"] == {"wrong": 1, "risky": 0, "note": 1}
    assert [finding["rule"] for finding in told["findings"]] == ["C27", "C71"]
    assert {rule["rule"]: rule["status"] for rule in told["rules"]}["C85"] == "not judged"
    assert len(told["rules"]) == len(RULES)


async def test_junit_has_a_case_for_each_rule(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    await checked(bad, junit=file)
    suite = ET.parse(file).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == (str(len(RULES)), "1")
    failed = [case for case in suite if case.find("failure") is not None]
    noted = [case for case in suite if case.find("system-out") is not None]
    assert [str(case.get("name"))[:3] for case in (*failed, *noted)] == ["C27", "C71"]
    assert len([case for case in suite if case.find("skipped") is not None]) == int(str(suite.get("skipped")))


async def test_only_what_is_asked_for_is_told() -> None:
    code, printed = await checked(bad, only=("D4",))
    assert code == 0
    assert "C71" in printed
    assert "C27" not in printed


async def test_a_check_from_python() -> None:
    async with webhook(deciding(right)) as url:
        from offhook.testing.conformance import Aim, check_app

        report = await check_app(Aim(url, token="secret", only=("D17",)))
        assert report.passed, report.findings
    assert {rule.number for rule in report.judged} >= {"C27", "C30"}


def test_rules_are_named_by_number_decision_and_section() -> None:
    assert {rule.number for rule in selected(("c27",))} == {"C27"}
    assert {"C27", "C30"} <= {rule.number for rule in selected(("D17",))}
    assert {rule.number for rule in selected(("§5",))} == {"C37", "C54", "C67"}
    with pytest.raises(SettingsInvalid) as refused:
        selected(("D99",))
    assert "C27" in refused.value.remedy


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://localhost/", "http://", "http://localhost:99999/"])
def test_what_is_no_address_is_refused_with_a_remedy(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", url]) == 1
    assert "Remedy: Give http://" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_said_before_anything_is_played(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be written"):
        run(ConformanceOptions("http://localhost:1/", junit=tmp_path / "no" / "report.xml"), Terminal(io.StringIO()))


def test_it_needs_nothing_but_the_sdk() -> None:
    code = (
        "import sys; import offhook.service.commands.conformance; "
        "found = {'aiohttp', 'numpy', 'websockets', 'fastapi', 'pytest', 'yarl'} & set(sys.modules); "
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rule_numbers_are_unique_and_rise() -> None:
    numbers = [rule.number for rule in RULES]
    assert numbers == sorted(set(numbers))
    assert all(rule.title.endswith(".") and rule.remedy for rule in RULES)


def test_the_page_lists_every_rule() -> None:
    """`make docs` writes it."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_rule_table(page) == page
    assert all(f"| {rule.number} |" in page for rule in RULES)
