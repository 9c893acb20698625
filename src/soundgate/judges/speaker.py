"""Who speaks: the GE2E speaker encoder whose weights come with Resemblyzer."""

from __future__ import annotations

import librosa
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.audio.snr import FRAME_S, active_frames, frame_energies
from soundgate.codecs.weights import fit_weights, keyed_random_state
from soundgate.judges.base import Card, Figure, Judge, Signals, Verdict, is_silent
from soundgate.judges.packaged import Packaged, packaged_tensors

DIM = 256
_WEIGHTS = Packaged(
    "resemblyzer", "resemblyzer/pretrained.pt", "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
)
_N_FFT, _HOP, _N_MELS = 400, 160, 40
_WINDOW_FRAMES = 160  # 1.6 s, as the encoder was trained
_WINDOWS_PER_S = 1.3
_LEAST_COVERAGE = 0.75
_LEAST_RMS = 10 ** (-30 / 20)
_LEAST_ACTIVE = 0.5


class SpeakerEncoder(nn.Module):
    """Three LSTM layers of 256 units over 40 mel powers, projected, rectified and brought to unit length.

    Source: Wan et al. 2018, "Generalized end-to-end loss for speaker verification".
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_N_MELS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, DIM)

    def forward(self, mels: Tensor) -> Tensor:
        """Return unit vectors [N, 256] of windows [N, 160, 40]."""
        _, (hidden, _) = self.lstm(mels)
        return functional.normalize(functional.relu(self.linear(hidden[-1])), dim=1)


class SpeakerJudge(Judge):
    """Compare voices by the cosine of their embeddings.

    Differs: the published front end cuts pauses out by WebRTC's voice activity detector; here windows that are active
        (within 40 dB of the loudest frame) for less than half of their length are left out, unless all are.
    """

    name = "speaker"
    sample_rate = 16_000
    min_rate = 8_000
    min_s = 0.8
    aligned = False
    pair_figures = (
        Figure(
            "speaker_similarity", "", 0, 1, "higher", "cosine of the two voices' embeddings; one speaker is near 0.85"
        ),
    )
    card = Card(
        package="Resemblyzer 0.1.4",
        licence="Apache-2.0",
        source="Wan et al. 2018 (GE2E); github.com/resemble-ai/Resemblyzer",
        trained_on="speaker verification on LibriSpeech-other, VoxCeleb1 and VoxCeleb2: read and interviewed English",
        never_ask="music, singing, several voices at once",
        serves=("voice",),
    )

    def __init__(self, network: SpeakerEncoder) -> None:
        self.network = network.requires_grad_(False).eval()

    def twin(self, seed: int) -> SpeakerJudge:
        """Return the encoder with PyTorch's initial weights."""
        with keyed_random_state(f"judge-speaker-{seed}"):
            return SpeakerJudge(SpeakerEncoder())

    def embed(self, wav: Signals, sample_rate: int) -> np.ndarray:
        """Return float32 unit vectors [B, 256] of signals, zeros for silence; see `Judge.score` for the rest."""
        return np.stack([self._embed(signal) for signal in self.signals("wav", wav, sample_rate)])

    def _compare(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        return Verdict({"speaker_similarity": float(cosine(self._embed(reference), self._embed(degraded)))})

    @torch.inference_mode()
    def _embed(self, wav: np.ndarray) -> np.ndarray:
        if is_silent(wav):
            return np.zeros(DIM, np.float32)
        windows = self._windows(wav * max(1.0, _LEAST_RMS / np.sqrt(np.mean(np.square(wav, dtype=np.float64)))))
        # One by one: the last bits of a product of matrices depend on how many there are.
        vectors = [self.network(torch.from_numpy(window[None])) for window in windows]
        return functional.normalize(torch.cat(vectors).mean(dim=0), dim=0).numpy()

    def _windows(self, wav: np.ndarray) -> list[np.ndarray]:
        """Return mel powers [160, 40] of windows of 1.6 s, 1.3 a second."""
        step = round(self.sample_rate / _WINDOWS_PER_S / _HOP)
        n_frames = -(-(len(wav) + 1) // _HOP)
        starts = list(range(0, max(1, n_frames - _WINDOW_FRAMES + step + 1), step))
        covered = (len(wav) / _HOP - starts[-1]) / _WINDOW_FRAMES
        if covered < _LEAST_COVERAGE and len(starts) > 1:
            starts.pop()
        padded = np.pad(wav, (0, max(0, (starts[-1] + _WINDOW_FRAMES) * _HOP - len(wav)))).astype(np.float32)
        mel = librosa.feature.melspectrogram(
            y=padded, sr=self.sample_rate, n_fft=_N_FFT, hop_length=_HOP, n_mels=_N_MELS
        ).T
        active = np.repeat(
            active_frames(frame_energies(padded, self.sample_rate)), round(FRAME_S * self.sample_rate) // _HOP
        )
        windows = [slice(start, start + _WINDOW_FRAMES) for start in starts]
        used = [window for window in windows if active[window].mean() >= _LEAST_ACTIVE] or windows
        return [np.ascontiguousarray(mel[window], np.float32) for window in used]


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosine of vectors [..., D]; 0 where one is all zero."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    cosines = np.divide((first * second).sum(axis=-1), norms, out=np.zeros_like(norms), where=norms > 0)
    return cosines.clip(-1, 1)


def load() -> SpeakerJudge:
    """Load the judge; see `soundgate.judges.registry.load_judge`."""
    network = SpeakerEncoder()
    weights = packaged_tensors(_WEIGHTS, "model_state")
    # Two more belong to the loss.
    fit_weights(network, {name: value for name, value in weights.items() if "similarity" not in name}, _WEIGHTS.path)
    return SpeakerJudge(network)
