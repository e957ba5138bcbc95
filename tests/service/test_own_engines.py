"""A settings file lends its ears and voices to `offhook dev` and `offhook call`, and nothing else."""

from pathlib import Path

import pytest

from offhook.errors import SettingsInvalid
from offhook.service.app_process import RunningApp
from offhook.service.commands.call import call_settings
from offhook.service.own_engines import not_used, who_hears_and_speaks, with_engines_of
from offhook.service.setting_mistakes import SettingsMistaken
from offhook.service.settings import Settings

FILE = """
[sip]
listen = "udp:0.0.0.0:5060"
[storage]
call_logs = "env:NOT_SET_HERE"
[speech]
cache_folder = "/var/cache/offhook"
[speech.deepgram]
key = "env:DEEPGRAM_API_KEY"
[speech.openai.kokoro]
url = "http://localhost:8880/v1"
voice_model = "kokoro"
[[flow]]
id = "support"
app = "https://example.com/"
token = "env:NOT_SET_EITHER"
numbers = ["+4921155660"]
end_of_turn_silence_ms = 900
[flow.speech]
transcriber = "deepgram"
synthesizer = "kokoro"
language = "de-DE"
custom_vocabulary = ["Kündigung"]
[[flow]]
id = "english"
app = "https://example.com/"
"""
KEY = {"DEEPGRAM_API_KEY": "k3y"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "offhook.toml"
    written.write_text(FILE)
    return written


def one_call(logs: Path) -> Settings:
    return call_settings(RunningApp("ws://127.0.0.1:1/", "secret"), logs)


def test_the_first_flow_hears_and_speaks_as_its_file_says(file: Path, tmp_path: Path) -> None:
    plain = one_call(tmp_path)
    settings = with_engines_of(plain, file, None, KEY)
    (flow,) = settings.flows

    assert settings.speech.deepgram is not None
    assert settings.speech.deepgram.key == "k3y"
    assert (flow.speech.language, flow.speech.custom_vocabulary, flow.end_of_turn_silence_ms) == (
        "de-DE",
        ("Kündigung",),
        900,
    )
    assert who_hears_and_speaks(flow, settings) == (
        "The ear: deepgram, then pocketsphinx (embedded). The voice: kokoro, then espeak (embedded)."
    )


def test_the_rest_of_the_file_is_left_alone(file: Path, tmp_path: Path) -> None:
    """A variable that only the rest needs may be missing."""
    plain = one_call(tmp_path)
    settings = with_engines_of(plain, file, None, KEY | {"OFFHOOK_SIP__LISTEN": "udp:127.0.0.1:1"})

    assert (settings.sip, settings.storage) == (plain.sip, plain.storage)
    assert settings.speech.cache_folder is None
    before, after = plain.flows[0], settings.flows[0]
    assert (after.app, after.token, after.numbers) == (before.app, before.token, before.numbers)


def test_another_flow_is_named(file: Path, tmp_path: Path) -> None:
    settings = with_engines_of(one_call(tmp_path), file, "english", KEY)
    assert who_hears_and_speaks(settings.flows[0], settings) == (
        "The ear: pocketsphinx (embedded). The voice: espeak (embedded)."
    )
    with pytest.raises(SettingsInvalid) as refused:
        with_engines_of(one_call(tmp_path), file, "french", KEY)
    assert refused.value.remedy == "It has: support, english."
    with pytest.raises(SettingsInvalid, match="--flow"):
        with_engines_of(one_call(tmp_path), None, "english", KEY)


def test_variables_go_before_the_file(file: Path, tmp_path: Path) -> None:
    over = {"OFFHOOK_SPEECH__DEEPGRAM__MODEL": "nova-2", "OFFHOOK_FLOW__SUPPORT__SPEECH__LANGUAGE": "fr-FR"}
    settings = with_engines_of(one_call(tmp_path), file, None, KEY | over)
    assert settings.speech.deepgram is not None
    assert (settings.speech.deepgram.model, settings.flows[0].speech.language) == ("nova-2", "fr-FR")


def test_mistakes_are_said_with_their_places(file: Path, tmp_path: Path) -> None:
    file.write_text(FILE.replace('"kokoro"\nlang', '"kokorro"\nlang'))
    with pytest.raises(SettingsMistaken) as refused:
        with_engines_of(one_call(tmp_path), file, None, {})
    assert str(file) in refused.value.message
    assert "speech.deepgram.key: The environment has no DEEPGRAM_API_KEY." in refused.value.message
    with pytest.raises(SettingsMistaken) as refused:
        with_engines_of(one_call(tmp_path), file, None, KEY)
    assert "flow[support].speech.synthesizer: There is no synthesizer 'kokorro' here." in refused.value.message


def test_settings_that_nobody_looks_at_are_pointed_out(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not_used(None, {}) == "Not used here: offhook.toml. With -c offhook.toml its ears and voices are."
    assert not_used(file, {}) is None
    file.unlink()
    assert not_used(None, {"OFFHOOK_HTTP__LISTEN": "x", "OFFHOOKS": "y"}) is None
    assert "OFFHOOK_SPEECH__DEEPGRAM__KEY" in (not_used(None, {"OFFHOOK_SPEECH__DEEPGRAM__KEY": "k"}) or "")


def test_nobody_is_said_to_stand_behind_an_ear_that_cannot_fail(tmp_path: Path) -> None:
    file = tmp_path / "scripted.toml"
    file.write_text('[[flow]]\nid = "one"\napp = "http://localhost/"\nspeech = { transcriber = ["scripted"] }\n')
    settings = with_engines_of(one_call(tmp_path), file, None, {})

    assert who_hears_and_speaks(settings.flows[0], settings).startswith("The ear: scripted. ")
