"""Which codec is preferred: wideband, as `sip.codecs` says, until the machine carries as many such legs as it is meant
to."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol, overload

from offhook.media.messages import Codec


class CarriesWideband(Protocol):
    """The way to the media process."""

    @property
    def wideband_open(self) -> int: ...


class CodecsByLoad(Sequence[Codec]):
    """Codecs by their names, in the order of preference as it is now. While `media` carries `most_wideband` legs at
    16 kHz or more, those of 8 kHz come first: a caller who offers one gets it, and nobody is refused."""

    def __init__(self, names: Sequence[str], media: CarriesWideband, most_wideband: int) -> None:
        self._codecs: Final = tuple(Codec(name) for name in names)
        self._narrowband_first: Final = tuple(sorted(self._codecs, key=lambda codec: codec.rate))
        self._media: Final = media
        self._most: Final = most_wideband

    @overload
    def __getitem__(self, index: int) -> Codec: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Codec]: ...

    def __getitem__(self, index: int | slice) -> Codec | Sequence[Codec]:
        return self._now()[index]

    def __len__(self) -> int:
        return len(self._codecs)

    def __iter__(self) -> Iterator[Codec]:
        return iter(self._now())

    def _now(self) -> tuple[Codec, ...]:
        return self._narrowband_first if self._media.wideband_open >= self._most else self._codecs
