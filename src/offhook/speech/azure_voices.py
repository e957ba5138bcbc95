"""Which of Azure's voices speaks: the one that was asked for, else one of its language."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from offhook.speech.azure_locales import locale
from offhook.speech.azure_wire import TROUBLE
from offhook.speech.vendor_messages import well_formed

_AZURE_NAME: Final = re.compile(r"([a-z]{2,3}-(?:[A-Z][a-z]{3}-)?[A-Z]{2})-[\w-]+(?::[\w.-]+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AzureVoice:
    """One voice as the service lists it: its short name, such as `de-DE-KatjaNeural`, and its locale."""

    name: str
    locale: str


def listed(body: str) -> tuple[AzureVoice, ...]:
    """The voices of the service's own list (JSON) that are no preview. Raises ProviderFailed."""
    with well_formed(TROUBLE):
        return tuple(
            AzureVoice(str(one["ShortName"]), str(one["Locale"]))
            for one in json.loads(body)
            if one.get("Status", "GA") != "Preview"
        )


def chosen(voice: str | None, language: str | None, default: str, known: Sequence[AzureVoice]) -> tuple[str, str]:
    """The name and the locale of the voice that speaks.

    A name of Azure's counts when it is known, or when none is known. One that Azure does not have is replaced by a
    voice of its language prefix, one of another vendor by a voice of `language`; `default` speaks where it has that
    language, or where nobody has.
    """
    asked = _AZURE_NAME.fullmatch(voice) if voice else None
    if asked is not None:
        there = next((one for one in known if one.name.lower() == asked[0].lower()), None)
        if there is not None:
            return there.name, there.locale
        if not known:
            return asked[0], locale(asked[1])
    own = _AZURE_NAME.fullmatch(default)
    fallback = AzureVoice(default, locale(own[1]) if own is not None else "en-US")
    wanted = asked[1] if asked is not None else language
    if wanted:
        spoken = locale(wanted)
        prefix = spoken.partition("-")[0]
        heard = (fallback, *known)
        of_locale = (one for one in heard if one.locale == spoken)
        of_language = (one for one in heard if one.locale.partition("-")[0] == prefix)
        fallback = next(of_locale, None) or next(of_language, None) or fallback
    return fallback.name, fallback.locale
