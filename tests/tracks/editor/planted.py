"""A cache of pairs with known edits, made without audio."""

import numpy as np
import pandas as pd

from soundgate.tracks.editor.cache import BEAT_COLUMNS, COLUMNS, PairCache, write_cache
from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.grid import plays_of
from soundgate.tracks.editor.timeline import from_labels, target_on_raw_timeline
from soundgate.tracks.editor.vocabulary import BEAT_LABELS

FEATURES = FeatureSettings(n_mels=8, n_fft=256, hop_length=128)
BEAT_FRAMES = 6
SPLITS = ("train", "train", "train", "validation", "test")


def planted_labels(n_beats, generator):
    """Draw runs of labels."""
    labels = []
    while len(labels) < n_beats:
        labels += [int(generator.choice(BEAT_LABELS))] * int(generator.integers(1, 5))
    return np.array(labels[:n_beats], np.int64)


def planted_cache(folder, n_pairs=10, n_beats=24, seed=0):
    """Write and open a cache; the band of a beat's label is loud in the raw recording."""
    generator = np.random.default_rng(seed)
    features = Features(FEATURES)
    rows, parts = [], []
    for number in range(n_pairs):
        labels = planted_labels(n_beats, generator)
        lengths = generator.integers(BEAT_FRAMES - 1, BEAT_FRAMES + 2, n_beats)
        edges = np.concatenate([[0], np.cumsum(lengths)])
        raw = generator.uniform(0.2, 0.6, (edges[-1], FEATURES.n_mels)).astype(np.float32)
        raw[np.arange(edges[-1]), np.repeat(labels, lengths)] += 0.3
        spans = np.stack([edges[:-1], edges[1:]], axis=1) * FEATURES.hop_length
        edit = from_labels(labels, spans, FEATURES.sample_rate, Tone(low_db=6.0))
        target_db = target_on_raw_timeline(
            features.to_db(raw).T, edit, FEATURES.hop_length, FEATURES.floor_db, features.centres_hz
        ).T
        parts.append({"raw": raw.astype(np.float16), "target": features.from_db(target_db).astype(np.float16)})
        seconds = (spans[:, 1] - spans[:, 0]) / FEATURES.sample_rate
        rows.append({
            "pair_id": f"p{number}", "group": f"g{number}", "split": SPLITS[number % len(SPLITS)], "known": True,
            "raw_path": "", "edit_path": "", "n_frames": int(edges[-1]), "n_beats": n_beats, "edges": edges,
            "labels": labels, "plays": plays_of(edit, spans), "seconds": seconds.astype(np.float32),
        })  # fmt: skip
    write_cache(folder, FEATURES, pd.DataFrame(rows)[[*COLUMNS, *BEAT_COLUMNS]], parts)
    return PairCache.open(folder)
