"""The section of the outside judge."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class OutsideThresholds(Section):
    """What the gates demand, in points of DNSMOS' overall rating.

    Args:
        gain: by which noisy recordings are rated higher once sterilised, at least.
        loss: by which clean recordings are rated lower once sterilised, at most.
    """

    gain: float = Field(gt=0)
    loss: float = Field(gt=0)


class OutsideSettings(Section):
    """Section ``rooms.outside``.

    Args:
        seed: of the choice of recordings.
        n_noisy: noisy recordings that are judged, of as many speakers as there are; each costs 2.5 s.
        n_clean: likewise of those without noise; each costs 2 s.
        noisy_below_db: signal-to-noise ratio below which a recording is noisy: the true one where it is known.
        speech_s: that are judged of a recording, at most.
        margin_s: of the recording as it was that are judged on either side of that, at most.
        noise_db: signal-to-noise ratio of the noise that the judge must notice.
        thresholds: see `OutsideThresholds`.
        n_bootstrap: resamples of each interval.
    """

    seed: int = Field(ge=0)
    n_noisy: int = Field(ge=1)
    n_clean: int = Field(ge=1)
    noisy_below_db: float
    speech_s: float = Field(ge=1, le=9)
    margin_s: float = Field(ge=0)
    noise_db: float
    thresholds: OutsideThresholds
    n_bootstrap: int = Field(ge=100)
