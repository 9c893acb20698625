"""Is what a training is given what it is said to be? Figures of one batch, which need no trend."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from soundgate.runtime.arithmetic import square_root

_N_FFT = 1024
# Frames this far below a batch's loudest are silent, as a power.
_SILENT = 1e-6
# The share of the energy that lies below a sound's cut-off.
_BELOW = 0.995
# Samples this near to the largest are taken for cut off, and so many of them at least.
_AT_PEAK = 0.999
_MOST_ITEMS = 64
# Of a spectrum, to a band.
_BINS = 8


class Seen(NamedTuple):
    """What a step was computed from; what is not known is None.

    Args:
        sound: float [B, T].
        labels: int64 [B], of the items.
        features: float [B, ...], in which items of one label should lie nearer to one another than to others; None:
            the long-term spectrum of the sound.
        groups: int64 [B], of items that are compared with one another alone; None: all are.
        outputs: float [B, ...].
        targets: float [B, ...], what outputs should be, of the same shape.
    """

    sound: Tensor | None = None
    labels: Tensor | None = None
    features: Tensor | None = None
    groups: Tensor | None = None
    outputs: Tensor | None = None
    targets: Tensor | None = None


@torch.no_grad()
def figures_of(seen: Seen) -> dict[str, float]:
    """Measure a batch.

    Returns:
        Of sound ``silence`` (share of frames), ``mute`` (share of items with hardly a frame that is not silent),
        ``bandwidth`` (the frequency below which nearly all energy of the loudest frames lies, over half the sample
        rate), ``clipped`` (share of samples at the item's peak) and ``offset`` (mean over root mean square);
        ``spread``, variance of outputs between items over their variance at all; ``labels``, share of comparisons in
        which a pair of one label is nearer than a pair of two, one half by chance, and ``label_pairs``, pairs of one;
        ``targets``, share of comparisons in which an output is nearer to its own target than to another's.
    """
    figures: dict[str, float] = {}
    if seen.sound is not None:
        figures |= _of_sound(seen.sound.float()[:_MOST_ITEMS])
    if seen.labels is not None and (seen.features is not None or seen.sound is not None):
        figures |= _of_labels(seen)
    if seen.outputs is not None and len(seen.outputs) > 1:
        outputs = seen.outputs.float()[:_MOST_ITEMS].flatten(1)
        figures["spread"] = float(outputs.var(dim=0).mean() / outputs.var().clamp(min=1e-30))
    if seen.outputs is not None and seen.targets is not None:
        figures |= _of_targets(seen.outputs.float()[:_MOST_ITEMS].flatten(1), seen.targets[:_MOST_ITEMS].flatten(1))
    return figures


def _of_sound(sound: Tensor) -> dict[str, float]:
    if sound.shape[-1] < _N_FFT or not bool(sound.isfinite().all()):
        return {}
    frames = sound.unfold(-1, _N_FFT, _N_FFT)
    centred = frames - frames.mean(dim=-1, keepdim=True)
    power = centred.square().mean(dim=-1)
    silent = power < _SILENT * power.max().clamp(min=1e-20)
    peak = sound.abs().amax(dim=1, keepdim=True)
    clipped = ((sound.abs() > _AT_PEAK * peak) & (peak > 0)).float().mean()
    level = square_root(sound.square().mean(dim=1))
    audible = level > 0
    offset = (sound.mean(dim=1).abs() / level.clamp(min=1e-20))[audible]
    figures = {
        "silence": silent.float().mean(),
        "mute": (silent.float().mean(dim=1) > 0.9).float().mean(),
        "clipped": clipped,
    }
    figures |= {"offset": offset.mean()} if len(offset) else {}
    loud = centred.flatten(0, 1)[(power >= power.flatten().quantile(0.7)).flatten() & ~silent.flatten()]
    if len(loud):
        figures["bandwidth"] = _cut_off(loud)
    return {name: float(value) for name, value in figures.items()}


def _cut_off(frames: Tensor) -> Tensor:
    """Return the share of the band below which nearly all energy lies, by a spectrum whose slope is taken off."""
    spectrum = torch.fft.rfft(frames * torch.hann_window(_N_FFT, device=frames.device)).abs().square().mean(dim=0)
    # Speech falls by some 6 dB an octave: without the slope, what little there is at the top counts.
    flat = spectrum * torch.arange(len(spectrum), device=frames.device).square()
    total = flat.cumsum(0)
    return (total < _BELOW * total[-1]).float().mean()


def _long_term_spectrum(sound: Tensor) -> Tensor:
    """Return float [B, bands], logarithms without the level."""
    window = torch.hann_window(_N_FFT, device=sound.device)
    power = torch.stft(sound, _N_FFT, window=window, return_complex=True).abs().square().mean(dim=-1)
    logs = power[:, : _N_FFT // 2].unflatten(1, (-1, _BINS)).mean(dim=-1).clamp(min=1e-10).log()
    return logs - logs.mean(dim=1, keepdim=True)


def _of_labels(seen: Seen) -> dict[str, float]:
    labels = seen.labels[:_MOST_ITEMS]
    given = seen.features if seen.features is not None else _long_term_spectrum(seen.sound.float()[:_MOST_ITEMS])
    features = given[: len(labels)].float().flatten(1)
    distances = _squared_distances(features, features)
    one, other = torch.triu_indices(len(features), len(features), offset=1, device=features.device)
    if seen.groups is not None:
        compared = seen.groups[one] == seen.groups[other]
        one, other = one[compared], other[compared]
    same = labels[one] == labels[other]
    near, far = distances[one, other][same], distances[one, other][~same]
    if not len(near) or not len(far):
        return {}
    below = (near[:, None] < far).float() + 0.5 * (near[:, None] == far).float()
    return {"labels": float(below.mean()), "label_pairs": float(len(near))}


def _of_targets(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    if len(outputs) < 2:
        return {}
    distances = _squared_distances(outputs, targets.float())
    own = distances.diagonal()[:, None]
    others = ~torch.eye(len(outputs), dtype=torch.bool, device=outputs.device)
    below = (own < distances).float() + 0.5 * (own == distances).float()
    return {"targets": float(below[others].mean())}


def _squared_distances(rows: Tensor, others: Tensor) -> Tensor:
    """Return float [N, M] of two tables [N, D] and [M, D], in the memory of one table."""
    return torch.stack([(others - row).square().sum(dim=1) for row in rows])
