"""The models of phase 1; here that which makes every frame: an encoder of frames with labels, a decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional

from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.reconstruct.attention import Transformer
from soundgate.tracks.editor.reconstruct.renderer import LearnedRenderer
from soundgate.tracks.editor.reconstruct.settings import Form, NetworkSettings, RendererSettings
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import beat_numbers, beat_windows, own_parts
from soundgate.training.weights import read_model, save_model

# A gate's bias at first: open for most of the recording, and still where it learns.
_GATE_BIAS = 2.0


class EditEncoder(nn.Module):
    """Raw frames and labels to tokens.

    Args:
        settings: see `NetworkSettings`.
        n_mels: bands.

    Source: the seed's EditEncoder.
    Differs: ``patch`` frames with their labels are one token; positions are learned (the seed's 29.9 M parameters
        are reached with learned ones only).
    """

    def __init__(self, settings: NetworkSettings, n_mels: int) -> None:
        super().__init__()
        self.settings = settings
        per_frame = settings.label_dim + (2 if settings.run_position else 0)
        self.frames = nn.Linear(settings.patch * n_mels, settings.dim)
        self.labels = nn.Embedding(len(Label), settings.label_dim)
        self.joined = nn.Linear(settings.dim + settings.patch * per_frame, settings.dim)
        self.positions = nn.Parameter(0.02 * torch.randn(settings.n_frames // settings.patch, settings.dim))
        self.layers = Transformer(settings.n_encoder_layers, settings.dim, settings.n_heads, settings.dropout)

    def forward(self, raw: Tensor, frame_labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens [B, L, dim] and which are no padding, bool [B, L].

        Args:
            raw: [B, L · patch, n_mels].
            frame_labels: int64 [B, L · patch].
        """
        size, n_tokens = len(raw), raw.shape[1] // self.settings.patch
        said = self.labels(frame_labels)
        if self.settings.run_position:
            said = torch.cat([said, run_positions(frame_labels)], dim=2)
        tokens = self.frames(raw.reshape(size, n_tokens, -1))
        tokens = self.joined(torch.cat([tokens, said.reshape(size, n_tokens, -1)], dim=2))
        mask = (frame_labels != Label.PAD).reshape(size, n_tokens, -1).any(dim=2)
        return self.layers(tokens + self.positions[:n_tokens], mask), mask


class MelDecoder(nn.Module):
    """Tokens to what is added to the raw frames, and for a gate also what they are multiplied by.

    Args:
        settings: see `NetworkSettings`.
        n_mels: bands.

    Source: the seed's MelDecoder, whose residual is ``scalar``.
    Differs: ``gate``, since one factor cannot both leave KEEP as it is and take CUT to the floor.
    """

    def __init__(self, settings: NetworkSettings, n_mels: int) -> None:
        super().__init__()
        self.gated = settings.residual == "gate"
        self.layers = Transformer(settings.n_decoder_layers, settings.dim, settings.n_heads, settings.dropout)
        self.head = nn.Linear(settings.dim, settings.patch * n_mels * (2 if self.gated else 1))
        if self.gated:
            nn.init.zeros_(self.head.weight)
        else:
            self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, tokens: Tensor, mask: Tensor, raw: Tensor) -> Tensor:
        """Return [B, T, n_mels].

        Args:
            tokens: [B, L, dim].
            mask: bool [B, L].
            raw: [B, T, n_mels], T = L · patch.
        """
        made = self.head(self.layers(tokens, mask)).reshape(*raw.shape[:2], -1)
        if not self.gated:
            return made + self.alpha * raw
        added, gate = made.chunk(2, dim=2)
        return (functional.hardsigmoid(gate + _GATE_BIAS) * raw + added).clamp(min=0)


class ReconstructionModel(nn.Module):
    """What an edit makes of a raw recording, on its own timeline.

    Args:
        settings: see `NetworkSettings`.
        features: what its spectrograms are made with.
    """

    def __init__(self, settings: NetworkSettings, features: FeatureSettings) -> None:
        super().__init__()
        self.settings, self.features = settings, features
        self.encoder = EditEncoder(settings, features.n_mels)
        self.decoder = MelDecoder(settings, features.n_mels)

    def forward(self, raw: Tensor, frame_labels: Tensor) -> Tensor:
        """Return edited frames, float [B, T, n_mels]; those of padding mean nothing.

        Args:
            raw: float32 [B, T, n_mels] in [0, 1], T at most ``settings.n_frames``.
            frame_labels: int64 [B, T], values of `Label`; PAD is padding.
        """
        n_frames = raw.shape[1]
        missing = -n_frames % self.settings.patch
        padded = functional.pad(raw, (0, 0, 0, missing))
        tokens, mask = self.encoder(padded, functional.pad(frame_labels, (0, missing), value=Label.PAD))
        return self.decoder(tokens, mask, padded)[:, :n_frames]

    def set_checkpointing(self, on: bool) -> None:
        """Compute activations again going back instead of keeping them; the results are the same."""
        self.encoder.layers.checkpointing = self.decoder.layers.checkpointing = on


def run_positions(labels: Tensor) -> Tensor:
    """Return where in its run of equal labels each frame is, 0 to 1, and the run's length, in 100 frames.

    Args:
        labels: int64 [B, T].

    Returns:
        float32 [B, T, 2].
    """
    number = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
    changes = labels.diff(dim=1) != 0
    edge = torch.ones_like(changes[:, :1]) if labels.shape[1] > 1 else torch.ones_like(labels, dtype=torch.bool)
    begins, ends = torch.cat([edge, changes], dim=1), torch.cat([changes, edge], dim=1)
    start = torch.where(begins, number, 0).cummax(dim=1).values
    last = torch.where(ends, number, labels.shape[1]).flip(1).cummin(dim=1).values.flip(1)
    length = (last - start + 1).float()
    return torch.stack([(number - start + 0.5) / length, length / 100], dim=2)


Reconstruction = LearnedRenderer | ReconstructionModel


def build_reconstruction(settings: RendererSettings | NetworkSettings, features: FeatureSettings) -> Reconstruction:
    """Return the untrained model that settings describe."""
    kind = LearnedRenderer if isinstance(settings, RendererSettings) else ReconstructionModel
    return kind(settings, features)


def save_reconstruction(folder: str | Path, model: Reconstruction) -> None:
    """Write a model where `load_reconstruction` finds it."""
    config = {"network": model.settings.model_dump(mode="json"), "features": model.features.model_dump(mode="json")}
    save_model(folder, model, config)


def load_reconstruction(folder: str | Path) -> Reconstruction:
    """Load a trained model, frozen and in evaluation mode, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    config, tensors = read_model(folder)
    network = TypeAdapter(Form).validate_python(config["network"])
    model = build_reconstruction(network, FeatureSettings.model_validate(config["features"]))
    model.load_state_dict(tensors)
    return model.requires_grad_(False).eval()


@torch.no_grad()
def reconstruct_recording(model: Reconstruction, raw: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Reconstruct a recording of any length, in overlapping windows of whole beats.

    Args:
        model: in evaluation mode, on any device.
        raw: float32 [F, n_mels] in [0, 1].
        edges: int64 [N + 1], frames; see `CachedPair`.
        labels: int64 [N].

    Returns:
        float32 [F, n_mels] in [0, 1]; each beat from the window that reaches further beyond it.

    Raises:
        ValueError: a beat is longer than a window.
    """
    device = next(model.parameters()).device
    frame_labels = torch.from_numpy(labels[beat_numbers(edges)]).to(device)
    frames = torch.from_numpy(np.ascontiguousarray(raw)).to(device)
    windows = beat_windows(edges, model.settings.n_frames)
    out = np.empty_like(raw)
    for window, part in zip(windows, own_parts(windows), strict=True):
        first, last = edges[window[0]], edges[window[1]]
        made = model(frames[None, first:last], frame_labels[None, first:last])[0].float().clamp(0, 1).cpu().numpy()
        inside = slice(edges[part[0]], edges[part[1]])
        out[inside] = made[inside.start - first : inside.stop - first]
    return out
