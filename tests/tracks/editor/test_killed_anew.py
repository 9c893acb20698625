"""Stages without a ledger, killed by SIGKILL: they begin anew, and what a kill left in scratch changes no byte."""

import shutil

import pytest
from ruamel.yaml import YAML

from tests.killed_training import Training, made, repository, run_stage
from tests.killing import Killer, finish, present
from tests.pipeline_file import ROOT
from tests.tracks.editor.test_samples import planted_pairs
from tests.tracks.editor.tiny_models import save_tiny_models

EDITOR = YAML(typ="safe").load(ROOT / "params.yaml")["editor"]
SONGS = EDITOR["songs"] | {"n_scores": 2, "duration_s": 2.0, "origin": "inputs/origin"}
MODELS = ("policy", "imitation", "reconstruction", "vocoder")
STAGES = {
    "songs": Training("stages.editor.songs", {"seed": 0, "editor": {"songs": SONGS}}, ("origin",), ("out",)),
    "render": Training(
        "stages.editor.render",
        {"seed": 0, "editor": EDITOR | {"render": EDITOR["render"] | {"n_pairs": 1, "griffin_lim_iterations": 2}}},
        ("pairs", "labels", *MODELS), ("out", "timeline"),
    ),
}  # fmt: skip
N_KILLS = 3


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    shutil.copy(ROOT / EDITOR["songs"]["origin"], root / "origin")
    _, labels = planted_pairs(root / "pairs")
    (root / "labels").mkdir()
    labels.assign(split="test", origin="truth").to_parquet(root / "labels/labels.parquet")
    save_tiny_models(root)
    shutil.copytree(root / "policy", root / "imitation")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_killed_at_random_moments_a_stage_ends_with_the_same_bytes(inputs, tmp_path, name):
    stage = STAGES[name]
    whole, here = (repository(tmp_path / folder, inputs, stage) for folder in ("whole", "here"))
    finish(run_stage, whole, stage)
    expected = made(whole, stage)
    assert expected

    n_files = len(set(present(whole, "*").values()))  # What is published is links to what is in scratch.
    # Every run writes all files again, one by one.
    killer, kills = Killer(lambda: present(here, "*"), most=n_files), 0
    while kills < N_KILLS:
        if killer.attempt(run_stage, here, stage):
            assert made(here, stage) == expected
        else:
            kills += 1
    finish(run_stage, here, stage)
    assert made(here, stage) == expected
