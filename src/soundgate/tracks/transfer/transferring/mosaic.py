"""Transfer by audio mosaicing: every moment of a recording is played by the exemplar's moment most like it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import soxr

from soundgate.tracks.transfer.transferring.recordings import Recording
from soundgate.tracks.transfer.transferring.styles import Style

# Of a style so much is played, in equal parts from the middle of its recordings.
MOST_S = 120.0
_HOP_S = 0.0464
# Of a unit vector of chroma, of the level and of its rise (both standardised), and what leaving the order costs.
_WEIGHTS, JUMP = (4.0, 0.5, 0.7), 2.0
_CHROMA_HZ = (60.0, 4_000.0)
# The path is decided for so many frames at once, about 95 s.
_DECIDED = 2048
_MOST_GAIN = 4.0
_SMALLEST = 1e-9


class Frames(NamedTuple):
    """What is heard in frames of 2 · hop samples, one every hop; the first begins one hop before the recording.

    Args:
        chroma: float32 [n, 12] of unit length, 0 in silence.
        level_db: float32 [n], of all channels.
        rms: float32 [n, C], of each channel, windowed.
    """

    chroma: np.ndarray
    level_db: np.ndarray
    rms: np.ndarray


def hop_samples(rate: int) -> int:
    """Return the samples from frame to frame at a rate in Hz."""
    return 2 ** round(np.log2(_HOP_S * rate))


def hear(blocks: Iterable[np.ndarray], rate: int) -> Frames:
    """Hear a recording; one block is in memory at a time.

    Args:
        blocks: float32 [t, C] each, one after another.
        rate: Hz.

    Returns:
        1 + ceil(T / hop) frames.
    """
    hop = hop_samples(rate)
    window, bins, parts, kept = np.hanning(2 * hop + 1)[:-1].astype(np.float32), _chroma_bins(2 * hop, rate), [], None
    for block in _ended(blocks, hop):
        kept = np.concatenate([np.zeros((hop, block.shape[1]), np.float32) if kept is None else kept, block])
        n_frames = max(0, len(kept) // hop - 1)
        if n_frames:
            views = np.lib.stride_tricks.sliding_window_view(kept, 2 * hop, axis=0)[: n_frames * hop : hop]
            parts += [_heard(part * window, bins) for part in np.array_split(views, -(-n_frames // 64))]
        kept = kept[n_frames * hop :]
    chroma, power = (np.concatenate(own) for own in zip(*parts, strict=True))
    level = 10 * np.log10(power.mean(axis=1) + _SMALLEST)
    return Frames(chroma, level.astype(np.float32), np.sqrt(power).astype(np.float32))


def _ended(blocks: Iterable[np.ndarray], hop: int) -> Iterator[np.ndarray]:
    """Yield blocks, and zeros at the end so that the last frame covers the last sample."""
    total, channels = 0, 1
    for block in blocks:
        total, channels = total + len(block), block.shape[1]
        yield block
    yield np.zeros((hop + (-total) % hop, channels), np.float32)


def _heard(views: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return chroma [n, 12] and mean squares [n, C] of windowed frames [n, C, 2 · hop]."""
    power = np.square(views, dtype=np.float32).mean(axis=2)
    magnitude = np.abs(np.fft.rfft(views.mean(axis=1), axis=1)).astype(np.float32)
    chroma = magnitude @ bins
    return chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-6), power


def _chroma_bins(n_fft: int, rate: int) -> np.ndarray:
    """Return how much each bin belongs to each pitch class, float32 [n_fft / 2 + 1, 12]."""
    hz = np.fft.rfftfreq(n_fft, 1 / rate)
    heard = (hz >= _CHROMA_HZ[0]) & (hz <= _CHROMA_HZ[1])
    pitch = 12 * np.log2(np.where(heard, hz, 440.0) / 440.0) + 9
    away = (pitch[:, None] - np.arange(12) + 6) % 12 - 6
    return (np.exp(-0.5 * np.square(away / 0.5)) * heard[:, None]).astype(np.float32)


def features(frames: Frames) -> np.ndarray:
    """Return what frames are compared by, float32 [n, 14]: chroma, level and its rise, these two standardised."""
    rise = np.maximum(np.diff(frames.level_db, prepend=frames.level_db[:1]), 0.0)
    scaled = [(own - own.mean()) / max(float(own.std()), 1e-3) for own in (np.maximum(frames.level_db, -70.0), rise)]
    chroma, level, onset = _WEIGHTS
    return np.column_stack([chroma * frames.chroma, level * scaled[0], onset * scaled[1]]).astype(np.float32)


def choose(source: np.ndarray, exemplar: np.ndarray) -> np.ndarray:
    """Choose a frame of the exemplar for each of the source's.

    Of all ways through the exemplar the one with the least sum of squared distances and of ``JUMP`` for each step
    that does not go on to the next frame.

    Args:
        source: float32 [n, F], see `features`.
        exemplar: float32 [m, F].

    Returns:
        int64 [n].

    Source: Schwarz 2000, "A system for data-driven concatenative sound synthesis" (unit selection by Viterbi).
    Differs: decided for 2048 frames at once, which bounds the memory.
    """
    squares, chosen, before = np.square(exemplar).sum(axis=1), [], None
    for first in range(0, len(source), _DECIDED):
        part = source[first : first + _DECIDED]
        chosen.append(_best_way(part, exemplar, squares, before))
        before = int(chosen[-1][-1])
    return np.concatenate(chosen)


def _best_way(part: np.ndarray, exemplar: np.ndarray, squares: np.ndarray, before: int | None) -> np.ndarray:
    n, m = len(part), len(exemplar)
    went_on, best = np.zeros((n, m), bool), np.zeros(n, np.int64)
    cost = np.zeros(m, np.float32)
    if before is not None:
        cost += 1e9
        cost[before] = 0.0
    for step in range(n):
        if step or before is not None:
            best[step] = cost.argmin()
            jumped = cost[best[step]] + JUMP
            following = np.concatenate([[np.inf], cost[:-1]])
            went_on[step] = following <= jumped
            cost = np.where(went_on[step], following, jumped)
        cost = cost + squares - 2 * (exemplar @ part[step])
        cost -= cost.min()
    way = np.empty(n, np.int64)
    way[-1] = cost.argmin()
    for step in range(n - 1, 0, -1):
        way[step - 1] = way[step] - 1 if went_on[step, way[step]] else best[step]
    return way


class Exemplar(NamedTuple):
    """What of a style is played.

    Args:
        wav: float32 [T, C] at the source's rate, a hop of silence on either side.
        frames: what is heard in it.
    """

    wav: np.ndarray
    frames: Frames


def exemplar_of(style: Style, rate: int, channels: int) -> Exemplar:
    """Return what of a style is played, at most two minutes: with as many channels as asked for, else the mean."""
    each_s, parts = MOST_S / len(style.recordings), []
    for one in style.recordings:
        first = round(max(0.0, (one.seconds - each_s) / 2) * one.rate)
        wav = one.read(first, first + round(each_s * one.rate))
        wav = wav if one.channels == channels else np.repeat(wav.mean(axis=1, keepdims=True), channels, axis=1)
        parts.append(np.asarray(soxr.resample(wav, one.rate, rate, quality="HQ"), np.float32).reshape(-1, channels))
    wav, hop = np.concatenate(parts), hop_samples(rate)
    return Exemplar(np.pad(wav, ((hop, hop + (-len(wav)) % hop), (0, 0))), hear([wav], rate))


def mosaic(source: Recording, style: Style, block: int) -> Iterator[np.ndarray]:
    """Play a recording by the frames of a style, overlapping by half, each channel as loud as the source's.

    Args:
        source: the recording.
        style: the style.
        block: samples that are computed at once; no result depends on it.

    Yields:
        float32 [t, C], in all as long as the source.
    """
    hop = hop_samples(source.rate)
    heard, exemplar = hear(source.blocks(block), source.rate), exemplar_of(style, source.rate, source.channels)
    way = choose(features(heard), features(exemplar.frames))
    gains = np.minimum(heard.rms / np.maximum(exemplar.frames.rms[way], 1e-5), _MOST_GAIN)
    window = np.hanning(2 * hop + 1)[:-1, None].astype(np.float32)
    left, tail = len(source), None
    for first in range(0, len(way), max(1, block // hop)):
        own = range(first, min(first + max(1, block // hop), len(way)))
        made = np.zeros(((len(own) + 1) * hop, source.channels), np.float32)
        if tail is not None:
            made[:hop] = tail
        for place, step in enumerate(own):
            grain = exemplar.wav[way[step] * hop : (way[step] + 2) * hop]
            made[place * hop : (place + 2) * hop] += gains[step] * window * grain
        tail = made[-hop:]
        ready = made[: len(own) * hop]
        # The first hop lies before the recording.
        ready = ready[hop if first == 0 else 0 :][:left]
        left -= len(ready)
        if len(ready):
            yield ready
