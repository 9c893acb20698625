"""Stage `editor-labels` on pairs of which nobody knows how they were edited."""

import json

import pandas as pd
from click.testing import CliRunner
from ruamel.yaml import YAML

from soundgate.tracks.editor.pairs.table import COLUMN_TYPES, read_pairs
from soundgate.tracks.editor.recovery.table import read_labels
from stages.editor.labels import main
from tests.pipeline_file import ROOT
from tests.tracks.editor.recordings import write_recordings


def test_where_no_truth_is_known_labels_are_recovered_and_no_gate_is_judged(tmp_path, monkeypatch):
    write_recordings(tmp_path / "pairs")
    table = read_pairs(tmp_path / "pairs").iloc[:2].assign(edit_list="")
    table[[*COLUMN_TYPES, "beats"]].to_parquet(tmp_path / "pairs/pairs.parquet")
    editor = YAML(typ="safe").load(ROOT / "params.yaml")["editor"]
    YAML().dump({"seed": 0, "editor": {"labels": editor["labels"]}}, tmp_path / "params.yaml")
    for name in ("src", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    names = {"pairs": "pairs", "out": "labels", "metrics": "m.json", "gates": "g.json", "confusion": "c.csv"}
    done = CliRunner().invoke(main, [word for name, path in names.items() for word in (f"--{name}", path)])
    assert done.exit_code == 0, done.output
    assert set(read_labels(tmp_path / "labels")["origin"]) == {"recovered"}
    assert json.loads((tmp_path / "g.json").read_text()) == json.loads((tmp_path / "m.json").read_text()) == {}
    assert len(pd.read_csv(tmp_path / "c.csv")) == 0
