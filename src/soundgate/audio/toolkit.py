"""Which degradations a clip gets: ranges from the configuration, draws from a keyed generator."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, field_validator, model_validator

from soundgate.audio.effects import COLOURS, EFFECTS, Effect
from soundgate.runtime.config import Section

MAINS_HZ = (50, 60)

Gain = Annotated[float, Field(ge=-60, le=60, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=-60, le=120, allow_inf_nan=False)]
Depth = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
Frequency = Annotated[float, Field(ge=10, le=192_000, allow_inf_nan=False)]
Bits = Annotated[int, Field(ge=2, le=24)]
Count = Annotated[int, Field(ge=0, le=len(EFFECTS))]


class ToolkitSettings(Section):
    """Ranges [low, high], both ends included, of everything that is drawn.

    ``n_effects`` counts the effects of a clip; ``clip_db`` is how far below the peak hard clipping sets in.
    """

    n_effects: tuple[Count, Count]
    snr_db: tuple[Ratio, Ratio]
    eq_gain_db: tuple[Gain, Gain]
    high_pass_hz: tuple[Frequency, Frequency]
    low_pass_hz: tuple[Frequency, Frequency]
    gain_db: tuple[Gain, Gain]
    bits: tuple[Bits, Bits]
    clip_db: tuple[Depth, Depth]

    @field_validator("*")
    @classmethod
    def _rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("[low, high] with low at most high")
        return value

    @model_validator(mode="after")
    def _leaves_a_band(self) -> ToolkitSettings:
        if self.high_pass_hz[1] >= self.low_pass_hz[0]:
            raise ValueError("high_pass_hz to end below the start of low_pass_hz, so that some band passes both")
        return self


def draw_effects(generator: np.random.Generator, settings: ToolkitSettings) -> list[Effect]:
    """Draw a clip's effects: how many, which (each at most once), in which order, and all their settings.

    Args:
        generator: the clip's own, from `soundgate.runtime.randomness.keyed_generator`.
        settings: the ranges; levels in dB are uniform, cutoffs uniform in octaves, bits and the count uniform
            over whole numbers, the noise's colour uniform over ``COLOURS``.

    Returns:
        The effects in the order to apply them.
    """
    count = _whole(generator, settings.n_effects)
    names = generator.permutation(len(EFFECTS))[:count]
    return [Effect(EFFECTS[i], _draw(EFFECTS[i], generator, settings)) for i in names]


def _draw(name: str, generator: np.random.Generator, settings: ToolkitSettings) -> dict[str, float | int | str]:
    match name:
        case "noise":
            return _draw_noise(generator, settings.snr_db)
        case "equaliser":
            return {key: _uniform(generator, settings.eq_gain_db) for key in ("low_db", "mid_db", "high_db")}
        case "high_pass":
            return {"cutoff_hz": _uniform_in_octaves(generator, settings.high_pass_hz)}
        case "low_pass":
            return {"cutoff_hz": _uniform_in_octaves(generator, settings.low_pass_hz)}
        case "gain":
            return {"gain_db": _uniform(generator, settings.gain_db)}
        case "bit_crush":
            return {"bits": _whole(generator, settings.bits)}
        case "hard_clip":
            return {"below_peak_db": _uniform(generator, settings.clip_db)}
    raise AssertionError(name)


def _draw_noise(generator: np.random.Generator, snr_db: tuple[float, float]) -> dict[str, float | int | str]:
    drawn = {
        "colour": COLOURS[generator.integers(len(COLOURS))],
        "snr_db": _uniform(generator, snr_db),
        "seed": int(generator.integers(2**53)),  # what every JSON reader holds exactly
    }
    if drawn["colour"] == "hum":
        drawn["mains_hz"] = MAINS_HZ[generator.integers(len(MAINS_HZ))]
    return drawn


def _uniform(generator: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(generator.uniform(*limits))


def _uniform_in_octaves(generator: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    return float(min(high, low * (high / low) ** generator.random()))


def _whole(generator: np.random.Generator, limits: tuple[int, int]) -> int:
    return int(generator.integers(limits[0], limits[1], endpoint=True))
