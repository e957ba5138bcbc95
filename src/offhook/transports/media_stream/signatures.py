"""Whether a question what to do with a call comes from the carrier: its signature over what it sent.

Source: twilio.com/docs/usage/security ("Validating requests"); SignalWire signs in the same way with a header of its
own; developers.telnyx.com ("Webhook signing": `telnyx-timestamp`, `telnyx-signature-ed25519`).
"""

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Final

from offhook.transports.media_stream.ed25519 import is_signed

TWILIO_HEADERS: Final = ("X-Twilio-Signature", "X-SignalWire-Signature")
TELNYX_SIGNATURE: Final = "telnyx-signature-ed25519"
TELNYX_TIMESTAMP: Final = "telnyx-timestamp"
TELNYX_TOLERANCE_S: Final = 300
"""A signed question that is older, or from further in the future, is not taken: it may be a copy."""


def twilio_signature(key: str, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """What Twilio writes into its header: HMAC-SHA1 over the URL, as it was given to Twilio and with its query, and the
    form's parameters by name, each name and value without anything between them; base64."""
    signed = url + "".join(name + value for name, value in sorted(set(parameters)))
    return b64encode(hmac.new(key.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def is_from_twilio(key: str, url: str, parameters: Iterable[tuple[str, str]], headers: Mapping[str, str]) -> bool:
    """Whether one of the headers holds the right signature."""
    right = twilio_signature(key, url, parameters)
    return any(hmac.compare_digest(right.encode(), headers.get(name, "").encode()) for name in TWILIO_HEADERS)


def is_from_telnyx(public_key: str, body: bytes, headers: Mapping[str, str], unix_s: float) -> bool:
    """Whether this body was signed by Telnyx (Ed25519 over `timestamp|body`) within the last minutes."""
    timestamp = headers.get(TELNYX_TIMESTAMP, "")
    if not timestamp.isdecimal() or len(timestamp) > 12 or abs(int(timestamp) - unix_s) > TELNYX_TOLERANCE_S:
        return False
    try:
        signature = b64decode(headers.get(TELNYX_SIGNATURE, ""), validate=True)
        key = b64decode(public_key, validate=True)
    except (binascii.Error, ValueError):
        return False
    return is_signed(key, timestamp.encode() + b"|" + body, signature)
