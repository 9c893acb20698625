"""What frames are matched by: the project's own cepstra, or a layer of WavLM."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from transformers import WavLMModel

from soundgate.audio.io import resample
from soundgate.runtime.errors import WeightsError
from soundgate.tracks.voice.baselines.vocoder import FRAME_PERIOD_S, Analysis, Vocoder

# Of the own features: cepstra from the second on (the first is the level), frames apart, and those around it.
N_CEPSTRA, EVERY_FRAMES, _AROUND_FRAMES = 20, 2, (-10, -5, 0, 5, 10)
# Makes a voiced frame be matched with a voiced one.
_VOICED_WEIGHT = 3.0
WAVLM_RATE, WAVLM_HOP, WAVLM_LAYER = 16_000, 320, 6
_WAVLM_FEWEST_SAMPLES = 400


class Features(Protocol):
    """Something that frames are compared by.

    Args:
        weights: float32 [D], of the features once each speaker's have mean 0 and deviation 1; None: they are compared
            as they are.
        moves: whether they tell of the length of a throat, and so are taken of envelopes at the target's scale.
    """

    weights: np.ndarray | None
    moves: bool

    def __call__(self, wav: np.ndarray, analysis: Analysis) -> tuple[np.ndarray, np.ndarray]:
        """Return the frames of the analysis that the features belong to, int64 [N], and the features, float32 [N, D].

        Args:
            wav: float32 [T].
            analysis: of it.
        """


class Cepstra:
    """Cepstra of WORLD's envelope along mels, of a frame and of some around it, and whether it is voiced.

    Args:
        vocoder: that analysed.
    """

    moves = True

    def __init__(self, vocoder: Vocoder) -> None:
        self.vocoder = vocoder
        self.weights = np.append(np.ones(N_CEPSTRA * len(_AROUND_FRAMES)), _VOICED_WEIGHT).astype(np.float32)

    def __call__(self, wav: np.ndarray, analysis: Analysis) -> tuple[np.ndarray, np.ndarray]:
        """Return frames and features; see `Features`."""
        cepstra = self.vocoder.code(analysis.envelope)[:, 1 : 1 + N_CEPSTRA]
        rows = np.arange(0, len(cepstra), EVERY_FRAMES)
        around = [cepstra[np.clip(rows + step, 0, len(cepstra) - 1)] for step in _AROUND_FRAMES]
        return rows, np.column_stack([*around, analysis.f0[rows] > 0]).astype(np.float32)


class WavLM:
    """A layer of WavLM, a published model of speech that transformers reads.

    Args:
        folder: of its weights and configuration, as transformers writes them; nothing is downloaded.
        sample_rate: Hz, of what is heard; WavLM hears 16 kHz.
        layer: whose output is taken; 0 is what goes into the first one.

    Raises:
        WeightsError: no such folder, or something else in it.

    Source: Chen et al. 2022, WavLM; Baas, van Niekerk and Kamper 2023, "Voice conversion with just nearest neighbors"
        (layer 6).
    """

    weights, moves = None, False

    def __init__(self, folder: str | Path, sample_rate: int = WAVLM_RATE, layer: int = WAVLM_LAYER) -> None:
        try:
            model = WavLMModel.from_pretrained(Path(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsError(
                folder, expected="a folder with WavLM's config.json and weights", found=str(error).splitlines()[0]
            ) from error
        if model.config.num_hidden_layers < layer:
            raise WeightsError(
                folder, expected=f"{layer} layers or more", found=f"{model.config.num_hidden_layers} layers"
            )
        self.model, self.sample_rate, self.layer = model.eval().requires_grad_(False), sample_rate, layer

    @torch.inference_mode()
    def __call__(self, wav: np.ndarray, analysis: Analysis) -> tuple[np.ndarray, np.ndarray]:
        """Return frames and features; see `Features`."""
        heard = resample(wav, self.sample_rate, WAVLM_RATE)
        heard = np.pad(heard, (0, max(0, _WAVLM_FEWEST_SAMPLES - len(heard))))
        states = self.model(torch.from_numpy(heard)[None], output_hidden_states=True).hidden_states[self.layer][0]
        centres = np.arange(len(states)) * WAVLM_HOP + _WAVLM_FEWEST_SAMPLES // 2
        rows = centres // round(FRAME_PERIOD_S * WAVLM_RATE)
        return np.minimum(rows, len(analysis.f0) - 1), states.numpy()
