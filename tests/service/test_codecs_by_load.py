"""Wideband is preferred as far as the machine is meant to carry it (limits.max_wideband_calls)."""

from dataclasses import dataclass

from offhook.media.messages import Codec
from offhook.service.codecs_by_load import CodecsByLoad

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
