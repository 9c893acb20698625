"""The section of the vocoder."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.training.loop import LoopSettings


class NetworkSettings(Section):
    """The network.

    Args:
        width: channels.
        n_blocks: ConvNeXt blocks, each of which sees 3 frames more to either side.
    """

    width: int = Field(ge=8)
    n_blocks: int = Field(ge=1)


class VocoderWeights(Section):
    """Weights of the losses.

    Args:
        mel: mean distance of the log-mel frames, in the models' scale.
        stft: multi-resolution STFT loss.
    """

    mel: float = Field(ge=0)
    stft: float = Field(ge=0)


class ClosedFormSettings(Section):
    """The linear map that the vocoder is compared with; see `soundgate.tracks.editor.vocoder.closed_form.ClosedForm`.

    Args:
        context: frames to either side that a frame's magnitudes are told from.
        seconds: from the middle of each training recording.
        ridge: penalty of the weights' squares, for each frame; of the models' scale.
    """

    context: int = Field(ge=0)
    seconds: float = Field(gt=0)
    ridge: float = Field(gt=0)


class VocoderSettings(Section):
    """Section ``editor.vocoder``.

    Args:
        network: see `NetworkSettings`.
        loop: how long; items are recordings.
        crop_frames: frames of a crop of a recording.
        learning_rate: of AdamW.
        warm_up: steps until it is reached; then it falls by a half cosine.
        final_rate: share of it that is left at the end.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        weights: see `VocoderWeights`.
        n_evaluated: recordings of the validation split heard at each epoch's end.
        measured_s: seconds of each test recording that are measured, around its middle.
        audible_dbfs: quieter ones (mean power of these seconds, dB re full scale) are not measured.
        griffin_lim_iterations: of the methods it is compared with.
        closed_form: see `ClosedFormSettings`.
        n_bootstrap: resamples of each interval.
    """

    network: NetworkSettings
    loop: LoopSettings
    crop_frames: int = Field(ge=8)
    learning_rate: float = Field(gt=0)
    warm_up: int = Field(ge=0)
    final_rate: float = Field(ge=0, le=1)
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    weights: VocoderWeights
    n_evaluated: int = Field(ge=0)
    measured_s: float = Field(ge=0.5)
    audible_dbfs: float = Field(lt=0)
    griffin_lim_iterations: int = Field(ge=1)
    closed_form: ClosedFormSettings
    n_bootstrap: int = Field(ge=100)
