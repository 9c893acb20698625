"""A clip made ready for ear and eye: audio any player takes, its waveform, its spectrogram."""

from __future__ import annotations

import io
import math
import os
import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from soundgate.audio.io import read_audio
from soundgate.audio.loudness import loudness_lufs
from soundgate.runtime.errors import AudioError

BANDS = 160
_COLUMNS = 900
_MATCHED_LUFS = -23.0
_WINDOW = 2048
_F_MIN = 40.0
_RANGE_DB = 80.0
_TICKS_HZ = (100, 300, 1000, 3000, 10_000)


@dataclass(frozen=True)
class Prepared:
    """A decoded clip.

    Attributes:
        heard: float32 [C, T]; mono or stereo.
        mono: float32 [T].
        sample_rate: Hz.
        channels: of the file.
    """

    heard: np.ndarray
    mono: np.ndarray
    sample_rate: int
    channels: int

    @property
    def duration_s(self) -> float:
        """How long it plays."""
        return len(self.mono) / self.sample_rate


def prepare(file: Path) -> Prepared:
    """Decode a file, or return what the last few calls decoded where it has not changed.

    Raises:
        AudioError: it is missing, no ordinary file, or no usable audio.
    """
    if not os.path.isfile(file):
        found = "not a file" if os.path.exists(file) else "missing"
        raise AudioError(file, expected="an audio file", found=found)
    status = file.stat()
    return _prepare(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=12)
def _prepare(file: Path, mtime_ns: int, size: int) -> Prepared:
    audio = read_audio(file)
    mono = audio.wav.mean(axis=0, dtype=np.float32)
    heard = audio.wav if len(audio.wav) <= 2 else mono[None]
    return Prepared(heard, mono, audio.sample_rate, len(audio.wav))


def wav_bytes(prepared: Prepared, gain_db: float = 0.0) -> bytes:
    """Return a clip as a 16-bit WAV file."""
    pcm = np.rint(np.clip(prepared.heard * 10 ** (gain_db / 20), -1, 1) * (2**15 - 1)).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file_of_wav:
        file_of_wav.setnchannels(len(pcm))
        file_of_wav.setsampwidth(2)
        file_of_wav.setframerate(prepared.sample_rate)
        file_of_wav.writeframes(pcm.T.tobytes())
    return content.getvalue()


def matching_gains_db(voices: dict[str, Prepared]) -> dict[str, float]:
    """Return the gains that bring recordings to one loudness, by name; 0 dB for a single one and for silence.

    That loudness is -23 LUFS (EBU R 128), or as much less as the recording with the highest peaks needs to stay
    within full scale. Loudness is that of the mean of the channels.
    """
    if len(voices) < 2:
        return dict.fromkeys(voices, 0.0)
    loudness = {name: loudness_lufs(voice.mono, voice.sample_rate) for name, voice in voices.items()}
    known = {name: value for name, value in loudness.items() if value is not None}
    peaks = {name: 20 * math.log10(float(np.abs(voices[name].heard).max())) for name in known}
    target = min([_MATCHED_LUFS, *(known[name] - peaks[name] for name in known)])
    return {name: target - known[name] if name in known else 0.0 for name in voices}


def waveform(prepared: Prepared) -> list[list[float]]:
    """Return the lowest and highest sample of up to 900 equal spans, [columns, 2] in [-1, 1]."""
    columns = min(_COLUMNS, len(prepared.mono))
    starts = np.linspace(0, len(prepared.mono), columns, endpoint=False).astype(int)
    lows, highs = (np.clip(f.reduceat(prepared.mono, starts), -1, 1) for f in (np.minimum, np.maximum))
    return np.stack([lows, highs], axis=1).round(3).tolist()


def spectrogram(prepared: Prepared) -> np.ndarray:
    """Return a picture of the clip: uint8 [160 mel-spaced bands, columns], the lowest first.

    0 is 80 dB or more below the clip's loudest value, 255 is that value. Columns are Hann-windowed transforms at
    equal distances: a long clip has gaps between them, so the cost does not grow with it.
    """
    padded = np.pad(prepared.mono, _WINDOW // 2)
    last = len(padded) - _WINDOW
    starts = np.linspace(0, last, min(_COLUMNS, last + 1)).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[starts]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    bins = _hz(np.linspace(_mel(_F_MIN), _mel(prepared.sample_rate / 2), BANDS)) * _WINDOW / prepared.sample_rate
    low = np.minimum(bins.astype(int), _WINDOW // 2 - 1)
    picture = levels[:, low] + (bins - low) * (levels[:, low + 1] - levels[:, low])
    above = np.maximum(picture.T - picture.max(), -_RANGE_DB) + _RANGE_DB
    return np.rint(above * (255 / _RANGE_DB)).astype(np.uint8)


def frequency_ticks(prepared: Prepared) -> list[tuple[str, float]]:
    """Return labels for the spectrogram's height: a frequency, and where it lies from bottom 0 to top 1."""
    low, high = _mel(_F_MIN), _mel(prepared.sample_rate / 2)
    places = [(hz, (_mel(hz) - low) / (high - low)) for hz in _TICKS_HZ]
    return [(f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz", float(at)) for hz, at in places if at < 0.97]


def _mel(hz: float | np.ndarray) -> np.ndarray:
    """Source: O'Shaughnessy 1987, Speech Communication."""
    return 2595 * np.log10(1 + np.asarray(hz) / 700)


def _hz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)
