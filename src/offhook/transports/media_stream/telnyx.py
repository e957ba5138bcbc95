"""Telnyx's dialect of media streams, with `stream_bidirectional_mode` (TeXML: `bidirectionalMode`) `rtp`.

Source: developers.telnyx.com/docs/voice/programmable-voice/media-streaming and
developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket.
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


class TelnyxDialect:
    """Snake case: `stream_id`, `call_control_id`, `sequence_number`. What is sent needs no `stream_id`: a socket
    carries one stream."""

    def read(self, message: str | bytes) -> StreamFact:
        return read_with(message, start=_started, error=_complaint)

    def media(self, stream_id: str, payload: bytes) -> str:
        del stream_id
        return f'{{"event":"media","media":{{"payload":"{base64(payload)}"}}}}'

    def mark(self, stream_id: str, name: str) -> str:
        del stream_id
        return f'{{"event":"mark","mark":{{"name":{quoted(name)}}}}}'

    def clear(self, stream_id: str) -> str:
        del stream_id
        return '{"event":"clear"}'


def _started(message: dict[str, Any]) -> Started:
    start = part(message, "start")
    form = part(start, "media_format")
    parameters = texts(start.get("custom_parameters"))
    return Started(
        stream_id=needed(message.get("stream_id")),
        call_id=needed(start.get("call_control_id")),
        codec=codec_of(form.get("encoding"), form.get("sample_rate"), form.get("channels")),
        called=text(start.get("to")) or text(parameters.get("called")),
        caller=text(start.get("from")) or text(parameters.get("caller")),
        caller_name=text(parameters.get("callerName")) or "",
        parameters=parameters,
    )


def _complaint(message: dict[str, Any]) -> CarrierComplains:
    payload = part(message, "payload")
    return CarrierComplains(str(payload.get("code", ""))[:64], text(payload.get("detail")) or "")
