"""What ElevenLabs calls its errors, on the sockets of both its ear and its voice: names in JSON, before the socket is
closed (elevenlabs 2.78 `realtime/connection.py`; elevenlabs.io/docs/eleven-api/resources/errors)."""

from typing import Final

from offhook.errors import ProviderFailed
from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode

TROUBLE: Final = ProviderTrouble("ElevenLabs", "speech.eleven_labs", models=("model", "voice_model", "voice"))


def _set_of(names: str) -> frozenset[str]:
    return frozenset(names.split())


_REFUSED: Final = _set_of(
    "auth_error unaccepted_terms unaccepted_terms_error invalid_api_key missing_permissions "
    "needs_authorization authentication_error authorization_error detected_unusual_activity"
)
_LIMITED: Final = _set_of(
    "quota_exceeded rate_limited queue_overflow resource_exhausted too_many_concurrent_requests "
    "concurrent_limit_exceeded system_busy rate_limit_error payment_required"
)
_NOT_UNDERSTOOD: Final = _set_of(
    "input_error invalid_request chunk_size_exceeded invalid_input_message validation_error "
    "max_character_limit_exceeded model_not_found unsupported_model unsupported_output_format"
)


def of_error(name: str, said: str) -> ProviderFailed:
    """The error of this name, with what ElevenLabs says about it."""
    if name in _REFUSED:
        return TROUBLE.of(TroubleCode.REFUSED, f"refuses ({name})", said)
    if name in _LIMITED:
        return TROUBLE.of(TroubleCode.LIMITED, f"takes no more ({name})", said)
    if name in _NOT_UNDERSTOOD:
        return TROUBLE.of(TroubleCode.GARBLED, f"does not take what it was sent ({name})", said)
    return TROUBLE.of(TroubleCode.CLOSED, f"broke off ({name or 'error'})", said)
