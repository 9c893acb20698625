"""Which weights made a sample."""

from __future__ import annotations

import hashlib

from torch import nn

_DIGITS = 16


def weights_hash(module: nn.Module) -> str:
    """Return a hash of a module's tensors, their names and their shapes; the same on every device.

    Returns:
        16 hexadecimal digits of SHA-256.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:_DIGITS]
