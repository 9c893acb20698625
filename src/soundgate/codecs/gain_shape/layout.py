"""Where each latent of ``gain_shape`` comes from and where each MDCT coefficient is restored from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 24_000
SUB_HOP = 320
N_BANDS = 22
FULL_DIM = {75: 128, 12.5: 512}
SUB_FRAMES = {75: 1, 12.5: 6}


@dataclass(frozen=True)
class Layout:
    """Index maps between one frame's sub-frames (22 gains, then 320 shapes, each) and its D latents.

    Args:
        n_sub_frames: MDCT frames in a latent frame.
        band_of_bin: int64 [320], the band of each MDCT coefficient.
        keep: int64 [D], which of the n_sub_frames · 342 values each latent is.
        take: int64 [n_sub_frames · 342], from which latent each value is restored.
        is_folded: bool [n_sub_frames · 342], whether that latent is another coefficient's (the folded high
            band).
        gain_of: int64 [D], for a shape latent its band's gain latent, for a gain latent itself.
    """

    n_sub_frames: int
    band_of_bin: np.ndarray
    keep: np.ndarray
    take: np.ndarray
    is_folded: np.ndarray
    gain_of: np.ndarray

    @property
    def dim(self) -> int:
        """D, the number of latents in a frame."""
        return len(self.keep)

    @property
    def is_gain(self) -> np.ndarray:
        """Bool [D], which latents are gains."""
        return self.gain_of == np.arange(self.dim)


def band_edges() -> np.ndarray:
    """Return the edges of 22 bands of equal width in Bark, as int64 [23] MDCT bins from 0 to 320.

    Source: Traunmüller 1990, eq. 6 and its inverse: z = 26.81 f / (1960 + f) − 0.53.
    Differs: CELT's table stops short of 22 bands at this rate and is built for hops of 120 · 2^n.
    """
    nyquist = SAMPLE_RATE / 2
    position = np.linspace(0, 26.81 * nyquist / (1960 + nyquist), N_BANDS + 1)
    frequency = 1960 * position / (26.81 - position)
    return np.rint(frequency / nyquist * SUB_HOP).astype(np.int64)


def coefficients_per_sub_frame(frame_rate: float, n_coefficients: int | None) -> list[int]:
    """Return how many shape coefficients each sub-frame keeps.

    Args:
        frame_rate: 75 or 12.5 Hz.
        n_coefficients: the same number for all, or None to fill the full dimension exactly: 106 at 75 Hz
            (22 + 106 = 128); at 12.5 Hz 6 · 22 gains leave 380 of 512, so that sub-frames 0 and 3 keep 64
            coefficients and the other four 63 (2 · 64 + 4 · 63 = 380).

    Returns:
        One number for each sub-frame.
    """
    n_sub_frames = SUB_FRAMES[frame_rate]
    if n_coefficients is not None:
        return [n_coefficients] * n_sub_frames
    budget = FULL_DIM[frame_rate] - n_sub_frames * N_BANDS
    steps = np.arange(n_sub_frames + 1) * budget
    return (np.diff(-(-steps // n_sub_frames))).tolist()


def make_layout(frame_rate: float, n_coefficients: int | None) -> Layout:
    """Build the index maps.

    The high band, from the first coefficient that is not kept, is folded: filled with copies of the upper
    half of the kept ones, in order, repeated as often as needed.

    Args:
        frame_rate: 75 or 12.5 Hz.
        n_coefficients: see `coefficients_per_sub_frame`.

    Returns:
        The layout.

    Source: Valin et al. 2012, RFC 6716 section 4.3.4 (folding).
    """
    width = N_BANDS + SUB_HOP
    band_of_bin = np.repeat(np.arange(N_BANDS), np.diff(band_edges()))
    keep, take, gain_of = [], [], []
    for sub_frame, kept in enumerate(coefficients_per_sub_frame(frame_rate, n_coefficients)):
        first_latent = len(keep)
        keep += range(sub_frame * width, sub_frame * width + N_BANDS + kept)
        lowest = kept // 2
        high = lowest + (np.arange(kept, SUB_HOP) - kept) % (kept - lowest)
        bins = np.concatenate([np.arange(kept), high])
        take += [first_latent + i for i in (*range(N_BANDS), *(N_BANDS + bins))]
        gain_of += [first_latent + i for i in (*range(N_BANDS), *band_of_bin[:kept])]
    keep, take = np.array(keep), np.array(take)
    return Layout(
        n_sub_frames=SUB_FRAMES[frame_rate],
        band_of_bin=band_of_bin,
        keep=keep,
        take=take,
        is_folded=keep[take] != np.arange(len(take)),
        gain_of=np.array(gain_of),
    )
