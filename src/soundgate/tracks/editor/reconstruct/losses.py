"""What phase 1 minimises; padding counts nowhere."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from soundgate.tracks.editor.vocabulary import Label

# Frames and bands that are averaged into one.
_POOLINGS = ((1, 1), (4, 1), (1, 4), (8, 8))
_SMALLEST = 1e-6


def l1_loss(made: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean distance over frames that are no padding.

    Args:
        made: [B, T, M].
        target: [B, T, M].
        mask: bool [B, T].
    """
    return _masked_mean((made - target).abs(), mask)


def mse_loss(made: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared distance; see `l1_loss`."""
    return _masked_mean((made - target).square(), mask)


def multi_resolution_loss(made: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return spectral convergence plus mean distance, averaged over resolutions of time and frequency.

    Args:
        made: [B, T, M].
        target: [B, T, M].
        mask: bool [B, T].

    Source: Yamamoto et al. 2020, equations 4 to 6 (of waveforms).
    Differs: on spectrograms averaged over patches; the seed takes the STFT of a flattened spectrogram, which is no
        signal. That of waveforms is the vocoder's.
    """
    weight = mask[:, :, None].to(made.dtype).expand_as(made)
    total = made.new_zeros(())
    for pooling in _POOLINGS:
        counted, *values = (
            functional.avg_pool2d(part[:, None], pooling, ceil_mode=True)
            for part in (weight, made * weight, target * weight)
        )
        coarse, wanted = (value / counted.clamp(min=_SMALLEST) for value in values)
        used = (counted > 0).to(made.dtype)
        apart = (coarse - wanted) * used
        # No square root of 0, whose gradient is none.
        convergence = apart.norm().clamp(min=_SMALLEST) / (wanted * used).norm().clamp(min=_SMALLEST)
        total = total + convergence + apart.abs().sum() / used.sum().clamp(min=1)
    return total / len(_POOLINGS)


def consistency_loss(made: Tensor, raw: Tensor, frame_labels: Tensor) -> Tensor:
    """Return the mean distance to the raw recording over KEEP frames; 0 without any.

    Args:
        made: [B, T, M].
        raw: [B, T, M].
        frame_labels: int64 [B, T].

    Differs: the seed compares with the target, which other terms do already, and divides by all frames.
    """
    return _masked_mean((made - raw).abs(), frame_labels == Label.KEEP)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask[:, :, None]).sum() / (mask.sum().clamp(min=1) * values.shape[2])
