"""Audio files in and out: the only module that touches them, and the boundary where bad ones are refused."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from soundgate.audio.containers import ContainerError, Declared, read_container
from soundgate.audio.streams import read_stream, without_id3
from soundgate.runtime.errors import AudioError
from soundgate.runtime.files import atomic_path

MIN_SAMPLE_RATE = 4_000
MAX_SAMPLE_RATE = 384_000
MAX_CHANNELS = 64
MAX_FILE_BYTES = 2**32
MAX_VALUES = 2**29  # samples x channels: 2 GiB as float32, 6 hours of mono at 24 kHz
MAX_PEAK = 64.0  # float files stored at integer scale lie far above, any overshoot of a lossy codec far below
_BLOCK_FRAMES = 2**18
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Args:
        wav: float32 samples [C, T]; full scale is [-1, 1].
        sample_rate: in Hz.
    """

    wav: np.ndarray
    sample_rate: int


def read_audio(path: str | Path, sample_rate: int | None = None, mono: bool = False) -> Audio:
    """Decode an audio file by its content, check it, and bring it to a rate and channel count.

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
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ContainerError(f"absurd header: {path.stat().st_size} bytes, the limit is {MAX_FILE_BYTES}")
        wav, rate = _decode(path.read_bytes())
        if mono and len(wav) > 1:
            wav = wav.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        if sample_rate is not None and sample_rate != rate:
            wav, rate = resample(wav, rate, sample_rate), sample_rate
        _check_samples(wav)
    except OSError as error:
        raise AudioError(path, expected="usable audio", found=f"unreadable: {error.strerror}") from error
    except ContainerError as error:
        remedy = "Run: git lfs pull" if "Git-LFS" in str(error) else ""
        raise AudioError(path, expected="usable audio", found=str(error), remedy=remedy) from error
    return Audio(wav, rate)


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
    with atomic_path(path) as temporary:
        soundfile.write(temporary, _quantised(wav, subtype).T, sample_rate, format=kind, subtype=subtype)


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


def _decode(content: bytes) -> tuple[np.ndarray, int]:
    """Return checked samples [C, T] and their rate."""
    if not content:
        raise ContainerError("empty: 0 bytes")
    if content.startswith(_LFS_POINTER):
        raise ContainerError("Git-LFS pointer text in place of the audio")
    declared, content = _inspect(content)
    if declared.frames == 0:
        raise ContainerError("empty: 0 sample frames")
    dtype = "int32" if declared.md5 else "float32"
    try:
        frames, rate = _read_blocks(content, declared, dtype)
    except soundfile.LibsndfileError as error:
        raise ContainerError(f"unreadable: {error.error_string.strip()}") from error
    frames = _check_count(frames, declared)
    if declared.md5:
        _check_md5(frames, declared)
        frames = frames.astype(np.float32) * np.float32(2.0**-31)
    return np.ascontiguousarray(frames.T), rate


def _inspect(content: bytes) -> tuple[Declared, bytes]:
    declared = read_container(content)
    if declared is not None:
        return declared, content
    found = read_stream(without_id3(content))
    if found is None:
        raise ContainerError("unreadable: no audio format recognised in the content")
    # The MP3 decoder skips ID3 tags by itself, and guesses the length from the whole file.
    return (found[0], content) if found[0].container == "MP3" else found


class _Content(io.BytesIO):
    """Bytes whose impossible seeks, which libsndfile tries on odd headers, fail as a file's would."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek, or stay where the target lies before the start."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return -1


class _Forward(soundfile.SoundFile):
    """A file read front to back: soundfile's seek after each block would disturb lossy decoders."""

    def seekable(self) -> bool:
        """Say no, whatever libsndfile could do."""
        return False


def _read_blocks(content: bytes, declared: Declared, dtype: str) -> tuple[np.ndarray, int]:
    """Decode until the decoder ends, never trusting a header's count with memory."""
    with _Forward(_Content(content)) as file:
        if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
            raise ContainerError(f"absurd header: sample rate {file.samplerate} Hz")
        if file.channels > MAX_CHANNELS:
            raise ContainerError(f"absurd header: {file.channels} channels")
        if declared.counting_frame and file.frames < declared.frames:
            counted = declared.counting_frame + without_id3(content)
            return _read_blocks(counted, replace(declared, counting_frame=b""), dtype)
        limit = MAX_VALUES // file.channels
        if (declared.frames or 0) > limit:
            raise ContainerError(f"absurd header: {declared.frames} frames of {file.channels} channels")
        blocks, total = [], 0
        while len(block := file.read(_BLOCK_FRAMES, dtype=dtype, always_2d=True)):
            blocks.append(block)
            total += len(block)
            if total > limit:
                raise ContainerError(f"absurd header: more than {limit} frames of {file.channels} channels")
        if not blocks:
            raise ContainerError("empty: 0 sample frames")
        return np.concatenate(blocks), file.samplerate


def _check_count(frames: np.ndarray, declared: Declared) -> np.ndarray:
    """Return the frames the file declares; refuse what decoding did not give or gave beyond reason."""
    if declared.frames is None:
        return frames
    if not declared.frames - declared.shortfall <= len(frames) <= declared.frames + declared.spare_frames:
        promise = f"{declared.container} declares {declared.frames} sample frames"
        raise ContainerError(f"truncated: {promise}, {len(frames)} were decoded")
    return frames[: declared.frames]


def _check_md5(frames: np.ndarray, declared: Declared) -> None:
    """Hold decoded integers against the encoder's MD5 (RFC 9639: little endian, whole bytes, interleaved)."""
    width = -(-declared.bits // 8)
    values = np.right_shift(frames, 32 - declared.bits)
    if width == 2:
        raw = values.astype("<i2")
    else:
        raw = np.ascontiguousarray(values.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :width])
    if hashlib.md5(raw, usedforsecurity=False).digest() != declared.md5:
        raise ContainerError(f"unreadable: samples do not match the FLAC's MD5 at {declared.bits} bits")


def _check_samples(wav: np.ndarray) -> None:
    if wav.size == 0:
        raise ContainerError("empty: no sample left after resampling")
    peak = max(float(wav.max()), -float(wav.min()))  # NaN and infinity pass into it.
    if not np.isfinite(peak):
        raise ContainerError(f"non-finite: {np.sum(~np.isfinite(wav))} of {wav.size} samples")
    if peak == 0:
        raise ContainerError(f"all zero: {wav.shape[1]} sample frames of silence")
    if peak > MAX_PEAK:
        raise ContainerError(f"absurd header: samples reach {peak:g} times full scale")
