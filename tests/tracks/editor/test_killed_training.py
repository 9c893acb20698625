"""Every stage of the track that trains, killed by SIGKILL."""

import pytest

from tests.killed_training import LOOP, Training, check_killed_training
from tests.tracks.editor.planted import planted_cache
from tests.tracks.editor.recordings import write_recordings
from tests.tracks.editor.test_reconstruction import SETTINGS as RECONSTRUCTION
from tests.tracks.editor.test_vocoder import SETTINGS as VOCODER


def stage(name, section, settings, inputs, outputs):
    """Return the stage ``editor-<name>`` with the settings of its section."""
    params = {"seed": 0, "editor": {"cache": {"features": {}}, section: settings | {"loop": LOOP}}}
    return Training(f"stages.editor.{name}", params, inputs, outputs)


TRAININGS = {
    "reconstruct": stage(
        "reconstruct", "reconstruction", RECONSTRUCTION.model_dump(mode="json"),
        ("cache",), ("out", "metrics", "history"),
    ),
    "vocoder": stage("vocoder", "vocoder", VOCODER, ("pairs",), ("out", "metrics", "history")),
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The folders that the stages read, by the names of their options."""
    root = tmp_path_factory.mktemp("inputs")
    planted_cache(root / "cache")
    write_recordings(root / "pairs")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_killed_at_random_moments_a_training_ends_with_the_same_bytes(inputs, tmp_path, name):
    check_killed_training(TRAININGS[name], inputs, tmp_path)
