"""The vocoder's sound and that of controls beside the true one, as ViSQOL finds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from soundgate.audio.noisy import with_white_noise
from soundgate.judges.similarity import AUDIO_BANDS, SimilarityJudge
from soundgate.runtime.console import track
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.outside.passages import STAGE, Passage
from soundgate.tracks.editor.outside.settings import OutsideSettings
from soundgate.tracks.editor.vocoder.inverting import griffin_lim_unit
from soundgate.tracks.editor.vocoder.model import Vocoder, VocoderNetwork

VOCODER, UNTRAINED, GRIFFIN_LIM = "vocoder", "untrained", "griffin_lim"
IDENTITY, OTHER_PASSAGE = "identity", "other_passage"
NOISE, MORE_NOISE = "noise", "more_noise"
VISQOL, NSIM = "visqol", "visqol_nsim"
FIGURES = (VISQOL, NSIM)


class Heard(NamedTuple):
    """What the judge found.

    Args:
        table: ``recording``, ``group``, ``system``, ``visqol`` (MOS-LQO, 1 to 5) and ``visqol_nsim`` (0 to 1) by row.
        bands: float64 [n, 32], similarities of each row; NaN where nothing was heard.
    """

    table: pd.DataFrame
    bands: np.ndarray


def untrained_vocoder(vocoder: Vocoder, seed: int) -> Vocoder:
    """Return a vocoder of the same architecture with weights as drawn."""
    torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
    return Vocoder(VocoderNetwork(vocoder.network.settings, vocoder.network.features))


def listen(
    judge: SimilarityJudge, vocoder: Vocoder, passages: Sequence[Passage], settings: OutsideSettings, seed: int
) -> Heard:
    """Ask the judge about every passage and system.

    Systems: ``vocoder``, ``untrained`` (its architecture, weights as drawn) and ``griffin_lim``, each from the true
    frames; ``identity`` (upper end) and ``other_passage`` (real sound of another song, lower end); ``noise`` and
    ``more_noise``, the true sound with white noise, by which the judge's hearing is measured.

    Args:
        judge: see `SimilarityJudge`.
        vocoder: on the CPU.
        passages: see `draw_passages`; at the rate of the vocoder's frames.
        settings: see `OutsideSettings`.
        seed: of untrained weights.
    """
    features, untrained = Features(vocoder.network.features), untrained_vocoder(vocoder, seed)
    rows, bands = [], []
    for passage in track(passages, "outside judge"):
        for system, wav in _made(passage, vocoder, untrained, features, settings):
            found = _bands(judge, passage.truth, wav, features.settings.sample_rate)
            rows.append({
                "recording": passage.recording, "group": passage.group, "system": system,
                VISQOL: judge.rating(found), NSIM: float(found.mean()),
            })  # fmt: skip
            bands.append(found)
    return Heard(pd.DataFrame(rows), np.stack(bands))


def _bands(judge: SimilarityJudge, truth: np.ndarray, wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the similarities [32]; NaN where the corpus lacks the band that the judge listens to."""
    if sample_rate < judge.min_rate:
        return np.full(AUDIO_BANDS, np.nan)
    return judge.bands([truth], [wav], sample_rate)[0]


def _made(
    passage: Passage, vocoder: Vocoder, untrained: Vocoder, features: Features, settings: OutsideSettings
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each system's name and sound, float32 [T], as long as the truth."""
    unit = features(passage.truth)
    yield VOCODER, vocoder(unit)
    yield UNTRAINED, untrained(unit)
    yield GRIFFIN_LIM, griffin_lim_unit(features, unit, settings.griffin_lim_iterations)
    yield IDENTITY, passage.truth
    yield OTHER_PASSAGE, passage.other
    for system, snr_db in ((NOISE, settings.noise_db), (MORE_NOISE, settings.more_noise_db)):
        seed = keyed_seed(0, STAGE, f"noise {passage.recording}")
        yield system, with_white_noise(passage.truth, features.settings.sample_rate, snr_db, seed)
