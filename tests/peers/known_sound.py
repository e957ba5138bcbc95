"""Sound of which every sample is known, so that a caller can tell to the byte whether all of it arrived."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offhook.audio.g711 import decode_ulaw, encode_alaw, encode_ulaw
from offhook.audio.wav import wav_bytes
from tests.peers.sound import best_match, prompt, spoken_by_the_embedded_voice

FRAME = 160
BLOCK = 80
ONSET = 20


def hiss(seconds: float, *, seed: int = 1) -> NDArray[np.int16]:
    """Soft noise at 8 kHz, no two frames of which are alike; the same for the same seed."""
    samples = np.random.default_rng(seed).normal(0, 2000, int(seconds * 8000)).clip(-30000, 30000)
    return samples.astype(np.int16)


def as_audio(samples: NDArray[np.int16]) -> dict[str, Any]:
    """The action that plays this; nobody can interrupt it."""
    wav = base64.b64encode(wav_bytes(samples, 8000)).decode()
    return {"type": "audio", "audio": wav, "barge_in": {"strategy": "none"}}


def on_the_wire(samples: NDArray[np.int16], *, law: str = "u") -> bytes:
    """The payload bytes (G.711) of it, filled up to whole frames with silence."""
    whole = np.concatenate([samples, np.zeros(-len(samples) % FRAME, np.int16)])
    return (encode_ulaw(whole) if law == "u" else encode_alaw(whole)).tobytes()


def words(name: str = "hello-world") -> NDArray[np.int16]:
    """A prompt read by a person."""
    return (prompt(name) * 32767).astype(np.int16)


async def says(payload: bytes, text: str) -> bool:
    """Whether the embedded voice says this text, whole, somewhere in what was heard (G.711 u-law).

    Levels are compared, not samples: espeak-ng says nothing twice in the very same way. How loud it begins depends on
    what it has said before, so of the first 200 ms it counts that they are there.
    """
    (said,) = await spoken_by_the_embedded_voice(text)
    heard = decode_ulaw(np.frombuffer(payload, np.uint8)).astype(np.float64) / 32768
    if heard.size < said.size:
        return False
    expected = _levels(said)
    for shift in range(0, BLOCK, BLOCK // 4):
        levels = _levels(heard[shift:])
        score, at = best_match(levels, expected[ONSET:])
        begins = levels[max(0, at - ONSET) : at]
        if score >= 0.97 and len(begins) >= ONSET - 2 and begins.mean() >= expected[:ONSET].mean() / 2:
            return True
    return False


def _levels(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    blocks = sound[: sound.size // BLOCK * BLOCK].reshape(-1, BLOCK)
    levels: NDArray[np.float64] = np.sqrt(np.mean(np.square(blocks), axis=1))
    return levels
