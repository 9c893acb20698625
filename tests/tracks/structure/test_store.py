from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from soundgate.codecs.latent_store import LatentStoreWriter
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.planted import CorpusShape, autoregressive
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN
from soundgate.tracks.structure.store import load_conditioning, load_sequences, save_conditioning

LENGTHS = {"a": 9, "b": 12, "c": 7, "d": 11, "e": 10}
SPLITS = {"a": "eval", "b": "train", "c": "train", "d": "holdout", "e": "train"}
WARMUP = 2


@pytest.fixture
def stored(tmp_path):
    """Write five utterances, stored in the order a to e, and their frame table without warm-up frames."""
    generator = np.random.default_rng(0)
    latents = {u: generator.standard_normal((n, 4)).astype(np.float32) for u, n in LENGTHS.items()}
    writer = LatentStoreWriter(tmp_path, 4, sample_rate=24_000, hop_length=320, chunk_rows=4, shard_rows=8)
    tables, offset = [], 0
    for utt, x in latents.items():
        writer.add(utt, x)
        t = np.arange(WARMUP, len(x))
        tables.append(
            pd.DataFrame(
                {
                    "utt_id": utt,
                    "speaker_id": f"s{SPLITS[utt] == 'eval':d}",
                    "split": SPLITS[utt],
                    "t": t,
                    "pos_frac": t / len(x),
                    "energy": t + offset,
                    "is_high_energy": t > 5,
                    "row": offset + t,
                }
            )
        )
        offset += len(x)
    writer.close()
    table = pd.concat(tables, ignore_index=True)
    for column in ("utt_id", "speaker_id", "split"):
        table[column] = table[column].astype("category")
    table.to_parquet(tmp_path / "frames.parquet")
    return tmp_path, latents


def test_sequences_are_ordered_by_split_and_give_each_utterances_own_frames(stored):
    folder, latents = stored
    sequences, speakers = load_sequences(folder, folder / "frames.parquet", history=3)
    assert sequences.split.tolist() == [TRAIN, TRAIN, TRAIN, HOLDOUT, EVAL]
    assert speakers == ["s0", "s1"] and sequences.speaker.tolist() == [0, 0, 0, 0, 1]
    names = ["b", "c", "e", "d", "a"]
    assert sequences.lengths.tolist() == [LENGTHS[n] - WARMUP for n in names]
    for chunk in sequences.chunks():
        for i, u in enumerate(range(chunk.utterances.start, chunk.utterances.stop)):
            rows = slice(chunk.starts[i], chunk.starts[i] + chunk.lengths[i])
            np.testing.assert_array_equal(chunk.x[rows], latents[names[u]][WARMUP:])
            energy = sequences.energy[chunk.begin :][rows]
            assert energy[0] == WARMUP + sum(LENGTHS[n] for n in LENGTHS if n < names[u])


def test_no_chunk_holds_two_splits_and_none_is_lost(stored):
    folder, _ = stored
    sequences, _ = load_sequences(folder, folder / "frames.parquet", history=3)
    seen = []
    for chunk in sequences.chunks():
        assert len(set(sequences.split[chunk.utterances])) == 1
        seen += range(chunk.frames().start, chunk.frames().stop)
    assert seen == list(range(sequences.n_frames))


def test_valid_frames_have_the_history_inside_their_utterance(stored):
    folder, _ = stored
    sequences, _ = load_sequences(folder, folder / "frames.parquet", history=3)
    expected = np.concatenate([np.arange(n) >= 4 for n in sequences.lengths])
    np.testing.assert_array_equal(sequences.valid(4), expected)


def test_a_corpus_too_short_for_the_window_is_refused(stored):
    folder, _ = stored
    with pytest.raises(CorpusError, match="window"):
        load_sequences(folder, folder / "frames.parquet", history=8)


def test_subsets_keep_their_frames(stored):
    folder, latents = stored
    sequences, _ = load_sequences(folder, folder / "frames.parquet", history=3)
    part = sequences.subset(np.array([0, 3]))
    frames = np.concatenate([chunk.x for chunk in part.chunks()])
    np.testing.assert_array_equal(frames, np.concatenate([latents["b"][WARMUP:], latents["d"][WARMUP:]]))


def test_fitted_conditioning_comes_back_as_it_was_and_equal_models_give_equal_bytes(tmp_path, small_conditioning):
    sequences = autoregressive(CorpusShape(6, 4, 30, 3, n_eval=2), 0.5, 0)
    fitted = fit_conditioning(sequences, small_conditioning, 0)
    for name in ("one", "two"):
        save_conditioning(tmp_path / name, fitted)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    again = load_conditioning(tmp_path / "one", sequences.n_frames)
    np.testing.assert_array_equal(again.ids, fitted.ids)
    np.testing.assert_array_equal(again.linear.weight, fitted.linear.weight)
    for a, b in zip(again.conditions, fitted.conditions, strict=True):
        assert (a.name, a.kind, a.lag, a.replicate, a.n_cells) == (
            b.name,
            b.kind,
            b.lag,
            b.replicate,
            b.n_cells,
        )
        np.testing.assert_array_equal(a.centroids, b.centroids)
        if b.pca is not None:
            np.testing.assert_array_equal(a.pca.components, b.pca.components)
    with pytest.raises(FormatError, match="assignments"):
        load_conditioning(tmp_path / "one", sequences.n_frames + 1)
