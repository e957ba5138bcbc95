"""`a=crypto` (RFC 4568): what is usable of it, and what is said."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.media.messages import SRTP_KEY_BYTES
from offhook.transports.sip.sdes import Srtp, SrtpRules, cryptos_in, new_crypto, offered_cryptos

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"  # of RFC 4568 section 4.2.5


def cryptos(*values: str) -> list[tuple[int, str]]:
    return [(each.tag, each.suite) for each in cryptos_in([("crypto", value) for value in values])]


class TestReading:
    def test_the_example_of_rfc_4568(self) -> None:
        line = "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20"
        [crypto] = cryptos_in([("crypto", line)])
        assert (crypto.tag, crypto.suite) == (1, "AES_CM_128_HMAC_SHA1_80")
        assert crypto.key == base64.b64decode("PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR")
        assert len(crypto.key) == 30

    @pytest.mark.parametrize(
        "line",
        [
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
            f"1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^31",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1048576",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^48 WSH=64",
            f"1  AES_CM_128_HMAC_SHA1_80  inline:{KEY} -EXTRA=1",
            f"9 AEAD_AES_128_GCM inline:{base64.b64encode(bytes(28)).decode()}",
            f"9 AEAD_AES_256_GCM inline:{base64.b64encode(bytes(44)).decode().rstrip('=')}",
        ],
    )
    def test_usable(self, line: str) -> None:
        assert len(cryptos(line)) == 1

    @pytest.mark.parametrize(
        "line",
        [
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4",  # an MKI
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^10",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20;inline:{KEY}|2^20",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-4]}",
            f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
            f"0 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
            "1 AES_CM_128_HMAC_SHA1_80 inline:!!!",
            "1 AES_CM_128_HMAC_SHA1_80",
            "",
        ],
    )
    def test_passed_over(self, line: str) -> None:
        assert cryptos(line) == []

    def test_the_order_is_the_peers_and_a_tag_counts_once(self) -> None:
        second = f"2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"
        first = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
        assert cryptos(second, first, f"2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}") == [
            (2, "AES_CM_128_HMAC_SHA1_32"),
            (1, "AES_CM_128_HMAC_SHA1_80"),
        ]

    @given(st.text(max_size=120))
    def test_noise_is_survived(self, noise: str) -> None:
        cryptos(noise, f"1 AES_CM_128_HMAC_SHA1_80 inline:{noise}")


class TestWriting:
    @pytest.mark.parametrize("suite", list(SRTP_KEY_BYTES))
    def test_what_is_written_is_read(self, suite: str) -> None:
        crypto = new_crypto(3, suite)
        assert cryptos_in([("crypto", str(crypto))]) == (crypto,)

    def test_an_offer_has_every_suite_each_with_its_own_key(self) -> None:
        offered = offered_cryptos()
        assert [each.tag for each in offered] == [1, 2, 3, 4]
        assert [each.suite for each in offered] == list(SRTP_KEY_BYTES)
        assert len({each.key[:14] for each in offered}) == 4

    def test_a_key_is_not_shown(self) -> None:
        assert "key" not in repr(new_crypto(1, "AES_CM_128_HMAC_SHA1_80"))


def test_a_trunks_rule_goes_before_the_one_for_all() -> None:
    rules = SrtpRules(Srtp.OFF, {"carrier": Srtp.REQUIRE})
    assert (rules.of("carrier"), rules.of("other"), rules.of(None)) == (Srtp.REQUIRE, Srtp.OFF, Srtp.OFF)
    assert [rules.setting_of(each) for each in ("carrier", "other", None)] == [
        "trunk[carrier].srtp",
        "sip.srtp",
        "sip.srtp",
    ]
