import numpy as np
import pytest
import torch

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.transfer.augment import rerecord
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.content.measures import embed, measure_content, probe, retrieval_across_styles
from soundgate.tracks.transfer.content.model import ContentModel, EncoderSettings, load_content, save_content
from soundgate.tracks.transfer.content.objective import (
    alignment,
    contrast,
    excess_similarity,
    sequence_contrast,
)
from soundgate.tracks.transfer.content.settings import ContentSettings
from soundgate.tracks.transfer.content.task import ContentTask
from soundgate.tracks.transfer.content.train import train_content
from tests.tracks.transfer.planted import planted_cache

CPU = torch.device("cpu")
SETTINGS = ContentSettings.model_validate(
    {
        "encoder": {"channels": (48, 48, 48), "shared": 64},
        "loop": {"epochs": 4, "batch_size": 16, "steps_per_epoch": 20, "checkpoint_s": 1e-9},
        "learning_rate": 0.003,
        "weight_decay": 0.01,
        "temperature": 0.1,
        "mismatch_limit": 0.3,
        "n_moments": 4,
        "weights": {
            "contrast": 1,
            "sequence": 1,
            "alignment": 2,
            "separation": 2,
            "genre": 1,
            "source": 0.3,
            "adversary": 0.3,
            "music": 1,
        },
        "n_bootstrap": 200,
    }
)


@pytest.fixture(scope="module")
def cache():
    return planted_cache()


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    model, _ = train_content(cache, SETTINGS, 0, CPU, tmp_path_factory.mktemp("content") / "checkpoint.pt")
    return model, embed(model, cache, CPU)


def unit(*shape, seed=0):
    values = torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
    return torch.nn.functional.normalize(values, dim=1)


def test_contrast_of_orthogonal_pairs_is_known():
    views = torch.eye(4)
    expected = np.log(1 + 3 * np.exp(-1 / 0.5))
    assert float(contrast(views, views, torch.arange(4), 0.5)) == pytest.approx(expected, rel=1e-5)


def test_the_same_music_is_no_negative():
    views = torch.eye(4)
    assert float(contrast(views, views, torch.zeros(4), 0.5)) == pytest.approx(0, abs=1e-6)


def test_other_moments_are_negatives_of_a_sequence():
    steps = torch.nn.functional.normalize(torch.ones(2, 8, 5), dim=1)
    torch.manual_seed(0)
    alike = sequence_contrast(steps, steps, torch.arange(2), 0.1, 3)
    assert float(alike) == pytest.approx(np.log(6), rel=1e-4)


def test_alignment_and_excess_similarity_at_known_values():
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(alignment(first, first)) == 0 and float(alignment(first, -first)) == 2
    second = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert float(excess_similarity(first, second, torch.arange(2), 0.3)) == pytest.approx((0.0 + 0.49) / 2)
    assert float(excess_similarity(first, second, torch.zeros(2), 0.3)) == 0


def test_rerecording_keeps_what_is_played():
    mels = planted_cache(2).batch(np.arange(8))
    torch.manual_seed(1)
    other = rerecord(mels)
    assert other.shape == mels.shape and float(other.amax()) == 1 and float(other.amin()) >= -1
    motion = [(m - m.mean(-1, keepdim=True)).flatten(1)[:, : 60 * 256] for m in (mels, other)]
    correlation = torch.nn.functional.cosine_similarity(*motion, dim=1)
    assert (correlation > 0.6).all() and (other - mels).abs().mean() > 0.05


def test_the_models_outputs_are_unit_vectors_and_it_survives_the_disk(tmp_path):
    model = ContentModel(EncoderSettings(channels=(16, 16, 16), shared=16), 3, 2).eval()
    mels = torch.rand(2, 96, 256) * 2 - 1
    analysis = model(mels)
    for vector in (analysis.content, analysis.sequence, analysis.style):
        torch.testing.assert_close(vector.norm(dim=1), torch.ones_like(vector.norm(dim=1)))
    assert analysis.sequence.shape == (2, 128, 32) and model.genre_logits(analysis.style).shape == (2, 3)
    save_content(tmp_path, model)
    torch.testing.assert_close(load_content(tmp_path)(mels).content, analysis.content)


def test_planted_content_and_style_are_found_on_unseen_scores(cache, trained):
    model, embeddings = trained
    gates = measure_content(model, cache, embeddings, CPU, 0, 200)["gates"]
    print({name: gate["value"] for name, gate in gates.items()})
    assert gates["same_content"]["value"] > 0.8 > 0.5 > gates["mismatched_content"]["value"]
    assert gates["style_probe"]["value"] > 0.95 and gates["style_probe"]["control"] == 0.5
    assert gates["music_auc"]["value"] > 0.95
    assert gates["leakage"]["value"] < 0.15


def test_an_encoder_that_collapsed_is_caught(cache, trained):
    model, embeddings = trained
    collapsed = embeddings | {"content": np.tile(embeddings["content"][:1], (len(cache.index), 1))}
    gates = measure_content(model, cache, collapsed, CPU, 0, 200)["gates"]
    assert gates["same_content"]["value"] == pytest.approx(1, abs=1e-5)
    assert gates["mismatched_content"]["value"] > gates["mismatched_content"]["threshold"]


def test_an_encoder_that_leaks_the_source_is_caught(cache, trained):
    model, embeddings = trained
    source = cache.index["source_code"].to_numpy()[:, None]
    noise = np.random.default_rng(0).standard_normal((len(source), 8)) * 0.1
    leaking = embeddings | {"content": np.concatenate([source, noise], axis=1)}
    gate = measure_content(model, cache, leaking, CPU, 0, 200)["gates"]["leakage"]
    assert gate["value"] == pytest.approx(0.5, abs=0.05) and gate["value"] > gate["threshold"]


def test_a_probe_of_noise_is_no_better_than_the_majority(cache):
    noise = np.random.default_rng(0).standard_normal((len(cache.index), 4))
    accuracy, majority = probe(cache, noise, "genre", np.random.default_rng(1), 200)
    assert majority == 0.5 and abs(accuracy.value - 0.5) < 0.35


def test_retrieval_finds_the_planted_partner(cache):
    rows = cache.rows("test")
    music = cache.index["group"].iloc[rows].astype("category").cat.codes.to_numpy()
    hits, chance = retrieval_across_styles(cache, rows, (music[:, None] == music[None, :]).astype(float))
    assert hits.tolist() == [1.0] * len(rows) and chance == 1 / 4


def test_without_other_renderings_content_is_held_against_a_rerecording(cache, trained):
    model, _ = trained
    one = cache.index["utt_id"].str.endswith("bright-0") | cache.index["utt_id"].str.endswith("dark-1")
    index = cache.index.assign(group=cache.index["track_id"])
    alone = ChunkCache(index[one | ~index["is_music"]].reset_index(drop=True), cache.mels[one | ~index["is_music"]])
    measured = measure_content(model, alone, embed(model, alone, CPU), CPU, 0, 200)
    assert measured["same_content_pairs"]["kind"].startswith("re-recorded")
    assert measured["retrieval_across_styles"]["value"] is None or np.isnan(
        measured["retrieval_across_styles"]["value"]
    )
    assert 0.3 < measured["gates"]["same_content"]["value"] <= 1


def test_a_killed_training_goes_on_bit_for_bit(cache, tmp_path, monkeypatch):
    settings = SETTINGS.model_copy(
        update={"loop": SETTINGS.loop.model_copy(update={"epochs": 1, "steps_per_epoch": 4})}
    )
    whole, history = train_content(cache, settings, 0, CPU, tmp_path / "whole.pt")
    step = ContentTask.step

    def killed(task, items, number):
        if number == 2:
            raise KeyboardInterrupt
        return step(task, items, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ContentTask, "step", killed)
        train_content(cache, settings, 0, CPU, tmp_path / "killed.pt")
    resumed, again = train_content(cache, settings, 0, CPU, tmp_path / "killed.pt")
    assert history == again
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_one_genre_cannot_be_told_from_others(cache, tmp_path):
    one = (cache.index["genre"] != "dark").to_numpy()
    alone = ChunkCache(cache.index[one].reset_index(drop=True), cache.mels[one])
    with pytest.raises(CorpusError, match="two genres"):
        train_content(alone, SETTINGS, 0, CPU, tmp_path / "checkpoint.pt")
