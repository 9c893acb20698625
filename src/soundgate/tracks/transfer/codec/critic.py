"""The critic of waves: does it sound real for the style it was asked for, at several rates."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from soundgate.tracks.transfer.codec.settings import WaveCriticSettings
from soundgate.training.adversarial import Verdict

_GROUP = 16
_SLOPE = 0.2


class _Scale(nn.Module):
    """Strided grouped convolutions, a logit at each position, and the projection of the condition.

    Source: Kumar et al. 2019, MelGAN, section 2.2; Miyato and Koyama 2018, eq. 6 (projection, at each position).
    Differs: the first convolution is strided as well, which costs a CPU a fourth.
    """

    def __init__(self, channels: tuple[int, ...], n_condition: int) -> None:
        super().__init__()
        layers = [nn.Conv1d(1, channels[0], 15, stride=4, padding=7)]
        for n_in, n_out in zip(channels[:-1], channels[1:], strict=True):
            groups = max(1, n_in // _GROUP)
            layers.append(nn.Conv1d(n_in, n_out, 41, stride=4, padding=20, groups=groups))
        self.layers = nn.ModuleList(spectral_norm(layer) for layer in layers)
        self.logit = spectral_norm(nn.Conv1d(channels[-1], 1, 3, padding=1))
        self.projection = spectral_norm(nn.Linear(n_condition, channels[-1], bias=False))

    def forward(self, waves: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            waves = functional.leaky_relu(layer(waves), _SLOPE)
            features.append(waves)
        agreement = (self.projection(condition)[:, :, None] * waves).sum(dim=1)
        return self.logit(waves)[:, 0] + agreement, features


class WaveCritic(nn.Module):
    """The same critic at the wave's rate, half of it, a quarter, ...; each with weights of its own.

    Args:
        settings: see `WaveCriticSettings`; channels from 32 on must be multiples of 16.
        n_style: width of the condition.
    """

    def __init__(self, settings: WaveCriticSettings, n_style: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_Scale(settings.channels, n_style) for _ in range(settings.n_scales))

    def forward(self, waves: Tensor, condition: Tensor) -> Verdict:
        """Judge waves.

        Args:
            waves: [B, T].
            condition: [B, n_style], the style they are to have.
        """
        verdicts = []
        for scale, critic in enumerate(self.scales):
            verdicts.append(critic(functional.avg_pool1d(waves[:, None], 2**scale), condition))
        return Verdict([logits for logits, _ in verdicts], [layer for _, features in verdicts for layer in features])
