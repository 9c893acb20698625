"""The stages of the cache, the speaker encoder and the judges, killed by SIGKILL."""

import pytest

from tests.killed_training import LOOP, Training, check_killed_training, made, repository, run_stage
from tests.killing import Killer, forkserver
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
        "stages.voice.speaker", {"seed": 0, "voice": {"speaker": SPEAKER | {"loop": LOOP}}},
        ("cache",), ("out", "metrics", "history"),
    ),
    "judge": Training(
        "stages.voice.judge",
        {"seed": 0, "voice": {"judge": JUDGE | {"encoder_train": TRAIN, "units_train": TRAIN}}},
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
    whole = repository(tmp_path / "whole", inputs, CACHE_STAGE)
    process = forkserver().Process(target=run_stage, args=(whole, CACHE_STAGE))
    process.start()
    process.join()
    expected = made(whole, CACHE_STAGE)
    assert process.exitcode == 0 and expected and finished(whole)
    here, before, kills, rounds = repository(tmp_path / "0", inputs, CACHE_STAGE), {}, 0, 0
    killer = Killer(lambda: finished(here), most=len(finished(whole)))
    while kills < N_KILLS or not rounds:
        if killer.attempt(run_stage, here, CACHE_STAGE):
            assert made(here, CACHE_STAGE) == expected
            rounds, before = rounds + 1, {}
            here = repository(tmp_path / str(rounds), inputs, CACHE_STAGE)
        else:
            now = finished(here)
            assert before.items() <= now.items(), "a finished utterance was lost or made again"
            before, kills = now, kills + 1


def finished(folder):
    """Return the files of finished utterances, and what changes where one is written again."""
    files = [path for path in (folder / "scratch").rglob("parts/*.npz") if not path.name.startswith(".")]
    return {path.name: path.stat().st_ino for path in files}
