"""Settings of codec ``lyra``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from soundgate.runtime.pins import Commit, Sha256


class Hashes(BaseModel):
    """SHA-256 of each file of coefficients, under its name without ``.tflite``.

    Args:
        soundstream_encoder: waves to latents.
        quantizer: latents to codes and back.
        lyragan: latents to waves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    soundstream_encoder: Sha256 = "237da0b16226fb0a68d49551c81bebf614e42142af72764448359f68581e88f1"
    quantizer: Sha256 = "841ee05989687d32d1f616a8ad1419fc7eda37599d3c05c7cf5a0d60ccf8ac5c"
    lyragan: Sha256 = "50e7839cda4f30599a3a34cfaddcd9c98449b049eee884e1a74295780448ad06"


class Settings(BaseModel):
    """Settings of codec ``lyra``.

    Args:
        weights: ``"download"`` (the public repository google/lyra), or the path of a folder with its three files.
        address: folder of the public repository at a commit; ``{revision}`` stands for that. Ignored, like
            ``revision``, where weights are a folder.
        revision: commit of the repository.
        sha256: of the files, also of those in a folder: they are programs that another library runs.
        n_codebooks: K, of the quantiser's 46: 16, 30 and 46 are Lyra's 3.2, 6 and 9.2 kbit/s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(default="download", min_length=1)
    address: str = "https://raw.githubusercontent.com/google/lyra/{revision}/lyra/model_coeffs"
    revision: Commit = "47698dadf0010abff6a848e02642f55f806d4842"
    sha256: Hashes = Hashes()
    n_codebooks: Literal[16, 30, 46] = 46
