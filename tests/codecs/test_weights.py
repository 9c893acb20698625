"""Weights files: what is read, what is refused, and how each refusal says what to do."""

import pickle

import pytest
import torch
from torch import nn

from soundgate.codecs import weights
from soundgate.codecs.registry import load_codec
from soundgate.runtime.errors import WeightsError


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
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    for codec, subject in (("mimi", "kyutai/moshiko-pytorch-bf16"), ("encodec", "encodec_24khz-d7cc33bc.th")):
        with pytest.raises(WeightsError, match=f"{subject}.*Name or service.*set weights to its path"):
            load_codec(codec, {})


def test_hub_downloads_are_read_as_tensors_only(monkeypatch, load_case, wav):
    asked = {}
    state = load_case("encodec").weights()

    def fetch(url, **options):
        asked.update(options, url=url)
        return dict(state)

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    codec = load_codec("encodec", {"weights": "hub"})
    assert asked["weights_only"] and asked["check_hash"] and asked["url"].endswith("-d7cc33bc.th")
    assert torch.equal(codec.encode(wav[..., :4_000]), load_case("encodec").encode(wav[..., :4_000]))
