"""What a carrier is told to do with a call: TwiML, TeXML and cXML, which are one language with accents."""

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from offhook.media.messages import Codec
from offhook.transports.media_stream.settings import Carrier

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def connect(carrier: Carrier, codec: Codec, stream_url: str, parameters: Mapping[str, str], again_url: str) -> str:
    """Stream the call there, both ways. When the stream breaks off without our doing, the carrier asks again at
    `again_url`: the call is then taken up where it was, or ended."""
    attributes = {"url": stream_url} | _format(carrier, codec)
    inside = "".join(
        f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in parameters.items() if value
    )
    return (
        f"{_HEAD}<Response><Connect><Stream{_given(attributes)}>{inside}</Stream></Connect>"
        f'<Redirect method="POST">{escape(again_url)}</Redirect></Response>'
    )


def dial(number: str, caller: str | None, ring_seconds: int, answered_url: str, over_url: str) -> str:
    """Call this number for the caller, and connect both. The carrier says at `answered_url` that it was answered, and
    asks at `over_url` what to do with the caller afterwards, or when nobody answers.

    Source: twilio.com/docs/voice/twiml/dial and …/number; SignalWire's cXML and Telnyx's TeXML have the same.
    """
    attributes = {"timeout": str(ring_seconds), "action": over_url, "method": "POST"}
    if caller is not None:
        attributes["callerId"] = caller
    telling = {"statusCallback": answered_url, "statusCallbackEvent": "answered", "statusCallbackMethod": "POST"}
    called = f"<Number{_given(telling)}>{escape(number)}</Number>"
    return f"{_HEAD}<Response><Dial{_given(attributes)}>{called}</Dial></Response>"


def hang_up() -> str:
    """The call is over."""
    return f"{_HEAD}<Response><Hangup/></Response>"


def _given(attributes: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())


def _format(carrier: Carrier, codec: Codec) -> dict[str, str]:
    match carrier:
        case "telnyx":
            rate = "16000" if codec is Codec.L16 else "8000"
            return {
                "codec": codec.value,
                "bidirectionalMode": "rtp",
                "bidirectionalCodec": codec.value,
                "bidirectionalSamplingRate": rate,
            }
        case "signalwire":
            return {"codec": "L16@16000h" if codec is Codec.L16 else codec.value}
        case "twilio" | "bridge":
            return {}  # u-law is all there is
