"""What equipment and furniture do to a room's sound: known filters, and their power response."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from soundgate.audio.filters import equaliser_sections, pass_sections


class Band(BaseModel):
    """A band-pass with 12 dB an octave on either side: a telephone, or an ordinary loudspeaker.

    Args:
        kind: ``band``.
        low_hz: -3 dB below.
        high_hz: -3 dB above.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["band"] = "band"
    low_hz: float = Field(gt=0)
    high_hz: float = Field(gt=0, lt=20_000)

    @model_validator(mode="after")
    def _ordered(self) -> Band:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz: {self.low_hz:g} is not below high_hz, {self.high_hz:g}")
        return self


class Equaliser(BaseModel):
    """A boom, a box or a dullness: gains below 250 Hz, around 1.5 kHz and above 5 kHz.

    Args:
        kind: ``equaliser``.
        low_db: of the low shelf.
        mid_db: of the peak.
        high_db: of the high shelf.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["equaliser"] = "equaliser"
    low_db: float = Field(default=0.0, ge=-30, le=30)
    mid_db: float = Field(default=0.0, ge=-30, le=30)
    high_db: float = Field(default=0.0, ge=-30, le=30)


class Comb(BaseModel):
    """One strong reflection, as from a desk under the microphone.

    Args:
        kind: ``comb``.
        delay_s: after the direct sound.
        gain: of the reflection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["comb"] = "comb"
    delay_s: float = Field(gt=0, le=0.02)
    gain: float = Field(ge=-0.95, le=0.95)


Colour = Annotated[Band | Equaliser | Comb, Field(discriminator="kind")]


def apply_colour(colour: Colour, wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return a signal float64 [T] filtered causally, from rest."""
    # Imported here and below: scipy.signal takes over a second to load, and a pool from a folder has no colours.
    from scipy.signal import lfilter, sosfilt

    if isinstance(colour, Comb):
        return lfilter(_taps(colour, sample_rate), [1.0], wav)
    return sosfilt(_sections(colour, sample_rate), wav)


def power_response(colour: Colour, frequency_hz: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the squared magnitude response, float64 [F], at frequencies [F] in Hz."""
    if isinstance(colour, Comb):
        delay_s = (len(_taps(colour, sample_rate)) - 1) / sample_rate
        return np.square(np.abs(1 + colour.gain * np.exp(-2j * np.pi * frequency_hz * delay_s)))
    from scipy.signal import sosfreqz

    return np.square(np.abs(sosfreqz(_sections(colour, sample_rate), frequency_hz, fs=sample_rate)[1]))


def _sections(colour: Band | Equaliser, sample_rate: int) -> np.ndarray:
    if isinstance(colour, Equaliser):
        return equaliser_sections(colour.low_db, colour.mid_db, colour.high_db, sample_rate)
    low, high = (("high", colour.low_hz), ("low", colour.high_hz))
    return np.concatenate([pass_sections(*low, sample_rate), pass_sections(*high, sample_rate)])


def _taps(colour: Comb, sample_rate: int) -> np.ndarray:
    taps = np.zeros(max(round(colour.delay_s * sample_rate), 1) + 1)
    taps[0], taps[-1] = 1.0, colour.gain
    return taps
