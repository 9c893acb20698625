"""The codecs that the latent path can be trained through."""

from __future__ import annotations

from collections.abc import Mapping

from soundgate.codecs.base import Codec
from soundgate.codecs.registry import load_codec
from soundgate.runtime.errors import ConfigError


def load_differentiable(name: str, settings: Mapping) -> Codec:
    """Load a codec whose decoder passes gradients on, on the CPU.

    Args:
        name: one of ``transfer.codecs``.
        settings: its section of ``transfer.codec_settings``.

    Raises:
        ConfigError: no gradients pass through its decoder, or see `load_codec`.
        WeightsError: see `load_codec`.
    """
    codec = load_codec(name, settings)
    if not codec.differentiable:
        raise ConfigError(
            "transfer.codecs",
            expected="a codec that gradients pass through",
            found=f"{name}, which has none: the translator is trained through the decoder",
            remedy="Set transfer.codecs to [gain_shape], [encodec] or [mimi].",
        )
    return codec
