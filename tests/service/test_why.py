"""`offhook why`: the right call is found and explained, or the reader is told what to write."""

import io
import json
import os
from pathlib import Path

import pytest

from offhook import cli
from offhook.errors import OffhookError
from offhook.service.commands import why
from offhook.service.commands.options import WhyOptions
from offhook.service.commands.terminal import Terminal

CALL = {
    "call": {
        "session": {
            "id": "", "account_id": "local", "phone_number": "+4921155660", "direction": "inbound",
            "from_phone_number": "+4915112345678", "to_phone_number": "+4921155660",
        },
        "began_at": 1764000000000,
    },
    "about": {"flow": "support", "transport": "sip", "call_id": ""},
}  # fmt: skip


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "call-logs"
    folder.mkdir()
    for age, name in enumerate(("aaaa-1", "aabb-2", "cccc-3")):
        first = json.loads(json.dumps(CALL))
        first["call"]["session"]["id"] = name
        first["about"]["call_id"] = f"{name}@carrier"
        end = {"at": 4000, "fact": {"type": "CallerHungUp", "cause": "caller_hung_up", "sip_code": None}}
        lines = [json.dumps(line, separators=(",", ":")) for line in (first, end)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        os.utime(folder / f"{name}.jsonl", (1000 - age, 1000 - age))
    return folder


def told(
    call: str | None = None,
    *,
    last: bool = False,
    refused: bool = False,
    logs: Path | None = None,
    config: str = "no.toml",
) -> str:
    out = io.StringIO()
    assert why.run(WhyOptions(call, last, refused, Path(config), logs), Terminal(out)) == 0
    return out.getvalue()


def refusal_of(call: str | None = None, logs: Path | None = None) -> OffhookError:
    with pytest.raises(OffhookError) as raised:
        told(call, logs=logs)
    return raised.value


@pytest.mark.parametrize("call", ["cccc-3", "cc", "cccc-3@carrier"])
def test_a_call_is_found_by_its_id_the_beginning_of_it_or_its_call_id(logs: Path, call: str) -> None:
    page = told(call, logs=logs)
    assert page.startswith("Call cccc-3\n")
    assert "The other side hung up." in page
    assert f"offhook replay {logs / 'cccc-3.jsonl'}" in page


def test_a_log_can_be_named_itself(logs: Path) -> None:
    assert told(str(logs / "aabb-2.jsonl")).startswith("Call aabb-2\n")


def test_the_last_call_is_the_one_that_was_written_to_last(logs: Path) -> None:
    (logs / "refused").mkdir()
    assert told(last=True, logs=logs).startswith("Call aaaa-1\n")


def test_the_folder_is_the_one_of_the_settings(logs: Path, tmp_path: Path) -> None:
    config = tmp_path / "offhook.toml"
    config.write_text(f'[http]\nkeys = ["env:NOT_SET_HERE"]\n[storage]\ncall_logs = "{logs}"\n')
    assert told("cccc", config=str(config)).startswith("Call cccc-3\n")


def test_an_id_that_fits_two_calls_or_none_is_answered_with_those_there_are(logs: Path) -> None:
    assert "2 calls begin with aa" in refusal_of("aa", logs=logs).message
    assert "aabb-2" in refusal_of("zzzz", logs=logs).remedy


def test_what_cannot_be_found_is_said_with_a_remedy(tmp_path: Path) -> None:
    assert "--logs" in refusal_of("x", logs=tmp_path / "nowhere").remedy
    assert "--last" in refusal_of().remedy
    with pytest.raises(OffhookError, match="no call log in"):
        told(last=True, logs=tmp_path)


REFUSED = (
    '{"event":"call_refused","timestamp":"2026-11-21T12:00:01.5Z","rule":"no_flow","called":"+49211",'
    '"why":"no flow has it"}',
    '{"event":"sip_refused","timestamp":"2026-11-21T12:00:02Z","rule":"stranger","source":"192.0.2.7","count":12,'
    '"remedy":"Add it to sip.allow_from."}',
    '{"event":"dial_refused","timestamp":"2026-11-21T12:00:03Z","rule":"satellite","number":"+881","session_id":"dddd-4"}',
)


def test_what_was_refused_before_it_became_a_call_is_listed(logs: Path) -> None:
    (logs / "refused").mkdir()
    (logs / "refused" / "2026-11-21-calls.jsonl").write_text("\n".join(REFUSED) + "\n")
    page = told(refused=True, logs=logs)
    assert "2026-11-21 12:00:01  call refused (no_flow): called +49211\n    no flow has it\n" in page
    assert "sip refused (stranger, 12 times): source 192.0.2.7\n    Remedy: Add it to sip.allow_from." in page
    assert "dial refused (satellite)" in told("dddd-4", logs=logs)


def test_without_refusals_it_says_so(logs: Path) -> None:
    assert "Nothing was refused" in told(refused=True, logs=logs)


def test_the_command_line_takes_one_of_them(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["why", "cccc", "--logs", str(logs)]) == 0
    assert capsys.readouterr().out.startswith("Call cccc-3")
    assert cli.main(["why", "zzzz", "--logs", str(logs)]) == 1
    assert "Remedy: The latest calls are: aaaa-1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["why", "--last", "--refused"])
