"""Encrypted media of single rows (SRTP, RFC 3711): what leaves is protected, what comes is taken when it is authentic.

Rows without keys never come by here. A stream's *index* is its sequence number with the rollovers before it (RFC 3711
3.3.1). Both directions' indexes lie in the row's counters, so that a media process that was started again goes on where
the last one stopped: no index is ever used twice with a key, and none is guessed.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pylibsrtp import Error, Policy, Session

from offhook.media.messages import SrtpKeys
from offhook.media.rtp import Bytes, Mask, Numbers
from offhook.media.shared_audio import Rows
from offhook.media.source_lock import Source

_PROFILES: Final = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}
REPLAY_WINDOW: Final = 128
LARGEST_PROTECTED: Final = 1500
"""What fits into the library's buffer, the authentication with it."""
_HEADER_BYTES: Final = 12
_HALF: Final = 0x8000
_STEP: Final = _HALF - 1


class NotProtected(OSError):
    """A packet could not be encrypted, and therefore does not leave."""


def session(suite: str, key: bytes, *, sending: bool) -> Session:
    """A library session for all streams of one direction under one key."""
    way = Policy.SSRC_ANY_OUTBOUND if sending else Policy.SSRC_ANY_INBOUND
    policy = Policy(key, way, 0, _PROFILES[suite])
    policy.window_size = REPLAY_WINDOW
    return Session(policy)


class SendingStream:
    """What we send on one row, encrypted."""

    def __init__(self, keys: SrtpKeys, ssrc: int, index: int | None = None) -> None:
        """`index`: of the last packet that was sent with this key, None when none was."""
        self.key: Final = keys.suite, keys.sending
        self._session: Final = session(keys.suite, keys.sending, sending=True)
        if index is not None:
            for number in _way_to(index):
                self._session.protect(_empty_packet(ssrc, number))

    def protect(self, packet: bytes) -> bytes:
        """One RTP packet, encrypted. Raises NotProtected."""
        try:
            return self._session.protect(packet)
        except (Error, ValueError) as error:
            raise NotProtected(str(error)) from error

    def through(self, send: Callable[..., object]) -> Callable[..., object]:
        """A socket's way to send that encrypts before."""

        def send_protected(data: memoryview, *remote: Source) -> object:
            return send(self.protect(bytes(data)), *remote)

        return send_protected


class ReceivingStream:
    """What one row receives, decrypted. Keys that were negotiated anew hold from the first packet on that they fit;
    until then those before them are tried, too. `ssrc` and `index` are those of the newest packet, -1 before any."""

    def __init__(self, keys: SrtpKeys, ssrc: int = -1, index: int = -1) -> None:
        """`ssrc` and `index`: of the newest packet that was received with this key, -1 when none was."""
        self.key: Final = keys.suite, keys.receiving
        self.ssrc = ssrc
        self.index = index
        self._session: Final = session(keys.suite, keys.receiving, sending=False)
        self._before: ReceivingStream | None = None
        if index >= 0:
            theirs = session(keys.suite, keys.receiving, sending=True)
            for number in _way_to(index):
                self._session.unprotect(theirs.protect(_empty_packet(ssrc, number)))

    def follow(self, before: "ReceivingStream") -> None:
        """Packets under the keys before may still be on their way."""
        self._before = before
        before._before = None

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet, or None: not authentic, or seen before."""
        try:
            plain = self._session.unprotect(packet)
        except (Error, ValueError):
            return None if self._before is None else self._before.unprotect(packet)
        self._before = None
        self._note(int.from_bytes(plain[8:12], "big"), int.from_bytes(plain[2:4], "big"))
        return plain

    def _note(self, ssrc: int, sequence: int) -> None:
        """The index as the library counts it: no rollover is seen until half of the numbers have gone by."""
        if ssrc != self.ssrc:
            self.ssrc, self.index = ssrc, sequence
        elif self.index <= _HALF:
            self.index = max(self.index, sequence)
        else:
            self.index += max(0, ((sequence - self.index + _HALF) & 0xFFFF) - _HALF)


class ControlKeys:
    """RTCP of one leg, encrypted and decrypted (SRTCP, RFC 3711 3.4)."""

    def __init__(self, keys: SrtpKeys) -> None:
        self.keys: Final = keys
        self._sending: Final = session(keys.suite, keys.sending, sending=True)
        self._receiving: Final = session(keys.suite, keys.receiving, sending=False)

    def protect(self, packet: bytes) -> bytes:
        """One compound packet, encrypted. Raises NotProtected."""
        try:
            return self._sending.protect_rtcp(packet)
        except (Error, ValueError) as error:
            raise NotProtected(str(error)) from error

    def unprotect(self, packet: bytes) -> bytes | None:
        """The compound packet, or None: not authentic, or seen before."""
        try:
            return self._receiving.unprotect_rtcp(packet)
        except (Error, ValueError):
            return None


def _way_to(index: int) -> list[int]:
    """Sequence numbers that lead a session from its beginning to this index, no step further than it can tell which way
    it goes."""
    return [*range(index % _STEP, index, _STEP), index]


def _empty_packet(ssrc: int, index: int) -> bytes:
    return b"\x80\x00" + (index & 0xFFFF).to_bytes(2, "big") + bytes(4) + (ssrc & 0xFFFFFFFF).to_bytes(4, "big") + b"\0"


class SecureRows:
    """The encrypted rows of a table; a row without keys has no entry, and costs nothing."""

    def __init__(self, counters: npt.NDArray[Any]) -> None:
        self._counters: Final = counters
        self._sending: Final[dict[int, SendingStream]] = {}
        self._receiving: Final[dict[int, ReceivingStream]] = {}
        self._secure: Final[Mask] = np.zeros(len(counters), np.bool_)

    def use(self, row: int, keys: SrtpKeys | None, ssrc: int, sequence: int) -> None:
        """Encrypt with these keys from the next packet on, whose sequence number this is. A key that is in use, also by
        a media process before this one, goes on with its indexes; another one begins with no rollover."""
        if keys is None:
            self.forget(row)
            return
        self._secure[row] = True
        counters = self._counters[row]
        sending = self._sending.get(row)
        if sending is None or sending.key != (keys.suite, keys.sending):
            mark = _mark(keys.suite, keys.sending)
            if int(counters["srtp_sent_key"]) != mark:
                counters["srtp_sent_key"], counters["srtp_offset"] = mark, sequence - int(counters["sent"])
            last = int(counters["srtp_offset"]) + int(counters["sent"]) - 1
            self._sending[row] = SendingStream(keys, ssrc, last if last >= 0 else None)
        receiving = self._receiving.get(row)
        if receiving is None or receiving.key != (keys.suite, keys.receiving):
            mark = _mark(keys.suite, keys.receiving)
            if int(counters["srtp_heard_key"]) != mark:
                counters["srtp_heard_key"], counters["srtp_heard_ssrc"], counters["srtp_heard_index"] = mark, -1, -1
            heard = int(counters["srtp_heard_ssrc"]), int(counters["srtp_heard_index"])
            self._receiving[row] = ReceivingStream(keys, *heard)
            if receiving is not None:
                self._receiving[row].follow(receiving)

    def forget(self, row: int) -> None:
        """The row is closed, or plain from now on."""
        self._sending.pop(row, None)
        self._receiving.pop(row, None)
        self._secure[row] = False

    def through(self, row: int, send: Callable[..., object]) -> Callable[..., object]:
        """The way by which this row's packets leave."""
        stream = self._sending.get(row)
        return send if stream is None else stream.through(send)

    def take(self, rows: Rows, data: Bytes, sizes: Numbers) -> None:
        """Decrypt the datagrams of encrypted rows where they lie: (n,) rows and sizes, (n, …) data in one piece. What
        is not to be believed gets the size 0, and is counted."""
        if not self._receiving:
            return
        flat, width = data.reshape(-1).data, data.shape[1]
        for k in np.flatnonzero(self._secure[rows]).tolist():
            row, size, at = int(rows[k]), int(sizes[k]), k * width
            datagram = bytes(flat[at : at + size]) if _HEADER_BYTES < size <= LARGEST_PROTECTED else b""
            plain = self._receiving[row].unprotect(datagram)
            if plain is None:
                sizes[k] = 0
                self._counters["unauthentic"][row] += 1
            else:
                sizes[k] = len(plain)
                flat[at : at + len(plain)] = plain

    def publish(self) -> None:
        """Write down how far each row's peer has come."""
        if not self._receiving:
            return
        rows = list(self._receiving)
        heard = np.array([(stream.ssrc, stream.index) for stream in self._receiving.values()], np.int64)
        self._counters["srtp_heard_ssrc"][rows] = heard[:, 0]
        self._counters["srtp_heard_index"][rows] = heard[:, 1]


def _mark(suite: str, key: bytes) -> int:
    """Tells this key from others, and nothing about it; never 0."""
    return int.from_bytes(hashlib.sha256(suite.encode() + b" " + key).digest()[:7], "big") | 1
