"""The stages of the cache, the speaker encoder and the judges, killed by SIGKILL."""

import pytest

from tests.killed_parts import check_killed_parts
from tests.killed_training import LOOP, Training, check_killed_training
from tests.tracks.voice.spoken import SETTINGS as CACHE
from tests.tracks.voice.spoken import spoken_cache
from tests.tracks.voice.test_judges import SETTINGS as JUDGE
from tests.tracks.voice.test_speaker_encoder import SETTINGS as SPEAKER

TRAIN = JUDGE["encoder_train"] | {"loop": LOOP}
CACHE_STAGE = Training(
    "stages.voice.cache", {"seed": 0, "voice": {"cache": CACHE.model_dump(mode="json")}}, ("speech",),
    ("out", "metrics"),
)  # fmt: skip
TRAININGS = {
    "speaker": Training(
        "stages.voice.speaker", {"seed": 0, "training_seed": 0, "voice": {"speaker": SPEAKER | {"loop": LOOP}}},
        ("cache",), ("out", "metrics", "history"),
    ),
    "judge": Training(
        "stages.voice.judge",
        {"seed": 0, "training_seed": 0, "voice": {"judge": JUDGE | {"encoder_train": TRAIN, "units_train": TRAIN}}},
        ("cache",), ("out", "metrics", "history"), ("encoder", "units"),
    ),
}  # fmt: skip
N_KILLS = 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The folders that the stages read: speech, and its cache."""
    root = tmp_path_factory.mktemp("inputs")
    spoken_cache(root)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_killed_at_random_moments_a_training_ends_with_the_same_bytes(inputs, tmp_path, name):
    check_killed_training(TRAININGS[name], inputs, tmp_path)


@pytest.mark.slow
def test_a_killed_cache_loses_no_utterance(inputs, tmp_path):
    check_killed_parts(CACHE_STAGE, inputs, tmp_path, N_KILLS)
