"""Every stage of the track that trains, killed by SIGKILL, and given a batch that is not finite."""

import pytest

from tests.killed_training import LOOP, Training, check_killed_training
from tests.poisoned_training import check_poisoned_training
from tests.tracks.transfer.planted_latents import BANK, CODEC, write_planted_labs
from tests.tracks.transfer.test_content import SETTINGS as CONTENT
from tests.tracks.transfer.test_judges import SETTINGS as JUDGE
from tests.tracks.transfer.test_mel_training import SETTINGS as MEL

# What the stages read beside their own section.
CACHE = {
    "mel": {}, "chunks": {"duration_s": 3, "per_track": 1, "sampling": "uniform", "min_start_s": 0},
    "split": {"judge": 0.2, "test": 0.2}, "n_non_music": 0,
}  # fmt: skip


def stage(name, settings, *options):
    """Return the stage ``transfer-<name>`` with the settings of its section."""
    return Training(
        f"stages.transfer.{name}",
        {"seed": 0, "training_seed": 0, "transfer": {"cache": CACHE, name: settings}},
        *options,
    )


TRAININGS = {
    "content": stage(
        "content",
        CONTENT.model_dump(mode="json")
        | {"encoder": {"channels": [8, 8, 8], "shared": 8}, "loop": LOOP, "n_bootstrap": 10},
        ("cache",), ("out", "metrics", "history"),
    ),
    "judge": stage(
        "judge",
        JUDGE.model_dump(mode="json") | {"channels": 8, "loop": LOOP, "n_bootstrap": 10},
        ("cache",), ("out", "metrics", "history"),
    ),
    "mel": stage(
        "mel",
        MEL | {part: MEL[part] | {"loop": LOOP} for part in ("stage1", "stage2")},
        ("cache", "content", "style"), ("out", "history"), ("stage1_latest", "stage2_latest"),
    ),
    "bank": stage("bank", BANK | {"loop": LOOP}, ("cache", "latents"), ("out", "metrics", "history")),
    "codec": stage(
        "codec",
        CODEC | {part: CODEC[part] | {"loop": LOOP} for part in ("stage1", "stage2", "stage3")},
        ("cache", "latents", "content", "style", "bank", "mel"), ("out", "history"),
        ("stage1_latest", "stage2_latest", "stage3_latest"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    return write_planted_labs(tmp_path_factory.mktemp("labs"), 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_killed_at_random_moments_a_training_ends_with_the_same_bytes(labs, tmp_path, name):
    check_killed_training(TRAININGS[name], labs, tmp_path)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_batch_that_is_not_finite_is_skipped_and_reaches_no_weight(labs, tmp_path, name):
    check_poisoned_training(TRAININGS[name], labs, tmp_path)
