"""How near made sound is to the true one, for the vocoder, what needs no training, and controls."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor

from soundgate.evaluation.groups import group_mean
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.vocoder.closed_form import ClosedForm, magnitudes, wave_of
from soundgate.tracks.editor.vocoder.inverting import griffin_lim_unit, random_phase_unit
from soundgate.tracks.editor.vocoder.model import Vocoder
from soundgate.tracks.editor.vocoder.settings import VocoderSettings
from soundgate.tracks.editor.vocoder.waves import Waves

STAGE = "editor-vocoder"
FIGURES = ("spectral_convergence", "stft_loss", "mel_l1_db")
# What the vocoder must be nearer than, by these figures.
BASELINES, GATED = ("griffin_lim", "closed_form"), ("spectral_convergence", "stft_loss")
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
    """Measure on the audible recordings of the test split, from their own frames.

    Args:
        vocoder: trained.
        waves: all recordings.
        features: of the vocoder's frames.
        settings: see `VocoderSettings`.
        seed: of random phases and resampling.

    Returns:
        Method to figure to estimate over groups. Methods: ``vocoder``; the baselines ``griffin_lim`` and
        ``closed_form``; ``true_magnitudes``, Griffin-Lim of what no frames tell; the controls ``random_phase`` (the
        right spectrum with phases drawn) and ``other_recording`` (real sound, of another group). ``over``: by
        baseline and figure the logarithm of how many times lower the vocoder's is on the same recordings.
        ``n_recordings`` that were measured and ``n_inaudible`` that were not.

    Raises:
        CorpusError: nothing in the test split is audible.
    """
    rows = [int(row) for row in waves.rows("test")]
    audible = [row for row in rows if level_dbfs(_middle(waves, features, settings, row)) >= settings.audible_dbfs]
    if not audible:
        raise CorpusError(
            STAGE, expected=f"test recordings of at least {settings.audible_dbfs} dBFS in their middle", found="none",
            remedy="Lower editor.vocoder.audible_dbfs, or give other songs.",
        )  # fmt: skip
    closed_form = ClosedForm.fit(features, waves, settings.closed_form, settings.griffin_lim_iterations)
    table = pd.DataFrame([
        {"method": method, "row": row, "group": waves.table["group"][row]} | figures(features, made[None], truth[None])
        for row in audible
        for method, made, truth in _made(vocoder, closed_form, waves, features, settings, seed, row)
    ])  # fmt: skip
    return {
        method: {name: _estimate(own, name, seed, settings.n_bootstrap) for name in FIGURES}
        for method, own in table.groupby("method", sort=False)
    } | {
        "over": {
            baseline: {name: _lower_by(table, baseline, name, seed, settings.n_bootstrap) for name in GATED}
            for baseline in BASELINES
        },
        "n_recordings": len(audible),
        "n_inaudible": len(rows) - len(audible),
    }


def level_dbfs(wave: np.ndarray) -> float:
    """Return the mean power of float [T] in dB re full scale; minus infinity of digital silence."""
    power = float(np.mean(np.square(wave, dtype=np.float64))) if len(wave) else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf


def _lower_by(table: pd.DataFrame, baseline: str, name: str, seed: int, n_bootstrap: int) -> dict:
    wide = table.pivot(index="row", columns="method", values=name)
    over = pd.DataFrame({
        "method": f"over {baseline}", name: np.log(wide[baseline] / wide["vocoder"]),
        "group": table.drop_duplicates("row").set_index("row")["group"].loc[wide.index],
    })  # fmt: skip
    return _estimate(over, name, seed, n_bootstrap)


def _estimate(own: pd.DataFrame, name: str, seed: int, n_bootstrap: int) -> dict:
    generator = keyed_generator(seed, STAGE, f"bootstrap {own['method'].iloc[0]} {name}")
    return group_mean(own[name].to_numpy(), own["group"].to_numpy(), generator, n_bootstrap).as_dict()


def _middle(waves: Waves, features: Features, settings: VocoderSettings, row: int) -> np.ndarray:
    return waves.middle(row, round(settings.measured_s * features.settings.sample_rate))


def _made(
    vocoder: Vocoder,
    closed_form: ClosedForm,
    waves: Waves,
    features: Features,
    settings: VocoderSettings,
    seed: int,
    row: int,
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield method, made sound and truth, cut to whole hops."""
    truth = _middle(waves, features, settings, row)
    unit, n_iter = features(truth), settings.griffin_lim_iterations
    generator = keyed_generator(seed, STAGE, f"phases {waves.table['recording'][row]}")
    made = {
        "vocoder": vocoder(unit),
        "griffin_lim": griffin_lim_unit(features, unit, n_iter),
        "closed_form": closed_form(unit),
        "true_magnitudes": wave_of(features, magnitudes(features, truth), n_iter),
        "random_phase": random_phase_unit(features, unit, generator),
        "other_recording": _middle(waves, features, settings, _of_another_group(waves, row)),
    }
    for method, wave in made.items():
        length = min(len(wave), len(truth))
        yield method, torch.from_numpy(wave[:length]), torch.from_numpy(truth[:length])


def _of_another_group(waves: Waves, row: int) -> int:
    groups = waves.table["group"].to_numpy()
    others = np.flatnonzero(groups != groups[row])
    return int(others[np.searchsorted(others, row) % len(others)])
