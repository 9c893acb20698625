"""A finished edit sent through mastering: what an edit's pair has in practice and a plain splice has not."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from soundgate.audio.filters import equaliser_sections, run_sections
from soundgate.runtime.config import Section


class RemasterSettings(Section):
    """How far mastering may go.

    Args:
        tone_db: each band of the equaliser is drawn from minus this to this.
        drive: highest ratio of the RMS to the saturation's level.
        noise_db: level of white noise relative to the RMS.
    """

    tone_db: float = Field(ge=0, le=12)
    drive: float = Field(gt=0, le=4)
    noise_db: float = Field(le=0)


def remaster(
    wav: np.ndarray, sample_rate: int, settings: RemasterSettings, generator: np.random.Generator
) -> np.ndarray:
    """Equalise, saturate, add noise and scale to a peak of 0.95.

    Args:
        wav: mono float32 [T], not all zero.
        sample_rate: above 10 kHz.
        settings: limits.
        generator: of the draws.

    Returns:
        float32 [T].
    """
    tone = generator.uniform(-settings.tone_db, settings.tone_db, 3)
    drive = generator.uniform(0.25, 1) * settings.drive
    equalised = run_sections(equaliser_sections(*tone, sample_rate), wav)
    level = float(np.sqrt(np.mean(np.square(equalised, dtype=np.float64))))
    driven = np.tanh(equalised * np.float32(drive / level))
    noise = generator.standard_normal(len(wav), np.float32)
    loudness = float(np.sqrt(np.mean(np.square(driven, dtype=np.float64))))
    noisy = driven + noise * np.float32(loudness * 10 ** (settings.noise_db / 20))
    return noisy * np.float32(0.95 / np.abs(noisy).max())
