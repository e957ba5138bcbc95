"""Vendors' messages, read so that whatever they hold is either what was expected or an error with a name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from offhook.speech.provider_trouble import ProviderTrouble
from offhook.speech.vendor_socket import Message

JsonObject: TypeAlias = dict[str, Any]


def json_object(message: Message, trouble: ProviderTrouble) -> JsonObject:
    """The message as a JSON object. Raises ProviderFailed when it is none."""
    if isinstance(message, bytes):
        raise trouble.garbled(f"{len(message)} bytes where text belongs")
    try:
        found = json.loads(message)
    except ValueError as error:
        raise trouble.garbled(str(error)) from None
    if not isinstance(found, dict):
        raise trouble.garbled(f"JSON that is no object: {message[:40]}")
    return found


@contextmanager
def well_formed(trouble: ProviderTrouble) -> Iterator[None]:
    """Around the reading of a message's fields: what is missing or of another kind becomes a ProviderFailed."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise trouble.garbled(f"{type(error).__name__}: {error}") from error
