"""Lyra's residual vector quantiser in PyTorch, over many frames at once, from the codebooks of its file."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundgate.codecs.lyra.litert import make_interpreter
from soundgate.runtime.errors import WeightsError

N_CODEBOOKS, CODEBOOK_SIZE = 46, 16
_UNUSED = -1
# Frames whose distances to all entries are in memory at once: 16 MB at 64 dimensions.
_AT_ONCE = 4096


def read_codebooks(model: Tensor, name: str, dim: int) -> Tensor:
    """Read the codebooks out, one entry at a time, through the model's signature ``decode``.

    Args:
        model: uint8 [n], content of the quantiser's file.
        name: what an error is about.
        dim: D, of a frame.

    Returns:
        float32 [46, 16, D].

    Raises:
        ConfigError: LiteRT is not installed.
        WeightsError: the file is no model that LiteRT runs, or no quantiser.
    """
    interpreter = make_interpreter(model, name)
    if "decode" not in (signatures := interpreter.get_signature_list()):
        raise WeightsError(name, expected="a model with signature decode", found=f"signatures {list(signatures)}")
    decode = interpreter.get_signature_runner("decode")
    codebooks = np.empty((N_CODEBOOKS, CODEBOOK_SIZE, dim), np.float32)
    for stage, entry in np.ndindex(N_CODEBOOKS, CODEBOOK_SIZE):
        indices = np.full((N_CODEBOOKS, 1, 1), _UNUSED, np.int32)
        indices[stage] = entry
        codebooks[stage, entry] = decode(encoding_indices=indices)["output_0"].reshape(-1)
    return torch.from_numpy(codebooks)


def quantise(frames: Tensor, codebooks: Tensor) -> Tensor:
    """Find the nearest entry of each codebook to what the ones before it have left.

    Args:
        frames: float32 [N, D].
        codebooks: float32 [K, M, D].

    Returns:
        int64 [N, K].
    """
    return torch.cat([_quantise(part, codebooks) for part in frames.split(_AT_ONCE)])


def _quantise(frames: Tensor, codebooks: Tensor) -> Tensor:
    residual, codes = frames, []
    for codebook in codebooks:
        codes.append((residual[:, None] - codebook).square().sum(-1).argmin(-1))
        residual = residual - codebook[codes[-1]]
    return torch.stack(codes, dim=1)


def dequantise(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Sum the entries that codes name, in the order of the codebooks.

    Args:
        codes: int64 [N, K'], of the first K' ≤ K codebooks.
        codebooks: float32 [K, M, D].

    Returns:
        float32 [N, D].
    """
    frames = codebooks.new_zeros(len(codes), codebooks.shape[-1])
    for column, codebook in zip(codes.T, codebooks, strict=False):
        frames = frames + codebook[column]
    return frames
