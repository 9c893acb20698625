"""Every stage of the track that trains, killed by SIGKILL, and given a batch that is not finite."""

import pytest
import torch

from soundgate.tracks.editor.policy.model import EditPredictor, save_predictor
from soundgate.tracks.editor.policy.settings import NetworkSettings
from soundgate.tracks.editor.reconstruct.model import ReconstructionModel, save_reconstruction
from tests.killed_training import LOOP, Training, check_killed_training
from tests.poisoned_training import check_poisoned_training
from tests.tracks.editor.planted import FEATURES, planted_cache
from tests.tracks.editor.policies import IMITATION, POLICY, PPO
from tests.tracks.editor.recordings import write_recordings
from tests.tracks.editor.test_reconstruction import SETTINGS as RECONSTRUCTION
from tests.tracks.editor.test_vocoder import SETTINGS as VOCODER


def stage(name, section, settings, inputs, outputs):
    """Return the stage ``editor-<name>`` with the settings of its section."""
    params = {"seed": 0, "training_seed": 0, "editor": {"cache": {"features": {}}, section: settings}}
    return Training(f"stages.editor.{name}", params, inputs, outputs)


TRAININGS = {
    "reconstruct": stage(
        "reconstruct", "reconstruction", RECONSTRUCTION.model_dump(mode="json") | {"loop": LOOP},
        ("cache",), ("out", "metrics", "history"),
    ),
    "imitate": stage(
        "imitate", "imitation", IMITATION | {"loop": LOOP}, ("cache",), ("out", "metrics", "history")
    ),
    "policy": stage(
        "policy", "policy", POLICY | {"ppo": PPO | {"loop": LOOP}},
        ("cache", "imitation", "reconstruction"), ("out", "metrics", "history"),
    ),
    "vocoder": stage("vocoder", "vocoder", VOCODER | {"loop": LOOP}, ("pairs",), ("out", "metrics", "history")),
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The folders that the stages read, by the names of their options."""
    root = tmp_path_factory.mktemp("inputs")
    planted_cache(root / "cache")
    torch.manual_seed(0)
    network = NetworkSettings.model_validate(POLICY["network"])
    save_predictor(root / "imitation", EditPredictor(network, FEATURES.n_mels))
    save_reconstruction(root / "reconstruction", ReconstructionModel(RECONSTRUCTION.network, FEATURES))
    write_recordings(root / "pairs")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_killed_at_random_moments_a_training_ends_with_the_same_bytes(inputs, tmp_path, name):
    check_killed_training(TRAININGS[name], inputs, tmp_path)


@pytest.mark.parametrize("name", [name for name in TRAININGS if name != "policy"])
def test_a_batch_that_is_not_finite_is_skipped_and_reaches_no_weight(inputs, tmp_path, name):
    check_poisoned_training(TRAININGS[name], inputs, tmp_path)
