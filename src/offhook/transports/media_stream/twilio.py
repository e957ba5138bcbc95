"""Twilio's dialect of media streams, version 1.0.0, which SignalWire and sipgate's SIP stream bridge speak too.

Source: twilio.com/docs/voice/media-streams/websocket-messages; signalwire.com/docs/compatibility-api/cxml (Stream);
github.com/sipgate/sipgate-sip-stream-bridge (README, "WebSocket Protocol").
"""

from typing import Any

from offhook.transports.media_stream.dialect import (
    CarrierComplains,
    Started,
    StreamFact,
    base64,
    codec_of,
    needed,
    part,
    quoted,
    read_with,
    text,
    texts,
)


class TwilioDialect:
    """Camel case: `streamSid`, `callSid`, `sequenceNumber`."""

    def read(self, message: str | bytes) -> StreamFact:
        return read_with(message, start=_started, error=_complaint)

    def media(self, stream_id: str, payload: bytes) -> str:
        return f'{{"event":"media","streamSid":{quoted(stream_id)},"media":{{"payload":"{base64(payload)}"}}}}'

    def mark(self, stream_id: str, name: str) -> str:
        return f'{{"event":"mark","streamSid":{quoted(stream_id)},"mark":{{"name":{quoted(name)}}}}}'

    def clear(self, stream_id: str) -> str:
        return f'{{"event":"clear","streamSid":{quoted(stream_id)}}}'


def _started(message: dict[str, Any]) -> Started:
    start = part(message, "start")
    form = part(start, "mediaFormat")
    parameters = texts(start.get("customParameters"))
    return Started(
        stream_id=needed(message.get("streamSid") or start.get("streamSid")),
        call_id=needed(start.get("callSid") or start.get("streamSid") or message.get("streamSid")),
        codec=codec_of(form.get("encoding"), form.get("sampleRate"), form.get("channels")),
        called=_first(parameters, "called", "To"),
        caller=_first(parameters, "caller", "From"),
        caller_name=_first(parameters, "callerName", "CallerName") or "",
        parameters=parameters,
    )


def _first(parameters: dict[str, str], *names: str) -> str | None:
    """The stream itself says nothing of the numbers: who answered the call puts them into its parameters."""
    return next((found for name in names if (found := text(parameters.get(name))) is not None), None)


def _complaint(message: dict[str, Any]) -> CarrierComplains:
    return CarrierComplains(str(message.get("code", ""))[:64], text(message.get("message")) or "")
