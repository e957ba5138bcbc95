"""WAV of every kind comes out as int16 of one channel (contract D11)."""

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from offhook.audio.wav import MAX_SECONDS, read_wav, wav_bytes, write_wav
from offhook.errors import OffhookError

RATE = 16000
TONE = (np.sin(np.arange(RATE // 4) * 2 * np.pi * 440 / RATE) * 12000).astype(np.int16)


def as_wav(subtype: str, audio: npt.NDArray[np.int16] = TONE, rate: int = RATE, kind: str = "WAV") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, audio / 32768, rate, subtype=subtype, format=kind)
    return out.getvalue()


def riff(form: bytes, data: bytes, *, data_size: int | None = None, more: bytes = b"") -> bytes:
    size = len(data) if data_size is None else data_size
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sI", b"data", size) + data + more
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(tag: int, bits: int, channels: int = 1, rate: int = RATE) -> bytes:
    block = channels * ((bits + 7) // 8)
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)


def refusal(data: bytes) -> OffhookError:
    with pytest.raises(OffhookError) as refused:
        read_wav(data)
    return refused.value


def samples_or_code(data: bytes) -> npt.NDArray[np.int16] | str:
    try:
        return read_wav(data).samples
    except OffhookError as error:
        return error.code


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [
        ("PCM_U8", 256),
        ("PCM_16", 0),
        ("PCM_24", 0),
        ("PCM_32", 0),
        ("FLOAT", 1),
        ("DOUBLE", 1),
        ("ULAW", 512),
        ("ALAW", 512),
    ],
)
def test_every_kind_of_sample_is_read(kind: str, subtype: str, tolerance: int) -> None:
    pcm = read_wav(as_wav(subtype, kind=kind))
    assert pcm.rate == RATE
    assert pcm.samples.dtype == np.int16
    assert np.abs(pcm.samples.astype(int) - TONE).max() <= tolerance


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_compressed_kinds_are_read_too(subtype: str) -> None:
    pcm = read_wav(as_wav(subtype))
    heard = pcm.samples[: len(TONE)].astype(float)
    assert len(heard) == len(TONE)
    # GSM is lossy and holds speech, not tones: alike is enough.
    assert np.corrcoef(heard[400:], TONE[400:].astype(float))[0, 1] > 0.8


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_is_kept_and_told(rate: int) -> None:
    pcm = read_wav(as_wav("PCM_16", rate=rate))
    assert (pcm.rate, pcm.duration_ms) == (rate, len(TONE) * 1000 // rate)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_channels_are_mixed_evenly(subtype: str) -> None:
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    pcm = read_wav(as_wav(subtype, stereo))
    assert pcm.samples.shape == TONE.shape
    assert np.abs(pcm.samples.astype(int) - TONE // 2).max() <= (1 if subtype != "ULAW" else 256)


def test_two_loud_channels_do_not_wrap_around() -> None:
    loud = np.full((100, 2), 32767, np.int16)
    assert read_wav(as_wav("PCM_16", loud)).samples.tolist() == [32767] * 100


def test_no_audio_is_no_samples() -> None:
    assert len(read_wav(as_wav("PCM_16", TONE[:0])).samples) == 0
    assert len(read_wav(riff(form(3, 32), b"")).samples) == 0


def test_a_list_chunk_behind_an_empty_data_chunk_is_not_audio() -> None:
    assert len(read_wav(riff(form(1, 16), b"", more=struct.pack("<4sI4s", b"LIST", 4, b"INFO"))).samples) == 0


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFDB])
def test_a_header_written_before_the_audio_was_known_is_read_to_the_end(size: int) -> None:
    data = bytearray(riff(form(1, 16), TONE.tobytes(), data_size=size))
    struct.pack_into("<I", data, 4, size)
    assert np.array_equal(read_wav(bytes(data)).samples, TONE)


@given(keep=st.integers(0, 44 + 64), subtype=st.sampled_from(["PCM_16", "PCM_24", "FLOAT", "PCM_U8"]))
def test_a_file_cut_off_anywhere_is_read_as_far_as_it_goes_or_explained(keep: int, subtype: str) -> None:
    whole = as_wav(subtype, TONE[:32])
    expected = read_wav(whole).samples
    outcome = samples_or_code(whole[:keep])
    if isinstance(outcome, str):
        assert outcome == "not_a_wav"
    else:
        assert np.array_equal(outcome, expected[: len(outcome)])


def test_cut_in_the_middle_of_a_sample_the_half_sample_is_left_out() -> None:
    whole = as_wav("PCM_16")
    assert np.array_equal(read_wav(whole[:-3]).samples, TONE[:-2])


def test_other_chunks_before_the_audio_are_skipped() -> None:
    body = b"WAVE" + struct.pack("<4sI", b"LIST", 5) + b"INFOx\0" + riff(form(1, 16), TONE.tobytes())[12:]
    assert np.array_equal(read_wav(b"RIFF" + struct.pack("<I", len(body)) + body).samples, TONE)


def test_big_endian_wav_is_read() -> None:
    swapped = struct.pack(">HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    body = b"WAVE" + struct.pack(">4sI", b"fmt ", 16) + swapped
    body += struct.pack(">4sI", b"data", len(TONE) * 2) + TONE.astype(">i2").tobytes()
    assert np.array_equal(read_wav(b"RIFX" + struct.pack(">I", len(body)) + body).samples, TONE)


@pytest.mark.parametrize("width", ["<f4", "<f8"])
def test_nonsense_numbers_are_silence_and_loud_ones_are_clipped(width: str) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 7.5, -7.5, 0.5, 1e30], width)
    data = riff(form(3, 32 if width == "<f4" else 64), values.tobytes())
    assert read_wav(data).samples.tolist() == [0, 32767, -32768, 32767, -32768, 16384, 32767]


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"hello, I am not audio", b"RIFF\x00\x00\x00\x00AVI ", b"OggS" + bytes(60), b"ID3\x04" + bytes(60)],
)
def test_what_is_not_a_wav_is_refused_with_a_remedy(data: bytes) -> None:
    error = refusal(data)
    assert error.code == "not_a_wav"
    assert "16 kHz" in error.remedy


@pytest.mark.parametrize(
    "header", [form(1, 16, channels=0), form(1, 16, rate=0), form(1, 16, rate=2_000_000), form(0x4242, 16), b"\1\0"]
)
def test_a_header_that_makes_no_sense_is_refused(header: bytes) -> None:
    assert refusal(riff(header, TONE.tobytes())).code == "not_a_wav"


def test_too_long_a_file_is_refused() -> None:
    data = riff(form(1, 8, rate=1000), bytes(1000 * MAX_SECONDS + 1))
    assert refusal(data).code == "wav_too_long"
    assert len(read_wav(data[:-1]).samples) == 1000 * MAX_SECONDS


@given(st.binary(max_size=200))
def test_random_bytes_behind_a_wav_header_never_raise_anything_else(noise: bytes) -> None:
    for start in (b"RIFF", b"RIFX", b"RF64"):
        outcome = samples_or_code(start + b"\xff\xff\xff\xffWAVE" + noise)
        assert outcome == "not_a_wav" if isinstance(outcome, str) else outcome.dtype == np.int16


def test_what_is_written_is_read_back_and_soundfile_agrees(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    stereo = np.stack([TONE, -TONE], axis=1)
    write_wav(path, stereo, RATE)
    by_soundfile, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    assert np.array_equal(by_soundfile, stereo)
    assert np.array_equal(read_wav(wav_bytes(TONE, 8000)).samples, TONE)
