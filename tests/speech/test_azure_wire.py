"""Messages and addresses of Azure's Speech service."""

import re
import struct

import pytest

from offhook.errors import ProviderFailed
from offhook.speech import azure_wire as wire
from offhook.speech.azure_wire import AzurePlaces

REQUEST = "0123456789abcdef0123456789abcdef"


def test_a_text_message_is_a_header_a_blank_line_and_json() -> None:
    head, _, body = wire.text("speech.context", REQUEST, {"a": 1}).partition("\r\n\r\n")

    lines = head.split("\r\n")
    assert lines[:2] == ["Path: speech.context", f"X-RequestId: {REQUEST}"]
    assert re.fullmatch(r"X-Timestamp: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lines[2])
    assert lines[3] == "Content-Type: application/json"
    assert body == '{"a": 1}'


def test_ssml_is_sent_as_it_is() -> None:
    assert wire.text("ssml", REQUEST, "<speak/>").endswith("Content-Type: application/ssml+xml\r\n\r\n<speak/>")


def test_audio_follows_a_header_of_the_length_that_precedes_it() -> None:
    message = wire.audio(REQUEST, b"\1\2", "audio/x-wav")

    length = struct.unpack_from(">H", message)[0]
    assert message[2:][:length].endswith(b"Content-Type: audio/x-wav\r\n")
    assert message[2 + length :] == b"\1\2"


def test_a_wave_header_says_linear16_mono_and_no_length() -> None:
    header = wire.wave_header(8000)

    assert len(header) == 44
    assert struct.unpack_from("<HHIIHH", header, 20) == (1, 1, 8000, 16000, 2, 16)


@pytest.mark.parametrize("colon", [":", ": "])
def test_what_azure_says_is_read(colon: str) -> None:
    said = wire.read(f"X-RequestId{colon}{REQUEST.upper()}\r\nPath{colon}Turn.Start\r\n\r\n{{}}")

    assert (said.path, said.request, said.json()) == ("turn.start", REQUEST, {})


def test_sound_is_read() -> None:
    said = wire.read(wire.audio(REQUEST, b"\1\2"))

    assert (said.path, said.request, said.body) == ("audio", REQUEST, b"\1\2")


@pytest.mark.parametrize("odd", ["", "hello", b"", b"\0", b"\xff\xff", b"\0\0abc"])
def test_what_is_no_message_is_garbled(odd: str | bytes) -> None:
    with pytest.raises(ProviderFailed) as failed:
        wire.read(odd)

    assert failed.value.code == "provider_garbled"


@pytest.mark.parametrize("odd", ["[]", "no", "3"])
def test_what_is_no_object_is_garbled(odd: str) -> None:
    with pytest.raises(ProviderFailed) as failed:
        wire.read(f"Path:speech.phrase\r\n\r\n{odd}").json()

    assert failed.value.code == "provider_garbled"


@pytest.mark.parametrize(
    ("region", "cloud"),
    [("westeurope", "microsoft.com"), ("chinaeast2", "azure.cn"), ("usgovvirginia", "azure.us")],
)
def test_a_region_has_its_own_addresses(region: str, cloud: str) -> None:
    places = AzurePlaces.of_region(region)

    assert places.ear == f"https://{region}.stt.speech.{cloud}/speech/universal/v2"
    assert places.voice == f"https://{region}.tts.speech.{cloud}/cognitiveservices/websocket/v1"
    assert places.voices == f"https://{region}.tts.speech.{cloud}/cognitiveservices/voices/list"


def test_a_resource_has_all_behind_its_endpoint() -> None:
    places = AzurePlaces.of_resource("https://name.cognitiveservices.azure.com/")

    assert places.ear == "https://name.cognitiveservices.azure.com/stt/speech/universal/v2"
    assert places.voice == "https://name.cognitiveservices.azure.com/tts/cognitiveservices/websocket/v1"


def test_a_container_does_one_thing() -> None:
    ear = AzurePlaces.of_containers("http://ear:5000", None)
    assert ear.ear == "http://ear:5000/speech/recognition/conversation/cognitiveservices/v1"
    assert (ear.voice, ear.voices) == ("", "")
    assert ear.ear_trouble.address == "transcriber_url"

    voice = AzurePlaces.of_containers(None, "http://voice:5000/")
    assert voice.ear == ""
    assert voice.voice == "http://voice:5000/cognitiveservices/websocket/v1"
    assert voice.voices == "http://voice:5000/cognitiveservices/voices/list"
    assert voice.voice_trouble.address == "synthesizer_url"
