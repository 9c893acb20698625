"""Which device PyTorch computes on; never a parameter, because it must not change what is being studied."""

from __future__ import annotations

import ctypes
import os

import torch

from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def torch_device() -> torch.device:
    """Return and log the device: ``SOUNDGATE_DEVICE`` (``cpu``, ``cuda``, ``cuda:1``, ``mps``), else the best here.

    Raises:
        ConfigError: the device named does not exist on this machine.
    """
    name = os.environ.get("SOUNDGATE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            "SOUNDGATE_DEVICE", expected="a device PyTorch can use here", found=f"{name!r} ({reason})"
        ) from error
    label = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    logger.info("Device: %s (%s)", device, label)
    return device


def keep_freed_memory() -> None:
    """Let glibc's allocator reuse freed memory for the rest of the process instead of giving it back.

    By default the activations of a network, tens of MB each, are mapped afresh from the system at every
    operation and their pages cleared: a fifth of the time of a codec's encoder on a CPU. Other allocators
    (musl's, macOS's) are left alone.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
