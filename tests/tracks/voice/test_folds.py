"""Cross-validation: what is run, what is kept, and gates over the speakers of all folds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from soundgate.runtime.errors import FormatError, TrainingError
from soundgate.tracks.voice.audit.systems import CONVERTED, IDENTITY, PITCH_SHIFT, RANDOM, TARGET
from soundgate.tracks.voice.baselines.methods import BASELINES
from soundgate.tracks.voice.folds import running
from soundgate.tracks.voice.folds.records import TABLES, Fold, read_fold, read_folds, write_fold
from soundgate.tracks.voice.folds.running import FoldOptions, FoldRuns
from soundgate.tracks.voice.folds.together import write_together
from soundgate.tracks.voice.outside.summary import MEASURES
from tests.pipeline.compositions import composed
from tests.pipeline_file import ROOT

CODE = {"voice-train": "one"}
# Similarity to the target, beside that of the baselines.
AHEAD = 0.2


def written_metrics(folder, fold, ahead=AHEAD):
    """Write what the stages would of a fold whose two speakers are judged, the converter ahead of every baseline."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(fold)
    ways = [(f"0{fold}", f"1{fold}"), (f"1{fold}", f"0{fold}")]
    systems = (CONVERTED, RANDOM, IDENTITY, PITCH_SHIFT, TARGET, *BASELINES)
    rows = [
        {"source": source, "target": target, "system": system}
        | {measure: rng.normal(0.5, 0.01) for measure in MEASURES}
        | {"resemblyzer_to_target": 0.5 + ahead * (system == CONVERTED) + rng.normal(0, 0.01)}
        for system in systems
        for source, target in ways
    ]
    pd.DataFrame(rows).to_csv(folder / TABLES["outside"], index=False)
    trials = [
        {"judge": judge, "source": source, "target": target, "value": rng.normal(0.4, 0.02), "twin": 0.0}
        for judge in ("resemblyzer", "dnsmos", "crepe", "words")
        for source, target in ways
    ]
    pd.DataFrame(trials).to_csv(folder / TABLES["trials"], index=False)
    scores = [
        {"source": source, "target": target, "utterance": "a", "measure": "similarity_to_target", "value": 0.1 * fold}
        for source, target in ways
    ]
    pd.DataFrame(scores).to_csv(folder / TABLES["scores"], index=False)
    return folder


def written_folds(tmp_path, n_folds=5):
    folder = tmp_path / "folds/tiny/voice"
    for number in range(n_folds):
        write_fold(folder, Fold(number, n_folds, "c", ("profile=tiny",), CODE), written_metrics(tmp_path / "m", number))
    return folder


def test_gates_are_over_the_speakers_of_all_folds(tmp_path):
    together = read_folds(written_folds(tmp_path))
    found = write_together(together, composed("profile=tiny"), tmp_path / "out")
    gate = found.gates["over_best_baseline_similarity"]
    outside = together.tables["outside"].set_index("system")["resemblyzer_to_target"]
    best = max(outside[name].mean() for name in BASELINES)
    assert gate["value"] == pytest.approx(outside[CONVERTED].mean() - best) and gate["n"] == 10
    assert gate["ci_low"] > 0 and gate["verdict"] == "pass"
    assert {"over_best_baseline_quality", "over_best_baseline_words"} <= set(found.gates)
    written = json.loads((tmp_path / "out/folds.json").read_text())
    assert written["gates"]["over_best_baseline_similarity"]["n"] == 10
    assert written["folds"]["3"] == ["03", "13"], "names of speakers keep their zeros"
    assert written["own_judge"]["similarity_to_target"]["value"] == pytest.approx(0.2)
    report = (tmp_path / "out/folds.md").read_text()
    assert "10 speakers in 5 folds" in report and "`over_best_baseline_similarity`" in report


def test_a_fold_that_is_missing_or_another_run_or_damaged_is_refused(tmp_path):
    folder = written_folds(tmp_path)
    record = folder / "2/fold.json"
    whole = record.read_text()
    for text, said in (
        (None, "no fold 2"),
        (whole.replace("one", "two"), "others in fold 2"),
        (whole.replace('"fold": 2', '"fold": 1'), "another fold"),
        ("{", "the record of fold 2"),
    ):
        record.unlink() if text is None else record.write_text(text)
        with pytest.raises(FormatError, match=said):
            read_folds(folder)
    record.write_text(whole)
    (folder / "2/outside.csv").write_text((folder / "1/outside.csv").read_text())
    with pytest.raises(FormatError, match="several of 01, 11"):
        read_folds(folder)
    (folder / "2/outside.csv").write_text("source,target\n")
    with pytest.raises(FormatError, match="no system"):
        read_folds(folder)
    with pytest.raises(FormatError, match="no fold 0"):
        read_folds(tmp_path / "nowhere")


class PretendedClones:
    """In place of clones: writes what the stages would, unless a run is to fail."""

    fails, asked = (), []

    def __init__(self, root, name, count, *, quiet):
        self.folder, self.commit = root / "clone", "c"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run_all(self, runs, keep):
        for run, asked in runs.items():
            type(self).asked.append(asked.overrides[-1])
            if run not in self.fails:
                written_metrics(self.folder / asked.output.parent, int(run.split()[1]))
                keep(run, self)
        return set(runs) - set(self.fails)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "Clones", PretendedClones)
    monkeypatch.setattr(running, "compose_text", lambda overrides, folder: (ROOT / "params.yaml").read_text())
    monkeypatch.setattr(PretendedClones, "asked", [])
    return lambda *overrides: FoldRuns(FoldOptions("embedded", 1, overrides), tmp_path)


def test_what_failed_alone_is_run_again_and_other_parameters_all(runs, monkeypatch):
    monkeypatch.setattr(PretendedClones, "fails", ("fold 1",))
    with pytest.raises(TrainingError, match="fold 1: expected every run to finish"):
        runs().run()
    assert runs().missing() == [1]
    monkeypatch.setattr(PretendedClones, "fails", ())
    assert runs().run() == [1] and runs().run() == []
    assert PretendedClones.asked == [f"voice.cache.split.fold={number}" for number in (0, 1, 2, 3, 4, 1)]
    assert len(read_folds(runs().folder).folds) == 5
    assert runs("seed=1").missing() == [0, 1, 2, 3, 4]


def test_a_kill_while_a_fold_is_kept_leaves_it_unfinished(tmp_path):
    folder, fold = tmp_path / "folds", Fold(0, 2, "c", (), CODE)
    metrics = written_metrics(tmp_path / "m", 0)
    write_fold(folder, fold, metrics)
    assert read_fold(folder, 0) == fold
    (metrics / TABLES["trials"]).unlink()
    with pytest.raises(FileNotFoundError):
        write_fold(folder, fold, metrics)
    assert read_fold(folder, 0) is None and not Path(folder / "0/fold.json").exists()
