"""Headers and payloads as matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.media.messages import Codec, MediaTerms
from offhook.media.rtp import LARGEST_PACKET, Kind, OutgoingPackets, ahead, decode, encode, kinds_by_payload_type, parse
from offhook.media.shared_audio import TableShape


@given(st.integers(0, 65535), st.integers(-32768, 32767))
def test_distance_of_numbers_that_wrap(reference: int, distance: int) -> None:
    number = np.array([(reference + distance) & 0xFFFF])
    assert ahead(number, np.array([reference]), 16)[0] == distance


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=20))
def test_any_bytes_can_be_parsed(datagrams: list[bytes]) -> None:
    data = np.zeros((len(datagrams), LARGEST_PACKET), np.uint8)
    for row, datagram in zip(data, datagrams, strict=True):
        row[: len(datagram)] = np.frombuffer(datagram, np.uint8)
    packets = parse(data, np.array([len(datagram) for datagram in datagrams]))
    for valid, length, datagram in zip(packets.valid, packets.length, datagrams, strict=True):
        if valid:
            assert datagram[0] >> 6 == 2
            assert 0 < length <= len(datagram) - 12


@pytest.mark.parametrize("kind", [Kind.PCMU, Kind.PCMA, Kind.L16])
def test_what_is_encoded_is_decoded_to_the_same_again(kind: Kind) -> None:
    samples = np.arange(-32768, 32767, 205, dtype=np.int16)[None, :]
    once = decode(kind, encode(kind, samples))
    assert np.array_equal(decode(kind, encode(kind, once)), once)


def test_a_narrowband_row_hears_both_laws_and_a_wideband_row_only_its_own() -> None:
    narrow = kinds_by_payload_type(MediaTerms(Codec.PCMA, 8, telephone_event=96))
    assert (narrow[0], narrow[8], narrow[96], narrow[13]) == (Kind.PCMU, Kind.PCMA, Kind.EVENT, Kind.OTHER)
    wide = kinds_by_payload_type(MediaTerms(Codec.L16, 97))
    assert (wide[0], wide[8], wide[97]) == (Kind.OTHER, Kind.OTHER, Kind.L16)


def test_a_packet_of_20_ms_is_a_header_and_its_payload() -> None:
    narrow, wide = OutgoingPackets(TableShape(8000, 2)), OutgoingPackets(TableShape(16000, 2))
    assert [len(view) for view in narrow.views] == [172, 172]
    assert [len(view) for view in wide.views] == [652, 652]
    narrow.open(1, Codec.PCMA, 0xDEADBEEF, 65535, 0xFFFFFFFF, 10)
    narrow.use(1, Codec.PCMA, 8)
    rows = np.array([1])
    narrow.write_silence(rows)
    narrow.stamp(rows, 10)
    assert bytes(narrow.views[1]) == b"\x80\x88\xff\xff\xff\xff\xff\xff\xde\xad\xbe\xef" + b"\xd5" * 160
    narrow.advance(rows)
    narrow.stamp(rows, 12)
    assert bytes(narrow.views[1][:12]) == b"\x80\x08\x00\x00\x00\x00\x01\x3f\xde\xad\xbe\xef"
