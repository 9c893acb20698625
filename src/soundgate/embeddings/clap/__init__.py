"""Embedder ``clap``: LAION's CLAP, audio and text, through the ``transformers`` library."""

from soundgate.embeddings.clap.embedder import ClapEmbedder, load
from soundgate.embeddings.clap.settings import Settings

__all__ = ["ClapEmbedder", "Settings", "load"]
