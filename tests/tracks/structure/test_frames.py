import numpy as np
import pandas as pd
import pytest

from soundgate.audio.io import write_audio
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import sha256_of
from soundgate.tracks.structure.frames import FramesSettings, frame_energy, frame_table
from tests.workers import as_by_workers

HOP, RATE = 320, 24_000
MEDIAN = FramesSettings(high_energy_quantile=0.5)


def test_energy_is_the_rms_of_each_frames_own_samples():
    wav = np.concatenate([np.full(HOP, 0.5), np.zeros(HOP), np.full(HOP // 2, -0.25)]).astype(np.float32)
    np.testing.assert_allclose(frame_energy(wav, HOP), [0.5, 0.0, 0.25], rtol=1e-7)
    sine = np.sin(2 * np.pi * np.arange(HOP * 10) / HOP).astype(np.float32)
    np.testing.assert_allclose(frame_energy(sine, HOP), np.full(10, np.sqrt(0.5)), rtol=1e-6)


@pytest.mark.parametrize("n", [1, HOP - 1, HOP, HOP + 1, 7 * HOP, 7 * HOP + 3])
def test_energy_equals_a_loop_over_frames(n):
    wav = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    expected = [np.sqrt(np.mean(wav[i : i + HOP].astype(float) ** 2)) for i in range(0, n, HOP)]
    np.testing.assert_allclose(frame_energy(wav, HOP), expected, rtol=1e-6)


@pytest.fixture
def planted(tmp_path):
    """Three utterances whose frame f has the amplitude (u + 1) * (f + 1) / 100, one in each split."""
    rows, offset = [], 0
    for u, (speaker, n_frames) in enumerate([("b", 8), ("b", 10), ("a", 6)]):
        amplitude = (u + 1) * (np.arange(n_frames) + 1) / 100
        wav = np.repeat(amplitude, HOP) * np.tile([1.0, -1.0], n_frames * HOP // 2)
        write_audio(tmp_path / f"{u}.wav", wav[: len(wav) - 7], RATE, "FLOAT")
        rows.append((f"utt{u}", speaker, f"{u}.wav", offset, n_frames))
        offset += n_frames
    index = pd.DataFrame(rows, columns=["utt_id", "speaker_id", "path", "offset", "n_frames"])
    split = pd.DataFrame(
        {
            "utt_id": ["utt2", "utt0", "utt1"],
            "split": pd.Categorical(["eval", "train", "holdout"], ["train", "holdout", "eval"]),
        }
    )
    return tmp_path, index, split


def table_of(planted, settings=MEDIAN, warmup_frames=0, workers=1):
    root, index, split = planted
    return frame_table(
        index,
        split,
        settings,
        sample_rate=RATE,
        hop_length=HOP,
        warmup_frames=warmup_frames,
        root=root,
        workers=workers,
    )


def test_every_frame_is_described(planted):
    table = table_of(planted)
    assert table["row"].tolist() == list(range(24))
    assert table["utt_id"].tolist() == ["utt0"] * 8 + ["utt1"] * 10 + ["utt2"] * 6
    assert table["speaker_id"].tolist() == ["b"] * 18 + ["a"] * 6
    assert table["split"].tolist() == ["train"] * 8 + ["holdout"] * 10 + ["eval"] * 6
    assert table["t"].tolist() == [*range(8), *range(10), *range(6)]
    np.testing.assert_allclose(table["pos_frac"], [t / n for n in (8, 10, 6) for t in range(n)], rtol=1e-6)
    expected = [(u + 1) * (t + 1) / 100 for u, n in enumerate((8, 10, 6)) for t in range(n)]
    np.testing.assert_allclose(table["energy"], expected, rtol=1e-5)


def test_high_energy_is_above_the_median_of_train_frames_alone(planted):
    table = table_of(planted)
    assert table["is_train"].tolist() == [True] * 8 + [False] * 16  # Held-out utterances are not trained on.
    np.testing.assert_array_equal(table["is_high_energy"], table["energy"] > 0.045)
    assert table.loc[table["is_train"], "is_high_energy"].sum() == 4
    assert not table_of(planted, FramesSettings(high_energy_quantile=0.99))["is_high_energy"][:7].any()


def test_warm_up_frames_are_left_out_of_rows_and_median_but_not_of_positions(planted):
    table, whole = table_of(planted, warmup_frames=3), table_of(planted)
    kept = whole[whole["t"] >= 3].reset_index(drop=True)
    assert table["row"].tolist() == kept["row"].tolist() and table["t"].min() == 3
    pd.testing.assert_series_equal(table["pos_frac"], kept["pos_frac"])
    np.testing.assert_array_equal(table["is_high_energy"], table["energy"] > 0.06)


def test_workers_do_not_change_the_bytes_and_columns_are_small(planted, tmp_path, monkeypatch):
    hashes = set()
    for workers in (1, 2):
        path = tmp_path / f"frames{workers}.parquet"
        table_of(planted, workers=workers).to_parquet(path, index=False)
        as_by_workers(monkeypatch)
        hashes.add(sha256_of(path))
    assert len(hashes) == 1
    kinds = pd.read_parquet(path).dtypes.astype(str).to_dict()
    assert kinds == {
        "utt_id": "category",
        "speaker_id": "category",
        "split": "category",
        "t": "int32",
        "pos_frac": "float32",
        "energy": "float32",
        "is_train": "bool",
        "is_high_energy": "bool",
        "row": "int32",
    }


def test_audio_at_another_rate_is_brought_to_the_codecs(planted):
    root, index, split = planted
    wav = 0.5 * np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)
    write_audio(root / "0.wav", wav, 16_000)
    table = table_of((root, index.assign(n_frames=[75, 10, 6], offset=[0, 75, 85]), split))
    np.testing.assert_allclose(table["energy"][5:70], 0.5 / np.sqrt(2), rtol=0.1)


def test_audio_that_changed_or_an_utterance_without_split_is_refused(planted):
    root, index, split = planted
    with pytest.raises(FormatError, match=r"9 frames, as many as its latents; found 8"):
        table_of((root, index.assign(n_frames=[9, 10, 6]), split))
    with pytest.raises(FormatError, match="utt2"):
        table_of((root, index, split[split["utt_id"] != "utt2"]))
