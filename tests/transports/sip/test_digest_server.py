"""Digest from the server's side, against RFC 7616 and against our own client."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip.digest import Challenge, DigestClient, challenges_in, digest_response
from offhook.transports.sip.digest_server import KNOWN, MAX_NONCES, NONCE_FOR_MS, REALM, DigestServer, Proof
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message

SITE = "203.0.113.9"
URI = "sip:+4921155660@192.0.2.1"


@pytest.fixture
def server() -> DigestServer:
    return DigestServer({"alice": "wonderland-7", 'q"x': "other-secret"}, algorithms=KNOWN)


def request(*authorization: str, uri: str = URI, method: str = "INVITE") -> SipRequest:
    lines = [f"{method} {uri} SIP/2.0", "Via: SIP/2.0/UDP 203.0.113.9:5070;branch=z9hG4bK1"]
    lines += [f"Authorization: {value}" for value in authorization]
    found = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))
    assert isinstance(found, SipRequest)
    return found


def challenged(server: DigestServer, now: int = 0, *, only: str = "", stale: bool = False) -> SipResponse:
    """A 401, with all challenges or with that of one algorithm."""
    headers = [
        f"{name}: {value}"
        for name, value in server.challenges(SITE, now, stale=stale)
        if f"algorithm={only}" in value or not only
    ]
    lines = [
        "SIP/2.0 401 Unauthorized",
        "Via: SIP/2.0/UDP 203.0.113.9:5070;branch=z9hG4bK1",
        "CSeq: 1 INVITE",
        *headers,
    ]
    found = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert isinstance(found, SipResponse)
    return found


def answer(client: DigestClient, *, uri: str = URI, method: str = "INVITE") -> str:
    [(name, value)] = client.headers(method, uri)
    assert name == "Authorization"
    return value


def signing_in(
    server: DigestServer, *, only: str = "", password: str = "wonderland-7", user: str = "alice"
) -> DigestClient:
    client = DigestClient(user, password)
    client.take(challenged(server, only=only))
    return client


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", ""])
def test_who_knows_the_password_is_let_in(server: DigestServer, algorithm: str) -> None:
    client = signing_in(server, only=algorithm)
    assert server.check(request(answer(client)), SITE, 100) == (Proof.RIGHT, "alice")


def test_the_strongest_challenge_comes_first(server: DigestServer) -> None:
    """RFC 8760 2.4"""
    offered = challenges_in(challenged(server).headers.every("WWW-Authenticate"))
    assert [challenge.algorithm for challenge in offered] == list(KNOWN) == ["SHA-256", "MD5"]
    assert all(challenge.with_qop and challenge.realm == REALM and not challenge.stale for challenge in offered)


def test_what_was_not_offered_is_wrong(server: DigestServer) -> None:
    """A client does not choose the weaker hash. By default only MD5 is offered: SHA-256 makes telephones give up."""
    strict = DigestServer({"alice": "wonderland-7"}, algorithms=["SHA-256"])
    assert strict.check(request(answer(signing_in(server, only="MD5"))), SITE, 0)[0] is Proof.WRONG
    [(_, value)] = DigestServer({}).challenges(SITE, 0)
    assert "algorithm=MD5," in value


@pytest.mark.parametrize(("user", "password"), [("alice", "wonderland"), ("bob", "wonderland-7"), ("", "")])
def test_wrong_passwords_and_unknown_users_are_wrong_alike(server: DigestServer, user: str, password: str) -> None:
    client = signing_in(server, user=user, password=password)
    assert server.check(request(answer(client)), SITE, 100) == (Proof.WRONG, user)


def test_a_user_name_may_have_quotes(server: DigestServer) -> None:
    client = signing_in(server, user='q"x', password="other-secret")
    assert server.check(request(answer(client)), SITE, 100) == (Proof.RIGHT, 'q"x')


def test_no_credentials_and_those_for_other_realms_are_none(server: DigestServer) -> None:
    elsewhere = 'Digest username="alice", realm="elsewhere", nonce="x", uri="sip:x", response="y"'
    assert server.check(request(), SITE, 0) == (Proof.NONE, "")
    assert server.check(request(elsewhere, "Basic YWxpY2U6eA==", "Digest"), SITE, 0) == (Proof.NONE, "")
    client = signing_in(server)
    assert server.check(request(elsewhere, answer(client)), SITE, 0) == (Proof.RIGHT, "alice")


def test_credentials_are_taken_once(server: DigestServer) -> None:
    """A recorded request is worth nothing; the next one of the same client is."""
    client = signing_in(server)
    first, second, third = (answer(client) for _ in range(3))
    assert server.check(request(first), SITE, 0)[0] is Proof.RIGHT
    assert server.check(request(first), SITE, 1)[0] is Proof.STALE
    assert server.check(request(third), SITE, 2)[0] is Proof.RIGHT
    assert server.check(request(second), SITE, 3)[0] is Proof.STALE


def test_a_nonce_grows_old_and_the_next_challenge_says_so(server: DigestServer) -> None:
    client = signing_in(server)
    assert server.check(request(answer(client)), SITE, NONCE_FOR_MS)[0] is Proof.RIGHT
    assert server.check(request(answer(client)), SITE, NONCE_FOR_MS + 1)[0] is Proof.STALE
    client.take(challenged(server, now=NONCE_FOR_MS + 1, stale=True))
    assert server.check(request(answer(client)), SITE, NONCE_FOR_MS + 2)[0] is Proof.RIGHT


def test_a_nonce_is_worth_nothing_from_another_site_or_of_another_server(server: DigestServer) -> None:
    client = signing_in(server)
    assert server.check(request(answer(client)), "203.0.113.10", 0)[0] is Proof.STALE
    other = signing_in(DigestServer({"alice": "wonderland-7"}))
    assert server.check(request(answer(other)), SITE, 0)[0] is Proof.STALE


def test_credentials_for_one_number_do_not_call_another(server: DigestServer) -> None:
    """Hosts are rewritten by proxies; who is called must be what was hashed."""
    client = signing_in(server)
    assert server.check(request(answer(client), uri="sip:+4921155660@10.0.0.1:5080"), SITE, 0)[0] is Proof.RIGHT
    assert server.check(request(answer(client), uri="sip:00900123@192.0.2.1"), SITE, 0)[0] is Proof.WRONG
    assert server.check(request(answer(client, method="REGISTER")), SITE, 0)[0] is Proof.WRONG


@pytest.mark.parametrize("change", [("qop=auth, ", ""), ("nc=00000001", "nc=1"), ("nc=00000001", "nc=00000000")])
def test_without_qop_or_with_an_unusable_count_it_is_wrong(server: DigestServer, change: tuple[str, str]) -> None:
    text = answer(signing_in(server))
    assert change[0] in text
    assert server.check(request(text.replace(*change)), SITE, 0)[0] is Proof.WRONG


def test_bytes_that_are_no_text_are_wrong(server: DigestServer) -> None:
    text = re.sub(r'cnonce="[^"]*"', 'cnonce="\udcff"', answer(signing_in(server)))
    assert server.check(request(text), SITE, 0)[0] is Proof.WRONG


def test_counts_of_many_nonces_are_not_kept_and_those_forgotten_are_not_taken_again(server: DigestServer) -> None:
    first = DigestClient("alice", "wonderland-7")
    first.take(challenged(server, now=0))
    recorded = answer(first)
    assert server.check(request(recorded), SITE, 0)[0] is Proof.RIGHT
    for now in range(1, MAX_NONCES + 1):
        [sha, _] = challenges_in(challenged(server, now=now).headers.every("WWW-Authenticate"))
        response = digest_response(
            sha, username="alice", password="wonderland-7", method="INVITE", uri=URI, cnonce="c", count=1
        )
        text = (
            f'Digest username="alice", realm="{REALM}", nonce="{sha.nonce}", uri="{URI}", response="{response}", '
            f'algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"'
        )
        assert server.check(request(text), SITE, now)[0] is Proof.RIGHT
    assert server.check(request(recorded), SITE, MAX_NONCES)[0] is Proof.STALE


@given(st.text(max_size=200))
def test_nothing_that_is_written_there_breaks_it(text: str) -> None:
    server = DigestServer({"alice": "wonderland-7"})
    value = " ".join(text.split())
    proof, _ = server.check(request(f'Digest realm="{REALM}", {value}'), SITE, 0)
    assert proof in {Proof.NONE, Proof.WRONG}


def test_the_example_of_the_rfc() -> None:
    """RFC 7616 section 3.9.1, the hash that both sides share."""
    challenge = Challenge(
        "http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "SHA-256", with_qop=True
    )
    response = digest_response(
        challenge,
        username="Mufasa",
        password="Circle of Life",
        method="GET",
        uri="/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count=1,
    )
    assert response == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
