"""Settings of embedder ``clap``."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.runtime.pins import Commit, Sha256


class Settings(Section):
    """Settings of embedder ``clap``.

    Args:
        weights: ``"hub"`` (laion/larger_clap_music_and_speech), ``"random"`` (tests: that architecture untrained,
            the same every time), or the path of a folder holding config.json, preprocessor_config.json and
            model.safetensors (or pytorch_model.bin); for text also tokenizer.json and tokenizer_config.json.
        revision: commit on the hub. Ignored, like ``sha256``, where weights are not from there.
        sha256: of the file with the weights; null trusts the commit alone, with a warning.
    """

    weights: str = Field(default="hub", min_length=1)
    revision: Commit = "195c3a3e68faebb3e2088b9a79e79b43ddbda76b"
    sha256: Sha256 | None = "b73c5e596fda5b29b522a1ab3f0842977fe2b147bf8b78c2ec5f7ae6267038a1"
