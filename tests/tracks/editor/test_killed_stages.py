"""Stages that work pair by pair, killed by SIGKILL: what was finished is kept, and the result is the same bytes."""

import shutil

import pandas as pd
import pytest
from ruamel.yaml import YAML

from tests.killed_parts import check_killed_parts
from tests.killed_training import Training
from tests.pipeline_file import ROOT
from tests.tracks.editor.recordings import write_recordings

EDITOR = YAML(typ="safe").load(ROOT / "params.yaml")["editor"]
PAIRS = EDITOR["pairs"] | {"source": "folder", "origin": "inputs/origin"}
STAGES = {
    "pairs": Training(
        "stages.editor.pairs", {"seed": 0, "editor": {"pairs": PAIRS}}, ("songs", "origin"), ("out", "metrics")
    ),
    "labels": Training(
        "stages.editor.labels", {"seed": 0, "editor": {"labels": EDITOR["labels"] | {"n_bootstrap": 100}}},
        ("pairs",), ("out", "metrics", "gates", "confusion"),
    ),
    "cache": Training(
        "stages.editor.cache", {"seed": 0, "editor": {"cache": EDITOR["cache"]}},
        ("pairs", "labels"), ("out", "metrics"),
    ),
}  # fmt: skip
N_KILLS = 6


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The folders that the stages read: pairs, their labels, and the same recordings as pairs of unknown truth."""
    root = tmp_path_factory.mktemp("inputs")
    table = write_recordings(root / "pairs")
    shutil.copytree(root / "pairs/audio", root / "origin")
    (root / "songs").mkdir()
    for name in ("index", "beats"):  # Of finished songs, which pairs of a folder do not need.
        pd.DataFrame({"path": []}).to_parquet(root / f"songs/{name}.parquet")
    (root / "labels").mkdir()
    labels = pd.DataFrame({"pair_id": table["pair_id"], "split": table["split"], "origin": "truth"})
    labels["starts"], labels["labels"] = [[0, 22_050]] * len(table), [[1, 0]] * len(table)
    labels.to_parquet(root / "labels/labels.parquet")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_killed_at_random_moments_a_stage_loses_no_pair(inputs, tmp_path, name):
    check_killed_parts(STAGES[name], inputs, tmp_path, N_KILLS)
