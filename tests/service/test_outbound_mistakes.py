"""What is not right together about calls that flows place."""

import json

import pytest

from offhook.service.contradictions import doubts
from offhook.service.setting_mistakes import SettingsMistaken
from offhook.service.settings_file import loads

DIALS = '[[trunk]]\nname = "carrier"\nproxy = "sip.example.net"\n'
FLOW_THAT_DIALS = '[[flow]]\nid = "f"\napp = "http://localhost/"\nnumbers = ["+4921155660"]\ndefault_country = "DE"\n'


def mistake_in(text: str) -> str:
    with pytest.raises(SettingsMistaken) as raised:
        loads(text, {})
    return str(raised.value)


def doubts_of(text: str) -> dict[str, str]:
    return {doubt.path: doubt.problem for doubt in doubts(loads(text, {}))}


@pytest.mark.parametrize(
    "entry", ["+49", "+49 211-556*", "100", "1xx", "*97", "alice", "sip:*@pbx.example", "sip:a@*.b"]
)
def test_whom_flows_may_call_is_read_in_every_spelling(entry: str) -> None:
    assert loads(f'[outbound]\nallow = ["{entry}"]', {}).outbound.allow


@pytest.mark.parametrize(
    "entry", ["+", "+4", "+49x", "004921155660", "4921155660", "sip:", "sip:a b@c", "http://x", ""]
)
def test_an_entry_that_would_allow_too_much_or_nothing_is_a_mistake(entry: str) -> None:
    assert "outbound.allow[0]" in mistake_in(f"[outbound]\nallow = [{json.dumps(entry)}]")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f'{FLOW_THAT_DIALS}trunk = "other"\n{DIALS}', "flow[f].trunk"),
        (f'{FLOW_THAT_DIALS}trunk = "in"\n[[trunk]]\nname = "in"\nhosts = ["192.0.2.1"]\n', "flow[f].trunk"),
        (f'{DIALS}dial_format = "national"\n', "trunk[carrier].dial_format"),
        ('[outbound]\nallow = ["+49"]\ndeny = ["+49"]\n', "outbound.deny"),
        (f'{DIALS}transport = "tcp"\n[sip]\nlisten = ["udp:127.0.0.1:0"]\n', "trunk[carrier].transport"),
        (f"{DIALS}session_seconds = 60\n", "trunk[carrier].session_seconds"),
    ],
)
def test_contradictions_about_calls_that_flows_place(text: str, path: str) -> None:
    assert f"{path}: " in mistake_in(text)


def test_the_values_of_an_optional_setting_are_listed() -> None:
    told = mistake_in(f'{DIALS}srtp = "yes"\ncodecs = ["GSM"]\n')
    assert 'Write one of "off", "accept", "offer", "require".' in told
    assert 'Write one of "opus", "G722", "PCMU", "PCMA".' in told


def test_calls_that_are_allowed_without_a_trunk_are_doubted() -> None:
    assert "outbound.allow" in doubts_of('[outbound]\nallow = ["+49"]\n')
    assert "outbound.allow" not in doubts_of(f'[outbound]\nallow = ["+49"]\n{DIALS}')


@pytest.mark.parametrize(
    ("entry", "doubted"), [("49", True), ("370", True), ("100", False), ("112", False), ("1xx", False)]
)
def test_a_country_without_its_plus_is_doubted(entry: str, doubted: bool) -> None:
    problem = doubts_of(f'[outbound]\nallow = ["{entry}"]\n{DIALS}').get("outbound.allow", "")
    assert (f"not the country +{entry}" in problem) is doubted


def test_a_fallback_that_may_not_be_called_is_doubted() -> None:
    """(contract D26)"""
    fallback = f'{FLOW_THAT_DIALS}[flow.fallback]\ntransfer_to = "0211 1234"\n{DIALS}'
    assert "not_allowed" in doubts_of(fallback)["flow[f].fallback.transfer_to"]
    assert doubts_of(f'{fallback}[outbound]\nallow = ["+49"]\n') == {}
    assert "flow[f].fallback.transfer_to" in doubts_of(fallback.replace(DIALS, ""))


def test_a_carrier_that_connects_streamed_callers_dials_too() -> None:
    account = '[[media_stream.account]]\nname = "main"\ncarrier = "twilio"\nsigning_key = "s"\n'
    able = f'{account}rest_user = "AC1"\nrest_key = "k"\ntransfer = "carrier"\n'
    listed = '[outbound]\nallow = ["+49211"]\n' + FLOW_THAT_DIALS + '[flow.fallback]\ntransfer_to = "0211 1234567"\n'
    places = {"outbound.allow", "flow[f].fallback.transfer_to"}
    assert not places & set(doubts_of(listed + able))
    assert places <= set(doubts_of(listed + account))
