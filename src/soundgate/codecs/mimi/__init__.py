"""Codec ``mimi``: Kyutai's Mimi through the ``moshi`` library; 512-D latents at 12.5 Hz."""

from soundgate.codecs.mimi.codec import MimiCodec, load
from soundgate.codecs.mimi.settings import Settings

__all__ = ["MimiCodec", "Settings", "load"]
