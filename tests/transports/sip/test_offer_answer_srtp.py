"""Encrypted media in offer and answer (RFC 4568): taken, offered, refused, changed."""

import pytest

from offhook.media.messages import SrtpKeys
from offhook.transports.sip.offer_answer import MediaSession, NotAcceptable
from offhook.transports.sip.sdes import Crypto, Srtp, cryptos_in, new_crypto
from offhook.transports.sip.session_description import MediaDescription, parse_session_description

SUITE = "AES_CM_128_HMAC_SHA1_80"


def description(protocol: str, *cryptos: Crypto | str, port: int = 5000, extra: str = "") -> bytes:
    lines = ["v=0", "o=a 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0"]
    lines += [f"m=audio {port} {protocol} 0", *(f"a=crypto:{each}" for each in cryptos)]
    return ("\r\n".join(lines) + "\r\n" + extra).encode()


def session(srtp: Srtp = Srtp.ACCEPT, *, placed: bool = False) -> MediaSession:
    made = MediaSession(srtp=srtp, placed=placed, setting="trunk.srtp of carrier")
    made.address = ("198.51.100.1", 4000)
    return made


def answered(made: MediaSession) -> MediaDescription:
    return parse_session_description(made.answer()).media[0]


class TestCallsThatComeIn:
    @pytest.mark.parametrize("protocol", ["RTP/SAVP", "RTP/SAVPF", "RTP/AVP"])
    @pytest.mark.parametrize("srtp", [Srtp.ACCEPT, Srtp.OFFER, Srtp.REQUIRE])
    def test_keys_that_are_offered_are_answered_with_our_own_under_the_same_tag(
        self, protocol: str, srtp: Srtp
    ) -> None:
        made, theirs = session(srtp), new_crypto(7, SUITE)
        made.take_offer(description(protocol, theirs))
        line = answered(made)
        [ours] = cryptos_in(line.attributes)
        assert (line.protocol, ours.tag, ours.suite) == (protocol, 7, SUITE)
        assert made.terms.srtp == SrtpKeys(SUITE, sending=ours.key, receiving=theirs.key)
        assert ours.key != theirs.key

    def test_the_first_suite_that_is_known_here_is_taken(self) -> None:
        made, theirs = session(), new_crypto(2, "AEAD_AES_256_GCM")
        made.take_offer(description("RTP/SAVP", "1 F8_128_HMAC_SHA1_80 inline:x", theirs, new_crypto(3, SUITE)))
        assert made.terms.srtp is not None
        assert made.terms.srtp.suite == "AEAD_AES_256_GCM"

    def test_an_encrypted_line_goes_before_a_plain_one(self) -> None:
        made = session()
        second = f"m=audio 5002 RTP/SAVP 0\r\na=crypto:{new_crypto(1, SUITE)}\r\n"
        made.take_offer(description("RTP/AVP", extra=second))
        assert made.terms.remote == ("192.0.2.7", 5002)
        assert made.terms.srtp is not None

    @pytest.mark.parametrize("srtp", [Srtp.ACCEPT, Srtp.OFFER])
    def test_a_plain_offer_is_taken_where_nothing_requires_keys(self, srtp: Srtp) -> None:
        made = session(srtp)
        made.take_offer(description("RTP/AVP"))
        assert made.terms.srtp is None
        assert b"crypto" not in made.answer()

    def test_a_plain_offer_is_refused_where_keys_are_required_and_the_setting_is_named(self) -> None:
        with pytest.raises(NotAcceptable, match=r"must be encrypted here: trunk\.srtp of carrier = 'require'"):
            session(Srtp.REQUIRE).take_offer(description("RTP/AVP"))

    def test_an_encrypted_offer_is_refused_where_it_is_off_and_the_setting_is_named(self) -> None:
        with pytest.raises(NotAcceptable, match=r"is off here: trunk\.srtp of carrier = 'off'"):
            session(Srtp.OFF).take_offer(description("RTP/SAVP", new_crypto(1, SUITE)))

    def test_where_it_is_off_best_effort_means_plain(self) -> None:
        made = session(Srtp.OFF)
        made.take_offer(description("RTP/AVP", new_crypto(1, SUITE)))
        assert made.terms.srtp is None
        assert b"crypto" not in made.answer()

    @pytest.mark.parametrize("srtp", [Srtp.ACCEPT, Srtp.REQUIRE])
    def test_an_encrypted_line_without_a_usable_key_is_refused(self, srtp: Srtp) -> None:
        with pytest.raises(NotAcceptable, match="No key"):
            session(srtp).take_offer(description("RTP/SAVP", "1 F8_128_HMAC_SHA1_80 inline:x"))

    def test_an_invite_without_an_offer_gets_keys_where_they_are_offered(self) -> None:
        assert b"crypto" not in session(Srtp.ACCEPT).offer()
        [line] = parse_session_description(session(Srtp.REQUIRE).offer()).media
        assert line.protocol == "RTP/SAVP"
        assert len(cryptos_in(line.attributes)) == 4


class TestCallsThatArePlaced:
    def test_best_effort_is_offered_in_the_plain_protocol(self) -> None:
        made = session(Srtp.OFFER, placed=True)
        [line] = parse_session_description(made.offer()).media
        ours = cryptos_in(line.attributes)[1]
        theirs = new_crypto(ours.tag, ours.suite)
        made.take_answer(description("RTP/AVP", theirs))
        assert line.protocol == "RTP/AVP"
        assert made.terms.srtp == SrtpKeys(ours.suite, sending=ours.key, receiving=theirs.key)

    def test_best_effort_that_is_not_answered_is_plain(self) -> None:
        made = session(Srtp.OFFER, placed=True)
        made.offer()
        made.take_answer(description("RTP/AVP"))
        assert made.terms.srtp is None

    def test_what_is_required_must_be_answered(self) -> None:
        made = session(Srtp.REQUIRE, placed=True)
        [line] = parse_session_description(made.offer()).media
        assert line.protocol == "RTP/SAVP"
        with pytest.raises(NotAcceptable, match="No key"):
            made.take_answer(description("RTP/SAVP"))
        with pytest.raises(NotAcceptable, match="require"):
            made.take_answer(description("RTP/AVP"))

    @pytest.mark.parametrize("theirs", [new_crypto(9, SUITE), new_crypto(1, "AES_CM_128_HMAC_SHA1_32")])
    def test_an_answer_must_name_a_tag_of_ours_with_its_suite(self, theirs: Crypto) -> None:
        made = session(Srtp.REQUIRE, placed=True)
        made.offer()
        with pytest.raises(NotAcceptable):
            made.take_answer(description("RTP/SAVP", theirs))

    def test_another_branch_of_a_fork_may_choose_another_suite(self) -> None:
        made = session(Srtp.REQUIRE, placed=True)
        [line] = parse_session_description(made.offer()).media
        for ours in cryptos_in(line.attributes):
            theirs = new_crypto(ours.tag, ours.suite)
            made.take_answer(description("RTP/SAVP", theirs))
            assert made.terms.srtp == SrtpKeys(ours.suite, sending=ours.key, receiving=theirs.key)

    def test_where_it_is_only_accepted_none_is_offered(self) -> None:
        assert b"crypto" not in session(Srtp.ACCEPT, placed=True).offer()


class TestChanges:
    def test_the_same_key_again_keeps_ours(self) -> None:
        made, theirs = session(), new_crypto(1, SUITE)
        made.take_offer(description("RTP/SAVP", theirs))
        before = made.terms.srtp
        made.take_offer(description("RTP/SAVP", theirs))
        assert made.terms.srtp == before

    def test_a_new_key_changes_ours_too(self) -> None:
        made = session()
        made.take_offer(description("RTP/SAVP", new_crypto(1, SUITE)))
        before = made.terms.srtp
        theirs = new_crypto(1, SUITE)
        made.take_offer(description("RTP/SAVP", theirs))
        assert before is not None
        assert made.terms.srtp is not None
        assert made.terms.srtp.receiving == theirs.key
        assert made.terms.srtp.sending != before.sending

    def test_our_own_offer_in_a_call_repeats_the_key_in_use(self) -> None:
        made, theirs = session(), new_crypto(4, SUITE)
        made.take_offer(description("RTP/SAVP", theirs))
        before = made.terms.srtp
        [line] = parse_session_description(made.offer()).media
        [ours] = cryptos_in(line.attributes)
        assert (line.protocol, ours.tag) == ("RTP/SAVP", 4)
        made.take_answer(description("RTP/SAVP", theirs))
        assert made.terms.srtp == before

    def test_audio_that_is_switched_off_keeps_its_keys(self) -> None:
        made = session(Srtp.ACCEPT)
        made.take_offer(description("RTP/SAVP", new_crypto(1, SUITE)))
        before = made.terms.srtp
        made.take_offer(description("RTP/SAVP", port=0))
        assert made.terms.srtp == before

    def test_a_call_may_not_become_plain_where_keys_are_required(self) -> None:
        made = session(Srtp.REQUIRE)
        made.take_offer(description("RTP/SAVP", new_crypto(1, SUITE)))
        before = made.agreed
        with pytest.raises(NotAcceptable):
            made.take_offer(description("RTP/AVP"))
        assert made.agreed is before


@pytest.mark.parametrize(
    ("attribute", "rtcp"),
    [
        ("rtcp:53020", ("192.0.2.7", 53020)),
        ("rtcp:53020 IN IP4 126.16.64.4", ("126.16.64.4", 53020)),
        (
            "rtcp:53020 IN IP6 2001:2345:6789:ABCD:EF01:2345:6789:ABCD",
            ("2001:2345:6789:abcd:ef01:2345:6789:abcd", 53020),
        ),
        ("rtcp:0", None),
        ("rtcp:x", None),
        ("rtcp", None),
        ("rtcp:5 IN IP4 host.example.com", None),
        ("rtcp-mux", None),
    ],
)
def test_where_rtcp_goes_is_read_as_rfc_3605_says(attribute: str, rtcp: tuple[str, int] | None) -> None:
    made = session()
    made.take_offer(description("RTP/AVP", extra=f"a={attribute}\r\n"))
    assert made.terms.rtcp == rtcp
    assert b"rtcp-mux" not in made.answer()
