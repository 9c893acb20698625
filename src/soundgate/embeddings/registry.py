"""Embedders by name; each lives in a folder of its own and is imported only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from soundgate.embeddings.base import AudioEmbedder
from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import ConfigError

EMBEDDER_NAMES = ("acoustic", "clap")


def load_embedder(name: str, settings: Mapping) -> AudioEmbedder:
    """Load an embedder; one that is a network goes to the device `soundgate.runtime.device` names.

    Args:
        name: one of ``EMBEDDER_NAMES``.
        settings: the embedder's own settings (its ``Settings`` model); missing ones take their defaults.

    Returns:
        The embedder.

    Raises:
        ConfigError: an unknown embedder or setting, or a value out of range.
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.
    """
    if name not in EMBEDDER_NAMES:
        raise ConfigError("embedder", expected=f"one of {', '.join(EMBEDDER_NAMES)}", found=repr(name))
    package = importlib.import_module(f"soundgate.embeddings.{name}")
    return package.load(parse_section(f"embedder.{name}", dict(settings), package.Settings))
