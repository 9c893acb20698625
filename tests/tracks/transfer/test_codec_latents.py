"""The cache of latents and the style bank."""

import numpy as np
import pytest
import torch

from soundgate.audio.io import write_audio
from soundgate.codecs.registry import load_codec
from soundgate.runtime.errors import ConfigError, CorpusError, FormatError
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.codec.bank import StyleBank, build_bank, measure_bank
from soundgate.tracks.transfer.codec.caching import CodecCacheSettings, build_latents
from soundgate.tracks.transfer.codec.judge import JudgeTask, embed_latents
from soundgate.tracks.transfer.codec.latents import LatentCache, write_latents
from soundgate.tracks.transfer.codec.loading import load_differentiable
from soundgate.tracks.transfer.codec.settings import BankSettings
from soundgate.training.loop import fit
from tests.tracks.transfer.planted import planted_cache
from tests.tracks.transfer.planted_latents import BANK, write_planted_labs

CODEC_SETTINGS = {"frame_rate": 75, "codebook_size": 16}
DURATION_S = 0.5


@pytest.fixture(scope="module")
def codec():
    return load_codec("gain_shape", CODEC_SETTINGS)


def test_a_codec_without_gradients_is_refused(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="no ai-edge-litert for this platform")
    from tests.codecs.tiny_lyra import write_tiny

    with pytest.raises(ConfigError, match=r"transfer.codecs: expected a codec that gradients.*lyra.*\[gain_shape\]"):
        load_differentiable("lyra", write_tiny(tmp_path))
    assert load_differentiable("gain_shape", CODEC_SETTINGS).differentiable


@pytest.fixture
def sounding(tmp_path):
    """Return a cache whose music is in files."""
    cache = planted_cache(5)
    index = cache.index.copy()
    for row in cache.rows():
        path = tmp_path / f"{row}.wav"
        noise = 0.1 * np.random.default_rng(int(row)).standard_normal(15_000)
        write_audio(path, noise.astype(np.float32), 24_000)
        index.loc[row, "path"] = str(path)
    return ChunkCache(index, cache.mels)


def built(cache, codec, folder, quantised=False):
    settings, device = CodecCacheSettings(quantised=quantised), torch.device("cpu")
    counts = build_latents(settings, cache, DURATION_S, codec, CODEC_SETTINGS, device, folder / "work", folder / "out")
    return counts, LatentCache.open(folder / "out")


def test_latents_are_those_of_each_rows_chunk(sounding, codec, tmp_path):
    counts, latents = built(sounding, codec, tmp_path)
    assert counts == {"n_chunks": 20, "dim": 128, "n_frames": 38, "frame_rate": 75.0}
    assert latents.rows.tolist() == sounding.rows().tolist()
    row = latents.rows[7]
    wav = np.random.default_rng(int(row)).standard_normal(15_000).astype(np.float32)[: int(DURATION_S * 24_000)]
    wanted = codec.encode(0.1 * torch.from_numpy(wav)[None, None])[0].T
    torch.testing.assert_close(latents.batch([row])[0], wanted, rtol=2e-3, atol=2e-3)
    assert torch.equal(latents.batch([row], 5, 8), latents.batch([row])[..., 5:13])


def test_quantised_latents_are_what_the_codes_stand_for(sounding, codec, tmp_path):
    _, plain = built(sounding, codec, tmp_path / "plain")
    _, quantised = built(sounding, codec, tmp_path / "quantised", quantised=True)
    own = plain.batch(plain.rows[:2]).mT.contiguous()
    wanted = codec.dequantise(codec.quantise(own)).mT
    found = quantised.batch(plain.rows[:2])
    assert float((found - wanted).abs().mean()) < 0.05 < float((found - own.mT).abs().mean())


def test_the_scale_is_that_of_train_rows(sounding, codec, tmp_path):
    _, latents = built(sounding, codec, tmp_path)
    train = latents.batch(sounding.rows("train")).numpy()
    np.testing.assert_allclose(latents.mean, train.mean(axis=(0, 2)), atol=1e-4)
    np.testing.assert_allclose(latents.std, train.std(axis=(0, 2)), atol=1e-4)
    means = latents.means(len(sounding.index))
    assert np.isnan(means[sounding.rows(music=False)]).all()
    np.testing.assert_allclose(means[sounding.rows("train")].mean(0), 0, atol=1e-3)


def test_finished_tracks_are_not_encoded_again(sounding, codec, tmp_path, monkeypatch):
    _, whole = built(sounding, codec, tmp_path)
    parts = sorted((tmp_path / "work/parts").iterdir())
    for part in parts[:3]:
        part.unlink()
    encoded = []
    monkeypatch.setattr(codec, "encode", lambda wav: encoded.append(len(wav)) or type(codec).encode(codec, wav))
    _, again = built(sounding, codec, tmp_path)
    assert encoded == [1, 1, 1] and np.array_equal(whole.latents, again.latents)


def test_no_music_is_an_error(codec, tmp_path):
    cache = planted_cache(5)
    index = cache.index.assign(is_music=False)
    with pytest.raises(CorpusError, match="none"):
        built(ChunkCache(index, cache.mels), codec, tmp_path)


def test_a_file_that_the_cache_holds_by_a_hard_link_is_replaced_not_written_to(tmp_path):
    parts, train = [np.ones((2, 3, 4), np.float16)], np.array([True, True])
    for value in (1, 2):
        write_latents(tmp_path / "out", np.arange(2), [value * part for part in parts], train, {})
        for name in ("latents.npy", "scale.npz"):
            (tmp_path / f"{value}-{name}").hardlink_to(tmp_path / "out" / name)
    assert np.load(tmp_path / "1-latents.npy").max() == 1 and np.load(tmp_path / "2-latents.npy").max() == 2
    assert np.load(tmp_path / "1-scale.npz")["mean"].max() == 1 and np.load(tmp_path / "2-scale.npz")["mean"].max() == 2


def test_a_cache_that_does_not_fit_is_named(sounding, codec, tmp_path):
    built(sounding, codec, tmp_path)
    np.save(tmp_path / "out/latents.npy", np.zeros((3, 128, 4), np.float16))
    with pytest.raises(FormatError, match="3"):
        LatentCache.open(tmp_path / "out")


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    return write_planted_labs(tmp_path_factory.mktemp("labs"), 10)


def test_a_trained_judge_tells_planted_genres_and_shuffled_ones_fail(labs):
    cache, latents = ChunkCache.open(labs / "cache"), LatentCache.open(labs / "latents")
    settings = BankSettings.model_validate(BANK | {"channels": 32, "loop": BANK["loop"] | {"steps_per_epoch": 30}})
    task = JudgeTask(cache, latents, settings, 0, 30, torch.device("cpu"))
    checkpoint = labs / "judge.pt"
    fit(task, settings.loop, len(cache.rows("train")), seed=0, name="judge", checkpoint=checkpoint)
    judge = task.judge.requires_grad_(False).eval()
    embeddings = embed_latents(judge, latents, len(cache.index), "cpu")
    gates = measure_bank(cache, build_bank(cache, judge, embeddings, settings), settings, 0)["gates"]
    assert gates["nearest_centroid"]["value"] == 1 and gates["nearest_centroid"]["control"] == 0.5
    assert gates["centroid_cosine"]["value"] < 0.97 < gates["centroid_cosine"]["control"]

    genre = cache.index["genre_code"].to_numpy().copy()
    genre[cache.rows()] = np.random.default_rng(0).permutation(genre[cache.rows()])
    confused = ChunkCache(cache.index.assign(genre_code=genre), cache.mels)
    gates = measure_bank(confused, build_bank(confused, judge, embeddings, settings), settings, 0)["gates"]
    assert gates["nearest_centroid"]["value"] < 0.8


def test_a_bank_is_read_as_it_was_written(labs):
    bank, latents = StyleBank.open(labs / "bank"), LatentCache.open(labs / "latents")
    rows = latents.rows[:3]
    torch.testing.assert_close(bank.judge(latents.batch(rows)), torch.from_numpy(bank.targets[rows]))
    np.testing.assert_allclose(np.linalg.norm(bank.centroids, axis=1), 1, rtol=1e-5)
    (labs / "bank/bank.npz").write_bytes(b"no")
    with pytest.raises(FormatError, match="style bank"):
        StyleBank.open(labs / "bank")
