"""The tone that a caller hears while it rings at the other end, as each country's network plays it (ITU-T E.180 and its
Supplement 2)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

LEVEL_DBFS: Final = -19.0
"""How loud it sounds: about -13 dBm0, of the -10 with 5 up and down that E.180 (6.2) allows."""
_RAMP_MS: Final = 10


@dataclass(frozen=True, slots=True)
class Cadence:
    """`frequencies` in Hz, sounding and pausing in turn for so many `ms`."""

    frequencies: tuple[int, ...]
    ms: tuple[int, ...]


_TWICE: Final = (400, 200, 400, 2000)
MOST_COUNTRIES: Final = Cadence((425,), (1000, 4000))
CADENCES: Final = {
    "AT": Cadence((420,), (1000, 5000)),
    "AU": Cadence((400, 450), _TWICE),
    "BE": Cadence((425,), (1000, 3000)),
    "CA": Cadence((440, 480), (2000, 4000)),
    "CL": Cadence((400,), (1000, 3000)),
    "CN": Cadence((450,), (1000, 4000)),
    "ES": Cadence((425,), (1500, 3000)),
    "FR": Cadence((440,), (1500, 3500)),
    "GB": Cadence((400, 450), _TWICE),
    "HU": Cadence((425,), (1250, 3750)),
    "IE": Cadence((400, 450), _TWICE),
    "IL": Cadence((400,), (1000, 3000)),
    "KR": Cadence((440, 480), (1000, 2000)),
    "MY": Cadence((425,), _TWICE),
    "NZ": Cadence((400, 450), _TWICE),
    "PT": Cadence((425,), (1000, 5000)),
    "RU": Cadence((425,), (800, 3200)),
    "SE": Cadence((425,), (1000, 5000)),
    "SG": Cadence((425,), _TWICE),
    "TR": Cadence((450,), (2000, 4000)),
    "TW": Cadence((440, 480), (1000, 2000)),
    "US": Cadence((440, 480), (2000, 4000)),
}
"""By ISO 3166 code; a country that is not here has the cadence of most of Europe."""


def ringing_tone(country: str | None, rate: int) -> Samples:
    """One round of a country's ringing tone, to be played in a loop: (n,) int16 at `rate` Hz, beginning with the tone
    and ending with the pause; 3 to 6 s. `country`: two letters (ISO 3166), None for most countries' tone."""
    cadence = CADENCES.get((country or "").upper(), MOST_COUNTRIES)
    parts = [
        _sound(cadence.frequencies, ms, rate) if n % 2 == 0 else np.zeros(rate * ms // 1000, np.int16)
        for n, ms in enumerate(cadence.ms)
    ]
    return np.concatenate(parts)


def _sound(frequencies: tuple[int, ...], ms: int, rate: int) -> Samples:
    time = np.arange(rate * ms // 1000) / rate
    wave = np.sin(2 * np.pi * np.outer(frequencies, time)).sum(axis=0)
    ramp = np.clip(np.minimum(time, time[-1] - time) * 1000 / _RAMP_MS, 0, 1)
    peak = 32768 * 10 ** (LEVEL_DBFS / 20) * np.sqrt(2 / len(frequencies))
    sound: Samples = np.rint(wave * ramp * peak).astype(np.int16)
    return sound
