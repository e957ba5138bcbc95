"""The payload formats of an audio line as we write them: numbers, rtpmaps and parameters of codecs and key presses."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from offhook.media.messages import Codec, MediaTerms
from offhook.transports.sip.session_description import RtpMap

STATIC_NUMBERS: Final = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.G722: 9}
OWN_OPUS: Final = 111
OWN_TELEPHONE_EVENTS: Final = {8000: 101, 48000: 102}
"""By their clock: that of the audio beside which they stand (RFC 4733 2.1)."""
_CHANNELS: Final = {Codec.OPUS: 2}  # always written, whatever is coded (RFC 7587 7)
_PARAMETERS: Final = {Codec.OPUS: "maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0;useinbandfec=1"}
_TELEPHONE_EVENT: Final = "TELEPHONE-EVENT"
_DYNAMIC: Final = range(96, 128)


@dataclass(frozen=True, slots=True)
class AudioFormats:
    """In their order; `parameters` are the values of `a=fmtp`."""

    maps: tuple[tuple[str, RtpMap], ...]
    parameters: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.maps)


def own_number(codec: Codec) -> int:
    """The payload type under which we offer a codec."""
    return STATIC_NUMBERS.get(codec, OWN_OPUS)


def accepted_formats(terms: MediaTerms) -> AudioFormats:
    """What was agreed on, under the peer's numbers."""
    events = {} if terms.telephone_event is None else {terms.event_clock: terms.telephone_event}
    return _formats({terms.codec: terms.payload_type}, events)


def offered_formats(codecs: Iterable[Codec], agreed: MediaTerms | None) -> AudioFormats:
    """All of these, what is agreed on already under the numbers that it has. Beside Opus key presses are offered in its
    clock, and in that of all others, which is the only one that many telephones know."""
    codecs = tuple(codecs)
    numbers = {codec: own_number(codec) for codec in codecs}
    events = {clock: number for clock, number in OWN_TELEPHONE_EVENTS.items() if clock == 8000 or Codec.OPUS in codecs}
    fixed: set[int] = set()
    if agreed is not None:
        if agreed.codec is Codec.OPUS and Codec.OPUS in numbers:
            numbers[Codec.OPUS] = agreed.payload_type
            fixed.add(agreed.payload_type)
        if agreed.telephone_event is not None:
            events[agreed.event_clock] = agreed.telephone_event
            fixed.add(agreed.telephone_event)
    taken = {*STATIC_NUMBERS.values(), *fixed}
    for clock, number in events.items():
        if agreed is None or (clock, number) != (agreed.event_clock, agreed.telephone_event):
            events[clock] = _free(number, taken)
    if agreed is None or agreed.codec is not Codec.OPUS:
        numbers |= {codec: _free(number, taken) for codec, number in numbers.items() if codec is Codec.OPUS}
    return _formats(numbers, events)


def _free(wanted: int, taken: set[int]) -> int:
    number = wanted if wanted not in taken else next(each for each in _DYNAMIC if each not in taken)
    taken.add(number)
    return number


def _formats(numbers: dict[Codec, int], events: dict[int, int]) -> AudioFormats:
    maps = [
        (str(number), RtpMap(codec.value, codec.clock, _CHANNELS.get(codec, 1))) for codec, number in numbers.items()
    ]
    maps += [(str(number), RtpMap(_TELEPHONE_EVENT, clock)) for clock, number in events.items()]
    parameters = [f"{number} {_PARAMETERS[codec]}" for codec, number in numbers.items() if codec in _PARAMETERS]
    parameters += [f"{number} 0-15" for number in events.values()]
    return AudioFormats(tuple(maps), tuple(("fmtp", each) for each in parameters))
