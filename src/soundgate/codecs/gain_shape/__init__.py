"""Codec ``gain_shape``: log band energies and normalised MDCT coefficients, in closed form."""

from soundgate.codecs.gain_shape.codec import GainShapeCodec, load
from soundgate.codecs.gain_shape.settings import Settings

__all__ = ["GainShapeCodec", "Settings", "load"]
