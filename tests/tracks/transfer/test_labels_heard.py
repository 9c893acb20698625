"""Labels that are heard: zero-shot, clusters, the music gate, and the stage around them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML

from soundgate.audio.mel import MelSettings, MelTransform, to_model
from soundgate.embeddings.registry import load_embedder
from soundgate.runtime.errors import AudioError, CorpusError
from soundgate.runtime.files import sha256_of
from soundgate.runtime.ledger import Ledger
from soundgate.tracks.transfer.chunks import chunk_wavs
from soundgate.tracks.transfer.content.model import Analysis, ContentModel, EncoderSettings, load_content, save_content
from soundgate.tracks.transfer.labels import zero_shot as zero_shot_module
from soundgate.tracks.transfer.labels.build import build_labels
from soundgate.tracks.transfer.labels.cluster import cluster_vectors, target_vectors
from soundgate.tracks.transfer.labels.listening import listen
from soundgate.tracks.transfer.labels.settings import ClusterSettings
from soundgate.tracks.transfer.labels.table import open_table, read_labels
from soundgate.tracks.transfer.labels.zero_shot import probabilities
from soundgate.tracks.transfer.style.descriptor import descriptor32
from stages.transfer.labels import main
from tests.embeddings.talking_clap import save_talking_clap
from tests.tracks.transfer.label_settings import section, settings, write_tracks
from tests.workers import as_by_workers


@pytest.fixture(autouse=True)
def one_cpu(monkeypatch, tmp_path):
    monkeypatch.setenv("SOUNDGATE_DEVICE", "cpu")
    monkeypatch.setenv("SOUNDGATE_SCRATCH", str(tmp_path / "scratch"))


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    return write_tracks(tmp_path_factory.mktemp("music"))


@pytest.fixture(scope="module")
def clap_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talking-clap")
    save_talking_clap(folder)
    return folder


def planted_space(n_texts=4, similarity=0.25):
    """Return unit texts, and audio that is a little nearer to its own text, as CLAP's is."""
    text = np.eye(n_texts + 1)[:n_texts]
    rest = np.sqrt(1 - similarity**2) * np.eye(n_texts + 1)[n_texts]
    return text, similarity * text + rest


class PlantedModel:
    """Hears low from high; knows no other words."""

    sample_rate = 22_050
    logit_scale = 30.0

    def __init__(self):
        self.batches = []

    def embed_text(self, texts):
        text, _ = planted_space(2)
        return text[[["a low music track", "a high music track"].index(prompt) for prompt in texts]]

    def embed(self, wavs):
        self.batches.append(len(wavs))
        _, audio = planted_space(2)
        return audio[[int(np.abs(np.fft.rfft(wav)).argmax() * self.sample_rate / len(wav) > 1_000) for wav in wavs]]


def test_without_the_models_own_scale_every_probability_sits_near_a_quarter():
    text, audio = planted_space()
    for own in range(4):
        blind = probabilities(audio[own : own + 1], text, 1.0)
        assert np.abs(blind - 0.25).max() < 0.06
        scaled = probabilities(audio[own : own + 1], text, 30.0)
        assert scaled[own] > 0.99
        assert scaled.sum() == pytest.approx(1)
    # Two texts, cosines that differ by 0.25: the logistic function of 30 · 0.25.
    found = probabilities(audio[:1], text[:2], 30.0)[0]
    assert found == pytest.approx(1 / (1 + np.exp(-7.5)))


def test_chunks_are_pooled_by_their_mean_logits():
    text, audio = planted_space(2)
    assert probabilities(audio[[0, 1]], text, 30.0) == pytest.approx([0.5, 0.5])
    assert probabilities(audio[[0, 0, 1]], text, 30.0)[0] == pytest.approx(1 / (1 + np.exp(-2.5)))


def test_zero_shot_labels_are_what_the_model_hears(tracks, monkeypatch):
    monkeypatch.setattr(zero_shot_module, "BATCH", 4)
    model = PlantedModel()
    table, report = build_labels(settings(genre_schema="clap"), tracks, 0, clap=model)
    assert table["genre"].tolist() == ["low", "high"] * 3 and report["genres"] == {"high": 3, "low": 3}
    assert table["confidence"].to_numpy() == pytest.approx(1 / (1 + np.exp(-7.5)))
    assert model.batches == [8, 4]


def test_a_genre_heard_too_faintly_is_dropped_with_its_confidence(tracks):
    model = PlantedModel()
    model.logit_scale = 2.0
    faint = 1 / (1 + np.exp(-0.5))
    own = settings(genre_schema="clap", clap={"min_confidence": faint - 1e-6})
    assert build_labels(own, tracks, 0, clap=model)[1]["n_kept"] == 6
    own = settings(genre_schema="clap", clap={"min_confidence": faint + 1e-6})
    with pytest.raises(CorpusError, match="found none; dropped: {'low confidence': 6}"):
        build_labels(own, tracks, 0, clap=model)


def test_a_low_confidence_is_in_the_reason(tracks):
    class Unsure(PlantedModel):
        def embed(self, wavs):
            heard = super().embed(wavs)
            heard[: len(heard) // 3] = planted_space(2)[1].mean(axis=0)
            return heard

    own = settings(genre_schema="clap", clap={"min_confidence": 0.6})
    table, report = build_labels(own, tracks, 0, clap=Unsure())
    assert table["reason"].tolist() == ["low confidence: 0.500"] * 2 + [""] * 4
    assert table["genre"].ne("").all() and report["dropped"] == {"low confidence": 2}


def test_a_small_clap_gives_its_own_logits(tracks, clap_folder):
    embedder = load_embedder("clap", {"weights": str(clap_folder)})
    own = settings(genre_schema="clap", require_min_sources_per_genre=1)
    table = zero_shot_module.zero_shot(open_table(tracks), embedder, own.clap, own.chunks, 0, Ledger())
    text = embedder.embed_text(["a low music track", "a high music track"])
    for row, track in zip(table.itertuples(), tracks.itertuples(), strict=True):
        audio = embedder.embed(list(chunk_wavs(track.path, [0.0, 2.0], 3.0, 48_000)))
        logits = 20 * (audio @ text.T).mean(axis=0)
        expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert row.confidence == pytest.approx(expected.max(), abs=1e-4)
        assert row.genre == own.clap.labels[expected.argmax()]


def blobs(sizes, spread=0.05, dim=8):
    """Return points about unit axes, one axis a blob."""
    generator = np.random.default_rng(0)
    centres = np.repeat(np.eye(dim)[: len(sizes)], sizes, axis=0)
    points = centres + spread * generator.standard_normal(centres.shape)
    return points / np.linalg.norm(points, axis=1, keepdims=True), np.repeat(np.arange(len(sizes)), sizes)


def clustered(sizes, **changes):
    points, truth = blobs(sizes)
    own = {"n_clusters": len(sizes), "min_size": 1, "small": "abort"}
    return cluster_vectors(points, ClusterSettings(**own | changes), 0), truth


def test_clusters_are_the_planted_ones_numbered_by_size():
    found, truth = clustered([5, 20, 10])
    assert found.sizes == [20, 10, 5]
    assert [set(found.labels[truth == blob]) for blob in range(3)] == [{2}, {0}, {1}]
    assert found.confidence.min() > 0.7 and found.confidence.max() <= 1


def test_confidence_is_the_relative_margin():
    points = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, 1.0]])
    found = cluster_vectors(points, ClusterSettings(n_clusters=2, min_size=1, small="abort"), 0)
    assert found.labels.tolist() == [1, 0, 0, 0]
    centre = points[1:].mean(axis=0)
    expected = 1 - np.linalg.norm(points[1] - centre) / np.linalg.norm(points[1] - points[0])
    assert found.confidence[1] == pytest.approx(expected) and found.confidence[0] == 1


def test_small_clusters_abort_stay_unassigned_or_merge():
    with pytest.raises(CorpusError, match="at least 4 tracks; found sizes 20, 10, 3"):
        clustered([3, 20, 10], min_size=4)
    found, truth = clustered([3, 20, 10], min_size=4, small="unassigned")
    assert set(found.labels[truth == 0]) == {-1} and (found.confidence[truth == 0] == 0).all()
    assert found.sizes == [20, 10, 3]
    found, truth = clustered([3, 20, 10], min_size=4, small="merge")
    assert set(found.labels) == {0, 1} and len(set(found.labels[truth == 0])) == 1
    with pytest.raises(CorpusError, match="found sizes"):
        clustered([3, 3], min_size=4, small="merge")


def test_a_small_cluster_merges_into_the_nearest():
    points = np.concatenate([
        np.tile([1.0, 0.0], (10, 1)), np.tile([0.0, 1.0], (12, 1)), np.tile([0.6, 0.8], (2, 1)),
    ])  # fmt: skip
    points += 1e-3 * np.random.default_rng(0).standard_normal(points.shape)
    found = cluster_vectors(points, ClusterSettings(n_clusters=3, min_size=3, small="merge"), 0)
    assert found.labels.tolist() == [1] * 10 + [0] * 14


def test_more_clusters_than_different_tracks_are_refused():
    with pytest.raises(CorpusError, match="at least 3 tracks; found 2 different ones"):
        cluster_vectors(np.eye(2)[[0, 0, 1]], ClusterSettings(n_clusters=3, min_size=1, small="abort"), 0)


def test_both_blocks_of_a_target_vector_weigh_the_same():
    generator = np.random.default_rng(0)
    descriptor = generator.normal(-40, 9, (50, 32))
    descriptor[:, 3] = -80.0
    style = generator.standard_normal((50, 128))
    found = target_vectors(descriptor, style)
    assert np.linalg.norm(found[:, :128], axis=1) == pytest.approx(np.sqrt(0.5))
    assert np.linalg.norm(found[:, 128:], axis=1) == pytest.approx(np.sqrt(0.5))
    alone = target_vectors(descriptor, None)
    assert alone.shape == (50, 32) and np.linalg.norm(alone, axis=1) == pytest.approx(1)
    scores = (descriptor - descriptor.mean(0)) / np.maximum(descriptor.std(0), 1e-6)
    np.testing.assert_allclose(alone * np.linalg.norm(scores, axis=1, keepdims=True), scores, atol=1e-9)
    np.testing.assert_allclose(target_vectors(3 * descriptor - 7, None), alone, atol=1e-9)


def test_clusters_of_audio_are_low_and_high(tracks):
    own = settings(genre_schema="cluster")
    table, report = build_labels(own, tracks, 0)
    groups = table.groupby("genre")["utt_id"].agg(set).to_dict()
    assert sorted(groups) == ["cluster_0", "cluster_1"] and report["cluster_sizes"] == [3, 3]
    assert {frozenset(own) for own in groups.values()} == {
        frozenset(f"t{n}" for n in (i, i + 2, i + 4)) for i in (0, 1)
    }
    assert (table["confidence"] > 0.5).all()


def lab1(folder, music_bias=0.0):
    """Save an untrained Lab 1, small; its music gate a plain threshold on its own reading."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ContentModel(EncoderSettings(channels=(8, 8, 8), shared=8), 2, 2)
    model.music_head.weight.data.mul_(30)
    model.music_head.bias.data.fill_(music_bias)
    save_content(folder, model)
    return load_content(folder)


def test_the_music_gate_is_lab_1s_mean_over_chunks(tracks, tmp_path):
    model = lab1(tmp_path / "lab1")
    mel = MelTransform(MelSettings())
    chunks = [torch.from_numpy(chunk_wavs(path, [0.0, 2.0], 3.0, 22_050)) for path in tracks["path"]]
    with torch.no_grad():
        heard = [model(to_model(mel(own)[..., :256])) for own in chunks]
    music = np.array([float(torch.sigmoid(own.music_logit).mean()) for own in heard])
    threshold = float(np.sort(music)[1:3].mean())
    own = settings(require_is_music=True, music_threshold=threshold, on_few_sources="report")
    table, report = build_labels(own, tracks, 0, analysis=model)
    assert (table["kept"].to_numpy() == (music >= threshold)).all() and table["kept"].sum() == 4
    reasons = table.loc[~table["kept"], "reason"].tolist()
    assert reasons == [f"not music: {value:.3f}" for value in music[music < threshold]]
    assert report["dropped"] == {"not music": 2}
    with pytest.raises(CorpusError, match="takes for music; found none of 6"):
        build_labels(settings(require_is_music=True, music_threshold=1.0), tracks, 0, analysis=model)


def test_one_chunk_of_music_does_not_make_a_track_music(tracks):
    """A maximum over chunks would let everything pass in which music is heard once."""

    def analysis(mels):
        logits = torch.tensor([4.0, -4.0, -4.0])[: len(mels)]
        return Analysis(None, None, torch.zeros(len(mels), 128), None, logits)

    own = settings(chunks={"per_track": 3})
    heard = listen(open_table(tracks), analysis, MelSettings(), own.chunks, 0, Ledger())
    high = 1 / (1 + np.exp(-4))
    assert heard.music == pytest.approx((high + 2 * (1 - high)) / 3)


def test_clusters_hear_by_lab_1_where_there_is_one(tracks, tmp_path, monkeypatch):
    model = lab1(tmp_path / "lab1")
    seen = []
    original = target_vectors

    def spy(descriptor, style):
        seen.append((descriptor, style))
        return original(descriptor, style)

    monkeypatch.setattr("soundgate.tracks.transfer.labels.build.target_vectors", spy)
    build_labels(settings(genre_schema="cluster", on_few_sources="report"), tracks, 0, analysis=model)
    ((descriptor, style),) = seen
    wavs = torch.from_numpy(chunk_wavs(tracks["path"][4], [0.0, 2.0], 3.0, 22_050))
    decibels = MelTransform(MelSettings())(wavs)[..., :256]
    with torch.no_grad():
        expected = model(to_model(decibels)).style.mean(0)
    np.testing.assert_allclose(style[4], expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(descriptor[4], descriptor32(decibels).mean(0).numpy(), atol=1e-3)


def test_a_killed_run_hears_no_track_twice(tracks, tmp_path):
    ledger = Ledger(tmp_path / "heard")
    (tmp_path / "heard").mkdir()
    first = build_labels(settings(genre_schema="cluster"), tracks, 0, ledger=ledger)
    gone = tracks.assign(path="gone.wav")
    again = build_labels(settings(genre_schema="cluster"), gone, 0, ledger=ledger)
    pd.testing.assert_frame_equal(first[0].drop(columns="path"), again[0].drop(columns="path"))
    with pytest.raises(AudioError, match="gone.wav"):
        build_labels(settings(genre_schema="cluster"), gone, 0)


def run_stage(folder, tracks, embedder=None, **changes):
    """Run the command in a folder, with these tracks for a corpus."""
    (folder / "music").mkdir(exist_ok=True)
    for name in ("tracks", "index"):
        tracks.to_parquet(folder / f"music/{name}.parquet", index=False)
    params = {"seed": 0, "transfer": {"labels": section(**changes)}, "embedder": {"clap": embedder or {}}}
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(params, file)
    return CliRunner().invoke(main, ["--music", "music", "--out", "labels.csv", "--metrics", "labels.json"])


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder with this repository's code, as the stage's work folder is keyed by it."""
    for name in ("src", "stages"):
        (tmp_path / name).symlink_to(Path(__file__).resolve().parents[3] / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_writes_the_table_and_the_counts(repository, tracks):
    result = run_stage(repository, tracks)
    assert result.exit_code == 0, result.output
    first = Path("labels.csv").read_bytes()
    table, report = read_labels("labels.csv"), json.loads(Path("labels.json").read_text())
    assert table["genre"].tolist() == ["low", "high"] * 3 and table["kept"].all()
    assert report["genres"] == {"high": 3, "low": 3} and report["outside_sha256"] == {}
    assert first.splitlines()[0] == b"track_id,utt_id,path,genre,source,score_id,confidence,kept,reason"
    assert run_stage(repository, tracks).exit_code == 0 and Path("labels.csv").read_bytes() == first


def test_the_stage_hears_by_clap_and_by_a_pinned_lab_1(repository, tracks, monkeypatch):
    asked = []

    def load(own):
        asked.append(own.weights)
        return PlantedModel()

    monkeypatch.setattr("soundgate.embeddings.clap.load", load)
    lab1(repository / "lab1", music_bias=100.0)
    pinned = {"folder": "lab1", "sha256": sha256_of("lab1/model.safetensors")}
    changes = {"genre_schema": "clap", "require_is_music": True, "analysis": pinned}
    result = run_stage(repository, tracks, {"weights": "mine"}, **changes)
    assert result.exit_code == 0, result.output
    report = json.loads(Path("labels.json").read_text())
    assert asked == ["mine"] and report["genres"] == {"high": 3, "low": 3}
    assert report["outside_sha256"] == {"analysis": pinned["sha256"]}
    lab1(repository / "lab1", music_bias=-100.0)
    result = run_stage(repository, tracks, {"weights": "mine"}, **changes)
    assert result.exit_code == 1 and f"expected sha256 {pinned['sha256']}" in result.output


def test_the_stage_says_what_is_missing_in_one_line(repository, tracks):
    result = run_stage(repository, tracks, require_is_music=True)
    assert result.exit_code == 1 and "transfer.labels.analysis.folder: expected a finished Lab 1" in result.output
    result = run_stage(repository, tracks, {"weights": "random"}, genre_schema="clap")
    assert result.exit_code == 1 and "a folder" in result.output


@pytest.mark.slow
def test_any_number_of_workers_hears_the_same(repository, tracks, monkeypatch):
    written = []
    for scratch in ("here", "workers"):
        if scratch == "workers":
            as_by_workers(monkeypatch)
        monkeypatch.setenv("SOUNDGATE_SCRATCH", str(repository / scratch))
        result = run_stage(repository, tracks, genre_schema="cluster")
        assert result.exit_code == 0, result.output
        written.append((Path("labels.csv").read_bytes(), Path("labels.json").read_bytes()))
    assert written[0] == written[1]
