"""Pairs whose audio is known: tones on a grid of beats, with what a raw recording has more of."""

import json

import numpy as np

from soundgate.audio.io import write_audio
from soundgate.tracks.editor.edit_list import EditList, Segment
from soundgate.tracks.editor.pairs.table import AUDIO_FOLDER, write_pairs

RATE = 22_050
SPLITS = ("train", "train", "validation", "test", "test")


def tones(seconds, seed):
    """Return chords that change every half second, float32 [T]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    chord = (2 * t).astype(int)
    pitches = rng.uniform(120, 3_000, (3, chord.max() + 1))
    sound = sum(np.sin(2 * np.pi * pitch[chord] * t) for pitch in pitches)
    return (0.15 * sound * np.exp(-4 * (t % 0.5)) + 0.002 * rng.normal(size=len(t))).astype(np.float32)


def write_recordings(folder, seconds=3.0):
    """Write pairs of one group each: the edit is the raw recording's first part."""
    rows = []
    for number, split in enumerate(SPLITS):
        raw, name = tones(seconds, number), f"p{number}"
        cut = len(raw) * 2 // 3
        row = {"pair_id": name, "group": f"g{number}", "split": split, "sample_rate": RATE, "reordered": False}
        for kind, wave in (("raw", raw), ("edit", raw[:cut])):
            path = f"{AUDIO_FOLDER}/{name}_{kind}.flac"
            (folder / AUDIO_FOLDER).mkdir(parents=True, exist_ok=True)
            write_audio(folder / path, wave, RATE)
            row |= {f"{kind}_path": path, f"{kind}_samples": len(wave)}
        edit = EditList(sample_rate=RATE, n_samples=len(raw), segments=(Segment(label="KEEP", start=0, stop=cut),))
        beats = np.arange(0, len(raw), RATE // 2).tolist()
        rows.append(row | {"edit_list": json.dumps(edit.model_dump(mode="json")), "beats": beats})
    return write_pairs(folder, rows)
