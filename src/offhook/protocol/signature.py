"""Standard Webhooks signatures (https://github.com/standard-webhooks/standard-webhooks, symmetric, `v1`)."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from offhook.errors import SettingsInvalid

PREFIX: Final = "whsec_"


class Signer:
    """Signs requests with one secret: `whsec_` and base64, or base64 alone.

    Raises:
        SettingsInvalid: the secret is no base64, or is empty.
    """

    def __init__(self, secret: str) -> None:
        try:
            self._key: Final = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error as error:
            raise SettingsInvalid(
                f"The flow's signing secret is no base64: {error}.",
                remedy=f"Make one with: echo {PREFIX}$(head -c 24 /dev/urandom | base64)",
            ) from None
        if not self._key:
            raise SettingsInvalid(
                "The flow's signing secret is empty.",
                remedy=f"Make one with: echo {PREFIX}$(head -c 24 /dev/urandom | base64)",
            )

    def headers(self, message_id: str, unix_seconds: int, body: bytes) -> dict[str, str]:
        """The three headers. `message_id` stays the same when a message is sent again and holds no full stop."""
        signed = f"{message_id}.{unix_seconds}.".encode() + body
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(unix_seconds),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
