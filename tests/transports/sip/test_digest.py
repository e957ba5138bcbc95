"""Digest from the client's side, against the examples of its RFCs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip.digest import Challenge, DigestClient, Verdict, challenges_in, digest_response, strongest
from offhook.transports.sip.message import SipResponse, parse_message

RFC2617 = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", with_qop=True)
RFC7616 = Challenge("http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", with_qop=True)


def challenged(*lines: str, status: int = 401) -> SipResponse:
    """An answer with these header lines."""
    text = (f"SIP/2.0 {status} No", "Via: SIP/2.0/UDP h;branch=z9hG4bKa", "CSeq: 1 REGISTER", *lines, "", "")
    response = parse_message("\r\n".join(text).encode())
    assert isinstance(response, SipResponse)
    return response


def www(nonce: str, more: str = ', qop="auth"') -> SipResponse:
    return challenged(f'WWW-Authenticate: Digest realm="r", nonce="{nonce}"{more}')


def sent(client: DigestClient) -> dict[str, str]:
    """The parameters of the client's one header."""
    ((_, value),) = client.headers("REGISTER", "sip:r")
    return {name: text.strip('"') for name, text in re.findall(r'(\w+)=("[^"]*"|[^,]*)', value)}


def test_the_example_of_rfc_2617() -> None:
    response = digest_response(
        RFC2617,
        username="Mufasa",
        password="Circle Of Life",  # the RFC's
        method="GET",
        uri="/dir/index.html",
        cnonce="0a4f113b",
        count=1,
    )
    assert response == "6629fae49393a05397450978507c4ef1"


def test_the_example_of_rfc_2069_without_qop() -> None:
    """With the response of the RFC's erratum."""
    response = digest_response(
        Challenge(RFC2617.realm, RFC2617.nonce),
        username="Mufasa",
        password="CircleOfLife",  # the RFC's
        method="GET",
        uri="/dir/index.html",
        cnonce="",
        count=1,
    )
    assert response == "1949323746fe6a43ef61f9606e7febea"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, expected: str) -> None:
    response = digest_response(
        Challenge(RFC7616.realm, RFC7616.nonce, algorithm, with_qop=True),
        username="Mufasa",
        password="Circle of Life",  # the RFC's
        method="GET",
        uri="/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count=1,
    )
    assert response == expected


def test_of_several_challenges_the_strongest_is_taken_whether_in_one_line_or_many() -> None:
    one = challenges_in(
        [
            'Digest realm="a, b", nonce="1", algorithm=MD5, qop="auth,auth-int", '
            'Digest realm="c", nonce="2", algorithm=SHA-256'
        ]
    )
    many = challenges_in(['digest nonce="2",realm="c",algorithm="sha-256"', 'Digest realm="a", nonce="1"'])
    assert [(each.realm, each.algorithm, each.with_qop) for each in one] == [
        ("a, b", "MD5", True),
        ("c", "SHA-256", False),
    ]
    for challenges in (one, many):
        best = strongest(challenges)
        assert best is not None
        assert (best.algorithm, best.nonce) == ("SHA-256", "2")


@pytest.mark.parametrize(
    "value",
    [
        'Basic realm="r"',
        'Digest realm="r", nonce="1", algorithm=SHA-512-256',
        'Digest realm="r", nonce="1", qop="auth-int"',
        'Digest realm="r"',
        "nonsense",
        "",
    ],
)
def test_what_cannot_be_answered_is_no_challenge(value: str) -> None:
    assert challenges_in([value]) == []
    response = challenged(f"WWW-Authenticate: {value}")
    assert DigestClient("u", "p").take(response) is Verdict.NOT_POSSIBLE


def test_a_nonce_is_used_again_and_counted() -> None:
    client = DigestClient("u", "p")
    assert client.headers("REGISTER", "sip:r") == []
    assert client.take(www("n1")) is Verdict.TRY_AGAIN
    first, second = sent(client), sent(client)
    assert (first["nc"], second["nc"]) == ("00000001", "00000002")
    assert first["nonce"] == second["nonce"] == "n1"
    assert first["response"] != second["response"]
    client.begin()
    assert client.take(www("n2")) is Verdict.TRY_AGAIN
    assert (sent(client)["nonce"], client.take(www("n3"))) == ("n2", Verdict.REFUSED)


def test_credentials_that_answered_a_challenge_and_are_challenged_again_are_wrong_unless_it_was_stale() -> None:
    client = DigestClient("u", "p")
    assert client.take(www("n1")) is Verdict.TRY_AGAIN
    assert client.take(www("n2", ", stale=TRUE")) is Verdict.TRY_AGAIN
    assert sent(client)["nonce"] == "n2"
    assert client.take(www("n3")) is Verdict.REFUSED
    assert client.headers("REGISTER", "sip:r") == []


def test_a_server_for_which_everything_is_stale_is_not_believed_for_ever() -> None:
    client = DigestClient("u", "p")
    verdicts = [client.take(www(str(n), ", stale=true")) for n in range(6)]
    assert verdicts[:4] == [Verdict.TRY_AGAIN] * 4
    assert verdicts[4] is Verdict.REFUSED


def test_a_proxy_and_the_registrar_behind_it_are_both_answered() -> None:
    client = DigestClient("u", "p")
    assert client.take(challenged('Proxy-Authenticate: Digest realm="p", nonce="1"', status=407)) is Verdict.TRY_AGAIN
    assert client.take(www("2")) is Verdict.TRY_AGAIN
    names = [name for name, _ in client.headers("REGISTER", "sip:r")]
    assert names == ["Authorization", "Proxy-Authorization"]


def test_what_was_given_is_given_back_and_what_was_not_is_left_out() -> None:
    client = DigestClient('a"b', "p")
    client.take(www("n", ', opaque="o\\"p", algorithm=md5-sess'))
    ((_, value),) = client.headers("REGISTER", "sip:r")
    assert 'username="a\\"b"' in value
    assert 'opaque="o\\"p"' in value
    assert "algorithm=MD5-sess" in value
    assert "cnonce=" in value
    assert "qop=" not in value
    client = DigestClient("u", "p")
    client.take(www("n", ""))
    assert sent(client).keys() == {"username", "realm", "nonce", "uri", "response"}


@given(st.lists(st.text(alphabet='Digest realmnonce="\\,;:<>1 ', max_size=80), max_size=4))
def test_any_text_is_read_without_an_error(values: list[str]) -> None:
    for challenge in challenges_in(values):
        assert challenge.nonce
