"""Phase 1 as the rule with learned parameters: what labels leave unsaid, a small network tells from the recording."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.reconstruct.rule import edit_of_frames, gains_db
from soundgate.tracks.editor.reconstruct.settings import RendererSettings
from soundgate.tracks.editor.timeline import tone_db
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import pool

# A band's gain in dB is nearly proportional to its setting; the curves are taken at this one.
_CURVE_DB = 6.0
# Bands over which a spectrum's own course is taken away, so that a level or a tone changes no comparison.
_COURSE = 33
# Below this level, in the models' scale, nothing is heard that could be compared.
_AUDIBLE = 0.05
# Largest gain, and largest setting of a band, in dB: more than the 9 dB of a drawn effect.
_MOST_DB = 12.0
_FIRST_TEMPERATURE = 3e-4


class LearnedRenderer(nn.Module):
    """The labels' definitions, corrected: level and tone of every EFFECT, and how a TRANSITION lies.

    A run of EFFECT is compared with what sounds alike elsewhere in the recording and is no EFFECT; a small network
    tells from the difference a gain and the three bands of the renderer's equaliser, which are applied to the frames.
    A run of TRANSITION for which the rule takes another run as partner may be a crossfade of its own halves instead.
    The last layer is zero at first: untrained it is the rule. All other labels are the rule's for good.

    Args:
        settings: see `RendererSettings`.
        features: what its spectrograms are made with.

    Source: Engel et al. 2020, "DDSP" (parameters from a network, signal processing by definition).
    Differs: on log-mel frames, where gains and equalisers are sums of decibels.
    """

    def __init__(self, settings: RendererSettings, features: FeatureSettings) -> None:
        super().__init__()
        self.settings, self.features = settings, features
        self.head = nn.Sequential(
            nn.Linear(3 * features.n_mels + 2, settings.dim), nn.GELU(), nn.Linear(settings.dim, 5)
        )
        nn.init.zeros_(self.head[-1].weight)
        nn.init.zeros_(self.head[-1].bias)
        self.log_temperature = nn.Parameter(torch.tensor(float(np.log(_FIRST_TEMPERATURE))))
        self.cut_bias = nn.Parameter(torch.zeros(()))
        self.register_buffer("curves", torch.from_numpy(_curves(features)).float(), persistent=False)

    def forward(self, raw: Tensor, frame_labels: Tensor) -> Tensor:
        """Return edited frames, float [B, T, n_mels]; those of padding mean nothing.

        Args:
            raw: float32 [B, T, n_mels] in [0, 1], T at most ``settings.n_frames``.
            frame_labels: int64 [B, T], values of `Label`; PAD is padding.
        """
        labels = frame_labels.cpu().numpy()
        said = zip(*(_gains(own, self.features.range_db) for own in labels), strict=True)
        rule, halves = (torch.from_numpy(np.stack(own)).to(raw.device) for own in said)
        number = _runs(labels)
        runs, n_runs = torch.from_numpy(number).to(raw.device), int(number.max()) + 1
        # Only the network may compute in half precision: what it is told, and what is done, are decibels.
        with torch.autocast(raw.device.type, enabled=False):
            alike, usual = (torch.stack(own) for own in zip(*map(self._compared, raw, labels), strict=True))
            heard = self._heard(raw, alike, usual, halves - rule, runs, n_runs)
        asked = self.head(heard)
        with torch.autocast(raw.device.type, enabled=False):
            asked = torch.tanh(asked.float()).gather(1, runs[:, :, None].expand(-1, -1, asked.shape[2]))
            mended = (frame_labels == Label.EFFECT)[:, :, None] & (raw > 0)
            change_db = _MOST_DB * asked[:, :, :4] @ self.curves * mended
            crossed = asked[:, :, 4] * (frame_labels == Label.TRANSITION)
            gain_db = rule + crossed * (halves - rule)
            return (raw + (gain_db[:, :, None] + change_db) / self.features.range_db).clamp(min=0)

    def set_checkpointing(self, on: bool) -> None:
        """Do nothing: there are no activations that would be worth it."""

    def _heard(self, raw: Tensor, alike: Tensor, usual: Tensor, apart_db: Tensor, runs: Tensor, n_runs: int) -> Tensor:
        """Return what the network is told of every run, [B, R, 3 · n_mels + 2].

        Its spectrum; the differences to what sounds alike, and to the mean of the recording; its length; and how
        far its two possible gains are apart.
        """
        unit = self.features.range_db / _MOST_DB
        places = apart_db[:, :, None].abs() / self.features.range_db
        of_frames = torch.cat([raw, unit * (raw - alike), unit * (raw - usual), places], dim=2)
        lengths = functional.one_hot(runs, n_runs).sum(1)[:, :, None] / 100
        return torch.cat([pool(of_frames, runs, n_runs), lengths], dim=2)

    def _compared(self, raw: Tensor, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return what a recording's frames of EFFECT are compared with, [T, n_mels] each; other frames are their own.

        What sounds alike is a mean over tokens that are audible and no EFFECT, weighted by how near their spectra are
        when the course over 33 bands is taken away; what is usual is their plain mean.
        """
        effect, patch = labels == Label.EFFECT, self.settings.patch
        if not effect.any():
            return raw, raw
        padded = np.pad(labels, (0, -len(labels) % patch), constant_values=Label.PAD).reshape(-1, patch)
        of_effect, of_padding, of_cut = ((padded == kind).any(1) for kind in (Label.EFFECT, Label.PAD, Label.CUT))
        number, n_tokens = np.arange(len(labels)) // patch, len(padded)
        asking, known, cut, token, pooled = (
            torch.from_numpy(own).to(raw.device)
            for own in (
                np.flatnonzero(of_effect), ~of_effect & ~of_padding, of_cut.astype(np.float32), number,
                np.where(labels == Label.PAD, n_tokens, number),
            )
        )  # fmt: skip
        tokens = pool(raw[None], pooled[None], n_tokens)[0]
        usable = known & (tokens.mean(1) > _AUDIBLE)
        bare = tokens - functional.avg_pool1d(tokens[None], _COURSE, 1, _COURSE // 2, count_include_pad=False)[0]
        asked = bare[asking]
        squares = asked.square().sum(1)[:, None] - 2 * asked @ bare.T + bare.square().sum(1)
        near = -squares / raw.shape[1] * torch.exp(-self.log_temperature) + self.cut_bias * cut
        weights = torch.softmax(near.masked_fill(~usable, -1e9), dim=1)
        alike = tokens.index_copy(0, asking, weights @ tokens)[token]
        usual = (tokens * usable[:, None]).sum(0) / usable.sum().clamp(min=1)
        compared = torch.from_numpy(effect).to(raw.device)[:, None] & usable.any()
        return torch.where(compared, alike, raw), torch.where(compared, usual, raw)


def _gains(labels: np.ndarray, range_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the gains of a recording's frames in dB, float32 [T] each, none below minus the range.

    By the rule; and with every run of TRANSITION a crossfade of its own halves, which no other run is partner of.

    Args:
        labels: int64 [T]; PAD at the end only.
        range_db: of the models' scale.
    """
    n_frames = int(np.count_nonzero(labels != Label.PAD))
    said, edges = labels[:n_frames], np.arange(n_frames + 1)
    rule = gains_db(edit_of_frames(said, edges))
    apart = gains_db(edit_of_frames(np.where(said == Label.CUT, Label.KEEP, said), edges))
    both = rule, np.where(said == Label.TRANSITION, apart, rule)
    rule, halves = (np.pad(np.maximum(own, -range_db), (0, len(labels) - n_frames)) for own in both)
    return rule, halves


def _runs(labels: np.ndarray) -> np.ndarray:
    """Return the number of the run of equal labels that each frame is in, int64 [B, T]."""
    return np.cumsum(np.diff(labels, axis=1, prepend=labels[:, :1]) != 0, axis=1)


def _curves(settings: FeatureSettings) -> np.ndarray:
    """Return what 1 dB of level and of each band of the equaliser does to the bands, float64 [4, n_mels] in dB."""
    centres = Features(settings).centres_hz
    tones = [Tone(**{f"{band}_db": _CURVE_DB}) for band in ("low", "mid", "high")]
    bands = [tone_db(tone, centres, settings.sample_rate) / _CURVE_DB for tone in tones]
    return np.stack([np.ones(settings.n_mels), *bands])
