"""One file, the environment over it, and every mistake at once with its remedy."""

import contextlib
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import SettingsInvalid
from offhook.service.setting_mistakes import SettingMistake, SettingsMistaken
from offhook.service.setting_types import HostPort, ListenAddress, PortRange
from offhook.service.settings import Settings
from offhook.service.settings_file import from_tree, load, loads

FLOW = '[[flow]]\nid = "support"\napp = "http://localhost:3000/"\n'


def mistakes(text: str, environment: dict[str, str] | None = None) -> dict[str, SettingMistake]:
    with pytest.raises(SettingsMistaken) as refusal:
        loads(text, environment or {})
    return {mistake.path: mistake for mistake in refusal.value.mistakes}


def test_an_empty_file_is_all_defaults() -> None:
    settings = loads("", {})
    assert settings == Settings()
    assert settings.http.listen == HostPort("127.0.0.1", 8080)
    assert settings.storage.call_logs == Path("call-logs")


def test_by_default_calls_come_from_this_machine_only() -> None:
    """(contract D42)"""
    assert loads("", {}).sip.allow_from == ()


def test_call_logs_are_kept_30_days_by_default() -> None:
    """(contract D43)"""
    assert loads("", {}).storage.keep_days == 30


def test_values_are_read_the_way_people_write_them() -> None:
    sip = loads(
        '[sip]\nlisten = "tcp:[::1]:5070"\nrtp_ports = "2000-2001"\nallow_from = ["10.0.0.7", "10.1.0.0/16"]', {}
    ).sip
    assert sip.listen == (ListenAddress("tcp", "::1", 5070),)
    assert sip.rtp_ports == PortRange(2000, 2001)
    assert sip.allow_from == (ip_network("10.0.0.7/32"), ip_network("10.1.0.0/16"))


def test_a_value_can_come_from_the_environment() -> None:
    flow = loads(FLOW + 'token = "env:SECRET"', {"SECRET": "s3cret"}).flows[0]
    assert flow.token == "s3cret"
    assert "s3cret" not in repr(flow)


def test_a_missing_environment_variable_is_a_mistake_at_its_place() -> None:
    found = mistakes(FLOW + 'token = "env:SECRET"')
    assert "SECRET" in found["flow[0].token"].problem


def test_the_environment_overrides_the_file() -> None:
    settings = loads(
        FLOW + "[limits]\nmax_calls = 5",
        {
            "OFFHOOK_LIMITS__MAX_CALLS": "7",
            "OFFHOOK_SIP__LISTEN": "udp:127.0.0.1:0, tcp:127.0.0.1:0",
            "OFFHOOK_HTTP__KEYS": '["a", "b,c"]',
            "OFFHOOK_FLOW__SUPPORT__SPEECH__LANGUAGE": "de-DE",
            "OFFHOOK_FLOW__0__TOKEN": "t",
        },
    )
    assert settings.limits.max_calls == 7
    assert [str(address) for address in settings.sip.listen] == ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
    assert settings.http.keys == ("a", "b,c")
    assert settings.flows[0].speech.language == "de-DE"
    assert settings.flows[0].token == "t"


def test_an_override_for_a_flow_that_is_not_there_is_a_mistake() -> None:
    assert "OFFHOOK_FLOW__SALES__TOKEN" in mistakes(FLOW, {"OFFHOOK_FLOW__SALES__TOKEN": "t"})


def test_a_single_underscore_between_section_and_key_is_pointed_out() -> None:
    found = mistakes("", {"OFFHOOK_LIMITS_MAX_CALLS": "7"})
    assert "OFFHOOK_LIMITS__MAX_CALLS" in found["OFFHOOK_LIMITS_MAX_CALLS"].remedy


def test_a_variable_that_the_file_names_is_no_override() -> None:
    assert loads('[http]\nkeys = ["env:OFFHOOK_HTTP_KEY"]', {"OFFHOOK_HTTP_KEY": "k"}).http.keys == ("k",)


def test_an_emptied_value_counts_as_none() -> None:
    settings = loads('[storage]\ncall_logs = ""', {"OFFHOOK_SIP__ADVERTISE": ""})
    assert settings.storage.call_logs is None
    assert settings.sip.advertise is None


@pytest.mark.parametrize(
    ("text", "path", "nearest"),
    [
        ('[http]\nlisten_on = "x:1"', "http.listen_on", "http.listen"),
        ("[limit]\nmax_calls = 1", "limit", "limits"),
        (f"{FLOW}[flow.speech]\nvoices = 'x'", "flow[support].speech.voices", "flow[support].speech.voice"),
        (f"{FLOW}[flow.barge_in]\nstratgy = 1", "flow[support].barge_in.stratgy", "flow[support].barge_in.strategy"),
    ],
)
def test_an_unknown_key_is_a_mistake_that_names_the_nearest_known_one(text: str, path: str, nearest: str) -> None:
    assert nearest in mistakes(text)[path].remedy


def test_a_key_that_is_near_to_nothing_gets_the_list() -> None:
    assert "listen, keys" in mistakes("[http]\nzzzz = 1")["http.zzzz"].remedy.replace("keys, listen", "listen, keys")


MISTAKEN = """
[http]
listen = "8080"
[sip]
listen = ["sctp:1.2.3.4:5060"]
rtp_ports = "9-1"
allow_from = ["1.2.3.4/99"]
[limits]
max_calls = 0
[[flow]]
id = "a"
app = "localhost:3000"
default_country = "XX"
[[flow]]
id = "b"
[[trunk]]
name = "carrier"
"""


def test_all_mistakes_are_listed_at_once_each_with_a_remedy() -> None:
    found = mistakes(MISTAKEN)
    assert found.keys() == {
        "http.listen",
        "sip.listen[0]",
        "sip.rtp_ports",
        "sip.allow_from[0]",
        "limits.max_calls",
        "flow[a].app",
        "flow[a].default_country",
        "flow[b].app",
        "trunk[carrier].hosts",
    }
    assert all(mistake.remedy and mistake.problem for mistake in found.values())


def test_the_message_holds_every_mistake() -> None:
    with pytest.raises(SettingsMistaken, match=r"(?s)There are 2 mistakes .*http\.listen.*limits\.max_calls"):
        loads('[http]\nlisten = "x"\n[limits]\nmax_calls = 0', {})


def test_a_secret_never_appears_in_a_message() -> None:
    with pytest.raises(SettingsMistaken) as refusal:
        loads(FLOW + "token = 4711", {})
    assert "4711" not in str(refusal.value)


def test_a_number_with_two_owners_is_a_mistake_however_it_is_written() -> None:
    found = mistakes(
        FLOW + 'numbers = ["+4921155660"]\n'
        '[[flow]]\nid = "sales"\napp = "http://localhost/"\ndefault_country = "DE"\nnumbers = ["0211 5566-0"]'
    )
    assert "+4921155660" in found["flow[sales].numbers"].problem
    assert "flow[support]" in found["flow[sales].numbers"].problem


def test_two_default_flows_are_a_mistake() -> None:
    """(contract D41)"""
    found = mistakes(FLOW + 'numbers = "*"\n[[flow]]\nid = "sales"\napp = "http://localhost/"\nnumbers = "*"')
    assert found.keys() == {"flow[sales].numbers"}


def test_a_national_number_needs_a_country() -> None:
    assert "default_country" in mistakes(FLOW + 'numbers = ["0211 5566-0"]')["flow[support].numbers"].remedy


def test_an_id_used_twice_is_a_mistake() -> None:
    assert "flow[support].id" in mistakes(FLOW + FLOW)


def test_an_engine_that_is_not_here_is_a_mistake_unless_it_is_mapped() -> None:
    speech = '[flow.speech]\ntranscriber = "deepgram"\nsynthesizer = ["eleven_labs", "espeak"]\n'
    assert mistakes(FLOW + speech).keys() == {"flow[support].speech.transcriber", "flow[support].speech.synthesizer"}
    aliases = '[speech.aliases]\nDEEPGRAM = "pocketsphinx"\nElevenLabs = "espeak"\n'
    assert loads(FLOW + speech + aliases, {}).flows[0].speech.transcriber == "deepgram"


def test_an_alias_for_an_engine_that_is_not_here_is_a_mistake() -> None:
    assert "speech.aliases.azure" in mistakes('[speech.aliases]\nazure = "siri"')


def test_a_file_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"offhook\.example\.toml"):
        load(tmp_path / "offhook.toml")


def test_a_file_that_is_no_toml_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text("listen: 8080")
    with pytest.raises(SettingsInvalid, match="line 1"):
        load(file)


def test_the_example_shows_every_setting_and_can_be_used() -> None:
    example = Path(__file__).parents[2] / "offhook.example.toml"
    settings = load(example, {})
    text = example.read_text(encoding="utf-8")
    plain = Settings()
    for section in ("http", "sip", "logging", "limits", "storage"):
        assert getattr(settings, section) == getattr(plain, section), f"[{section}] differs from the defaults"
    flow = settings.flows[0]
    for model in (type(plain.sip), type(flow), type(flow.speech), type(flow.fallback)):
        for name in model.model_fields:
            assert name in text, f"the example does not show {name}"


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(trees)
def test_any_tree_is_read_or_refused_with_its_mistakes(value: object) -> None:
    for tree in ({"flow": value}, {"sip": value}, {"sip": {"listen": value}}, {"speech": {"aliases": value}}):
        with contextlib.suppress(SettingsMistaken):
            assert isinstance(from_tree(tree, {}), Settings)
