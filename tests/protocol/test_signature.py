"""Standard Webhooks signatures (contract section 6, HTTP)."""

import base64
import hashlib
import hmac

import pytest

from offhook.errors import SettingsInvalid
from offhook.protocol.signature import Signer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_example_of_the_specification_is_reproduced() -> None:
    """The id, timestamp, payload, secret and signature that the specification's libraries test themselves with."""
    headers = Signer(SECRET).headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_prefix_of_the_secret_may_be_left_out() -> None:
    body = b"{}"
    assert Signer(SECRET).headers("a", 1, body) == Signer(SECRET.removeprefix("whsec_")).headers("a", 1, body)


def test_the_signature_covers_id_time_and_body() -> None:
    key = b"0123456789abcdef01234567"
    digest = hmac.new(key, b"s1_7.1700000000.\xc3\xa4", hashlib.sha256).digest()
    secret = "whsec_" + base64.b64encode(key).decode()
    signed = Signer(secret).headers("s1_7", 1700000000, "ä".encode())
    assert signed["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize("secret", ["whsec_", "", "whsec_not base64!", "whsec_abc"])
def test_a_secret_that_cannot_be_used_is_refused_with_a_remedy(secret: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Signer(secret)
    assert "whsec_$(head" in refused.value.remedy
