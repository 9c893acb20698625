"""The stage that trains the converter, killed by SIGKILL."""

import pytest

from soundgate.tracks.voice.speaker.model import save_speaker
from tests.killed_training import LOOP, Training, check_killed_training
from tests.tracks.voice.planted_gan import settings, speaker_encoder, write_voices

TRAIN = settings(segment_s=0.5, r1_gamma=1.0, r1_every=2, gan_start=0.3).model_dump(mode="json")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The folders that the stage reads, by the names of its options."""
    root = tmp_path_factory.mktemp("inputs")
    write_voices(root / "cache")
    save_speaker(root / "speaker", speaker_encoder())
    return root


@pytest.mark.slow
def test_killed_at_random_moments_a_training_ends_with_the_same_bytes(inputs, tmp_path):
    params = {"seed": 0, "training_seed": 0, "voice": {"train": TRAIN | {"loop": LOOP}}}
    training = Training("stages.voice.train", params, ("cache", "speaker"), ("out", "metrics", "history"))
    check_killed_training(training, inputs, tmp_path)
