"""How far rebuilt sound is from the original, at several resolutions."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn

from soundgate.runtime.arithmetic import square_root

RESOLUTIONS = (512, 1024, 2048)
_FLOOR = 1e-5


class SpectralLosses(nn.Module):
    """Multi-resolution STFT loss and multi-scale mel loss of the same transforms.

    Both are means over items, so that a batch's loss is the mean of its parts' (auraloss' spectral convergence is not).

    Source: Yamamoto et al. 2020, Parallel WaveGAN, eq. 4 to 6 (STFT); Kumar et al. 2023, improved RVQGAN (mel scales).

    Args:
        sample_rate: Hz.
        n_mels: bands at the longest window, in proportion at the shorter ones.
    """

    def __init__(self, sample_rate: int, n_mels: int) -> None:
        super().__init__()
        for n_fft in RESOLUTIONS:
            bands = max(8, n_mels * n_fft // max(RESOLUTIONS))
            bank = torchaudio.functional.melscale_fbanks(
                n_fft // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate, norm="slaney", mel_scale="slaney"
            )
            self.register_buffer(f"bank_{n_fft}", bank.T.contiguous(), persistent=False)
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)

    def forward(self, made: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Return the losses of waveforms [B, T].

        Returns:
            ``mel``: mean L1 distance of log-mel magnitudes; ``stft``: spectral convergence and mean L1 distance of log
            magnitudes, added; both averaged over resolutions.
        """
        losses = [self._at(n_fft, made, truth) for n_fft in RESOLUTIONS]
        return {name: torch.stack([loss[name] for loss in losses]).mean() for name in losses[0]}

    def _at(self, n_fft: int, made: Tensor, truth: Tensor) -> dict[str, Tensor]:
        made_size, true_size = (self._magnitude(n_fft, wav) for wav in (made, truth))
        error, size = (values.flatten(1).norm(dim=1) for values in (made_size - true_size, true_size))
        distance = (made_size.log() - true_size.log()).abs().mean()
        bank = getattr(self, f"bank_{n_fft}")
        made_mel, true_mel = ((bank @ size).clamp(min=_FLOOR).log() for size in (made_size, true_size))
        return {"mel": (made_mel - true_mel).abs().mean(), "stft": (error / size).mean() + distance}

    def _magnitude(self, n_fft: int, wav: Tensor) -> Tensor:
        window = getattr(self, f"window_{n_fft}")
        spectrum = torch.stft(
            _mirrored(wav, n_fft // 2), n_fft, n_fft // 4, window=window, center=False, return_complex=True
        )
        return square_root((spectrum.real.square() + spectrum.imag.square()).clamp(min=1e-8))


def _mirrored(wav: Tensor, beyond: int) -> Tensor:
    """Return waveforms [B, T], T > ``beyond``, with so many samples more at either end, as ``torch.stft`` pads them.

    Differs: the gradient of PyTorch's reflecting pad is summed in any order on a GPU, that of these parts in theirs.
    """
    # A node of its own, at which the parts' gradients meet before they are added to those of other resolutions.
    wav = wav.view_as(wav)
    return torch.cat([wav[:, 1 : beyond + 1].flip(1), wav, wav[:, -beyond - 1 : -1].flip(1)], dim=1)
