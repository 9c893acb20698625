"""Audio files in and out, as floats: the boundary where bad ones are refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from soundgate.audio.containers import ContainerError
from soundgate.audio.decoding import MAX_PEAK, Decoding, reasons
from soundgate.runtime.errors import AudioError
from soundgate.runtime.files import atomic_path


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Args:
        wav: float32 samples [C, T]; full scale is [-1, 1].
        sample_rate: in Hz.
        note: what is wrong with the file's header or end, and what was read; empty where nothing is.
    """

    wav: np.ndarray
    sample_rate: int
    note: str = ""


def read_audio(path: str | Path, sample_rate: int | None = None, mono: bool = False) -> Audio:
    """Decode an audio file by its content, check it, and bring it to a rate and channel count.

    A header that was never filled in, padding or tags behind the audio and a cut last frame are no reason to refuse a
    file: what is there is read, and the note says so. Where a header plainly promises more than there is, or the
    inside is damaged, it is refused.

    Args:
        path: the file; its name and extension play no part.
        sample_rate: Hz to resample to (soxr HQ); None keeps the file's own.
        mono: whether to average the channels.

    Returns:
        The audio, finite and not all zero.

    Raises:
        AudioError: the file is missing, unreadable, truncated, empty, non-finite, all zero or a Git-LFS
            pointer, or its header is absurd; ``found`` gives the reason.
    """
    with reasons(path), Decoding.of(path) as decoding:
        wav, rate = decoding.floats(), decoding.sample_rate
        if mono and len(wav) > 1:
            wav = wav.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        if sample_rate is not None and sample_rate != rate:
            wav, rate = resample(wav, rate, sample_rate), sample_rate
        check_samples(wav)
        return Audio(wav, rate, decoding.note)


def check_samples(wav: np.ndarray) -> None:
    """Refuse samples [C, T] of which there are none, or that are all zero, not finite or far off full scale.

    Raises:
        ContainerError: they are one of these.
    """
    if wav.size == 0:
        raise ContainerError("empty: no sample left after resampling")
    peak = max(float(wav.max()), -float(wav.min()))  # NaN and infinity pass into it.
    if not np.isfinite(peak):
        raise ContainerError(f"non-finite: {np.sum(~np.isfinite(wav))} of {wav.size} samples")
    if peak == 0:
        raise ContainerError(f"all zero: {wav.shape[1]} sample frames of silence")
    if wav.dtype.kind == "f" and peak > MAX_PEAK:
        raise ContainerError(f"absurd header: samples reach {peak:g} times full scale")


def resample(wav: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Return float32 audio [C, T] resampled by soxr at quality HQ."""
    if from_rate == to_rate:
        return wav
    return np.ascontiguousarray(soxr.resample(wav.T, from_rate, to_rate, quality="HQ").T, dtype=np.float32)


def write_audio(path: str | Path, wav: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> None:
    """Write audio atomically, FLAC or WAV by the file's extension.

    Args:
        path: ends in ``.flac`` or ``.wav``.
        wav: samples [C, T] or [T] in [-1, 1].
        sample_rate: in Hz.
        subtype: libsndfile's name of the sample format: ``"PCM_16"``, ``"PCM_24"``, ``"FLOAT"`` (WAV), ...

    Raises:
        AudioError: another extension or sample format, no samples, non-finite or out-of-range samples.
    """
    path, wav = Path(path), np.atleast_2d(np.asarray(wav))
    kind = path.suffix.lower().removeprefix(".").upper()
    if kind not in ("FLAC", "WAV") or not soundfile.check_format(kind, subtype):
        raise AudioError(path, expected="FLAC or WAV in a sample format it holds", found=f"{kind}/{subtype}")
    if wav.ndim != 2 or wav.size == 0:
        raise AudioError(path, expected="samples [C, T]", found=f"shape {wav.shape}")
    if not np.isfinite(wav).all():
        found = f"{np.sum(~np.isfinite(wav))} NaN or infinite"
        raise AudioError(path, expected="finite samples", found=found)
    peak = float(np.abs(wav).max())
    if peak > 1:
        raise AudioError(path, expected="samples in [-1, 1]", found=f"a peak of {peak:g}", remedy="Scale it.")
    samples = _quantised(wav, subtype).T
    # By its descriptor: soundfile takes no path that is not UTF-8.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        soundfile.write(file.fileno(), samples, sample_rate, format=kind, subtype=subtype, closefd=False)


def _quantised(wav: np.ndarray, subtype: str) -> np.ndarray:
    """Return left-aligned int32 for integer formats, so that what was read is written back unchanged.

    Differs: libsndfile scales floats by 2^(bits-1) - 1 when writing but by 2^(bits-1) when reading.
    """
    bits = {"PCM_16": 16, "PCM_24": 24}.get(subtype)
    if bits is None:
        return wav
    full = 2 ** (bits - 1)
    values = np.clip(np.rint(wav.astype(np.float64) * full), -full, full - 1)
    return values.astype(np.int32) << (32 - bits)
