"""What recorders and networks do to a clip: narrow bands, uneven clipping, levelling, limiting, codecs, lost packets.

Every function takes stems float32 [k, T] of one clip. What it decides by the signal, it decides by the first stem and
does to all of them, so that the difference of two stems stays what it is.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import soundfile

from soundgate.audio.io import resample

PACKET_S = 0.02
_LEVEL_FRAME_S = 0.01
_LIMIT_FRAME_S = 0.001
# libsndfile's Vorbis encoder overflows its stack where it is given many frames at once.
_BLOCK = 2**13
_CODEC_PEAK = 0.5
_SILENCE = 1e-10


class Codec(NamedTuple):
    """A lossy codec of libsndfile.

    Args:
        container, subtype: libsndfile's names.
        mode: how its bit rate is held.
        kbps: bit rates of one channel at 48 kHz at compression 0 and 1; what lies between is linear.
        least_kbps: what it holds.
    """

    container: str
    subtype: str
    mode: str | None
    kbps: tuple[float, float]
    least_kbps: float


CODECS = {
    # At less its frames have no room for what says how much the coder delayed.
    "mp3": Codec("MP3", "MPEG_LAYER_III", "CONSTANT", (320, 32), 64),
    "opus": Codec("OGG", "OPUS", None, (256, 6), 8),
    # Its quality goes from 10 to 0; the bit rate follows the signal.
    "vorbis": Codec("OGG", "VORBIS", None, (210, 50), 50),
}


def narrow_band(stems: np.ndarray, sample_rate: int, rate_hz: int) -> np.ndarray:
    """Resample to a rate and back, float32 [k, T]: nothing is left above half of it."""
    there = resample(stems, sample_rate, rate_hz)
    back = resample(there, rate_hz, sample_rate)[:, : stems.shape[1]]
    return np.pad(back, ((0, 0), (0, stems.shape[1] - back.shape[1])))


def uneven_clip(stems: np.ndarray, above_db: float, below_db: float) -> tuple[np.ndarray, dict]:
    """Clip at one level upwards and at another downwards, each that far below the peak of either sign."""
    peak = float(np.abs(stems[0]).max())
    upper, lower = (np.float32(peak * 10 ** (-decibels / 20)) for decibels in (above_db, below_db))
    return np.clip(stems, -lower, upper), {"upper": float(upper), "lower": float(lower)}


def lose_packets(stems: np.ndarray, sample_rate: int, share: float, burst: float, seed: int) -> tuple[np.ndarray, dict]:
    """Set packets of 20 ms to zero, in bursts.

    Args:
        stems: float32 [k, T].
        sample_rate: Hz.
        share: of packets lost, expected.
        burst: packets lost one after the other, expected.
        seed: which ones.

    Returns:
        float32 [k, T], and ``lost_share``, what was lost.

    Source: Gilbert 1960, "Capacity of a burst-noise channel" (two states, all lost in one of them).
    """
    size = round(PACKET_S * sample_rate)
    draws = np.random.Generator(np.random.Philox(seed)).random(-(-stems.shape[1] // size))
    ends, starts = 1 / max(burst, 1.0), share / (1 - share) / max(burst, 1.0)
    lost, state = np.zeros(len(draws), bool), False
    for number, draw in enumerate(draws):
        state = draw >= ends if state else draw < starts
        lost[number] = state
    kept = np.repeat(~lost, size)[: stems.shape[1]].astype(np.float32)
    return stems * kept, {"lost_share": float(lost.mean())}


def level(stems: np.ndarray, sample_rate: int, reaction_s: float, most_db: float) -> tuple[np.ndarray, dict]:
    """Level loud and soft passages by a gain that follows, as automatic gain control does.

    Args:
        stems: float32 [k, T].
        sample_rate: Hz.
        reaction_s: time constant of the level that it follows.
        most_db: most gain and most attenuation.

    Returns:
        float32 [k, T], and the ``lowest_db`` and ``highest_db`` of the gain.
    """
    from scipy.signal import lfilter

    size = max(round(_LEVEL_FRAME_S * sample_rate), 1)
    power = _frames(np.square(stems[0], dtype=np.float64), size).mean(axis=1)
    whole = power.mean()
    if whole <= _SILENCE**2:
        return stems, {"lowest_db": None, "highest_db": None}
    decay = np.exp(-size / sample_rate / reaction_s)
    followed, _ = lfilter([1 - decay], [1, -decay], power, zi=[decay * whole])
    gain_db = np.clip(10 * np.log10(whole / np.maximum(followed, whole * 1e-12)), -most_db, most_db)
    gain = _between_frames(10 ** (gain_db / 20), size, stems.shape[1])
    return stems * gain, {"lowest_db": float(gain_db.min()), "highest_db": float(gain_db.max())}


def limit(stems: np.ndarray, sample_rate: int, below_peak_db: float, release_s: float) -> tuple[np.ndarray, dict]:
    """Hold the peaks down by a gain that falls before them and comes back slowly.

    Args:
        stems: float32 [k, T].
        sample_rate: Hz.
        below_peak_db: the threshold, below the peak.
        release_s: time in which the attenuation falls to 37 %.

    Returns:
        float32 [k, T], whose first stem nowhere exceeds the threshold, and the ``threshold``.
    """
    peak = float(np.abs(stems[0]).max())
    if peak <= _SILENCE:
        return stems, {"threshold": None}
    threshold = peak * 10 ** (-below_peak_db / 20)
    size = max(round(_LIMIT_FRAME_S * sample_rate), 1)
    needed = np.log(np.maximum(_frames(np.abs(stems[0]).astype(np.float64), size).max(axis=1) / threshold, 1.0))
    # A frame's gain must do for both neighbours: it is interpolated between their centres.
    needed = np.maximum.reduce([needed, np.append(needed[1:], 0), np.insert(needed[:-1], 0, 0)])
    decay, held = np.exp(-size / sample_rate / release_s), 0.0
    for number, attenuation in enumerate(needed):
        held = max(attenuation, held * decay)
        needed[number] = held
    gain = _between_frames(np.exp(-needed), size, stems.shape[1])
    return stems * gain, {"threshold": threshold}


def through_codec(stems: np.ndarray, sample_rate: int, codec: str, kbps: float) -> tuple[np.ndarray, dict]:
    """Encode each stem and decode it again.

    Args:
        stems: float32 [k, T].
        sample_rate: Hz; a rate that the codec holds.
        codec: of `CODECS`.
        kbps: bit rate of one channel; Vorbis holds it about.

    Returns:
        float32 [k, T], not delayed, and the ``encoded_bytes`` of the first stem.

    Raises:
        ValueError: an unknown codec, or a bit rate it does not hold.
    """
    if codec not in CODECS or not CODECS[codec].least_kbps <= kbps <= CODECS[codec].kbps[0]:
        known = ", ".join(f"{name} from {one.least_kbps} to {one.kbps[0]} kbit/s" for name, one in CODECS.items())
        raise ValueError(f"codec: expected {known}, found {codec} at {kbps:g}")
    best, worst = CODECS[codec].kbps
    peak = float(np.abs(stems[0]).max())
    if peak <= _SILENCE:
        return stems, {"encoded_bytes": 0}
    scale = np.float32(_CODEC_PEAK / peak)
    decoded, sizes = zip(
        *(_coded(stem * scale, sample_rate, CODECS[codec], (best - kbps) / (best - worst)) for stem in stems),
        strict=True,
    )
    return np.stack(decoded) / scale, {"encoded_bytes": sizes[0]}


def _coded(wav: np.ndarray, sample_rate: int, codec: Codec, compression: float) -> tuple[np.ndarray, int]:
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", sample_rate, 1, codec.subtype, format=codec.container,
        compression_level=compression, bitrate_mode=codec.mode,
    ) as file:  # fmt: skip
        for start in range(0, len(wav), _BLOCK):
            file.write(wav[start : start + _BLOCK])
    size = buffer.tell()
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, frames=len(wav), dtype="float32")
    return np.pad(decoded, (0, len(wav) - len(decoded))), size


def _frames(values: np.ndarray, size: int) -> np.ndarray:
    """Return consecutive frames [L, size]; the last repeats the last value."""
    return np.pad(values, (0, -len(values) % size), mode="edge").reshape(-1, size)


def _between_frames(gains: np.ndarray, size: int, samples: int) -> np.ndarray:
    """Interpolate between the centres of frames, float32 [samples]."""
    centres = (np.arange(len(gains)) + 0.5) * size
    return np.interp(np.arange(samples), centres, gains).astype(np.float32)
