"""Embedder ``clap``: the library's own numbers, and weights that are missing, damaged, evil or of something else."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from soundgate.embeddings.clap import model as clap_model
from soundgate.embeddings.clap import text as clap_text
from soundgate.embeddings.clap.embedder import pooled
from soundgate.embeddings.registry import load_embedder
from soundgate.runtime.errors import ConfigError, WeightsError
from soundgate.runtime.files import sha256_of
from tests.embeddings.talking_clap import save_talking_clap

CONFIGS = ("config.json", "preprocessor_config.json")
COMMIT = "0123abcd" * 5
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
PROMPTS = ["a lofi music track", "a jazz music track", "rock"]


class Harmless:
    def __reduce__(self):
        return print, ("unpickled",)


def assert_same(one, other, wav):
    """Hold two embedders against one another: every weight and what they make of a sound, to the last bit."""
    own, others = one.model.state_dict(), other.model.state_dict()
    assert own.keys() == others.keys() and all(torch.equal(tensor, others[name]) for name, tensor in own.items())
    np.testing.assert_array_equal(one.embed([wav]), other.embed([wav]))


@pytest.fixture
def copied(clap_folder, tmp_path):
    return shutil.copytree(clap_folder, tmp_path / "copied")


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talking")
    return save_talking_clap(folder), folder


@pytest.fixture
def talking_copy(talking, tmp_path):
    return shutil.copytree(talking[1], tmp_path / "talking")


def load(folder):
    return load_embedder("clap", {"weights": str(folder)})


def test_vectors_are_the_librarys_own(small_clap, clap_folder, noise):
    model, extractor = small_clap()
    inputs = extractor(noise("a"), sampling_rate=48_000, return_tensors="pt")
    with torch.no_grad():
        expected = model.get_audio_features(**inputs).pooler_output.numpy()
    found = load(clap_folder).embed([noise("a")])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_a_tensor_and_an_object_with_pooler_output_are_accepted(clap_folder, noise, monkeypatch):
    features = torch.arange(6.0).reshape(2, 3)
    assert pooled(features) is features and pooled(SimpleNamespace(pooler_output=features)) is features
    with pytest.raises(TypeError, match="found SimpleNamespace"):
        pooled(SimpleNamespace(last_hidden_state=features))
    embedder = load(clap_folder)
    before = embedder.embed([noise("a")])
    original = embedder.model.get_audio_features
    monkeypatch.setattr(embedder.model, "get_audio_features", lambda **inputs: original(**inputs).pooler_output)
    np.testing.assert_array_equal(embedder.embed([noise("a")]), before)


def test_audio_that_would_be_cropped_at_random_is_refused(clap_folder):
    embedder = load(clap_folder)
    embedder.embed([np.zeros(480_000, np.float32)])
    with pytest.raises(ValueError, match="at most 480000 samples, found 480001"):
        embedder.embed([np.zeros(10, np.float32), np.zeros(480_001, np.float32)])


def test_the_model_is_frozen_and_named_by_its_bytes(clap_folder):
    embedder = load(clap_folder)
    assert not embedder.model.training and not any(p.requires_grad for p in embedder.model.parameters())
    expected = {"model": str(clap_folder), "revision": sha256_of(clap_folder / "model.safetensors")}
    assert embedder.card().items() >= expected.items()


def test_pytorch_weights_are_read_as_tensors(copied, clap_folder, noise):
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    assert_same(load(copied), load(clap_folder), noise("a"))


def test_pickles_are_refused_and_not_run(copied, capsys):
    (copied / "model.safetensors").unlink()
    torch.save({"logit_scale_a": Harmless()}, copied / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="nothing is ever unpickled"):
        load(copied)
    assert "unpickled" not in capsys.readouterr().out


def test_what_a_folder_lacks_is_named(copied, tmp_path):
    with pytest.raises(WeightsError, match="nowhere.*no such folder.*Set embedder.clap.weights"):
        load(tmp_path / "nowhere")
    (copied / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="without model.safetensors, pytorch_model.bin"):
        load(copied)
    (copied / "preprocessor_config.json").unlink()
    with pytest.raises(WeightsError, match="found without preprocessor_config.json"):
        load(copied)


def test_damaged_files_are_refused(copied):
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5_000])
    with pytest.raises(WeightsError, match="model.safetensors.*unusable weights"):
        load(copied)


@pytest.mark.parametrize("name", CONFIGS)
def test_damaged_configurations_are_refused(copied, name):
    (copied / name).write_text("{")
    with pytest.raises(WeightsError, match="copied"):
        load(copied)


def test_weights_of_another_architecture_are_refused(copied):
    tensors = load_file(copied / "model.safetensors")
    lost = "audio_projection.linear2.weight"
    save_file({name: value for name, value in tensors.items() if name != lost}, copied / "model.safetensors")
    with pytest.raises(WeightsError, match=f"1 tensors missing, among them {lost}"):
        load(copied)
    save_file(tensors | {lost: torch.zeros(512, 3)}, copied / "model.safetensors")
    with pytest.raises(WeightsError, match="unusable weights"):
        load(copied)


def test_other_dimensions_are_refused(small_clap, tmp_path):
    for part in small_clap(projection_dim=64):
        part.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="512 dimensions; found projection_dim 64"):
        load(tmp_path)


def test_audio_against_text_is_the_librarys_own_logits(talking, noise):
    model, folder = talking
    embedder = load(folder)
    tokens = AutoTokenizer.from_pretrained(folder)(PROMPTS, padding=True, return_tensors="pt")
    mel = embedder.extractor(noise("a"), sampling_rate=48_000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        expected = model(input_features=mel, is_longer=torch.zeros(1, 1, dtype=torch.bool), **tokens)
    text = embedder.embed_text(PROMPTS)
    assert text.dtype == np.float32 and np.linalg.norm(text, axis=1) == pytest.approx(1, abs=1e-5)
    assert embedder.logit_scale == pytest.approx(20)
    found = embedder.logit_scale * embedder.embed([noise("a")]) @ text.T
    np.testing.assert_allclose(found, expected.logits_per_audio.numpy(), atol=1e-4)


def test_a_texts_vector_depends_on_that_text_alone(talking):
    embedder = load(talking[1])
    together = embedder.embed_text(PROMPTS)
    np.testing.assert_allclose(together, [embedder.embed_text([prompt])[0] for prompt in PROMPTS], atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_text_features_may_be_a_tensor_too(talking, monkeypatch):
    embedder = load(talking[1])
    before = embedder.embed_text(PROMPTS)
    original = embedder.model.get_text_features
    monkeypatch.setattr(embedder.model, "get_text_features", lambda **tokens: 3 * original(**tokens).pooler_output)
    np.testing.assert_allclose(embedder.embed_text(PROMPTS), before, atol=1e-6)


def test_audio_needs_no_text_side_and_text_says_what_it_lacks(talking_copy, noise):
    weights = talking_copy / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: value for name, value in tensors.items() if name.startswith("audio_")}, weights)
    embedder = load(talking_copy)
    assert embedder.embed([noise("a")]).shape == (1, 512)
    for ask in (lambda: embedder.embed_text(["a"]), lambda: embedder.logit_scale):
        with pytest.raises(WeightsError, match="text side and logit_scale_a; found .* missing"):
            ask()
    save_file({name: value for name, value in tensors.items() if name != "logit_scale_a"}, weights)
    with pytest.raises(WeightsError, match="1 tensors missing, among them logit_scale_a"):
        assert load(talking_copy).logit_scale


@pytest.mark.parametrize("name", TOKENIZER)
def test_a_missing_or_damaged_tokenizer_is_refused(talking_copy, name):
    (talking_copy / name).write_text("{")
    with pytest.raises(WeightsError, match="expected a tokenizer"):
        load(talking_copy).embed_text(["a"])
    (talking_copy / name).unlink()
    with pytest.raises(WeightsError, match=f"without {name}.*holding all the files"):
        load(talking_copy).embed_text(["a"])


def test_a_cached_tokenizer_is_read_from_the_models_own_commit(monkeypatch, talking_copy):
    snapshot = talking_copy.rename(talking_copy.with_name(COMMIT))
    expected = load(snapshot).embed_text(PROMPTS)
    names = [*CONFIGS, "model.safetensors"]
    asked = fake_hub(monkeypatch, snapshot, names)
    monkeypatch.setattr(clap_text, "hf_hub_download", clap_model.hf_hub_download)
    embedder = load_embedder("clap", pinned(snapshot / "model.safetensors"))
    assert not set(TOKENIZER) & {name for _, name, _, _ in asked}
    with pytest.raises(WeightsError, match="larger_clap_music_and_speech@0123abcd.*hf download"):
        embedder.embed_text(PROMPTS)
    names += TOKENIZER
    np.testing.assert_array_equal(embedder.embed_text(PROMPTS), expected)
    assert {revision for _, _, revision, _ in asked} == {COMMIT}


def pinned(weights):
    return {"revision": COMMIT, "sha256": sha256_of(weights)}


def test_weights_of_another_hash_are_not_loaded(monkeypatch, copied, caplog):
    snapshot = copied.rename(copied.with_name(COMMIT))
    fake_hub(monkeypatch, snapshot, [*CONFIGS, "model.safetensors"])
    found = sha256_of(snapshot / "model.safetensors")
    with pytest.raises(WeightsError, match=f"@{COMMIT}: expected a file with sha256 b73c5e59.*found sha256 {found}"):
        load_embedder("clap", {"revision": COMMIT})
    assert load_embedder("clap", {"revision": COMMIT, "sha256": None}).card()["revision"] == COMMIT
    assert f"set sha256 to {found}" in caplog.text


@pytest.mark.parametrize("settings", [{"revision": "main"}, {"revision": "195c3a3"}, {"sha256": "b73c5e59"}])
def test_a_pin_is_whole(settings):
    with pytest.raises(ConfigError, match=f"embedder.clap.{next(iter(settings))}"):
        load_embedder("clap", settings)


def fake_hub(monkeypatch, folder, names):
    """Stand in for a cache that holds some files of a folder, with no network behind it."""
    asked = []

    def download(repository, name, *, revision, local_files_only):
        asked.append((repository, name, revision, local_files_only))
        if name not in names:
            raise LocalEntryNotFoundError("no connection, and not in the cache")
        return str(folder / name)

    monkeypatch.setattr(clap_model, "hf_hub_download", download)
    return asked


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_cached_model_is_loaded_without_asking_the_hub(monkeypatch, copied, clap_folder, noise, weights):
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    snapshot = copied.rename(copied.with_name(COMMIT))
    for other in {"model.safetensors", "pytorch_model.bin"} - {weights}:
        (snapshot / other).unlink()
    asked = fake_hub(monkeypatch, snapshot, [*CONFIGS, weights])
    embedder = load_embedder("clap", pinned(snapshot / weights))
    assert all(local for *_, local in asked) and {revision for _, _, revision, _ in asked} == {COMMIT}
    assert embedder.card()["model"] == "laion/larger_clap_music_and_speech"
    assert embedder.card()["revision"] == COMMIT
    assert_same(embedder, load(clap_folder), noise("a"))


@pytest.mark.parametrize("cached", [[], list(CONFIGS)])
def test_offline_without_a_cache_says_what_to_do(monkeypatch, tmp_path, cached):
    fake_hub(monkeypatch, tmp_path, cached)
    with pytest.raises(WeightsError, match="larger_clap_music_and_speech@.*hf download.*to a folder.*acoustic"):
        load_embedder("clap", {})


@pytest.mark.slow
def test_the_real_architecture_untrained(noise):
    embedder = load_embedder("clap", {"weights": "random"})
    sizes = [p.numel() for p in embedder.model.audio_model.parameters()]
    assert sum(sizes) == pytest.approx(68e6, rel=0.02)
    vectors = embedder.embed([noise("a"), noise("b", 40_000)])
    assert vectors.shape == (2, 512) and np.isfinite(vectors).all()
    assert embedder.card()["model"] == embedder.card()["revision"] == "random"
    with pytest.raises(WeightsError, match="random weights, which have none"):
        embedder.embed_text(["a"])
    assert json.loads(embedder.model.config.to_json_string())["projection_dim"] == 512
