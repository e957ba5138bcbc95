"""Models that are known to work with the engines on this machine, and who publishes them.

No checksum stands here: the publisher's own is taken when a model is pulled, and pinned beside it (`model_store`).
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

HUB: Final = "https://huggingface.co"
VOSK_LIST: Final = "https://alphacephei.com/vosk/models/model-list.json"


@dataclass(frozen=True, slots=True)
class HubFiles:
    """Files of a repository on Hugging Face's hub; each is kept under the last part of its path."""

    repository: str
    files: tuple[str, ...]
    hub: str = HUB


@dataclass(frozen=True, slots=True)
class VoskArchive:
    """A ZIP that Vosk's list of models names."""

    listed: str
    listing: str = VOSK_LIST


Source: TypeAlias = HubFiles | VoskArchive


@dataclass(frozen=True, slots=True)
class Model:
    """`megabytes` is about what is downloaded; `languages` are for people to read."""

    name: str
    engine: Literal["sherpa-onnx", "onnx-asr", "vosk", "piper"]
    languages: str
    megabytes: int
    licence: str
    source: Source


_ZIPFORMER: Final = "epoch-99-avg-1-chunk-16-left-128"


def _piper(name: str, voice: str, folder: str, language: str, licence: str) -> Model:
    files = tuple(f"{folder}/{voice}.{ending}" for ending in ("onnx", "onnx.json"))
    return Model(
        name, "piper", language, 63, licence, HubFiles("rhasspy/piper-voices", (*files, f"{folder}/MODEL_CARD"))
    )


CATALOGUE: Final = (
    Model(
        "sherpa-en",
        "sherpa-onnx",
        "English",
        75,
        "Apache-2.0",
        HubFiles(
            "csukuangfj/sherpa-onnx-streaming-zipformer-en-2023-06-26",
            (
                f"encoder-{_ZIPFORMER}.int8.onnx",
                f"decoder-{_ZIPFORMER}.onnx",
                f"joiner-{_ZIPFORMER}.int8.onnx",
                "tokens.txt",
            ),
        ),
    ),
    Model(
        "parakeet-v3",
        "onnx-asr",
        "25 European, German and English among them",
        670,
        "CC-BY-4.0",
        HubFiles(
            "istupakov/parakeet-tdt-0.6b-v3-onnx",
            ("config.json", "vocab.txt", "encoder-model.int8.onnx", "decoder_joint-model.int8.onnx"),
        ),
    ),
    Model("vosk-de", "vosk", "German", 45, "Apache-2.0", VoskArchive("vosk-model-small-de-0.15")),
    Model("vosk-en", "vosk", "English", 40, "Apache-2.0", VoskArchive("vosk-model-small-en-us-0.15")),
    _piper("thorsten", "de_DE-thorsten-medium", "de/de_DE/thorsten/medium", "German", "MIT; recordings CC0"),
    _piper("ljspeech", "en_US-ljspeech-medium", "en/en_US/ljspeech/medium", "English", "MIT; see its MODEL_CARD"),
)
