"""Our certificate, and whom we trust: files made for each test, handshakes in memory."""

import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from offhook.errors import SettingsInvalid
from offhook.transports.sip.hop import ConnectionTrouble, TlsPeer
from offhook.transports.sip.tls import OwnCertificate, client_context, explained, server_context
from tests.transports.sip.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class TestOurs:
    def test_a_good_one_says_until_when_it_is_valid(self, authority: Authority) -> None:
        ours = authority.sign("sip.example.net")
        context, valid_until = server_context(ours.certificate, ours.key)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert timedelta(hours=23) < valid_until - datetime.now(UTC) < timedelta(hours=25)

    def test_what_is_not_there_cannot_be_used(self, authority: Authority, tmp_path: Path) -> None:
        ours = authority.sign("sip.example.net")
        with pytest.raises(SettingsInvalid, match=r"sip.tls_certificate .* No such file"):
            server_context(tmp_path / "none.pem", ours.key)
        with pytest.raises(SettingsInvalid, match=r"sip.tls_key .* No such file"):
            server_context(ours.certificate, tmp_path / "none.key")

    def test_two_files_that_are_swapped_are_told_apart(self, authority: Authority) -> None:
        ours = authority.sign("sip.example.net")
        with pytest.raises(SettingsInvalid, match=r"sip.tls_certificate .* no CERTIFICATE"):
            server_context(ours.key, ours.key)
        with pytest.raises(SettingsInvalid, match=r"sip.tls_key .* no PRIVATE KEY"):
            server_context(ours.certificate, ours.certificate)

    def test_a_key_of_another_certificate_is_refused(self, authority: Authority) -> None:
        ours, other = authority.sign("a.example.net"), authority.sign("b.example.net", file="other")
        with pytest.raises(SettingsInvalid, match="not the key of"):
            server_context(ours.certificate, other.key)

    def test_a_key_with_a_password_is_refused_without_asking_for_it(self, authority: Authority) -> None:
        ours = authority.sign("sip.example.net", password=b"mellon")
        with pytest.raises(SettingsInvalid) as refused:
            server_context(ours.certificate, ours.key)
        assert "without a password" in refused.value.remedy

    def test_one_that_has_expired_is_refused(self, authority: Authority) -> None:
        ours = authority.sign("sip.example.net", days=-1)
        with pytest.raises(SettingsInvalid, match="has expired"):
            server_context(ours.certificate, ours.key)

    def test_a_file_of_nonsense_is_refused(self, authority: Authority, tmp_path: Path) -> None:
        ours = authority.sign("sip.example.net")
        bad = tmp_path / "bad.pem"
        bad.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        with pytest.raises(SettingsInvalid, match="cannot be used"):
            server_context(bad, ours.key)

    def test_a_renewed_one_counts_from_the_next_connection_on(self, authority: Authority) -> None:
        ours = authority.sign("sip.example.net")
        certificate = OwnCertificate(ours.certificate, ours.key)
        certificate.load()
        first = certificate.current()
        assert certificate.current() is first
        authority.sign("sip.example.net", days=2)
        with capture_logs() as logs:
            assert certificate.current() is not first
        assert [line["event"] for line in logs] == ["tls_certificate_reloaded"]

    def test_one_that_is_broken_when_it_is_renewed_leaves_the_old_one_and_is_told_of_once(
        self, authority: Authority
    ) -> None:
        ours = authority.sign("sip.example.net")
        certificate = OwnCertificate(ours.certificate, ours.key)
        certificate.load()
        first = certificate.current()
        other = authority.sign("sip.example.net", file="other")
        shutil.copy(other.certificate, ours.certificate)
        with capture_logs() as logs:
            assert certificate.current() is first
            assert certificate.current() is first
        assert [(line["event"], bool(line["remedy"])) for line in logs] == [("tls_certificate_unusable", True)]
        other.key.replace(ours.key)
        assert certificate.current() is not first


class TestTheirs:
    """What is said when the other end is not who it should be."""

    @pytest.mark.parametrize(
        ("names", "days", "peer", "reason", "remedy"),
        [
            (["other.example.net"], 1, TlsPeer("sip.example.net", "ca"), "not for 'sip.example.net'", "registrar"),
            (["127.0.0.1"], 1, TlsPeer("127.0.0.2", "ca"), "not for '127.0.0.2'", "registrar"),
            (["sip.example.net"], 1, TlsPeer("sip.example.net", "unknown"), "signed by none of those in", "tls_ca"),
            (["sip.example.net"], 1, TlsPeer("sip.example.net"), "none that this machine trusts", "tls_ca"),
            (["sip.example.net"], -1, TlsPeer("sip.example.net", "ca"), "has expired", "renew"),
        ],
    )
    def test_each_refusal_says_what_to_do(
        self, tmp_path: Path, names: list[str], days: int, peer: TlsPeer, reason: str, remedy: str
    ) -> None:
        authority = Authority(tmp_path)
        files = {"ca": authority.ca, "unknown": Authority(tmp_path, "unknown").ca}
        peer = TlsPeer(peer.name, None if peer.ca is None else str(files[peer.ca]))
        trouble = self._trouble(authority, names, days, peer)
        assert trouble is not None
        assert reason in trouble.reason
        assert remedy in trouble.remedy

    @pytest.mark.parametrize(
        ("names", "peer"),
        [
            (["sip.example.net"], TlsPeer("sip.example.net", "ca")),
            (["127.0.0.1"], TlsPeer("127.0.0.1", "ca")),
            (["other.example.net"], TlsPeer("sip.example.net", None, verify=False)),
        ],
    )
    def test_who_it_should_be_and_whoever_it_is_when_that_is_not_checked(
        self, tmp_path: Path, names: list[str], peer: TlsPeer
    ) -> None:
        authority = Authority(tmp_path)
        peer = TlsPeer(peer.name, peer.ca and str(authority.ca), peer.verify)
        assert self._trouble(authority, names, 1, peer) is None

    def test_an_authority_that_cannot_be_read_is_a_mistake_of_ours(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsInvalid, match="tls_ca"):
            client_context(TlsPeer("sip.example.net", str(tmp_path / "none.pem")))

    def test_nothing_older_than_tls_1_2_is_spoken(self) -> None:
        assert client_context(TlsPeer("sip.example.net")).minimum_version is ssl.TLSVersion.TLSv1_2

    def test_what_is_no_failure_of_the_handshake_is_not_explained(self) -> None:
        assert explained(ConnectionRefusedError(), TlsPeer("sip.example.net")) is None

    def _trouble(self, authority: Authority, names: list[str], days: int, peer: TlsPeer) -> ConnectionTrouble | None:
        theirs = authority.sign(*names, days=days)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(theirs.certificate, theirs.key)
        one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context(peer).wrap_bio(one, other, server_hostname=peer.name)
        ends = (client, server.wrap_bio(other, one, server_side=True))
        try:
            for _ in range(4):
                for end in ends:
                    try:
                        end.do_handshake()
                    except ssl.SSLWantReadError:
                        continue
        except ssl.SSLError as error:
            return explained(error, peer)
        return None
