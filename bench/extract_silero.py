"""Write the 8 kHz weights of Silero VAD out of the ONNX file of the `silero-vad` wheel.

    python bench/extract_silero.py [out.npz]

Reads `silero_vad.onnx` without importing the package (that would import torch) and without the `onnx` package: an ONNX
file is protobuf, and the four messages that lead to a tensor are read here field by field.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Fields = Iterator[tuple[int, int | bytes]]
Tensor = npt.NDArray[np.float32]

NAMES = {
    "stft.forward_basis_buffer": "stft",
    "encoder.0.reparam_conv.weight": "conv1.weight",
    "encoder.0.reparam_conv.bias": "conv1.bias",
    "encoder.1.reparam_conv.weight": "conv2.weight",
    "encoder.1.reparam_conv.bias": "conv2.bias",
    "encoder.2.reparam_conv.weight": "conv3.weight",
    "encoder.2.reparam_conv.bias": "conv3.bias",
    "encoder.3.reparam_conv.weight": "conv4.weight",
    "encoder.3.reparam_conv.bias": "conv4.bias",
    "decoder.rnn.weight_ih": "lstm.input.weight",
    "decoder.rnn.weight_hh": "lstm.hidden.weight",
    "decoder.rnn.bias_ih": "lstm.input.bias",
    "decoder.rnn.bias_hh": "lstm.hidden.bias",
    "decoder.decoder.2.weight": "out.weight",
    "decoder.decoder.2.bias": "out.bias",
}


def model_path() -> Path:
    """Where the wheel keeps its ONNX file."""
    found = importlib.util.find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("silero-vad is not installed. Remedy: pip install --no-deps silero-vad==6.2.3")
    return Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"


def varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(message: bytes) -> Fields:
    """The fields of one protobuf message: number and value (bytes for everything with a length)."""
    data, at = memoryview(message), 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = varint(data, at)
            yield number, value
        else:
            size = {1: 8, 5: 4}.get(wire_type)
            if size is None:
                size, at = varint(data, at)
            yield number, bytes(data[at : at + size])
            at += size


def packed(value: int | bytes) -> list[int]:
    """A repeated integer, packed or not."""
    if isinstance(value, int):
        return [value]
    numbers, at, data = [], 0, memoryview(value)
    while at < len(data):
        number, at = varint(data, at)
        numbers.append(number)
    return numbers


def tensor(message: bytes, name: str) -> Iterator[tuple[str, Tensor]]:
    """A TensorProto (dims 1, data_type 2, name 8, raw_data 9), when it holds float32."""
    shape: list[int] = []
    data_type, raw = 0, b""
    for number, value in fields(message):
        if number == 1:
            shape += packed(value)
        elif number == 2 and isinstance(value, int):
            data_type = value
        elif number == 8 and isinstance(value, bytes):
            name = value.decode()
        elif number == 9 and isinstance(value, bytes):
            raw = value
    if data_type == 1 and raw:
        yield name, np.frombuffer(raw, "<f4").reshape(shape)


def tensors(graph: bytes) -> Iterator[tuple[str, Tensor]]:
    """Every float tensor of a GraphProto (node 1, initializer 5) and of the graphs inside it."""
    for number, value in fields(graph):
        if not isinstance(value, bytes):
            continue
        if number == 5:
            yield from tensor(value, "")
        elif number == 1:
            yield from tensors_of_node(value)


def tensors_of_node(node: bytes) -> Iterator[tuple[str, Tensor]]:
    """A NodeProto's (output 2, attribute 5) constants and inner graphs (AttributeProto: t 5, g 6)."""
    output = ""
    for number, value in fields(node):
        if not isinstance(value, bytes):
            continue
        if number == 2:
            output = value.decode()
        elif number == 5:
            for inner, part in fields(value):
                if inner == 5 and isinstance(part, bytes):
                    yield from tensor(part, output)
                elif inner == 6 and isinstance(part, bytes):
                    yield from tensors(part)


def weights_of_8k(graph: bytes) -> dict[str, Tensor]:
    """The file holds one model a rate, in two branches with the same names; that of 8 kHz has the STFT of 128."""
    branch: dict[str, Tensor] = {}
    for name, values in tensors(graph):
        if name == "stft.forward_basis_buffer":
            branch = {}
        branch[name] = values
        if len(NAMES.keys() & branch.keys()) == len(NAMES) and branch["stft.forward_basis_buffer"].shape == (
            130,
            1,
            128,
        ):
            return {ours: branch[theirs] for theirs, ours in NAMES.items()}
    raise SystemExit("No 8 kHz weights in this file. Remedy: use silero-vad 6.2.3")


def main() -> None:
    home = Path(__file__).parents[1] / "src/offhook/media/weights"
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else home / "silero_vad_8k.npz"
    graph = next(value for number, value in fields(model_path().read_bytes()) if number == 7)
    assert isinstance(graph, bytes)
    weights = weights_of_8k(graph)
    with out.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **weights)
    for name, values in weights.items():
        print(f"{name:20} {values.shape}")
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
