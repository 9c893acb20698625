"""Codec ``encodec``: Meta's EnCodec at 24 kHz through the ``encodec`` library; 128-D latents at 75 Hz."""

from soundgate.codecs.encodec.codec import EncodecCodec, load
from soundgate.codecs.encodec.settings import Settings

__all__ = ["EncodecCodec", "Settings", "load"]
