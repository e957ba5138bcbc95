"""What callers of a flow hear while a transfer rings: the ringing tone of its country, or a loop of its own (D15)."""

from functools import lru_cache, partial

from offhook.audio.resample import resample
from offhook.audio.ringing_tone import ringing_tone
from offhook.audio.wav import read_wav
from offhook.calls.flow import WhileItRings
from offhook.errors import OffhookError, SettingsInvalid
from offhook.service.settings import Flow
from offhook.speech.transcriber import Samples


def while_it_rings(flow: Flow) -> WhileItRings:
    """Raises SettingsInvalid when the flow's loop cannot be read."""
    if flow.transfer_loop is None:
        return WhileItRings(lru_cache(partial(ringing_tone, flow.default_country)))
    try:
        pcm = read_wav(flow.transfer_loop.read_bytes())
    except OSError as error:
        raise SettingsInvalid(
            f"flow[{flow.id}].transfer_loop: {flow.transfer_loop} cannot be read: {error.strerror}.",
            remedy="Name a WAV file, or leave it out: callers then hear the ringing tone.",
        ) from error
    except OffhookError as error:
        where = f"flow[{flow.id}].transfer_loop: {flow.transfer_loop}"
        raise SettingsInvalid(f"{where}: {error.message}", remedy=error.remedy) from error

    @lru_cache
    def samples(rate: int) -> Samples:
        return resample(pcm.samples, pcm.rate, rate)

    return WhileItRings(samples, at_once=True)
