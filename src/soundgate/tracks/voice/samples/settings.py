"""The section of the samples."""

from __future__ import annotations

from pydantic import Field, model_validator

from soundgate.runtime.config import Section


class SamplesSettings(Section):
    """Section ``voice.samples``.

    Args:
        num_samples: source passages.
        n_long: how many of them are long-form.
        n_targets: voices that each passage is converted to, at most.
        n_enrolment: utterances that a voice is known from, at most.
        duration_s: seconds of a passage, at most.
        long_s: seconds of a long-form passage, of utterances of one speaker one after another, at least where the
            speaker has enough.
        window_s: of the windows whose similarity to the target shows whether a voice stays the same.
        loudness_lufs: of every file.
    """

    num_samples: int = Field(ge=1)
    n_long: int = Field(ge=0)
    n_targets: int = Field(ge=1)
    n_enrolment: int = Field(ge=1)
    duration_s: float = Field(gt=0.5)
    long_s: float = Field(ge=8)
    window_s: float = Field(ge=0.5)
    loudness_lufs: float = Field(le=0)

    @model_validator(mode="after")
    def _some_short(self) -> SamplesSettings:
        if self.n_long > self.num_samples:
            raise ValueError("n_long cannot exceed num_samples")
        return self
