"""What can go wrong with a vendor, in the house's words: from an HTTP status, an exception of aiohttp or a closed
socket to an error with one of six codes and a remedy."""

import re
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import aiohttp

from offhook.errors import ProviderFailed
from offhook.speech.transcriber import EarFailed

SAID_AT_MOST: Final = 200
_KEY_LIKE: Final = re.compile(r"(?=[\w*.-]*\d)[\w*.-]{16,}")
_NORMAL_CLOSES: Final = frozenset({1000, 1001, 1005})
_POLICY: Final = 1008
_NOT_TAKEN: Final = frozenset({1003, 1007})


class TroubleCode(StrEnum):
    """Why a vendor failed; in metrics, logs, and `EarFailed.code`."""

    REFUSED = "provider_refused"  # the key (401, 403)
    LIMITED = "provider_limited"  # too much (429, quota, 402)
    UNREACHABLE = "provider_unreachable"  # connecting, DNS, TLS, 5xx
    CLOSED = "provider_closed"  # in the middle
    GARBLED = "provider_garbled"  # what came cannot be read, or the vendor cannot read what it was sent (4xx)
    SILENT = "provider_silent"  # nothing came in time


_REMEDY: Final = {
    TroubleCode.REFUSED: "Set {place}.key to a key that is valid there; try: offhook check",
    TroubleCode.LIMITED: "Raise the limit or the quota of the account; the flow's next engine works meanwhile.",
    TroubleCode.UNREACHABLE: "Is {place}.url right, and may this machine connect to it? Try: offhook check",
    TroubleCode.CLOSED: "See the vendor's own status; the flow's next engine works meanwhile.",
    TroubleCode.GARBLED: "Is {place}.url the address of such a service, and are model and voice names of it?",
    TroubleCode.SILENT: "See the vendor's own status; the flow's next engine works meanwhile.",
}


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """One vendor's troubles. `vendor` is what people call it; `place` is its section, such as `speech.deepgram`.

    `said` is what the vendor said: one line of it is in the message, without anything that looks like a key.
    """

    vendor: str
    place: str

    def of(self, code: TroubleCode, what: str, said: str = "") -> ProviderFailed:
        """The vendor's name, then `what`: "closed the socket"."""
        quoted = said_by(said)
        return ProviderFailed(
            f"{self.vendor} {what}{f': {quoted}' if quoted else ''}.",
            remedy=_REMEDY[code].format(place=self.place),
            code=code.value,
            retryable=code not in {TroubleCode.REFUSED, TroubleCode.GARBLED},
        )

    def status(self, status: int, said: str = "") -> ProviderFailed:
        """An answer that is no success."""
        if status in {401, 403}:
            return self.of(TroubleCode.REFUSED, f"refused the key ({status})", said)
        if status in {402, 429}:
            return self.of(TroubleCode.LIMITED, f"takes no more ({status})", said)
        if status >= 500 or status in {404, 408}:
            return self.of(TroubleCode.UNREACHABLE, f"answered {status}", said)
        return self.of(TroubleCode.GARBLED, f"answered {status}", said)

    def exception(self, error: aiohttp.ClientError | OSError) -> ProviderFailed:
        """What aiohttp raised: before the connection was there, at its handshake, or on it."""
        match error:
            case aiohttp.ClientResponseError(status=status) if status:
                return self.status(status, error.message)
            case aiohttp.ClientConnectorDNSError():
                return self.of(TroubleCode.UNREACHABLE, f"is not known to the DNS ({error.host})")
            case aiohttp.ClientConnectorError():
                return self.of(TroubleCode.UNREACHABLE, "cannot be reached", _reason(error.os_error))
            case aiohttp.InvalidURL():
                return self.of(TroubleCode.UNREACHABLE, "has an address that is none")
            case TimeoutError():
                return self.of(TroubleCode.SILENT, "did not answer in time")
            case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | ConnectionError():
                return self.of(TroubleCode.CLOSED, "closed the connection", _reason(error))
            case aiohttp.ClientConnectionError() | ssl.SSLError():
                return self.of(TroubleCode.UNREACHABLE, "cannot be reached", _reason(error))
            case _:
                return self.of(TroubleCode.CLOSED, "broke off", _reason(error))

    def closed(self, close_code: int | None, said: str = "") -> ProviderFailed:
        """A WebSocket that the vendor closed though something was owed. `close_code` as in RFC 6455; None or 1006: the
        connection broke."""
        if close_code == _POLICY:
            return self.of(TroubleCode.REFUSED, f"closed the socket ({close_code})", said)
        if close_code in _NOT_TAKEN:
            return self.of(TroubleCode.GARBLED, f"does not take what it was sent ({close_code})", said)
        if close_code is None or close_code == 1006:
            return self.of(TroubleCode.CLOSED, "broke off the connection", said)
        when = " too early" if close_code in _NORMAL_CLOSES else ""
        return self.of(TroubleCode.CLOSED, f"closed the socket{when} ({close_code})", said)

    def garbled(self, what: str) -> ProviderFailed:
        """What came cannot be read."""
        return self.of(TroubleCode.GARBLED, "sent what cannot be read", what)

    def silent(self, seconds: float) -> ProviderFailed:
        """Nothing came for so long."""
        return self.of(TroubleCode.SILENT, f"gave nothing within {seconds:g} s")


def ear_failed(turn: int, trouble: ProviderFailed) -> EarFailed:
    """The trouble as the end of a turn."""
    return EarFailed(turn, trouble.message, trouble.code)


def said_by(said: str) -> str:
    """A vendor's words in one line of at most SAID_AT_MOST characters, with what looks like a key blotted out."""
    line = _KEY_LIKE.sub("…", " ".join(said.split()))
    return line[:SAID_AT_MOST].rstrip(" .")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
