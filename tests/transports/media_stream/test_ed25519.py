"""Ed25519 signatures, with the vectors of RFC 8032 section 7.1."""

import pytest

from offhook.transports.media_stream.ed25519 import is_signed

VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
        "5141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb0"
        "0d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc0"
        "27beceea1ec40a",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(key: str, message: str, signature: str) -> None:
    assert is_signed(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize("place", range(0, 64, 7))
def test_a_changed_signature_is_none(place: int) -> None:
    key, message, signature = (bytes.fromhex(part) for part in VECTORS[1])
    changed = bytearray(signature)
    changed[place] ^= 1
    assert not is_signed(key, message, bytes(changed))


def test_another_message_or_key_is_not_signed() -> None:
    key, message, signature = (bytes.fromhex(part) for part in VECTORS[1])
    assert not is_signed(key, message + b"x", signature)
    assert not is_signed(bytes.fromhex(VECTORS[0][0]), message, signature)


def test_a_signature_has_one_form_only() -> None:
    """Section 5.1.7: S below the order of the group."""
    key, message, signature = (bytes.fromhex(part) for part in VECTORS[1])
    same = int.from_bytes(signature[32:], "little") + ORDER
    assert not is_signed(key, message, signature[:32] + same.to_bytes(32, "little"))


@pytest.mark.parametrize(("key", "signature"), [(b"", b""), (bytes(31), bytes(64)), (bytes(32), bytes(63))])
def test_other_lengths(key: bytes, signature: bytes) -> None:
    assert not is_signed(key, b"", signature)


@pytest.mark.parametrize("key", [b"\xff" * 32, (2).to_bytes(32, "little"), b"\x01" + bytes(30) + b"\x80"])
def test_what_is_no_point_of_the_curve(key: bytes) -> None:
    assert not is_signed(key, b"", bytes.fromhex(VECTORS[0][2]))
