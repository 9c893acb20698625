"""float32 that is float32 on every device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


class _SharedSetting:
    """cuDNN's flags belong to the process: the first thread in sets them, the last one out puts them back."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_inside = 0
        self.stack = ExitStack()

    def enter(self) -> None:
        with self.lock:
            if self.n_inside == 0:
                flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                self.stack.enter_context(flags)
            self.n_inside += 1

    def leave(self) -> None:
        with self.lock:
            self.n_inside -= 1
            if self.n_inside == 0:
                self.stack.close()


_CUDNN = _SharedSetting()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Keep cuDNN from computing float32 convolutions in TF32, and from picking algorithms by timing.

    TF32 keeps 10 bits of mantissa and is PyTorch's default for convolutions: latents would depend on the GPU
    and on how utterances were batched. Autocast (bf16), when asked for by the caller, still applies.

    Args:
        device: where the computation runs; only CUDA needs anything done.
    """
    if device.type != "cuda":
        yield
        return
    _CUDNN.enter()
    try:
        yield
    finally:
        _CUDNN.leave()
