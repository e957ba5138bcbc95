"""G.711: the tables equal the ITU reference, and audioop where Python still has it."""

import importlib
import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest

from offhook.audio.g711 import (
    ALAW_TO_LINEAR,
    LINEAR_TO_ALAW,
    LINEAR_TO_ULAW,
    ULAW_TO_LINEAR,
    decode_alaw,
    decode_ulaw,
    encode_alaw,
    encode_ulaw,
)

EVERY_SAMPLE = np.arange(65536, dtype=np.uint16).view(np.int16)
EVERY_CODE = np.arange(256, dtype=np.uint8)


def itu_ulaw_expand(code: int) -> int:
    """ulaw_expand of ITU-T G.191, ported line by line."""
    mantissa = ~code
    exponent = (mantissa >> 4) & 7
    segment = exponent + 1
    mantissa &= 0x0F
    step = 4 << segment
    value = (0x80 << exponent) + step * mantissa + step // 2 - 4 * 33
    return -value if code < 0x80 else value


def itu_ulaw_compress(sample: int) -> int:
    """ulaw_compress of ITU-T G.191, ported line by line (14 significant bits)."""
    magnitude = ((~sample >> 2) + 33) if sample < 0 else ((sample >> 2) + 33)
    magnitude = min(magnitude, 0x1FFF)
    index, segment = magnitude >> 6, 1
    while index:
        segment += 1
        index >>= 1
    high = 8 - segment
    low = 0x0F - ((magnitude >> segment) & 0x0F)
    code = (high << 4) | low
    return code | 0x80 if sample >= 0 else code


def itu_alaw_expand(code: int) -> int:
    """alaw_expand of ITU-T G.191, ported line by line."""
    index = (code ^ 0x55) & 0x7F
    exponent, mantissa = index >> 4, index & 0x0F
    if exponent > 0:
        mantissa += 16
    value = (mantissa << 4) + 8
    if exponent > 1:
        value <<= exponent - 1
    return value if code > 127 else -value


def itu_alaw_compress(sample: int) -> int:
    """alaw_compress of ITU-T G.191, ported line by line (12 significant bits of magnitude)."""
    index = (~sample >> 4) if sample < 0 else (sample >> 4)
    if index > 15:
        exponent = 1
        while index > 16 + 15:
            index >>= 1
            exponent += 1
        index = index - 16 + (exponent << 4)
    if sample >= 0:
        index |= 0x80
    return index ^ 0x55


def test_decoding_equals_the_itu_reference_for_every_code() -> None:
    assert [itu_ulaw_expand(code) for code in range(256)] == ULAW_TO_LINEAR.tolist()
    assert [itu_alaw_expand(code) for code in range(256)] == ALAW_TO_LINEAR.tolist()


def test_encoding_a_law_equals_the_itu_reference_for_every_sample() -> None:
    assert [itu_alaw_compress(int(sample)) for sample in EVERY_SAMPLE] == LINEAR_TO_ALAW.tolist()


def test_encoding_mu_law_equals_the_itu_reference_for_every_positive_sample() -> None:
    positive = EVERY_SAMPLE[EVERY_SAMPLE >= 0]
    assert [itu_ulaw_compress(int(sample)) for sample in positive] == encode_ulaw(positive).tolist()


def test_negative_mu_law_is_the_mirror_of_positive() -> None:
    """G.711 is symmetric: the two signs of a magnitude that 14 bits can hold differ in the sign bit alone."""
    positive = np.arange(4, 32768, 4, dtype=np.int16)
    assert np.array_equal(encode_ulaw(-positive), encode_ulaw(positive) ^ 0x80)


def audioop() -> Any:
    if importlib.util.find_spec("audioop") is None:
        pytest.skip("this Python has no audioop; the ITU reference above is the judge")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("audioop")


def test_tables_equal_audioop_in_both_directions() -> None:
    reference = audioop()
    assert LINEAR_TO_ULAW.tobytes() == reference.lin2ulaw(EVERY_SAMPLE.tobytes(), 2)
    assert LINEAR_TO_ALAW.tobytes() == reference.lin2alaw(EVERY_SAMPLE.tobytes(), 2)
    assert ULAW_TO_LINEAR.tobytes() == reference.ulaw2lin(EVERY_CODE.tobytes(), 2)
    assert ALAW_TO_LINEAR.tobytes() == reference.alaw2lin(EVERY_CODE.tobytes(), 2)


def test_every_code_survives_a_round_trip() -> None:
    positive_zero = 0xFF  # mu-law has two zeros; encoding knows only the positive one
    expected = np.where(EVERY_CODE == 0x7F, positive_zero, EVERY_CODE)
    assert np.array_equal(encode_ulaw(decode_ulaw(EVERY_CODE)), expected)
    assert np.array_equal(encode_alaw(decode_alaw(EVERY_CODE)), EVERY_CODE)


def test_shapes_are_kept() -> None:
    block = np.zeros((3, 160), np.int16)
    assert encode_ulaw(block).shape == decode_ulaw(encode_ulaw(block)).shape == (3, 160)
    assert encode_alaw(block).shape == decode_alaw(encode_alaw(block)).shape == (3, 160)


def test_silence_is_silence() -> None:
    silence = np.zeros(4, np.int16)
    assert encode_ulaw(silence).tolist() == [0xFF] * 4
    assert encode_alaw(silence).tolist() == [0xD5] * 4
    assert decode_ulaw(encode_ulaw(silence)).tolist() == [0] * 4


def test_nobody_can_write_into_the_tables() -> None:
    for table in (ULAW_TO_LINEAR, ALAW_TO_LINEAR, LINEAR_TO_ULAW, LINEAR_TO_ALAW):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
