"""Wideband is preferred as far as the machine is meant to carry it (limits.max_wideband_calls)."""

from dataclasses import dataclass

from offhook.media.messages import Codec
from offhook.service.codecs_by_load import CodecsByLoad
from offhook.transports.sip.offer_answer import MediaSession

SPOKEN = ("G722", "PCMA", "PCMU")


@dataclass
class Carried:
    wideband_open: int = 0


def test_wideband_is_preferred_until_there_are_enough_of_such_calls() -> None:
    media = Carried()
    codecs = CodecsByLoad(SPOKEN, media, 2)
    assert tuple(codecs) == SPOKEN
    media.wideband_open = 1
    assert tuple(codecs) == SPOKEN
    media.wideband_open = 2
    assert tuple(codecs) == (Codec.PCMA, Codec.PCMU, Codec.G722), "nobody is refused for it"
    media.wideband_open = 1
    assert tuple(codecs) == SPOKEN


def test_it_is_a_sequence_as_any_other() -> None:
    codecs = CodecsByLoad(SPOKEN, Carried(), 0)
    assert (codecs[0], len(codecs), list(codecs[1:])) == (Codec.PCMA, 3, [Codec.PCMU, Codec.G722])
    assert Codec.G722 in codecs


def test_an_order_without_wideband_stays_as_it_is() -> None:
    assert tuple(CodecsByLoad(("PCMU", "PCMA"), Carried(99), 1)) == (Codec.PCMU, Codec.PCMA)


OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
    b"m=audio 5000 RTP/AVP %s\r\na=rtpmap:9 G722/8000\r\n"
)


def answered(media: Carried, formats: bytes) -> Codec:
    session = MediaSession(CodecsByLoad(SPOKEN, media, 2))
    session.take_offer(OFFER % formats)
    return session.terms.codec


def test_a_caller_is_answered_by_what_the_machine_carries_when_the_call_comes() -> None:
    assert answered(Carried(1), b"9 0 8") is Codec.G722
    assert answered(Carried(2), b"9 0 8") is Codec.PCMU, "the caller's order counts among those of 8 kHz"
    assert answered(Carried(2), b"9") is Codec.G722, "nobody is refused"


def test_a_call_keeps_its_width_when_there_are_more_meanwhile() -> None:
    media = Carried(1)
    session = MediaSession(CodecsByLoad(SPOKEN, media, 2))
    session.take_offer(OFFER % b"9 0")
    media.wideband_open = 2
    session.take_offer(OFFER % b"9 0")
    assert session.terms.codec is Codec.G722
