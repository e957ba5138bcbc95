"""TLS for SIP (RFC 3261 26.2, RFC 5922): our certificate, and whom we trust. TLS 1.2 at least."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from offhook.errors import SettingsInvalid
from offhook.transports.sip.hop import ConnectionTrouble, TlsPeer

HANDSHAKE_WITHIN_S: Final = 10.0
_ROUNDS: Final = 8
# What OpenSSL says of a certificate that is refused (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 62, 64
_UNKNOWN_ISSUER: Final = frozenset({18, 19, 20, 21})

_log = structlog.get_logger(__name__)


class OwnCertificate:
    """The certificate that we show to who connects to us, and to servers that ask for one.

    `current` looks at the files each time, so that a renewed certificate counts from the next connection on. One that
    cannot be used is told of, and the last good one stays.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate: Final = certificate
        self.key: Final = key
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[tuple[int, int, int], ...] = ()

    def load(self) -> datetime:
        """Read it for the first time; gives until when it is valid. Raises SettingsInvalid when it cannot be used."""
        self._seen = self._state()
        self._context, valid_until = server_context(self.certificate, self.key)
        return valid_until

    def current(self) -> ssl.SSLContext:
        """For a connection that comes in. Raises SettingsInvalid when it was never loaded and cannot be."""
        if self._context is None:
            self.load()
        elif (state := self._state()) != self._seen:
            self._seen = state
            self._reload()
        assert self._context is not None
        return self._context

    def _reload(self) -> None:
        try:
            self._context, valid_until = server_context(self.certificate, self.key)
        except SettingsInvalid as error:
            _log.warning("tls_certificate_unusable", why=error.message, remedy=error.remedy)
        else:
            _log.info("tls_certificate_reloaded", valid_until=valid_until.isoformat())

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_state_of(path) for path in (self.certificate, self.key))


def _state_of(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def server_context(certificate: Path, key: Path) -> tuple[ssl.SSLContext, datetime]:
    """A context that shows this certificate, and until when the certificate is valid.

    Raises SettingsInvalid when a file is missing or unreadable, is not what it should be, when they do not belong
    together, or when the certificate is not valid today.
    """
    text = _read(certificate, "sip.tls_certificate", "CERTIFICATE", "a certificate and those that signed it")
    _read(key, "sip.tls_key", "PRIVATE KEY", "the private key of the certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password of ours OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsInvalid(
                f"sip.tls_key names {key}, which is not the key of {certificate}.",
                remedy="Name the key that the certificate was made with; the certificate's own comes first there.",
            ) from error
        raise SettingsInvalid(
            f"{certificate} and {key} cannot be used: {error.reason or error}.",
            remedy="Write both as PEM, the key without a password (openssl pkey -in key.pem -out plain.pem).",
        ) from error
    return context, _valid_until(context, text, certificate)


def _read(path: Path, setting: str, kind: str, what: str) -> str:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SettingsInvalid(
            f"{setting} names {path}, which cannot be read: {error.strerror}.",
            remedy="Correct the path, and let the service's user read the file.",
        ) from error
    if f"{kind}-----" not in text:
        raise SettingsInvalid(f"{setting} names {path}, which has no {kind}.", remedy=f"Name a PEM file with {what}.")
    return text


def _valid_until(context: ssl.SSLContext, text: str, certificate: Path) -> datetime:
    """What a client that trusts exactly this certificate says of it: the library tells nobody else."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cadata=text)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(one, other), context.wrap_bio(other, one, server_side=True))
    try:
        for _ in range(_ROUNDS):
            if all(list(_shaken(ends))):
                break
    except ssl.SSLError as error:
        code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
        said = {_EXPIRED: "has expired", _NOT_YET_VALID: "is not valid yet"}.get(code, f"cannot be used: {error}")
        raise SettingsInvalid(
            f"The certificate in {certificate} {said}.", remedy="Renew it; the service takes the new file by itself."
        ) from error
    told = ends[0].getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), UTC)


def _shaken(ends: tuple[ssl.SSLObject, ssl.SSLObject]) -> Iterator[bool]:
    for end in ends:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            yield False
        else:
            yield True


def client_context(peer: TlsPeer, own: OwnCertificate | None = None) -> ssl.SSLContext:
    """A context for a connection of ours; certificate and name are checked unless `peer` says otherwise. Reads files:
    not for the event loop.

    Raises SettingsInvalid when `peer.ca` cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=peer.ca)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or str(error)
        raise SettingsInvalid(
            f"tls_ca names {peer.ca}, which cannot be used: {why}.",
            remedy="Name a PEM file with the certificates of those that signed the server's.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Newer Pythons are stricter than RFC 5280 asks for, which private authorities often are not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not peer.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if own is not None:
        context.load_cert_chain(own.certificate, own.key, password="")
    return context


async def tls_trouble(address: tuple[str, int], peer: TlsPeer, own: OwnCertificate | None) -> ConnectionTrouble | None:
    """Why no connection by TLS can be made to this peer; None: it can."""
    try:
        context = await asyncio.to_thread(client_context, peer, own)
        async with asyncio.timeout(HANDSHAKE_WITHIN_S):
            _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=peer.name)
            writer.transport.abort()
    except SettingsInvalid as error:
        return ConnectionTrouble(error.message, error.remedy)
    except OSError as error:
        why = str(error) or f"no answer within {HANDSHAKE_WITHIN_S:g} s"
        return explained(error, peer) or ConnectionTrouble(why, "Does it take TLS there? Is a firewall between?")
    return None


def explained(error: OSError, peer: TlsPeer) -> ConnectionTrouble | None:
    """What a failure of the handshake means; None when it is none of the handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused(error, peer)
    if isinstance(error, ssl.SSLError):
        reason = f"the TLS handshake failed: {error.reason or error}"
        return ConnectionTrouble(
            reason, "Does it take TLS on this port, of version 1.2 or later? Does it ask for a certificate?"
        )
    return None


def _refused(error: ssl.SSLCertVerificationError, peer: TlsPeer) -> ConnectionTrouble:
    shown = "openssl s_client -connect shows it"
    if error.verify_code in {_WRONG_NAME, _WRONG_ADDRESS}:
        remedy = f"Write the name that is in the certificate ({shown}) as the trunk's registrar, or have it renewed."
        return ConnectionTrouble(f"its certificate is not for '{peer.name}'", remedy)
    if error.verify_code in _UNKNOWN_ISSUER:
        said = "by none that this machine trusts" if peer.ca is None else f"by none of those in {peer.ca}"
        remedy = f"Set the trunk's tls_ca to a PEM file with the certificate of who signed it ({shown})."
        return ConnectionTrouble(f"its certificate is signed {said}", remedy)
    if error.verify_code in {_EXPIRED, _NOT_YET_VALID}:
        said = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        return ConnectionTrouble(
            f"its certificate {said}", "The server's operator must renew it. Is this machine's clock right?"
        )
    return ConnectionTrouble(f"its certificate is refused: {error.verify_message}", f"See it: {shown}.")
