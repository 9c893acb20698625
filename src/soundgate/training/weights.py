"""Trained models on disk: safetensors beside the JSON they are built from."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from soundgate.runtime.errors import WeightsError
from soundgate.runtime.files import atomic_path, read_json, write_json

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


def save_model(folder: str | Path, module: nn.Module, config: dict) -> None:
    """Write a module's tensors and what it was built from.

    Args:
        folder: made if missing.
        module: on any device.
        config: JSON values.
    """
    folder = Path(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_path(folder / MODEL_FILE) as temporary:
        temporary.write_bytes(save(tensors))
    write_json(folder / CONFIG_FILE, config)


def read_model(folder: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """Read what `save_model` wrote.

    Returns:
        The config, and the tensors by name, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    folder = Path(folder)
    try:
        return read_json(folder / CONFIG_FILE), load_file(folder / MODEL_FILE)
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(folder, expected=f"{MODEL_FILE} and {CONFIG_FILE}", found=str(error)) from error
