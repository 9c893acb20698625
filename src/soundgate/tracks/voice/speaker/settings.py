"""The section of the speaker encoder."""

from __future__ import annotations

from pydantic import Field

from soundgate.config import Section


class NetworkSettings(Section):
    """The network.

    Args:
        width: channels.
        dilations: of the residual blocks, in frames after the first layer, which halves them.
        dim: of the embedding.
        f_max_hz: upper edge of what it hears; below half the sample rate at the slowest speed of the training, so
            that a slowed copy of a speaker is not known by what it lacks.
    """

    width: int = Field(ge=8)
    dilations: list[int] = Field(min_length=1)
    dim: int = Field(ge=2)
    f_max_hz: float = Field(gt=1_000)
