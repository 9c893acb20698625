"""Every stage of the track that trains, killed: interrupted or not, the same bytes."""

import pytest

from tests.killed_training import LOOP, Training, assert_kills_change_nothing
from tests.tracks.editor.recordings import write_recordings
from tests.tracks.editor.test_vocoder import SETTINGS as VOCODER

TRAININGS = [
    Training(
        "editor", "vocoder", {"cache": {"features": {}}, "vocoder": VOCODER | {"loop": LOOP}},
        ("pairs",), ("out", "metrics", "history"),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    write_recordings(root / "pairs")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("training", TRAININGS, ids=lambda training: training.name)
def test_killed_at_random_moments_a_training_ends_with_the_same_bytes(inputs, tmp_path, training):
    assert_kills_change_nothing(training, inputs, tmp_path)
