import pytest
import torch

from soundgate.runtime.errors import WeightsError
from soundgate.training.weights import MODEL_FILE, read_model, save_model


def test_a_model_comes_back_as_it_was(tmp_path):
    model = torch.nn.Linear(3, 2)
    save_model(tmp_path, model, {"width": 3})
    config, tensors = read_model(tmp_path)
    assert config == {"width": 3}
    assert all(torch.equal(tensors[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("keep", [0, 20])
def test_a_damaged_file_is_named(tmp_path, keep):
    save_model(tmp_path, torch.nn.Linear(3, 2), {})
    whole = (tmp_path / MODEL_FILE).read_bytes()
    (tmp_path / MODEL_FILE).write_bytes(whole[:keep])
    with pytest.raises(WeightsError, match=str(tmp_path)):
        read_model(tmp_path)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(WeightsError, match="nowhere"):
        read_model(tmp_path / "nowhere")
