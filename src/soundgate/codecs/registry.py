"""Codecs by name; each lives in a folder of its own and is imported only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from soundgate.codecs.base import Codec
from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import ConfigError

CODEC_NAMES = ("bands", "gain_shape", "mimi", "encodec", "lyra")


def load_codec(name: str, settings: Mapping) -> Codec:
    """Load a codec, frozen and in evaluation mode, on the CPU.

    Args:
        name: one of ``CODEC_NAMES``.
        settings: the codec's own settings (its ``Settings`` model); missing ones take their defaults.

    Returns:
        The codec; move it with ``.to(device)``.

    Raises:
        ConfigError: an unknown codec or setting, or a value out of range.
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.
    """
    if name not in CODEC_NAMES:
        raise ConfigError("codec", expected=f"one of {', '.join(CODEC_NAMES)}", found=repr(name))
    package = importlib.import_module(f"soundgate.codecs.{name}")
    checked = parse_section(f"codec.{name}", dict(settings), package.Settings)
    return package.load(checked).requires_grad_(False).eval()
