"""The settings of media streams: what does not fit together, what is kept secret, and what `check` says of them."""

import io
import socket
from pathlib import Path

import pytest

from offhook.service.commands import check
from offhook.service.commands.options import CheckOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.contradictions import doubts
from offhook.service.setting_mistakes import SettingsMistaken
from offhook.service.settings import Settings
from offhook.service.settings_file import loads

STREAMS = '[media_stream]\nlisten = "127.0.0.1:0"\npublic_url = "https://calls.example.com/"\n'
TWILIO = '[[media_stream.account]]\nname = "main"\ncarrier = "twilio"\nsigning_key = "12345"\n'
FLOW = '[sip]\nlisten = []\n[[flow]]\nid = "support"\napp = "http://localhost/"\nnumbers = ["*"]\n'


def settings(text: str, **environment: str) -> Settings:
    return loads(text, environment)


def mistakes(text: str) -> dict[str, str]:
    """Place and problem of each."""
    with pytest.raises(SettingsMistaken) as refused:
        settings(text)
    return {mistake.path: mistake.problem for mistake in refused.value.mistakes}


def test_what_is_needed_is_little() -> None:
    streams = settings(STREAMS + TWILIO).media_stream
    assert streams.public_url == "https://calls.example.com"
    assert streams.accounts[0].codec == "PCMU"
    assert streams.grace_seconds == 10


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[media_stream]\nlisten = "127.0.0.1:0"\n' + TWILIO, "media_stream.public_url"),
        (STREAMS.replace("https://calls", "calls") + TWILIO, "media_stream.public_url"),
        (STREAMS.replace('/"', '/?a=b"') + TWILIO, "media_stream.public_url"),
        (STREAMS + TWILIO + TWILIO, "media_stream.account[main].name"),
        (STREAMS + TWILIO.replace('"main"', '"Main/1"'), "media_stream.account[Main/1].name"),
        (STREAMS + TWILIO.replace("signing_key", "rest_user"), "media_stream.account[main].signing_key"),
        (STREAMS + TWILIO + 'codec = "G722"\n', "media_stream.account[main].codec"),
        (STREAMS + TWILIO + 'rest_key = "k"\n', "media_stream.account[main].rest_user"),
        (STREAMS + TWILIO + 'stream_key = "short"\n', "media_stream.account[main].stream_key"),
        (STREAMS + TWILIO.replace("twilio", "telnyx"), "media_stream.account[main].signing_key"),
        (
            STREAMS + TWILIO.replace("twilio", "signalwire") + 'rest_user = "u"\nrest_key = "k"\n',
            "media_stream.account[main].api_url",
        ),
        (STREAMS + TWILIO + 'transfer = "carrier"\n', "media_stream.account[main].transfer"),
        (
            STREAMS + '[[media_stream.account]]\nname = "b"\ncarrier = "bridge"\ntransfer = "carrier"\n'
            f'stream_key = "{"k" * 24}"\n',
            "media_stream.account[b].transfer",
        ),
    ],
)
def test_what_does_not_fit_together_is_said_at_its_place(text: str, place: str) -> None:
    assert list(mistakes(text)) == [place]


@pytest.mark.parametrize(
    ("text", "place"),
    [(STREAMS.replace("https", "http") + TWILIO, "media_stream.public_url"), (STREAMS, "media_stream.account")],
)
def test_what_can_hardly_be_meant_is_a_doubt(text: str, place: str) -> None:
    assert place in {doubt.path for doubt in doubts(settings(text + FLOW))}


def test_keys_are_neither_shown_nor_printed_in_mistakes() -> None:
    secret = "a-secret-that-nobody-shall-see"
    text = STREAMS + TWILIO + f'stream_key = "{secret}"\nrest_user = "AC1"\nrest_key = "{secret}"\n'
    assert secret not in repr(settings(text))
    with pytest.raises(SettingsMistaken) as refused:
        settings(STREAMS + TWILIO.replace('"12345"', f'["{secret}"]'))
    assert secret not in str(refused.value)


def test_the_environment_names_an_account_by_its_name() -> None:
    key = settings(STREAMS + TWILIO, OFFHOOK_MEDIA_STREAM__ACCOUNT__MAIN__SIGNING_KEY="other").media_stream
    assert key.accounts[0].signing_key == "other"


def test_check_says_where_calls_are_answered_and_whether_the_port_is_free(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        file.write_text(STREAMS.replace("127.0.0.1:0", where) + TWILIO + FLOW)
        out = io.StringIO()
        check.run(CheckOptions(file, bind=True), Terminal(out))
    said = out.getvalue()
    assert "ok    media_stream.account[main]: calls are answered at /media-stream/main/answer" in said
    assert "FAIL  media_stream.listen" in said


def test_what_a_carrier_needs_to_be_asked_for_a_transfer() -> None:
    lacking = mistakes(STREAMS + TWILIO + 'transfer = "carrier"\n')["media_stream.account[main].transfer"]
    assert "rest_user and rest_key are missing" in lacking
    able = settings(STREAMS + TWILIO + 'rest_user = "AC1"\nrest_key = "k"\ntransfer = "carrier"\n' + FLOW)
    assert able.media_stream.accounts[0].transfer == "carrier"
