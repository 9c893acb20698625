"""One recording as every system leaves it: untouched, trimmed, by a plain method, sterilised, and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundgate.audio.denoise import default_gating
from soundgate.audio.io import read_audio, resample
from soundgate.audio.loudness import loudness_lufs, normalise_loudness
from soundgate.audio.noisy import with_white_noise
from soundgate.runtime.errors import FormatError
from soundgate.runtime.paths import path_from_text
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.rooms.outside.recordings import CLEAN, NOISY, STAGE
from soundgate.tracks.rooms.outside.settings import OutsideSettings
from soundgate.tracks.rooms.segments import Segments

ORIGINAL, TRIMMED, GATED, STERILISED, TRUTH, WITH_NOISE = (
    "original", "trimmed", "noisereduce", "sterilised", "truth", "with_noise",
)  # fmt: skip
SYSTEMS = {NOISY: (ORIGINAL, TRIMMED, GATED, STERILISED, TRUTH), CLEAN: (ORIGINAL, TRIMMED, STERILISED, WITH_NOISE)}
# A tenth of a millisecond is near enough to say where a clip lies.
_PLACING_HZ = 8_000


@dataclass(frozen=True)
class Signal:
    """A mono signal, float32 [T], and its rate in Hz."""

    wav: np.ndarray
    sample_rate: int


def signals_of(recording, segments: Segments, settings: OutsideSettings) -> dict[str, Signal]:
    """Return what is judged of a recording, by system.

    ``original``: as it was, with at most ``margin_s`` of what is around the speech. ``sterilised``: the published
    clips. The others are the stretch of the recording that these hold, at their loudness: ``trimmed``, of which the
    noise is as it was; ``noisereduce``, after `soundgate.audio.denoise.default_gating`; ``truth``, of noisy ones
    where it is known; and ``with_noise``, clean ones after white noise at ``noise_db``.

    Args:
        recording: a row of `soundgate.tracks.rooms.outside.recordings.known_recordings`.
        segments: the published clips.
        settings: lengths.

    Raises:
        AudioError: a file cannot be read.
        FormatError: the truth is not as long as the recording.
    """
    clip = Signal(_published(recording, segments, settings.speech_s), segments.sample_rate)
    audio = read_audio(path_from_text(recording.path), mono=True)
    wav, rate = np.asarray(audio.wav)[0], audio.sample_rate
    loudness = loudness_lufs(clip.wav, clip.sample_rate)
    start = place_of(clip, Signal(wav, rate))
    stop = min(len(wav), start + round(len(clip.wav) * rate / clip.sample_rate))
    margin = round(settings.margin_s * rate)
    first, last = max(0, start - margin), min(len(wav), stop + margin)

    def levelled(samples: np.ndarray) -> Signal:
        return Signal(normalise_loudness(samples, rate, loudness)[0], rate)

    made = {
        ORIGINAL: Signal(wav[first:last], rate), TRIMMED: levelled(wav[start:stop]), STERILISED: clip,
    }  # fmt: skip
    if recording.kind == CLEAN:
        seed = keyed_seed(settings.seed, STAGE, f"{recording.source} {recording.utt_id}")
        return made | {WITH_NOISE: Signal(with_white_noise(made[TRIMMED].wav, rate, settings.noise_db, seed), rate)}
    made[GATED] = levelled(default_gating(wav[first:last], rate)[start - first : stop - first])
    if recording.clean_path:
        made[TRUTH] = levelled(_truth(recording, len(wav), rate)[start:stop])
    return made


def place_of(clip: Signal, recording: Signal) -> int:
    """Return the sample of a recording at which a clip of it begins, where both correlate most."""
    # Imported here: scipy.signal takes over a second to load.
    from scipy.signal import correlate

    part, whole = (resample(one.wav[None], one.sample_rate, _PLACING_HZ)[0] for one in (clip, recording))
    found = correlate(whole, part[: len(whole)], mode="valid", method="fft")
    return round(int(np.argmax(found)) * recording.sample_rate / _PLACING_HZ)


def _published(recording, segments: Segments, speech_s: float) -> np.ndarray:
    table = segments.table
    own = table[(table["source"] == recording.source) & (table["utt_id"] == recording.utt_id)]
    samples, parts = round(speech_s * segments.sample_rate), []
    # Clips follow each other in the shard as in the recording.
    for name, valid in own.sort_values("row")[["segment_id", "valid_samples"]].itertuples(index=False, name=None):
        parts.append(segments.segment(name)[:valid])
        if sum(map(len, parts)) >= samples:
            break
    return np.concatenate(parts)[:samples]


def _truth(recording, samples: int, rate: int) -> np.ndarray:
    path = path_from_text(recording.clean_path)
    truth = np.asarray(read_audio(path, sample_rate=rate, mono=True).wav)[0]
    if len(truth) != samples:
        expected = f"{samples} samples at {rate} Hz, as {recording.path}"
        raise FormatError(recording.clean_path, expected=expected, found=str(len(truth)))
    return truth
