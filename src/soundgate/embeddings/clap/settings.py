"""Settings of embedder ``clap``."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class Settings(Section):
    """Settings of embedder ``clap``.

    Args:
        weights: ``"hub"`` (laion/larger_clap_music_and_speech), ``"random"`` (tests: that architecture untrained,
            the same every time), or the path of a folder holding config.json, preprocessor_config.json and
            model.safetensors (or pytorch_model.bin); for text also tokenizer.json and tokenizer_config.json.
        revision: commit on the hub; a branch's name works too, but is a moving target. Ignored where weights are
            not from the hub.
    """

    weights: str = Field(default="hub", min_length=1)
    revision: str = Field(default="195c3a3e68faebb3e2088b9a79e79b43ddbda76b", min_length=1)
