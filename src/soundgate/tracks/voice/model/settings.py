"""The settings of the converter's networks."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class ContentSettings(Section):
    """What is kept of a spectrogram as its content.

    Args:
        n_cepstra: coefficients read of each frame's cosine transform over bands; few of them hold no harmonics.
        width: channels.
        n_blocks: ConvNeXt blocks.
        n_content: channels of the bottleneck.
        warp: largest share by which the bands are stretched or squeezed in training, drawn for each utterance, so that
            content does not depend on the length of a vocal tract; 0: never.
    """

    n_cepstra: int = Field(ge=4)
    width: int = Field(ge=8)
    n_blocks: int = Field(ge=1)
    n_content: int = Field(ge=1)
    warp: float = Field(ge=0, lt=0.5)


class DecoderSettings(Section):
    """What makes sound of content, pitch and voice.

    Args:
        width: channels.
        n_blocks: ConvNeXt blocks, the voice's FiLM in each.
        n_voice: channels of the projected voice.
    """

    width: int = Field(ge=8)
    n_blocks: int = Field(ge=1)
    n_voice: int = Field(ge=1)


class NetworkSettings(Section):
    """The converter.

    Args:
        content: see `ContentSettings`.
        decoder: see `DecoderSettings`.
    """

    content: ContentSettings
    decoder: DecoderSettings
