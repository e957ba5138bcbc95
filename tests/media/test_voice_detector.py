"""The voice detector gives what onnxruntime gives for the original model, for all rows at once."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from offhook.audio.wav import read_wav
from offhook.media.voice_detector import CHUNK, VoiceDetector

Floats = npt.NDArray[np.float32]
Original = Callable[[Floats], Floats]

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
ROWS = 24


@pytest.fixture(scope="module")
def speech() -> Floats:
    """Two minutes of a person reading prompts, 8 kHz."""
    files = sorted(PROMPTS.glob("[a-c]*.wav"))
    if not files:
        pytest.fail(f"No speech in {PROMPTS}. Remedy: apt-get install asterisk-core-sounds-en-wav")
    samples = np.concatenate([read_wav(file.read_bytes()).samples for file in files])[: 120 * 8000]
    assert len(samples) == 120 * 8000
    return samples.astype(np.float32) / np.float32(32768)


def noise(n: int, chunks: int, seed: int = 1) -> Floats:
    """Something with structure, (chunks, n, 256): a warbling tone in noise, another one in each row."""
    rng = np.random.default_rng(seed)
    time = np.arange(chunks * CHUNK) / 8000
    rows = [np.sin(2 * np.pi * (120 + 17 * row) * time + 5 * np.sin(9 * time)) * 0.3 for row in range(n)]
    audio = np.stack(rows) + rng.normal(0, 0.02, (n, chunks * CHUNK))
    return audio.reshape(n, chunks, CHUNK).transpose(1, 0, 2).astype(np.float32)


def original(rows: int) -> Original:
    """The wheel's own model under onnxruntime; the package itself is not imported, because that needs torch."""
    found = importlib.util.find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        pytest.fail("The original model is missing. Remedy: pip install --no-deps silero-vad==6.2.3")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    session = onnxruntime.InferenceSession(str(path), options)
    state = np.zeros((2, rows, 128), np.float32)
    context = np.zeros((rows, 32), np.float32)

    def run(chunks: Floats) -> Floats:
        nonlocal state, context
        given = {"input": np.concatenate([context, chunks], axis=1), "state": state, "sr": np.array(8000, np.int64)}
        probabilities, state = session.run(None, given)
        context = chunks[:, -32:]
        result: Floats = probabilities[:, 0]
        return result

    return run


@pytest.mark.speech
def test_on_human_speech_it_equals_onnxruntime_within_1e_4(speech: Floats) -> None:
    """Many rows, each at another place of two minutes of speech."""
    chunks = len(speech) // ROWS // CHUNK
    offsets = np.arange(ROWS) * (len(speech) // ROWS)
    detector, reference, rows = VoiceDetector(ROWS), original(ROWS), np.arange(ROWS)
    voiced = 0
    for index in range(chunks):
        now = np.stack([speech[offset + index * CHUNK :][:CHUNK] for offset in offsets])
        ours = detector.probabilities(now, rows)
        np.testing.assert_allclose(ours, reference(now), atol=1e-4, rtol=0)
        voiced += int((ours > 0.5).sum())
    assert 0.4 < voiced / (chunks * ROWS) < 0.99


@pytest.mark.speech
def test_speech_is_voice_and_silence_is_not(speech: Floats) -> None:
    detector, rows = VoiceDetector(2), np.arange(2)
    quiet = np.zeros(CHUNK, np.float32)
    prompt = speech[: 8000 // CHUNK * CHUNK].reshape(-1, CHUNK)
    got = np.stack([detector.probabilities(np.stack([chunk, quiet]), rows) for chunk in prompt])
    assert (got[:, 0] > 0.5).mean() > 0.5
    assert got[:, 1].max() < 0.1


def test_without_speech_too_it_equals_onnxruntime_within_1e_4() -> None:
    detector, reference = VoiceDetector(5), original(5)
    for chunks in noise(5, 60):
        np.testing.assert_allclose(detector.probabilities(chunks, np.arange(5)), reference(chunks), atol=1e-4, rtol=0)


def test_a_batch_gives_what_single_rows_give() -> None:
    """More rows than one block holds, so that the seam between blocks is crossed."""
    many = 150
    batch, single = VoiceDetector(many), VoiceDetector(many)
    for chunks in noise(many, 6):
        together = batch.probabilities(chunks, np.arange(many))
        alone = [single.probabilities(chunks[row : row + 1], np.array([row]))[0] for row in range(many)]
        np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)


def test_rows_keep_their_own_past_whatever_comes_together_with_them() -> None:
    detector, rng = VoiceDetector(8), np.random.default_rng(3)
    lone = [VoiceDetector(1) for _ in range(8)]
    for chunks in noise(8, 40):
        rows = rng.permutation(8)[: rng.integers(1, 9)]
        got = detector.probabilities(chunks[rows], rows)
        expected = [lone[row].probabilities(chunks[row : row + 1], np.array([0]))[0] for row in rows]
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)


def test_no_chunks_are_no_probabilities() -> None:
    detector = VoiceDetector(4)
    assert detector.probabilities(np.zeros((0, CHUNK), np.float32), np.zeros(0, np.intp)).shape == (0,)


def test_a_reset_row_begins_anew_and_the_others_do_not() -> None:
    detector, fresh, kept = VoiceDetector(3), VoiceDetector(3), VoiceDetector(3)
    rows = np.arange(3)
    audio = noise(3, 30)
    for chunks in audio[:20]:
        detector.probabilities(chunks, rows)
        kept.probabilities(chunks, rows)
    detector.reset(np.array([1]))
    for chunks in audio[20:]:
        got, anew, on = (each.probabilities(chunks, rows) for each in (detector, fresh, kept))
        assert got[1] == anew[1]
        assert got[[0, 2]].tolist() == on[[0, 2]].tolist()
