"""Codec ``lyra``: Google's Lyra v2 by its published coefficients; 64-D latents at 50 Hz of speech at 16 kHz."""

from soundgate.codecs.lyra.codec import LyraCodec, load
from soundgate.codecs.lyra.settings import Settings

__all__ = ["LyraCodec", "Settings", "load"]
