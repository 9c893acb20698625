"""Which device PyTorch computes on; never a parameter, because it must not change what is being studied."""

from __future__ import annotations

import os

import torch

from soundgate.console import logger
from soundgate.errors import ConfigError


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
