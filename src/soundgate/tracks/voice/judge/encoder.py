"""The held-out judge of the speaker: other features, another network, another loss, other speakers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.config import parse_section
from soundgate.tracks.voice.features import FeatureSettings
from soundgate.tracks.voice.judge.cepstra import Cepstra
from soundgate.tracks.voice.judge.settings import EncoderSettings
from soundgate.training.weights import read_model, save_model


class JudgeEncoder(nn.Module):
    """Waveforms to embeddings by a recurrent network over linear-frequency cepstra, whatever their level.

    Args:
        settings: see `EncoderSettings`.
        features: the track's.

    Source: Wan, Wang, Papir and Lopez Moreno 2018, "Generalized end-to-end loss for speaker verification",
        section 2.1 (a recurrent network, a linear map, unit length).
    Differs: gated recurrent units for long short-term memory; the mean over time for the last frame.
    """

    def __init__(self, settings: EncoderSettings, features: FeatureSettings) -> None:
        super().__init__()
        self.settings, self.features = settings, features
        self.cepstra = Cepstra(settings.n_cepstra, settings.f_max_hz, features)
        self.first = nn.Sequential(nn.LayerNorm(settings.n_cepstra), nn.Linear(settings.n_cepstra, settings.width))
        self.over_time = nn.GRU(settings.width, settings.width, batch_first=True)
        self.head = nn.Linear(settings.width, settings.dim)

    def forward(self, wav: Tensor) -> Tensor:
        """Return unit vectors [B, dim] from float32 [B, T] at the features' rate; differentiable."""
        return self.embed(self.cepstra.spectrum(wav))

    def embed(self, spectrum: Tensor) -> Tensor:
        """Return unit vectors [B, dim] from log magnitudes [B, bins, L]."""
        hidden = functional.relu(self.first(self.cepstra(spectrum).mT))
        # Every second frame: half the steps, and windows overlap enough.
        hidden, _ = self.over_time(functional.avg_pool1d(hidden.mT, 2, ceil_mode=True).mT)
        return functional.normalize(self.head(hidden.mean(dim=1)), dim=-1)


class EndToEnd(nn.Module):
    """Each embedding is to be nearer to the mean of its speaker's others than to the means of other speakers.

    Source: Wan et al. 2018, eq. 5, 6, 8 and 9.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.offset = nn.Parameter(torch.tensor(-5.0))

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and the share that is classified right.

        Args:
            embeddings: unit vectors [P, K, D] of P speakers, K > 1 utterances each.
        """
        n_speakers, n_own, _ = embeddings.shape
        total = embeddings.sum(dim=1, keepdim=True)
        others = functional.normalize(total - embeddings, dim=-1)
        cosines = torch.einsum("pkd,qd->pkq", embeddings, functional.normalize(total[:, 0], dim=-1))
        own = torch.eye(n_speakers, dtype=torch.bool, device=embeddings.device)[:, None].expand_as(cosines)
        exclusive = (embeddings * others).sum(dim=-1, keepdim=True)
        logits = self.scale.clamp(min=1e-3) * torch.where(own, exclusive, cosines) + self.offset
        speakers = torch.arange(n_speakers, device=embeddings.device).repeat_interleave(n_own)
        logits = logits.flatten(0, 1)
        return functional.cross_entropy(logits, speakers), (logits.argmax(dim=1) == speakers).float().mean()


def save_judge(folder: str | Path, model: JudgeEncoder) -> None:
    """Write the weights, and the settings of network and features."""
    save_model(folder, model, {"network": model.settings.model_dump(), "features": model.features.model_dump()})


def load_judge(folder: str | Path) -> JudgeEncoder:
    """Read what `save_judge` wrote, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
        ConfigError: the settings in it are not such of a judge.
    """
    config, tensors = read_model(folder)
    model = JudgeEncoder(
        parse_section("network", config["network"], EncoderSettings),
        parse_section("features", config["features"], FeatureSettings),
    )
    model.load_state_dict(tensors)
    return model.eval()
