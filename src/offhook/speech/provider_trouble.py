"""What can go wrong with a vendor, in the house's words: from an HTTP status, an exception of aiohttp or a closed
socket to an error with one of six codes and a remedy."""

import re
import ssl
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
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

    REFUSED = "provider_refused"  # the key (401, 403), or the model where the vendor says that
    LIMITED = "provider_limited"  # too much (429, quota, 402)
    UNREACHABLE = "provider_unreachable"  # connecting, DNS, TLS, 5xx
    CLOSED = "provider_closed"  # in the middle
    GARBLED = "provider_garbled"  # what came cannot be read, or the vendor cannot read what it was sent (4xx)
    SILENT = "provider_silent"  # nothing came in time


_REMEDY: Final = {
    TroubleCode.REFUSED: "Set {place}.key to a key that is valid there.",
    TroubleCode.LIMITED: "Raise the limit or the quota of the account; the flow's next engine works meanwhile.",
    TroubleCode.UNREACHABLE: "Is {address} right, and may this machine connect to it?",
    TroubleCode.CLOSED: "See the vendor's own status; the flow's next engine works meanwhile.",
    TroubleCode.GARBLED: "Does it know what is set in {models}? And is {address} the address of such a service?",
    TroubleCode.SILENT: "See the vendor's own status; the flow's next engine works meanwhile.",
}
_OUT_OF_ORDER: Final = "It was reached, and is out of order: see its own status or log; the flow's next engine works."
_NOT_FOUND: Final = "Is {address} right{ending}, and does it know what is set in {models}?"
_OWN_SERVER: Final = "Does the server run, and is {address} right, its port too?"
_NO_TLS: Final = "What is there speaks no TLS: is it http:// in {address}?"
_NO_MODEL: Final = "Set {models} to what it knows, and may be used with this key."
# What OpenSSL calls an answer that is no TLS.
_PLAIN: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
_OWN_NAMES: Final = (".local", ".localhost", ".internal", ".lan", ".home.arpa")


class HostNotReached(ProviderFailed):
    """There is no connection to this host, or no such host."""

    def __init__(self, message: str, *, remedy: str, host: str) -> None:
        super().__init__(message, remedy=remedy, code=TroubleCode.UNREACHABLE.value)
        self.host = host


class ProviderDoubted(ProviderFailed):
    """The answer to a check tells neither that it works nor that it does not."""


def is_public(host: str) -> bool:
    """Whether a machine without the internet could not reach it."""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host.rstrip(".") and not host.rstrip(".").endswith(_OWN_NAMES)


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """One vendor's troubles. `vendor` is what people call it; `place` is its section, such as `speech.deepgram`; in it
    `address` is the setting that says where it is, with this `ending` if any, and `models` those of what it must know.

    `said` is what the vendor said: one line of it is in the message, without anything that looks like a key.
    """

    vendor: str
    place: str
    address: str = "url"
    models: tuple[str, ...] = ("model",)
    ending: str = ""

    def of(self, code: TroubleCode, what: str, said: str = "", *, remedy: str = "") -> ProviderFailed:
        """The vendor's name, then `what`: "closed the socket". `remedy`: another one than that of the code."""
        return ProviderFailed(
            self._message(what, said),
            remedy=self._told(remedy or _REMEDY[code]),
            code=code.value,
            retryable=code not in {TroubleCode.REFUSED, TroubleCode.GARBLED},
        )

    def no_model(self, what: str, said: str = "") -> ProviderFailed:
        """It refuses the model: it has none such, or not for this key."""
        return self.of(TroubleCode.REFUSED, what, said, remedy=_NO_MODEL)

    def doubted(self, what: str, remedy: str) -> ProviderDoubted:
        """It was asked, and what it answers tells little."""
        return ProviderDoubted(self._message(what, ""), remedy=self._told(remedy))

    def status(self, status: int, said: str = "") -> ProviderFailed:
        """An answer that is no success."""
        if status in {401, 403}:
            return self.of(TroubleCode.REFUSED, f"refused the key ({status})", said)
        if status in {402, 429}:
            return self.of(TroubleCode.LIMITED, f"takes no more ({status})", said)
        if status == 404:
            return self.of(TroubleCode.UNREACHABLE, "answered 404", said, remedy=_NOT_FOUND)
        if status >= 500 or status == 408:
            return self.of(TroubleCode.UNREACHABLE, f"answered {status}", said, remedy=_OUT_OF_ORDER)
        return self.of(TroubleCode.GARBLED, f"answered {status}", said)

    def exception(self, error: aiohttp.ClientError | OSError) -> ProviderFailed:
        """What aiohttp raised: before the connection was there, at its handshake, or on it."""
        match error:
            case aiohttp.ClientResponseError(status=status) if status:
                return self.status(status, error.message)
            case aiohttp.ClientConnectorDNSError():
                return self._not_reached(error, f"is not known to the DNS ({error.host})")
            case aiohttp.ClientSSLError():
                reason = getattr(error, "os_error", error)
                remedy = _NO_TLS if getattr(reason, "reason", "") in _PLAIN else ""
                return self.of(TroubleCode.UNREACHABLE, "cannot be reached", _reason(reason), remedy=remedy)
            case aiohttp.ClientConnectorError():
                return self._not_reached(error, "cannot be reached", _reason(error.os_error))
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

    def _not_reached(self, error: aiohttp.ClientConnectorError, what: str, said: str = "") -> HostNotReached:
        remedy = _REMEDY[TroubleCode.UNREACHABLE] if is_public(error.host) else _OWN_SERVER
        return HostNotReached(self._message(what, said), remedy=self._told(remedy), host=error.host)

    def _message(self, what: str, said: str) -> str:
        quoted = said_by(said)
        return f"{self.vendor} {what}{f': {quoted}' if quoted else ''}."

    def _told(self, remedy: str) -> str:
        """A remedy with the names of these settings."""
        models = [f"{self.place}.{name}" for name in self.models]
        several = " and ".join([", ".join(models[:-1]), models[-1]] if len(models) > 1 else models)
        ending = f", ending in {self.ending}" if self.ending else ""
        return remedy.format(place=self.place, address=f"{self.place}.{self.address}", models=several, ending=ending)


def ear_failed(turn: int, trouble: ProviderFailed) -> EarFailed:
    """The trouble as the end of a turn."""
    return EarFailed(turn, trouble.message, trouble.code, trouble.remedy)


def said_by(said: str) -> str:
    """A vendor's words in one line of at most SAID_AT_MOST characters, with what looks like a key blotted out."""
    line = _KEY_LIKE.sub("…", " ".join(said.split()))
    return line[:SAID_AT_MOST].rstrip(" .")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
