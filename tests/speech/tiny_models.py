"""Models of a few kilobytes, in the formats that the local engines load: they know a voice from silence, and nothing
else. A voice says the same words over and over."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAND_INS = Path(__file__).parents[1] / "fakes" / "stand_ins"
"""To be put on PYTHONPATH: `vosk`."""
WIDTH = 8
PIECES = ("<blk>", "<unk>", "▁hel", "lo", "▁world")
AFTER = {0: 2, 1: 2, 2: 3, 3: 4, 4: 2}
"""hel → lo → world → hel …"""


def streaming_transducer(folder: Path, pieces: Sequence[str] = PIECES) -> Path:
    """An LSTM transducer for sherpa-onnx: "hello world hello …" while the caller is loud."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.zeros((80, WIDTH), np.float32)
    weights[:, 0] = 1 / 80
    bias = np.zeros(WIDTH, np.float32)
    bias[0] = 8  # between the log energies of silence and of a voice
    state = ["layers", "N", WIDTH]
    _save(
        folder / "encoder.int8.onnx",
        [
            ("MatMul", ["x", "weights"], ["weighed"]),
            ("Add", ["weighed", "bias"], ["above"]),
            ("Tanh", ["above"], ["loud"]),
            ("Slice", ["loud", "zero", "nine", "one", "eight"], ["encoder_out"]),
            ("Identity", ["h"], ["new_h"]),
            ("Identity", ["c"], ["new_c"]),
        ],
        {"x": ["N", 9, 80], "h": state, "c": state},
        {"encoder_out": ["N", "T", WIDTH], "new_h": state, "new_c": state},
        {"weights": weights, "bias": bias} | _numbers(),
        {"model_type": "lstm", "num_encoder_layers": 1, "T": 9, "decode_chunk_len": 8}
        | {"rnn_hidden_size": WIDTH, "d_model": WIDTH},
    )
    following = np.zeros((len(PIECES), WIDTH), np.float32)
    for piece, after in AFTER.items():
        following[piece, after] = 1
    _save(
        folder / "decoder.onnx",
        [
            ("Slice", ["y", "one", "two", "one"], ["last"]),
            ("Gather", ["following", "last"], ["gathered"]),
            ("Squeeze", ["gathered", "one"], ["decoder_out"]),
        ],
        {"y": ["N", 2]},
        {"decoder_out": ["N", WIDTH]},
        {"following": following} | _numbers(),
        {"context_size": 2, "vocab_size": len(PIECES)},
        integers=("y",),
    )
    joined = np.zeros((WIDTH, len(PIECES)), np.float32)
    joined[0, 0] = -10
    for piece in range(2, len(PIECES)):
        joined[piece, piece] = 5
    _save(
        folder / "joiner.int8.onnx",
        [("Add", ["encoder_out", "decoder_out"], ["sum"]), ("MatMul", ["sum", "joined"], ["logit"])],
        {"encoder_out": ["N", WIDTH], "decoder_out": ["N", WIDTH]},
        {"logit": ["N", len(PIECES)]},
        {"joined": joined},
        {"joiner_dim": WIDTH},
    )
    (folder / "tokens.txt").write_text("".join(f"{piece} {i}\n" for i, piece in enumerate(pieces)), encoding="utf-8")
    return folder


def conformer_ctc(folder: Path) -> Path:
    """A CTC model for onnx-asr, of NeMo's shape: "yes" where a voice is louder than on average, "no" where it is
    not."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = ("▁yes", "▁no", "<blk>")
    weights = np.zeros((80, 3), np.float32)
    weights[:, 0], weights[:, 1] = 1 / 80, -1 / 80
    _save(
        folder / "model.onnx",
        [
            ("Transpose", ["audio_signal"], ["frames"], {"perm": [0, 2, 1]}),
            ("Slice", ["frames", "zero", "all", "one", "eight"], ["every_eighth"]),
            ("MatMul", ["every_eighth", "weights"], ["weighed"]),
            ("Add", ["weighed", "blank"], ["scores"]),
            ("LogSoftmax", ["scores"], ["logprobs"]),
            ("Identity", ["length"], ["same_length"]),
        ],
        {"audio_signal": ["N", 80, "T"], "length": ["N"]},
        {"logprobs": ["N", "T", 3], "same_length": ["N"]},
        {"weights": weights, "blank": np.array([0, 0, 0.3], np.float32)} | _numbers(),
        {},
        integers=("length", "same_length"),
    )
    (folder / "vocab.txt").write_text("".join(f"{piece} {i}\n" for i, piece in enumerate(pieces)), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "nemo-conformer-ctc", "features_size": 80}))
    return folder


def piper_voice(folder: Path, rate: int = 16000) -> Path:
    """A voice for Piper: 40 ms of a tone a phoneme, higher for higher numbers of phonemes."""
    folder.mkdir(parents=True, exist_ok=True)
    each = rate // 25
    at = np.arange(each, dtype=np.float32) / rate
    model = folder / "tiny.onnx"
    _save(
        model,
        [
            ("Cast", ["input"], ["numbers"], {"to": TensorProto.FLOAT}),
            ("Mul", ["numbers", "step"], ["hertz"]),
            ("Add", ["hertz", "lowest"], ["pitches"]),
            ("Unsqueeze", ["pitches", "two"], ["columns"]),
            ("MatMul", ["columns", "at"], ["phases"]),
            ("Sin", ["phases"], ["waves"]),
            ("Mul", ["waves", "shape"], ["shaped"]),
            ("Reshape", ["shaped", "flat"], ["output"]),
            ("Identity", ["input_lengths"], ["same_lengths"]),
            ("Identity", ["scales"], ["same_scales"]),
        ],
        {"input": ["N", "phonemes"], "input_lengths": ["N"], "scales": [3]},
        {"output": [1, 1, 1, "samples"], "same_lengths": ["N"], "same_scales": [3]},
        {
            "step": np.array(20, np.float32),
            "lowest": np.array(200, np.float32),
            "at": (2 * np.pi * at)[None, None, :].astype(np.float32),
            "shape": (0.4 * np.hanning(each))[None, None, :].astype(np.float32),
            "flat": np.array([1, 1, 1, -1]),
        }
        | _numbers(),
        {},
        integers=("input", "input_lengths", "same_lengths"),
    )
    phonemes = ["_", "^", "$", *" abcdefghijklmnopqrstuvwxyzäöüß0123456789.,!?'-"]
    config = {
        "audio": {"sample_rate": rate, "quality": "tiny"},
        "espeak": {"voice": "en-us"},
        "language": {"code": "en_US"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "text",
        "phoneme_id_map": {phoneme: [i] for i, phoneme in enumerate(phonemes)},
        "num_symbols": len(phonemes),
        "num_speakers": 1,
        "speaker_id_map": {},
    }
    model.with_name("tiny.onnx.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def vosk_folder(folder: Path) -> Path:
    """What a model of Vosk is known by. Only the stand-in of Vosk (STAND_INS) loads it: none that small can be made."""
    (folder / "am").mkdir(parents=True, exist_ok=True)
    (folder / "am" / "final.mdl").write_bytes(b"")
    return folder


def _numbers() -> dict[str, Any]:
    values = {"zero": 0, "one": 1, "two": 2, "eight": 8, "nine": 9, "all": 2**31}
    return {name: np.array([value]) for name, value in values.items()}


def _save(
    path: Path,
    nodes: Sequence[tuple[Any, ...]],
    inputs: Mapping[str, list[Any]],
    outputs: Mapping[str, list[Any]],
    constants: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    integers: Sequence[str] = (),
) -> None:
    def values(shapes: Mapping[str, list[Any]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ]

    used = {name for node in nodes for name in node[1]}
    graph = helper.make_graph(
        [helper.make_node(node[0], node[1], node[2], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "tiny",
        values(inputs),
        values(outputs),
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key: str(value) for key, value in about.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
