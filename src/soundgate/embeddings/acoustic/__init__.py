"""Embedder ``acoustic``: spectrum, decay and onset of a room's answer to white noise, in closed form."""

from soundgate.embeddings.acoustic.embedder import AcousticEmbedder, load
from soundgate.embeddings.acoustic.settings import Settings

__all__ = ["AcousticEmbedder", "Settings", "load"]
