"""Weights files: what is read, what is refused, and how each refusal says what to do."""

import hashlib
import pickle

import pytest
import torch
from torch import nn

from soundgate.codecs import weights
from soundgate.codecs.registry import load_codec
from soundgate.runtime.errors import ConfigError, WeightsError
from soundgate.runtime.files import sha256_of
from tests.http_server import Served, serving


class Harmless:
    def __reduce__(self):
        return print, ("unpickled",)


def test_state_dicts_are_read(tmp_path):
    state = {"weight": torch.arange(6.0).reshape(2, 3)}
    weights.save_weights(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pt")
    torch.save({"model": state, "step": 3}, tmp_path / "c.th")
    for name in ("a.safetensors", "b.pt", "c.th"):
        read = weights.read_weights(tmp_path / name)
        assert list(read) == ["weight"] and torch.equal(read["weight"], state["weight"])


def test_views_and_shared_tensors_are_saved(tmp_path):
    whole = torch.arange(6.0)
    weights.save_weights({"a": whole[:3], "b": whole[:3], "c": whole.reshape(2, 3).T}, tmp_path / "a.safetensors")
    read = weights.read_weights(tmp_path / "a.safetensors")
    assert torch.equal(read["c"], whole.reshape(2, 3).T) and torch.equal(read["a"], read["b"])


def test_pickles_are_refused_and_not_run(tmp_path, capsys):
    torch.save({"weight": Harmless()}, tmp_path / "evil.pt")
    (tmp_path / "raw.pkl").write_bytes(pickle.dumps(Harmless()))
    for name in ("evil.pt", "raw.pkl"):
        with pytest.raises(WeightsError, match="nothing is ever unpickled"):
            weights.read_weights(tmp_path / name)
        for codec in ("mimi", "encodec", "gain_shape"):
            with pytest.raises(WeightsError, match="tensors only"):
                load_codec(codec, {"weights": str(tmp_path / name)})
    assert "unpickled" not in capsys.readouterr().out


def test_damaged_files_are_refused(tmp_path):
    weights.save_weights({"weight": torch.zeros(1000)}, tmp_path / "cut.safetensors")
    torch.save({"weight": torch.zeros(1000)}, tmp_path / "cut.pt")
    for name in ("cut.safetensors", "cut.pt"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:700])
        with pytest.raises(WeightsError, match=name):
            weights.read_weights(path)
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(WeightsError, match="empty.pt"):
        weights.read_weights(tmp_path / "empty.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="mapping of names to tensors; found a list"):
        weights.read_weights(tmp_path / "list.pt")


def test_another_architecture_is_refused_key_by_key():
    model = nn.Linear(2, 3)
    with pytest.raises(WeightsError, match="weight.*bias.*other|bias.*other"):
        weights.fit_weights(model, {"weight": torch.zeros(3, 2), "other": torch.zeros(1)}, "file")
    with pytest.raises(WeightsError, match="size mismatch for weight"):
        weights.fit_weights(model, {"weight": torch.zeros(4, 2), "bias": torch.zeros(3)}, "file")


def test_unreachable_hubs_say_what_to_do(monkeypatch):
    def unreachable(*arguments, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr(weights, "hf_hub_download", unreachable)
    monkeypatch.setattr(weights, "download", unreachable)
    for codec, subject in (("mimi", "kyutai/moshiko-pytorch-bf16"), ("encodec", "encodec_24khz-d7cc33bc.th")):
        with pytest.raises(WeightsError, match=f"{subject}.*Name or service.*set weights to its path"):
            load_codec(codec, {})


def cached(monkeypatch, tmp_path, codec, state):
    """Make a file with weights be what the hub gives; return its hash and what the hub is asked for."""
    path, asked = tmp_path / "weights.pt", []
    torch.save(dict(state), path)
    if codec == "mimi":
        path = path.with_suffix(".safetensors")
        weights.save_weights(state, path)
    monkeypatch.setattr(weights, "hf_hub_download", lambda *names, **options: asked.append((*names, options)) or path)
    monkeypatch.setattr(weights, "download", lambda *names, **_options: asked.append(names) or path)
    return sha256_of(path), asked


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("codec", ["mimi", "encodec"])
def test_the_hubs_weights_are_one_version_and_read_as_tensors_only(monkeypatch, tmp_path, load_case, wav, codec):
    own = load_case({"mimi": "mimi_encoder"}.get(codec, codec))
    sha256, asked = cached(monkeypatch, tmp_path, codec, own.weights())
    loaded = load_codec(codec, {"weights": "hub", "sha256": sha256})
    short = wav[..., :4_000]
    assert torch.equal(loaded.encode(short), own.encode(short))
    if codec == "mimi":
        name = "tokenizer-e351c8d8-checkpoint125.safetensors"
        commit = "2bfc9ae6e89079a5cc7ed2a68436010d91a3d289"
        assert asked == [("kyutai/moshiko-pytorch-bf16", name, {"revision": commit})]
    else:
        url, path, checksum = asked[0]
        assert url.startswith("https://") and path.name == url.rpartition("/")[2] == "encodec_24khz-d7cc33bc.th"
        assert checksum == f"sha256:{sha256}" and len(asked) == 1


@pytest.mark.usefixtures("small")
def test_weights_of_another_hash_are_not_loaded(monkeypatch, tmp_path, caplog):
    sha256, _ = cached(monkeypatch, tmp_path, "mimi", {"weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match=f"sha256 09b782f0.*found sha256 {sha256}.*Delete"):
        load_codec("mimi", {})
    with pytest.raises(WeightsError, match="another architecture"):
        load_codec("mimi", {"sha256": sha256})
    with pytest.raises(WeightsError, match="another architecture"):
        load_codec("mimi", {"sha256": None})
    assert f"set sha256 to {sha256}" in caplog.text


def test_an_address_that_gives_another_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with serving({"/weights.th": Served(b"other")}) as address:
        with pytest.raises(WeightsError, match="weights.th.*wrong checksum"):
            weights.hub_url(f"{address}/weights.th", "0" * 64)
        (tmp_path / "checkpoints" / "weights.th").write_bytes(b"changed in the cache")
        path = weights.hub_url(f"{address}/weights.th", hashlib.sha256(b"other").hexdigest())
    assert path == tmp_path / "checkpoints" / "weights.th" and path.read_bytes() == b"other"


@pytest.mark.parametrize(
    ("codec", "settings"),
    [
        ("mimi", {"revision": "main"}),
        ("mimi", {"revision": "2bfc9ae"}),
        ("mimi", {"revision": None}),
        ("mimi", {"sha256": "09b782f0"}),
        ("encodec", {"sha256": None}),
        ("encodec", {"sha256": "d7cc33bc"}),
    ],
)
def test_a_pin_is_whole(codec, settings):
    with pytest.raises(ConfigError, match=f"codec.{codec}.{next(iter(settings))}"):
        load_codec(codec, settings)
