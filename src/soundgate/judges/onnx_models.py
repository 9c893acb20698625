"""ONNX models on one thread, and twins of them whose weights are shuffled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime

from soundgate.runtime.randomness import keyed_generator

# Field numbers of onnx.proto: ModelProto.graph, GraphProto.initializer, TensorProto.data_type and raw_data.
_GRAPH, _INITIALIZER, _DATA_TYPE, _RAW_DATA = 7, 5, 2, 9
_FLOAT = 1
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    """Return a session of a model that computes on one CPU thread, deterministically."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def shuffled(content: bytes, seed: int, name: str) -> bytes:
    """Return a model with the numbers inside each of its float32 initialisers in random order.

    Their distribution stays; what was learnt, and any transform that the model computes by fixed kernels, goes.

    Args:
        content: an ONNX file.
        seed: of the draws.
        name: what they are keyed by, beside the seed.

    Source: onnx.proto, encoded as protocol buffers; lengths stay, so that the bytes are changed in place.
    """
    changed = bytearray(content)
    generator = keyed_generator(seed, "judge-twin", name)
    for graph in _parts(content, _GRAPH, 0, len(content)):
        for tensor in _parts(content, _INITIALIZER, *graph):
            kind = [value for number, value in _fields(content, *tensor) if number == _DATA_TYPE]
            if kind != [_FLOAT]:
                continue
            for start, end in _parts(content, _RAW_DATA, *tensor):
                values = np.frombuffer(content, "<f4", (end - start) // 4, start)
                changed[start:end] = generator.permutation(values).tobytes()
    return bytes(changed)


def _parts(content: bytes, number: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the fields of bytes under a number lie."""
    return (value for own, value in _fields(content, start, end) if own == number and isinstance(value, tuple))


def _fields(content: bytes, start: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """Yield number and value of each field of a message: an integer, or where its bytes lie."""
    while start < end:
        key, start = _varint(content, start)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, start = _varint(content, start)
            yield number, value
            continue
        size = {_FIXED_64: 8, _FIXED_32: 4}.get(wire)
        if wire == _BYTES:
            size, start = _varint(content, start)
        yield number, (start, start + size)
        start += size


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
