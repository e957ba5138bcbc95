"""Which of the codecs that settings name can be spoken on this machine."""

from collections.abc import Iterable

import structlog

from offhook.errors import SettingsInvalid
from offhook.media import opus
from offhook.media.messages import Codec

logger = structlog.get_logger()


def spoken_codecs(names: Iterable[str]) -> tuple[Codec, ...]:
    """These, without Opus where its library is not installed. Raises SettingsInvalid when nothing is left."""
    named = tuple(Codec(name) for name in names)
    spoken = tuple(codec for codec in named if codec is not Codec.OPUS or opus.is_installed())
    if spoken != named:
        logger.warning("codec_not_installed", codec=Codec.OPUS.value, remedy=opus.REMEDY)
    if not spoken:
        raise SettingsInvalid("Only opus is to be spoken, and libopus is not installed.", remedy=opus.REMEDY)
    return spoken


def without_library(*lists: Iterable[str] | None) -> bool:
    """Whether any of these names Opus, which cannot be spoken here."""
    return any(Codec.OPUS in (names or ()) for names in lists) and not opus.is_installed()
