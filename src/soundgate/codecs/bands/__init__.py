"""Codec ``bands``: log band energies, in closed form; decoded as noise of these energies."""

from soundgate.codecs.bands.codec import BandsCodec, load
from soundgate.codecs.bands.settings import Settings

__all__ = ["BandsCodec", "Settings", "load"]
