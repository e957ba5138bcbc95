"""Offer and answer (RFC 3264): G.711, G.722 and telephone-event, hold, refused lines, versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.media.messages import Codec, MediaTerms
from offhook.transports.sip.offer_answer import MediaSession, NotAcceptable
from offhook.transports.sip.session_description import Direction, SessionDescription, parse_session_description


def offer_of(*lines: str, connection: str = "c=IN IP4 192.0.2.7") -> bytes:
    head = ["v=0", "o=a 1 1 IN IP4 192.0.2.7", "s=-", *([connection] if connection else []), "t=0 0"]
    return ("\r\n".join([*head, *lines]) + "\r\n").encode()


def taken(*lines: str, connection: str = "c=IN IP4 192.0.2.7") -> MediaSession:
    session = MediaSession()
    session.address = ("198.51.100.1", 4000)
    session.take_offer(offer_of(*lines, connection=connection))
    return session


def answer_of(session: MediaSession) -> SessionDescription:
    return parse_session_description(session.answer())


class TestCodecs:
    @pytest.mark.parametrize(
        ("lines", "codec", "payload_type", "telephone_event"),
        [
            (["m=audio 5000 RTP/AVP 0"], Codec.PCMU, 0, None),
            (["m=audio 5000 RTP/AVP 8 0"], Codec.PCMA, 8, None),
            (["m=audio 5000 RTP/AVP 15 18 8"], Codec.PCMA, 8, None),
            (["m=audio 5000 RTP/AVP 9"], Codec.G722, 9, None),
            (["m=audio 5000 RTP/AVP 0 8 9 101", "a=rtpmap:101 telephone-event/8000"], Codec.G722, 9, 101),
            (["m=audio 5000 RTP/AVP 0 109", "a=rtpmap:109 G722/8000"], Codec.G722, 109, None),
            (["m=audio 5000 RTP/AVP 0 97", "a=rtpmap:97 telephone-event/8000"], Codec.PCMU, 0, 97),
            (["m=audio 5000 RTP/AVP 96 0", "a=rtpmap:96 telephone-event/48000"], Codec.PCMU, 0, None),
            (["m=audio 5000 RTP/AVP 120", "a=rtpmap:120 pcma/8000/1"], Codec.PCMA, 120, None),
            (["m=audio 5000 RTP/AVPF 0"], Codec.PCMU, 0, None),
        ],
    )
    def test_wideband_and_then_the_first_usable_format_is_taken_under_its_own_number(
        self, lines: list[str], codec: Codec, payload_type: int, telephone_event: int | None
    ) -> None:
        session = taken(*lines)
        terms = session.terms
        assert (terms.codec, terms.payload_type, terms.telephone_event) == (codec, payload_type, telephone_event)
        assert terms.inband_keys is (telephone_event is None), "keys come as tones from who has no events"
        assert terms.remote == ("192.0.2.7", 5000)
        numbers = (payload_type,) if telephone_event is None else (payload_type, telephone_event)
        [audio] = answer_of(session).media
        assert audio.formats == tuple(str(number) for number in numbers)
        assert audio.port == 4000

    @pytest.mark.parametrize(
        ("codecs", "offered", "codec"),
        [
            ([Codec.PCMU, Codec.PCMA, Codec.G722], "9 8 0", Codec.PCMA),
            ([Codec.PCMU, Codec.PCMA, Codec.G722], "9 18", Codec.G722),
            ([Codec.PCMU], "9 8 0", Codec.PCMU),
            ([Codec.G722], "0 9", Codec.G722),
        ],
    )
    def test_the_rate_is_our_preference_and_the_codec_the_callers(
        self, codecs: list[Codec], offered: str, codec: Codec
    ) -> None:
        session = MediaSession(codecs)
        session.take_offer(offer_of(f"m=audio 5000 RTP/AVP {offered}"))
        assert session.terms.codec is codec

    def test_g722_is_answered_with_the_clock_that_rfc_3551_gives_it(self) -> None:
        session = taken("m=audio 5000 RTP/AVP 9")
        assert b"m=audio 4000 RTP/AVP 9\r\na=rtpmap:9 G722/8000\r\n" in session.answer()

    @pytest.mark.parametrize("ptime", ["10", "20", "30", "60"])
    def test_twenty_milliseconds_are_answered_whatever_was_asked(self, ptime: str) -> None:
        session = taken("m=audio 5000 RTP/AVP 0", f"a=ptime:{ptime}")
        assert ("ptime", "20") in answer_of(session).media[0].attributes

    def test_telephone_events_are_answered_with_their_range(self) -> None:
        session = taken("m=audio 5000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000")
        assert ("fmtp", "101 0-15") in answer_of(session).media[0].attributes

    @pytest.mark.parametrize(
        ("lines", "code"),
        [
            (["m=audio 5000 RTP/AVP 15 18"], 305),
            (["m=audio 5000 RTP/SAVP 0"], 399),
            (["m=audio 5000 UDP/TLS/RTP/SAVPF 0"], 302),
            (["m=video 5000 RTP/AVP 31"], 304),
            (["m=audio 0 RTP/AVP 0"], 304),
            (["m=audio 5000 RTP/AVP 0", "a=rtpmap:0 opus/48000"], 305),
            ([], 399),
        ],
    )
    def test_what_cannot_be_used_is_refused_with_a_warning(self, lines: list[str], code: int) -> None:
        with pytest.raises(NotAcceptable) as refused:
            taken(*lines)
        assert refused.value.warning.startswith(f"{code} offhook ")


class TestLines:
    def test_video_and_a_second_audio_are_refused_in_their_places(self) -> None:
        session = taken(
            "m=video 5002 RTP/AVP 31", "m=audio 5000 RTP/AVP 8", "m=audio 5004 RTP/AVP 0", "m=image 5006 udptl t38"
        )
        lines = [(line.kind, line.port, line.protocol, line.formats) for line in answer_of(session).media]
        assert lines == [
            ("video", 0, "RTP/AVP", ("31",)),
            ("audio", 4000, "RTP/AVP", ("8",)),
            ("audio", 0, "RTP/AVP", ("0",)),
            ("image", 0, "udptl", ("t38",)),
        ]

    def test_the_first_usable_audio_is_taken(self) -> None:
        session = taken("m=audio 5000 RTP/SAVP 0", "m=audio 5002 RTP/AVP 18", "m=audio 5004 RTP/AVP 0")
        assert session.terms.remote == ("192.0.2.7", 5004)
        assert [line.port for line in answer_of(session).media] == [0, 0, 4000]

    def test_a_connection_of_the_line_goes_before_the_sessions(self) -> None:
        assert taken("m=audio 5000 RTP/AVP 0", "c=IN IP4 192.0.2.99").terms.remote == ("192.0.2.99", 5000)

    def test_ipv6(self) -> None:
        session = taken("m=audio 5000 RTP/AVP 0", connection="c=IN IP6 2001:db8::7")
        session.address = ("2001:db8::1", 4000)
        assert session.terms.remote == ("2001:db8::7", 5000)
        assert b"c=IN IP6 2001:db8::1\r\n" in session.answer()

    @pytest.mark.parametrize("connection", ["", "c=IN IP4 media.example.com"])
    def test_an_address_that_is_none_is_learned_from_packets(self, connection: str) -> None:
        terms = taken("m=audio 5000 RTP/AVP 0", connection=connection).terms
        assert terms.remote is None
        assert terms.sending

    def test_timing_is_repeated(self) -> None:
        session = MediaSession()
        session.address = ("198.51.100.1", 4000)
        session.take_offer(offer_of("m=audio 5000 RTP/AVP 0").replace(b"t=0 0", b"t=3149328700 0"))
        assert b"t=3149328700 0\r\n" in session.answer()


class TestHold:
    @pytest.mark.parametrize(
        ("offered", "answered", "sending", "receiving"),
        [
            ("sendrecv", Direction.SENDRECV, True, True),
            ("sendonly", Direction.RECVONLY, False, True),
            ("recvonly", Direction.SENDONLY, True, False),
            ("inactive", Direction.INACTIVE, False, False),
        ],
    )
    def test_directions_are_mirrored(self, offered: str, answered: Direction, sending: bool, receiving: bool) -> None:
        session = taken("m=audio 5000 RTP/AVP 0", f"a={offered}")
        assert session.agreed is not None
        assert answer_of(session).media[0].direction is answered
        assert (session.terms.sending, session.terms.receiving) == (sending, receiving)
        assert session.agreed.held is not sending

    def test_an_old_style_hold_has_the_unspecified_address(self) -> None:
        session = taken("m=audio 5000 RTP/AVP 0", connection="c=IN IP4 0.0.0.0")
        assert session.agreed is not None
        assert session.agreed.held
        assert session.terms.remote is None
        assert not session.terms.sending

    def test_a_call_in_progress_may_switch_its_audio_off(self) -> None:
        session = taken("m=audio 5000 RTP/AVP 0")
        session.take_offer(offer_of("m=audio 0 RTP/AVP 0"))
        assert (session.terms.sending, session.terms.receiving) == (False, False)
        assert answer_of(session).media[0].port == 0


class TestRenegotiation:
    def test_the_version_grows_only_when_something_changes(self) -> None:
        session = taken("m=audio 5000 RTP/AVP 0")
        first = answer_of(session).origin
        session.take_offer(offer_of("m=audio 5000 RTP/AVP 0"))
        assert answer_of(session).origin == first
        session.take_offer(offer_of("m=audio 5000 RTP/AVP 0", "a=sendonly"))
        held = answer_of(session).origin
        assert (held.session_id, int(held.version)) == (first.session_id, int(first.version) + 1)

    def test_a_refused_offer_changes_nothing(self) -> None:
        session = taken("m=audio 5000 RTP/AVP 0")
        before = session.agreed
        with pytest.raises(NotAcceptable):
            session.take_offer(offer_of("m=audio 5000 RTP/AVP 18"))
        assert session.agreed is before

    def test_a_call_keeps_its_rate_and_may_change_its_codec_within_it(self) -> None:
        narrow = taken("m=audio 5000 RTP/AVP 0")
        narrow.take_offer(offer_of("m=audio 5000 RTP/AVP 9 8 0"))
        assert narrow.terms.codec is Codec.PCMA
        with pytest.raises(NotAcceptable):
            narrow.take_offer(offer_of("m=audio 5000 RTP/AVP 9"))
        wide = taken("m=audio 5000 RTP/AVP 0 9")
        wide.take_offer(offer_of("m=audio 5000 RTP/AVP 0 8 9", "a=sendonly"))
        assert wide.terms.codec is Codec.G722
        with pytest.raises(NotAcceptable, match="None of G722 is offered"):
            wide.take_offer(offer_of("m=audio 5000 RTP/AVP 0"))
        [audio] = parse_session_description(wide.offer()).media
        assert audio.formats == ("9", "101")

    def test_our_own_offer_names_all_that_is_spoken_here(self) -> None:
        session = MediaSession()
        session.address = ("198.51.100.1", 4000)
        [audio] = parse_session_description(session.offer()).media
        assert audio.formats == ("0", "8", "101")
        session.take_answer(offer_of("m=audio 5000 RTP/AVP 8"))
        assert session.terms.codec is Codec.PCMA
        assert not session.offer_pending

    def test_our_own_offer_names_g722_where_nothing_else_is_spoken(self) -> None:
        session = MediaSession([Codec.G722])
        session.address = ("198.51.100.1", 4000)
        assert session.terms == MediaTerms(Codec.G722, 9)
        assert parse_session_description(session.offer()).media[0].formats == ("9", "101")

    def test_an_answer_of_another_rate_than_we_offered_is_refused(self) -> None:
        session = MediaSession()
        session.address = ("198.51.100.1", 4000)
        session.offer()
        with pytest.raises(NotAcceptable):
            session.take_answer(offer_of("m=audio 5000 RTP/AVP 9"))

    def test_an_offer_in_a_call_keeps_the_number_of_lines(self) -> None:
        session = taken("m=video 5002 RTP/AVP 31", "m=audio 5000 RTP/AVP 8")
        video, audio = parse_session_description(session.offer()).media
        assert (video.port, audio.formats[0]) == (0, "8")


class TestOpus:
    """RFC 7587 7: 48000 Hz and two channels are written, whatever is coded."""

    SPOKEN = (Codec.OPUS, Codec.G722, Codec.PCMU)
    OFFER = ("m=audio 5000 RTP/AVP 0 96 9 97 98", "a=rtpmap:96 opus/48000/2")
    EVENTS = ("a=rtpmap:97 telephone-event/8000", "a=rtpmap:98 telephone-event/48000")

    def taken(self, *lines: str) -> MediaSession:
        session = MediaSession(self.SPOKEN)
        session.address = ("198.51.100.1", 4000)
        session.take_offer(offer_of(*lines))
        return session

    def test_it_is_answered_under_the_callers_number_with_events_of_its_clock(self) -> None:
        session = self.taken(*self.OFFER, *self.EVENTS)
        assert (session.terms.codec, session.terms.payload_type) == (Codec.OPUS, 96)
        assert (session.terms.telephone_event, session.terms.event_clock) == (98, 48000)
        answer = session.answer().decode()
        assert "m=audio 4000 RTP/AVP 96 98\r\n" in answer
        assert "a=rtpmap:96 opus/48000/2\r\na=rtpmap:98 telephone-event/48000\r\n" in answer
        [parameters] = [line for line in answer.splitlines() if line.startswith("a=fmtp:96 ")]
        assert set(parameters.partition(" ")[2].split(";")) >= {"useinbandfec=1", "maxplaybackrate=16000", "stereo=0"}

    def test_a_caller_who_counts_keys_at_8000_hz_only_is_answered_so(self) -> None:
        session = self.taken(*self.OFFER, self.EVENTS[0])
        assert (session.terms.codec, session.terms.telephone_event, session.terms.event_clock) == (Codec.OPUS, 97, 8000)
        assert "a=rtpmap:97 telephone-event/8000\r\n" in session.answer().decode()

    def test_a_caller_who_takes_g711_has_events_of_that_clock(self) -> None:
        session = MediaSession((Codec.PCMU, Codec.OPUS))
        session.take_offer(offer_of(*self.OFFER, *self.EVENTS))
        assert (session.terms.codec, session.terms.telephone_event, session.terms.event_clock) == (Codec.PCMU, 97, 8000)

    def test_who_does_not_speak_it_here_gets_another_codec(self) -> None:
        assert taken(*self.OFFER).terms.codec is Codec.G722

    @pytest.mark.parametrize("rtpmap", ["opus/8000", "opus/abc/2", "opus"])
    def test_another_clock_is_another_codec(self, rtpmap: str) -> None:
        assert self.taken("m=audio 5000 RTP/AVP 96 0", f"a=rtpmap:96 {rtpmap}").terms.codec is Codec.PCMU

    def test_placed_calls_offer_it_with_events_of_both_clocks(self) -> None:
        session = placed(*self.SPOKEN)
        assert offered_by(session) == ("111", "9", "0", "101", "102")
        offer = session.offer().decode()
        assert "a=rtpmap:111 opus/48000/2\r\n" in offer
        assert "a=rtpmap:102 telephone-event/48000\r\n" in offer
        session.take_answer(offer_of("m=audio 5000 RTP/AVP 111 101", *_events(101, 8000), "a=rtpmap:111 opus/48000/2"))
        assert (session.terms.codec, session.terms.telephone_event, session.terms.event_clock) == (
            Codec.OPUS,
            101,
            8000,
        )

    def test_offers_in_a_call_keep_the_numbers_and_give_none_twice(self) -> None:
        session = self.taken("m=audio 5000 RTP/AVP 102 111", "a=rtpmap:102 opus/48000/2", *_events(111, 48000))
        [audio] = parse_session_description(session.offer()).media
        assert audio.formats == ("102", "9", "101", "111")
        clash = self.taken("m=audio 5000 RTP/AVP 101", "a=rtpmap:101 opus/48000/2")
        [audio] = parse_session_description(clash.offer()).media
        assert audio.formats == ("101", "9", "96", "102")

    def test_a_codec_may_change_to_it_in_a_wideband_call(self) -> None:
        session = self.taken("m=audio 5000 RTP/AVP 9")
        session.take_offer(offer_of("m=audio 5000 RTP/AVP 120", "a=rtpmap:120 OPUS/48000/2"))
        assert (session.terms.codec, session.terms.payload_type) == (Codec.OPUS, 120)


def _events(number: int, clock: int) -> list[str]:
    return [f"a=rtpmap:{number} telephone-event/{clock}"]


class TestPlacedCalls:
    @pytest.mark.parametrize(
        ("answered", "codec", "payload_type"),
        [("9", Codec.G722, 9), ("8", Codec.PCMA, 8), ("0 9", Codec.PCMU, 0), ("9 0", Codec.G722, 9)],
    )
    def test_codecs_of_both_rates_are_offered_and_the_answer_decides(
        self, answered: str, codec: Codec, payload_type: int
    ) -> None:
        session = placed()
        assert offered_by(session) == ("9", "0", "8", "101")
        assert session.offer_pending
        session.take_answer(offer_of(f"m=audio 5000 RTP/AVP {answered}"))
        assert (session.terms.codec, session.terms.payload_type) == (codec, payload_type)
        assert not session.offer_pending

    def test_the_order_is_the_trunks(self) -> None:
        assert offered_by(placed(Codec.PCMA, Codec.G722)) == ("8", "9", "101")

    def test_a_repeated_offer_is_the_same(self) -> None:
        session = placed()
        assert session.offer() == session.offer()

    def test_the_final_answer_holds_whatever_was_answered_early(self) -> None:
        session = placed()
        session.offer()
        session.take_answer(offer_of("m=audio 5000 RTP/AVP 8"))
        assert session.terms.codec is Codec.PCMA
        session.take_answer(offer_of("m=audio 6000 RTP/AVP 9"))
        assert (session.terms.codec, session.terms.remote) == (Codec.G722, ("192.0.2.7", 6000))

    def test_what_was_agreed_early_stays_when_a_later_answer_cannot_be_used(self) -> None:
        session = placed()
        session.offer()
        session.take_answer(offer_of("m=audio 5000 RTP/AVP 8"))
        with pytest.raises(NotAcceptable):
            session.take_answer(offer_of("m=audio 5000 RTP/AVP 18"))
        assert session.terms.codec is Codec.PCMA

    def test_a_callee_that_refuses_the_audio_has_answered_nothing(self) -> None:
        session = placed()
        session.offer()
        with pytest.raises(NotAcceptable):
            session.take_answer(offer_of("m=audio 0 RTP/AVP 8"))
        assert session.agreed is None

    def test_in_a_call_offers_stay_within_its_rate(self) -> None:
        session = placed()
        session.offer()
        session.take_answer(offer_of("m=audio 5000 RTP/AVP 8"))
        assert offered_by(session) == ("8", "0", "101")
        session.take_answer(offer_of("m=audio 5000 RTP/AVP 0"))
        with pytest.raises(NotAcceptable):
            session.take_offer(offer_of("m=audio 5000 RTP/AVP 9"))
        session.take_offer(offer_of("m=audio 5000 RTP/AVP 9 8"))
        assert session.terms.codec is Codec.PCMA

    def test_audio_that_the_callee_switches_off_in_a_call_is_a_hold(self) -> None:
        session = placed()
        session.offer()
        session.take_answer(offer_of("m=audio 5000 RTP/AVP 8"))
        session.offer()
        session.take_answer(offer_of("m=audio 0 RTP/AVP 8"))
        assert session.agreed is not None
        assert session.agreed.held


def placed(*codecs: Codec) -> MediaSession:
    session = MediaSession(codecs or (Codec.G722, Codec.PCMU, Codec.PCMA), placed=True)
    session.address = ("198.51.100.1", 4000)
    return session


def offered_by(session: MediaSession) -> tuple[str, ...]:
    [audio] = parse_session_description(session.offer()).media
    return audio.formats


@given(st.lists(st.sampled_from(["0", "8", "9", "18", "96", "101", "x", "999"]), min_size=1, max_size=8), st.data())
def test_an_answer_never_names_a_format_that_was_not_offered(formats: list[str], data: st.DataObject) -> None:
    maps = data.draw(st.lists(st.sampled_from(["96 PCMU/8000", "101 telephone-event/8000", "9 G722/8000", "0 x"])))
    try:
        session = taken(f"m=audio 5000 RTP/AVP {' '.join(formats)}", *(f"a=rtpmap:{each}" for each in maps))
    except NotAcceptable:
        return
    assert set(answer_of(session).media[0].formats) <= set(formats)
