"""What carriers are told: their markup, with nothing that a caller could put into it."""

import xml.etree.ElementTree as ET

import pytest

from offhook.media.messages import Codec
from offhook.transports.media_stream.answer_document import connect, dial, hang_up
from offhook.transports.media_stream.settings import Carrier

STREAM = "wss://calls.example.com/media-stream/main/token"
AGAIN = "https://calls.example.com/media-stream/main/answer"


def stream(carrier: Carrier, codec: Codec, **parameters: str) -> ET.Element:
    document = ET.fromstring(connect(carrier, codec, STREAM, parameters, AGAIN))
    found = document.find("Connect/Stream")
    assert document.tag == "Response"
    assert found is not None
    return found


def test_twilio_connects_the_call_to_the_stream_and_asks_again_when_it_broke_off() -> None:
    assert connect("twilio", Codec.PCMU, STREAM, {"called": "+4921155660", "caller": "+4930123456"}, AGAIN) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Response><Connect><Stream url="{STREAM}">'
        '<Parameter name="called" value="+4921155660"/><Parameter name="caller" value="+4930123456"/>'
        f'</Stream></Connect><Redirect method="POST">{AGAIN}</Redirect></Response>'
    )


def test_what_a_caller_is_called_cannot_add_to_the_document() -> None:
    name = '"/><Dial>+1900555</Dial><Parameter x="&\n'
    found = stream("twilio", Codec.PCMU, callerName=name)
    assert [child.tag for child in found] == ["Parameter"]
    assert found[0].attrib == {"name": "callerName", "value": name}


def test_parameters_without_a_value_are_left_out() -> None:
    assert [child.attrib["name"] for child in stream("twilio", Codec.PCMU, caller="", called="+1")] == ["called"]


@pytest.mark.parametrize(
    ("codec", "rate"), [(Codec.PCMU, "8000"), (Codec.PCMA, "8000"), (Codec.G722, "8000"), (Codec.L16, "16000")]
)
def test_telnyx_streams_both_ways_in_one_codec(codec: Codec, rate: str) -> None:
    """developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream"""
    assert stream("telnyx", codec).attrib == {
        "url": STREAM,
        "codec": codec.value,
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": codec.value,
        "bidirectionalSamplingRate": rate,
    }


@pytest.mark.parametrize(("codec", "name"), [(Codec.PCMU, "PCMU"), (Codec.PCMA, "PCMA"), (Codec.L16, "L16@16000h")])
def test_signalwire_names_codec_and_rate(codec: Codec, name: str) -> None:
    assert stream("signalwire", codec).attrib == {"url": STREAM, "codec": name}


def test_a_number_is_dialled_for_the_caller() -> None:
    """twilio.com/docs/voice/twiml/dial and …/number"""
    document = ET.fromstring(dial("+4930999999", "+4921155660", 20, f"{AGAIN}/answered/t", f"{AGAIN}/over/t"))
    assert [verb.tag for verb in document] == ["Dial"]
    assert document[0].attrib == {
        "timeout": "20",
        "action": f"{AGAIN}/over/t",
        "method": "POST",
        "callerId": "+4921155660",
    }
    (number,) = document[0]
    assert number.text == "+4930999999"
    assert number.attrib == {
        "statusCallback": f"{AGAIN}/answered/t",
        "statusCallbackEvent": "answered",
        "statusCallbackMethod": "POST",
    }


def test_without_a_number_to_show_the_carrier_chooses() -> None:
    assert "callerId" not in dial("+4930999999", None, 20, AGAIN, AGAIN)


def test_a_call_that_is_over() -> None:
    assert [verb.tag for verb in ET.fromstring(hang_up())] == ["Hangup"]
