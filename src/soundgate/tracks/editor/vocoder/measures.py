"""How near made sound is to the true one, for the vocoder, Griffin-Lim and controls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor

from soundgate.evaluation.groups import group_mean
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.vocoder.inverting import griffin_lim_unit, random_phase_unit
from soundgate.tracks.editor.vocoder.model import Vocoder
from soundgate.tracks.editor.vocoder.settings import VocoderSettings
from soundgate.tracks.editor.vocoder.waves import Waves

STAGE = "editor-vocoder"
FIGURES = ("spectral_convergence", "stft_loss", "mel_l1_db")
_SIZES = (512, 1024, 2048)


def stft_loss() -> MultiResolutionSTFTLoss:
    """Return the multi-resolution STFT loss of the training: at three sizes, hops of a quarter.

    Source: Yamamoto et al. 2020, Parallel WaveGAN, eq. 4 to 6 (auraloss).
    """
    return MultiResolutionSTFTLoss(_SIZES, [size // 4 for size in _SIZES], _SIZES, output="full")


def figures(features: Features, made: Tensor, truth: Tensor) -> dict[str, float]:
    """Return what made sound is measured by.

    Args:
        features: whose frames are compared.
        made: float32 [B, T].
        truth: float32 [B, T].

    Returns:
        ``spectral_convergence`` (relative error of the magnitudes, mean of three resolutions), ``stft_loss`` (that
        plus the distance of log magnitudes, nepers), ``mel_l1_db`` (mean distance of the frames, dB).
    """
    loss, convergence, *_ = stft_loss()(made[:, None], truth[:, None])
    distance = (features.of_batch(made) - features.of_batch(truth)).abs().mean() * features.settings.range_db
    values = torch.stack([torch.stack(convergence).mean(), loss, distance])
    return dict(zip(FIGURES, values.tolist(), strict=True))


def measure_vocoder(vocoder: Vocoder, waves: Waves, features: Features, settings: VocoderSettings, seed: int) -> dict:
    """Measure on recordings of the test split, from their own frames.

    Args:
        vocoder: trained.
        waves: all recordings.
        features: of the vocoder's frames.
        settings: see `VocoderSettings`.
        seed: of random phases and resampling.

    Returns:
        Method to figure to estimate over groups. Methods: ``vocoder``; ``griffin_lim``; the controls
        ``random_phase`` (the right spectrum with phases drawn) and ``other_recording`` (real sound, of another group).
        ``over_griffin_lim``: the logarithm of how many times lower the vocoder's spectral convergence is on the same
        recordings; of a ratio, because that of near silence is large whatever is done.
    """
    rows = [
        {"method": method, "row": row, "group": waves.table["group"][row]} | figures(features, made[None], truth[None])
        for row in waves.rows("test")
        for method, made, truth in _made(vocoder, waves, features, settings, seed, int(row))
    ]
    table = pd.DataFrame(rows)
    wide = table.pivot(index="row", columns="method", values="spectral_convergence")
    over = pd.DataFrame({
        "method": "over_griffin_lim", "lower_by": np.log(wide["griffin_lim"] / wide["vocoder"]),
        "group": waves.table["group"][wide.index],
    })  # fmt: skip
    return {
        method: {name: _estimate(own, name, seed, settings.n_bootstrap) for name in FIGURES}
        for method, own in table.groupby("method", sort=False)
    } | {
        "over_griffin_lim": _estimate(over, "lower_by", seed, settings.n_bootstrap),
        "n_recordings": len(waves.rows("test")),
    }


def _estimate(own: pd.DataFrame, name: str, seed: int, n_bootstrap: int) -> dict:
    generator = keyed_generator(seed, STAGE, f"bootstrap {own['method'].iloc[0]} {name}")
    return group_mean(own[name].to_numpy(), own["group"].to_numpy(), generator, n_bootstrap).as_dict()


def _made(
    vocoder: Vocoder, waves: Waves, features: Features, settings: VocoderSettings, seed: int, row: int
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield method, made sound and truth, cut to whole hops."""
    n_samples = round(settings.measured_s * features.settings.sample_rate)
    truth = waves.middle(row, n_samples)
    unit = features(truth)
    generator = keyed_generator(seed, STAGE, f"phases {waves.table['recording'][row]}")
    made = {
        "vocoder": vocoder(unit),
        "griffin_lim": griffin_lim_unit(features, unit, settings.griffin_lim_iterations),
        "random_phase": random_phase_unit(features, unit, generator),
        "other_recording": waves.middle(_of_another_group(waves, row), n_samples),
    }
    for method, wave in made.items():
        length = min(len(wave), len(truth))
        yield method, torch.from_numpy(wave[:length]), torch.from_numpy(truth[:length])


def _of_another_group(waves: Waves, row: int) -> int:
    groups = waves.table["group"].to_numpy()
    others = np.flatnonzero(groups != groups[row])
    return int(others[np.searchsorted(others, row) % len(others)])
