"""Models as CTranslate2 stores them."""

from __future__ import annotations

import struct

import numpy as np
import torch
from torch import Tensor

_FLOAT16 = 4


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """Return the float16 tensors of a ``model.bin``, as float32 by name; settings and aliases are left out.

    Args:
        content: the file, its bytes held to a hash before.

    Source: CTranslate2, ``python/ctranslate2/specs/model_spec.py``, binary version 6: little-endian; each text by its
        length, ended by a zero byte.
    """
    place = 0

    def take(kind: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{kind}", content, place)
        place += struct.calcsize(kind)
        return value

    def text() -> str:
        nonlocal place
        length = take("H")
        place += length
        return content[place - length : place - 1].decode()

    take("I"), text(), take("I")  # Versions of format and architecture, and its name.
    tensors = {}
    for _ in range(take("I")):
        name, shape = text(), [take("I") for _ in range(take("B"))]
        kind, size = take("B"), take("I")
        if kind == _FLOAT16:
            values = np.frombuffer(content, "<f2", size // 2, place).astype(np.float32)
            tensors[name] = torch.from_numpy(values.reshape(shape))
        place += size
    return tensors
