"""The critic: does a spectrogram look real for its condition, at several scales and periods."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from soundgate.tracks.transfer.mel.settings import CriticSettings
from soundgate.training.adversarial import Verdict


class _SubCritic(nn.Module):
    """Strided convolutions, a logit at each position, and the projection of the condition on the last activations.

    Source: Miyato and Koyama 2018, "cGANs with projection discriminator", eq. 6 (at each position);
        Miyato et al. 2018 (spectral norm).
    """

    def __init__(self, layers: list[nn.Conv2d], n_condition: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(spectral_norm(layer) for layer in layers)
        width = layers[-1].out_channels
        self.logit = spectral_norm(nn.Conv2d(width, 1, 1))
        self.projection = spectral_norm(nn.Linear(n_condition, width, bias=False))

    def forward(self, planes: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            planes = functional.leaky_relu(layer(planes), 0.2)
            features.append(planes)
        agreement = (self.projection(condition)[:, :, None, None] * planes).sum(dim=1)
        return self.logit(planes)[:, 0] + agreement, features


class Critic(nn.Module):
    """Several sub-critics: of the spectrogram at falling resolutions, and of time folded at several periods.

    Source: Wang et al. 2018, pix2pixHD (scales); Kong et al. 2020, HiFi-GAN, section 2.3 (periods).
    Differs: a period folds the frames of a spectrogram, whose bands are channels there.

    Args:
        settings: see `CriticSettings`.
        n_target: width D of the condition.
        n_mels: bands.
    """

    def __init__(self, settings: CriticSettings, n_target: int, n_mels: int) -> None:
        super().__init__()
        self.settings, self.n_target = settings, n_target
        first, second, third = settings.channels
        self.scales = nn.ModuleList(
            _SubCritic(
                [nn.Conv2d(1, first, 4, 4), _halving(first, second, (3, 3)), _halving(second, third, (3, 3))], n_target
            )
            for _ in range(settings.n_scales)
        )
        self.periods = nn.ModuleList(
            _SubCritic([_halving(n_mels, second, (1, 3)), _halving(second, third, (1, 3))], n_target)
            for _ in settings.periods
        )

    def forward(self, mels: Tensor, condition: Tensor) -> Verdict:
        """Judge spectrograms.

        Args:
            mels: [B, n_mels, F] in the models' scale.
            condition: [B, D] of unit length.
        """
        verdicts = []
        for scale, critic in enumerate(self.scales):
            verdicts.append(critic(functional.avg_pool2d(mels[:, None], 2**scale), condition))
        for period, critic in zip(self.settings.periods, self.periods, strict=True):
            verdicts.append(critic(_folded(mels, period), condition))
        return Verdict([logits for logits, _ in verdicts], [layer for _, features in verdicts for layer in features])


def _halving(n_in: int, n_out: int, size: tuple[int, int]) -> nn.Conv2d:
    """Return a convolution that halves the axes it looks along."""
    stride = tuple(2 if length > 1 else 1 for length in size)
    return nn.Conv2d(n_in, n_out, size, stride=stride, padding=tuple(length // 2 for length in size))


def _folded(mels: Tensor, period: int) -> Tensor:
    """Return [B, n_mels, period, F // period]: neighbours along the last axis are a period apart; the rest is cut."""
    n_turns = mels.shape[-1] // period
    return mels[..., : n_turns * period].unflatten(-1, (n_turns, period)).transpose(-1, -2)
