"""A speech corpus whose truth is known: speakers are a pitch and a length of throat, content is a row of vowels."""

from pathlib import Path

import numpy as np

from soundgate.audio.io import write_audio
from soundgate.corpora.index import build_index, write_corpus
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.caching import CacheSettings, build_cache
from soundgate.tracks.voice.features import FeatureSettings

RATE, HOP = 8_000, 128
FEATURES = FeatureSettings(sample_rate=RATE, n_fft=512, hop_length=HOP, n_mels=32, f0_min_hz=60, f0_max_hz=400)
SETTINGS = CacheSettings(
    features=FEATURES, split={"judge": 0.25, "test": 0.25, "validation": 0.25, "folds": 2, "fold": None},
    speaker_s=8.0, min_s=1.0, max_s=3.0, min_utterances=4, loudness_lufs=-23.0,
)  # fmt: skip
VOWELS = np.array([[300, 2_200], [700, 1_200], [320, 800], [550, 1_700]])
SOUND_S = 0.2
# Fundamental in Hz and factor of the formants.
SPEAKERS = {
    name: (95 * 1.15**number, factor)
    for number, (name, factor) in enumerate(zip("abcdefgh", [1, 0.85, 1.15, 1, 0.9, 1.1, 0.8, 1.2], strict=True))
}


def vowels(f0, factor, sounds, glide=0.1):
    """Return a row of vowels, float32 [T], and the fundamental at every sample."""
    t = np.arange(round(len(sounds) * SOUND_S * RATE)) / RATE
    pitch = f0 * np.exp(glide * np.sin(2 * np.pi * t / 0.7))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = VOWELS[np.asarray(sounds)][np.minimum((t / SOUND_S).astype(int), len(sounds) - 1)] * factor
    wav = np.zeros(len(t))
    for harmonic in range(1, 40):
        hz = harmonic * pitch
        gain = sum(np.exp(-(((hz - formant) / 150) ** 2)) for formant in formants.T) + 0.02
        wav += np.where(hz < 0.45 * RATE, gain, 0) * np.sin(harmonic * phase)
    return (0.2 * wav / np.abs(wav).max()).astype(np.float32), pitch


def write_speech(folder, speakers=SPEAKERS, n_utterances=5, seed=0):
    """Write a corpus of speech with its index; return the index and what each utterance says."""
    generator = np.random.default_rng(seed)
    entries, said = [], {}
    for name, (f0, factor) in speakers.items():
        for number in range(n_utterances):
            sounds = generator.integers(len(VOWELS), size=9)
            path = Path(folder) / f"audio/{name}/{name}-{number}.flac"
            wav, _ = vowels(f0, factor, sounds)
            write_audio(path, wav + generator.normal(size=len(wav)).astype(np.float32) * 1e-3, RATE)
            entries.append((path.stem, name, path))
            said[path.stem] = sounds
    index, rejected = build_index(entries, "spoken")
    # Stages are run in folders of their own.
    index["path"] = [str(Path(path).absolute()) for path in index["path"]]
    write_corpus(folder, index, rejected)
    return index, said


def spoken_cache(folder, settings=SETTINGS, **options):
    """Build and open the cache of a corpus written below ``folder``."""
    index, said = write_speech(folder / "speech", **options)
    build_cache(settings, index, 0, folder / "work", folder / "cache")
    return VoiceCache.open(folder / "cache"), said
