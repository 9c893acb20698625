"""A score played in a style by one source's instruments: the notes are the score's, the sound is the style's."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.filters import pass_sections, run_sections
from soundgate.corpora.recording_chain import RecordingChain, Reverberation, reverberate, rms
from soundgate.corpora.scores import KICK, Score
from soundgate.corpora.synthesiser import SAMPLE_RATE, DrumKit, Timbre, play_drums, play_notes
from soundgate.runtime.config import Section

PITCHED_PARTS = ("melody", "chords", "bass")


class Drums(Section):
    """A style's drums.

    Args:
        kit: their sound.
        level_db: their RMS, relative to the melody's.
        kick_on_every_beat: besides the score's own kicks, one on each beat; the score's notes do not list these.
    """

    kit: DrumKit
    level_db: float = Field(le=12)
    kick_on_every_beat: bool = False


class Style(Section):
    """How a style plays a score.

    Args:
        melody: its instrument.
        chords: theirs.
        bass: its.
        chords_db: RMS of the chords relative to the melody's.
        bass_db: that of the bass.
        drums: None for none.
        pump_db: how far each beat turns the chords and the bass down.
        drive: how far the mix is driven into saturation, in RMS; 0 for not.
        low_pass_hz: 24 dB an octave over everything; None for none.
        reverberation: None for none.
        wobble_ms: by how much a worn tape's speed shifts a sound in time, either way.
        wobble_hz: how often.
        crackle_db: RMS of a record's clicks relative to the mix's; None for none.
        hiss_db: that of the record's noise.
    """

    melody: Timbre
    chords: Timbre
    bass: Timbre
    chords_db: float = Field(le=12)
    bass_db: float = Field(le=12)
    drums: Drums | None = None
    pump_db: float = Field(default=0.0, ge=0, le=24)
    drive: float = Field(default=0.0, ge=0, le=4)
    low_pass_hz: float | None = Field(default=None, gt=0, lt=SAMPLE_RATE / 2)
    reverberation: Reverberation | None = None
    wobble_ms: float = Field(default=0.0, ge=0, le=2)
    wobble_hz: float = Field(default=0.7, gt=0)
    crackle_db: float | None = Field(default=None, le=0)
    hiss_db: float | None = Field(default=None, le=0)


class Source(Section):
    """Instruments and a recording chain, in which every style can be played.

    Args:
        name: part of file names.
        bright_octaves: by how much the instruments' low-passes are moved.
        even_db: by how much their even harmonics are raised.
        attack_scale: of the instruments' attacks.
        decay_scale: of their decays and releases.
        detune_cents: spread added to instruments of several voices.
        drum_octaves: by how much the drums are tuned higher.
        drum_decay_scale: of the drums' decays.
        chords_db: added to the style's own level.
        bass_db: the same.
        drums_db: the same.
        chain: the recording.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    bright_octaves: float = Field(default=0.0, ge=-2, le=2)
    even_db: float = Field(default=0.0, ge=-24, le=6)
    attack_scale: float = Field(default=1.0, gt=0, le=3)
    decay_scale: float = Field(default=1.0, gt=0, le=3)
    detune_cents: float = Field(default=0.0, ge=0, le=30)
    drum_octaves: float = Field(default=0.0, ge=-1, le=1)
    drum_decay_scale: float = Field(default=1.0, gt=0, le=3)
    chords_db: float = Field(default=0.0, ge=-12, le=12)
    bass_db: float = Field(default=0.0, ge=-12, le=12)
    drums_db: float = Field(default=0.0, ge=-12, le=12)
    chain: RecordingChain = RecordingChain()


def play_score(score: Score, style: Style, source: Source, generator: np.random.Generator) -> np.ndarray:
    """Play a score in a style on a source's instruments, without its recording chain.

    Onsets keep their place: nothing in a style delays by more than its wobble.

    Args:
        score: what is played.
        style: how.
        source: on what.
        generator: of noises.

    Returns:
        float32 [T] at 22,050 Hz.
    """
    samples = round(score.duration_s * SAMPLE_RATE)
    parts = dict(tuple(score.notes.groupby("part")))
    levels_db = {"melody": 0.0, "chords": style.chords_db + source.chords_db, "bass": style.bass_db + source.bass_db}
    stems = {}
    for part in PITCHED_PARTS:
        if part in parts:
            played = play_notes(parts[part], own_timbre(getattr(style, part), source), samples, generator)
            stems[part] = _at_level(played, levels_db[part])
    accompaniment = sum((stems[part] for part in PITCHED_PARTS[1:] if part in stems), np.zeros(samples, np.float32))
    if style.pump_db > 0:
        accompaniment = accompaniment * _pump(score, style.pump_db, samples)
    mix = accompaniment + stems.get("melody", 0)
    if style.drums is not None and "drums" in parts:
        hits = _hits(parts["drums"], score, style.drums.kick_on_every_beat)
        played = play_drums(hits, own_kit(style.drums.kit, source), samples)
        mix += _at_level(played, style.drums.level_db + source.drums_db)
    return _effects(mix, style, generator)


def own_timbre(timbre: Timbre, source: Source) -> Timbre:
    """Return a style's instrument as a source has it."""
    shift, decay_s, voices = 2**source.bright_octaves, timbre.decay_s, timbre.voices_cents
    spread = np.linspace(-1, 1, len(voices)) * source.detune_cents if len(voices) > 1 else [0.0]
    return timbre.model_copy(
        update={
            "bright_hz": timbre.bright_hz * shift,
            "dark_hz": timbre.dark_hz * shift,
            "even_db": timbre.even_db + source.even_db,
            "attack_s": timbre.attack_s * source.attack_scale,
            "decay_s": None if decay_s is None else decay_s * source.decay_scale,
            "release_s": timbre.release_s * source.decay_scale,
            "voices_cents": tuple(float(own + more) for own, more in zip(voices, spread, strict=True)),
        }
    )


def own_kit(kit: DrumKit, source: Source) -> DrumKit:
    """Return a style's drums as a source has them."""
    tuning, decay = 2**source.drum_octaves, source.drum_decay_scale
    return kit.model_copy(
        update={
            "kick_hz": kit.kick_hz * tuning,
            "snare_hz": kit.snare_hz * tuning,
            "hat_hz": min(kit.hat_hz * tuning, 0.4 * SAMPLE_RATE),
            "kick_s": kit.kick_s * decay,
            "snare_s": kit.snare_s * decay,
            "hat_s": kit.hat_s * decay,
        }
    )


def _at_level(stem: np.ndarray, level_db: float) -> np.ndarray:
    return stem * np.float32(10 ** (level_db / 20) / max(rms(stem), 1e-6))


def _hits(hits: pd.DataFrame, score: Score, kick_on_every_beat: bool) -> pd.DataFrame:
    if not kick_on_every_beat:
        return hits
    onsets = score.beats["time_s"]
    own = hits[~((hits["midi"] == KICK) & hits["onset_s"].map(lambda onset: np.isclose(onset, onsets).any()))]
    return pd.concat([own, pd.DataFrame({"onset_s": onsets, "midi": KICK, "velocity": 116})], ignore_index=True)


def _pump(score: Score, depth_db: float, samples: int) -> np.ndarray:
    """Return the gain of a side chain that each beat triggers, float32 [samples]."""
    beats = np.rint(score.beats["time_s"].to_numpy() * SAMPLE_RATE).astype(np.int64)
    position = np.arange(samples)
    last = np.searchsorted(beats, position, side="right") - 1
    since_s = np.where(last < 0, 10.0, (position - beats[np.maximum(last, 0)]) / SAMPLE_RATE).astype(np.float32)
    recovery_s = np.float32(60 / score.tempo_bpm / 4)
    return (10 ** (np.float32(-depth_db / 20) * np.exp(-since_s / recovery_s))).astype(np.float32)


def _effects(mix: np.ndarray, style: Style, generator: np.random.Generator) -> np.ndarray:
    if style.drive > 0:
        mix = np.tanh(mix * np.float32(style.drive / rms(mix)))
    level = rms(mix)
    if style.wobble_ms > 0:
        mix = _wobble(mix, style.wobble_ms, style.wobble_hz, generator.uniform(0, 2 * np.pi))
    if style.crackle_db is not None:
        clicks = generator.standard_normal(len(mix)) * (generator.random(len(mix)) < 12 / SAMPLE_RATE)
        clicks[generator.integers(len(mix))] = 1.0
        mix = mix + _at_level(clicks.astype(np.float32), style.crackle_db) * np.float32(level)
    if style.hiss_db is not None:
        hiss = generator.standard_normal(len(mix), np.float32)
        mix = mix + hiss * np.float32(level * 10 ** (style.hiss_db / 20))
    if style.low_pass_hz is not None:
        mix = run_sections(np.repeat(pass_sections("low", style.low_pass_hz, SAMPLE_RATE), 2, axis=0), mix)
    return mix if style.reverberation is None else reverberate(mix, style.reverberation)


def _wobble(mix: np.ndarray, depth_ms: float, rate_hz: float, phase: float) -> np.ndarray:
    """Return a signal read off a tape whose speed varies."""
    position = np.arange(len(mix))
    shift = depth_ms / 1_000 * SAMPLE_RATE * np.sin(2 * np.pi * rate_hz / SAMPLE_RATE * position + phase)
    return np.interp(position + shift, position, mix).astype(np.float32)
