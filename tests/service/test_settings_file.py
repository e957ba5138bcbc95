"""One file, the environment over it, and every mistake at once with its remedy."""

import contextlib
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import SettingsInvalid
from offhook.service.contradictions import doubts
from offhook.service.setting_mistakes import COMMAND_LINE, SettingMistake, SettingsMistaken
from offhook.service.setting_types import HostPort, ListenAddress, PortRange, SipDomain
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


def test_contradictions_are_listed_beside_what_cannot_be_read() -> None:
    found = mistakes(
        '[limits]\nmax_calls = "many"\n[[flow]]\nid = "a"\nnumbers = "*"\n[flow.speech]\ntranscriber = "siri"\n'
        '[[flow]]\nid = "a"\napp = "localhost"\n[[flow]]\nid = "b"\napp = "http://localhost/"\nnumbers = "*"\n'
        "[[flow]]\napp = 5\n"
    )
    assert found.keys() == {
        "limits.max_calls",
        "flow[a].app",
        "flow[a].id",
        "flow[a].speech.transcriber",
        "flow[b].numbers",
        "flow[3].id",
        "flow[3].app",
    }


def test_nothing_is_said_about_what_depends_on_a_value_that_cannot_be_read() -> None:
    found = mistakes(
        FLOW + 'default_country = "XX"\nnumbers = ["0211 5566-0"]\n[flow.speech]\ntranscriber = "deepgram"\n'
        "[speech]\naliases = 5"
    )
    assert found.keys() == {"flow[support].default_country", "speech.aliases"}


@pytest.mark.parametrize("section", ["flow", "trunk"])
def test_one_bracket_where_two_are_needed_is_pointed_out(section: str) -> None:
    assert f"[[{section}]]" in mistakes(f'[{section}]\nname = "x"')[section].remedy


def test_a_value_where_a_section_belongs_is_pointed_out() -> None:
    assert "Write [http]" in mistakes("http = 5")["http"].remedy
    assert "Write [[flow]]" in mistakes("flow = 5")["flow"].remedy
    assert "Write [speech.aliases]" in mistakes("[speech]\naliases = 5")["speech.aliases"].remedy


@pytest.mark.parametrize(
    ("text", "path", "problem", "remedy"),
    [
        ("[limits]\nmax_calls = 'abc'", "limits.max_calls", '"abc"', "whole number from 1 to 2000"),
        ("[limits]\ndrain_seconds = -1", "limits.drain_seconds", "-1 is out of range", "from 0 to 7200"),
        ("[logging]\nlevel = 'loud'", "logging.level", '"loud"', '"debug", "info"'),
        ("[storage]\ncall_logs = 5", "storage.call_logs", "5 is not a text", '"5"'),
        ("[sip]\nlisten = 5", "sip.listen", "5 is not a list", '["one", "two"]'),
        ("[sip]\nlisten = 'udp:0.0.0.0'", "sip.listen[0]", "udp:0.0.0.0", '"udp:0.0.0.0:5060"'),
        ("[sip]\nlisten = 'tcp:5070'", "sip.listen[0]", "tcp:5070", '"tcp:0.0.0.0:5070"'),
        ("[sip]\nlisten = 'udp:[::1]'", "sip.listen[0]", "udp:[::1]", '"udp:[::1]:5060"'),
        ("[sip]\nrtp_ports = 10000", "sip.rtp_ports", "10000", "10000-19999"),
        ("[sip]\nadvertise = 'not an address'", "sip.advertise", "not an address", "without a port"),
        ("[sip]\nadvertise = 'sip.example.net:5060'", "sip.advertise", "example", '"sip.example.net"'),
        ("[sip]\nadvertise = '1.2.3'", "sip.advertise", "1.2.3", "without a port"),
        ("[http]\nlisten = 'localhost'", "http.listen", "localhost", '"localhost:8080"'),
        ("[http]\nlisten = '::1'", "http.listen", "::1", '"[::1]:8080"'),
        (FLOW + "report_language = 'x'", "flow[support].report_language", '"x"', "true or false"),
        (FLOW + "[flow.speech]\nlanguage = 'klingon'", "flow[support].speech.language", "klingon", '"en-US"'),
        (FLOW + "[flow.speech]\nsynthesizer = []", "flow[support].speech.synthesizer", "empty", "at least one"),
        (FLOW + "[flow.fallback]\ntransfer_to = 'banana'", "flow[support].fallback.transfer_to", "banana", '"+49'),
        ('[[flow]]\nid = "support"', "flow[support].app", "missing", "app = …"),
    ],
)  # fmt: skip
def test_a_mistake_shows_the_value_and_says_what_to_write(text: str, path: str, problem: str, remedy: str) -> None:
    found = mistakes(text)
    assert found.keys() == {path}
    assert problem in found[path].problem
    assert remedy in found[path].remedy


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7", "sip.example.net", "pbx"])
def test_the_advertised_host_is_an_address_or_a_name(host: str) -> None:
    assert loads(f'[sip]\nadvertise = "{host}"', {}).sip.advertise == host


def test_a_mistake_of_the_environment_names_the_variable() -> None:
    environment = {"OFFHOOK_LIMITS__MAX_CALLS": "abc", "APP": "localhost", "OFFHOOK_FLOW__A__TOKEN": "t"}
    file = '[[flow]]\nid = "a"\napp = "env:APP"\n'
    found = mistakes(file, environment)
    assert {mistake.variable for mistake in found.values()} == {"OFFHOOK_LIMITS__MAX_CALLS", "APP"}
    with pytest.raises(
        SettingsMistaken, match=r"in the environment:\n  OFFHOOK_LIMITS__MAX_CALLS \(limits.max_calls\)"
    ):
        loads(file, environment, source="offhook.toml")
    with pytest.raises(SettingsMistaken, match=r"in offhook.toml and the environment:"):
        loads(file + "[http]\nlisten = 5", environment, source="offhook.toml")


def test_a_mistake_of_the_command_line_names_the_option() -> None:
    tree = {"http": {"listen": "x"}, "sip": {"listen": ["udp:x"]}, "flow": [{"id": "dev", "app": "localhost"}]}
    with pytest.raises(
        SettingsMistaken, match=r"(?s)--http: 'x'.*--sip: 'udp:x'.*the app's address: 'localhost'"
    ) as it:
        from_tree(tree, {}, source=COMMAND_LINE)
    assert "offhook check" not in str(it.value)


def test_what_can_hardly_be_meant_is_doubted() -> None:
    assert [doubt.path for doubt in doubts(loads("", {}))] == ["flow"]
    narrow = loads(FLOW + 'numbers = "*"\n[sip]\nrtp_ports = "10000-10099"', {})
    (doubt,) = doubts(narrow)
    assert "50 calls" in doubt.problem
    assert not list(doubts(loads(FLOW + 'numbers = "*"', {})))


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
    assert loads(FLOW + speech + aliases, {}).flows[0].speech.transcriber == ("deepgram",)


def test_a_missing_key_and_a_misspelt_engine_are_listed_at_once() -> None:
    found = mistakes(
        FLOW + '[flow.speech]\ntranscriber = ["deepgramm", "deepgram"]\nsynthesizer = "voice"\n'
        '[speech.deepgram]\nkey = "env:NO_SUCH"\n[speech.aliases]\nvoice = "deepgram"\n'
        '[speech.openai]\nurl = "http://127.0.0.1:8000/v1"'
    )
    assert found.keys() == {"speech.openai.url", "speech.deepgram.key", "flow[support].speech.transcriber"}
    remedy = found["flow[support].speech.transcriber"].remedy
    assert "Did you mean 'deepgram'?" in remedy
    assert "url" not in remedy


def test_a_server_that_only_speaks_is_no_ear_and_one_that_does_nothing_is_a_mistake() -> None:
    found = mistakes(
        FLOW + '[flow.speech]\ntranscriber = "kokoro"\n[speech.openai.kokoro]\nvoice_model = "kokoro"\n'
        "[speech.openai.empty]"
    )
    assert found.keys() == {"speech.openai.empty", "flow[support].speech.transcriber"}
    assert "speech.openai.kokoro.ear_model" in found["flow[support].speech.transcriber"].remedy


def test_a_server_without_a_name_of_its_own_is_told_to_get_one() -> None:
    found = mistakes('[speech.openai]\nurl = "http://127.0.0.1:8000/v1"\near_model = "whisper-1"')
    assert found.keys() == {"speech.openai.url", "speech.openai.ear_model"}
    assert "[speech.openai.<a name of yours>]" in found["speech.openai.url"].remedy


def test_a_variable_that_is_empty_is_told_to_be_set() -> None:
    found = mistakes('[speech.deepgram]\nkey = "env:DGK"', {"DGK": ""})["speech.deepgram.key"]
    assert "Set DGK to a text that is not empty" in found.remedy


@pytest.mark.parametrize(("name", "told"), [("offhook.toml", "offhook check"), ("s.toml", "offhook check -c s.toml")])
def test_the_command_to_try_again_names_the_file(name: str, told: str) -> None:
    with pytest.raises(SettingsMistaken) as refusal:
        loads("[http]\nlisten = 5", {}, source=name)
    assert refusal.value.remedy.endswith(f": {told}")


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


REGISTERED = '[[trunk]]\nname = "carrier"\nregistrar = "{}"\nusername = "4921155660"\n'


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("sip.example.net", "sip.example.net", None),
        ("sip.example.net:5070", "sip.example.net", 5070),
        ("192.0.2.1", "192.0.2.1", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("[2001:db8::1]:5070", "2001:db8::1", 5070),
    ],
)
def test_a_registrar_is_a_domain_or_a_host_with_a_port(written: str, host: str, port: int | None) -> None:
    (trunk,) = loads(REGISTERED.format(written), {}).trunks
    assert trunk.registrar == SipDomain(host, port)
    assert (trunk.hosts, trunk.transport, trunk.expires_seconds, trunk.keep_alive_seconds) == ((), None, 600, 25)


def test_tls_needs_a_certificate_and_its_key() -> None:
    assert mistakes('[sip]\nlisten = "tls:0.0.0.0:5061"').keys() == {"sip.tls_certificate", "sip.tls_key"}
    assert mistakes('[sip]\ntls_certificate = "a.pem"').keys() == {"sip.tls_key"}
    files = 'tls_certificate = "a.pem"\ntls_key = "a.key"\n'
    assert loads('[sip]\nlisten = "tls:[::]:5061"\n' + files, {}).sip.listen == (ListenAddress("tls", "::", 5061),)


@pytest.mark.parametrize(
    ("trunk", "watched"),
    [
        ('proxy = "pbx.example.net"', SipDomain("pbx.example.net")),
        ('proxy = "pbx.example.net"\nkeep_alive_seconds = 0', None),
        ('proxy = "pbx.example.net"\nregistrar = "sip.example.net"\nusername = "alice"', None),
        ('hosts = "192.0.2.0/24"', None),
    ],
)
def test_a_trunk_with_a_proxy_and_no_registrar_is_asked_whether_it_is_there(
    trunk: str, watched: SipDomain | None
) -> None:
    assert loads(f'[[trunk]]\nname = "pbx"\n{trunk}', {}).trunks[0].watched == watched


def test_a_trunk_by_tls_that_is_not_checked_or_cannot_call_back_is_doubted() -> None:
    text = REGISTERED.format("sip.example.net") + 'transport = "tls"\ntls_verify = false\n'
    found = {doubt.path: doubt for doubt in doubts(loads(text, {}))}
    assert "NOBODY CHECKS" in found["trunk[carrier].tls_verify"].problem
    assert "sip.listen" in found["trunk[carrier].transport"].remedy


def test_dns_servers_are_addresses_with_or_without_a_port() -> None:
    servers = loads('[sip]\ndns_servers = ["192.0.2.53", "127.0.0.1:5353", "2001:db8::53"]', {}).sip.dns_servers
    assert servers == (HostPort("192.0.2.53", 53), HostPort("127.0.0.1", 5353), HostPort("2001:db8::53", 53))
    assert mistakes('[sip]\ndns_servers = "dns.example.net"').keys() == {"sip.dns_servers[0]"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (REGISTERED.format("sip:sip.example.net"), "trunk[carrier].registrar"),
        (REGISTERED.format("sip.example.net:0"), "trunk[carrier].registrar"),
        ('[[trunk]]\nname = "carrier"\nregistrar = "sip.example.net"', "trunk[carrier].username"),
        (
            '[sip]\nlisten = "tcp:127.0.0.1:0"\n' + REGISTERED.format("sip.example.net") + 'transport = "udp"',
            "trunk[carrier].transport",
        ),
        (REGISTERED.format("sip.example.net") + "expires_seconds = 5", "trunk[carrier].expires_seconds"),
        ('[[trunk]]\nname = "carrier"', "trunk[carrier].hosts"),
    ],
)
def test_what_a_registration_lacks_is_said(text: str, path: str) -> None:
    found = mistakes(text)
    assert found.keys() == {path}
    assert found[path].remedy


def test_the_password_of_a_trunk_is_a_secret() -> None:
    (trunk,) = loads(REGISTERED.format("sip.example.net") + 'password = "env:P"', {"P": "mellon"}).trunks
    assert trunk.password == "mellon"
    assert "mellon" not in repr(trunk)
    assert "4711" not in str(mistakes(REGISTERED.format("sip.example.net") + "password = 4711"))
