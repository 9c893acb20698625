import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from soundgate.audio.exact import read_exact
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.tracks.editor.edit_list import Tone, read_edit_list
from soundgate.tracks.editor.editing.models import Models
from soundgate.tracks.editor.editing.page import write_page
from soundgate.tracks.editor.editing.samples import SampleWriter, drawn_pairs
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.pairs.table import read_pairs, write_pairs
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import beat_spans, from_labels
from tests.tracks.editor.test_edit_command import RATE, music, write
from tests.tracks.editor.tiny_models import save_tiny_models

LABELS = np.array([0, 1, 2, 1, 5, 0, 3, 1])


def planted_pairs(folder):
    """Two pairs of one song, the truth of the second not known."""
    (folder / "audio").mkdir(parents=True)
    samples = music(4)
    spans = beat_spans(np.arange(8) * RATE // 2, samples.shape[1])
    edit = from_labels(LABELS, spans, RATE, Tone(low_db=6))
    files = {"raw": samples, "edit": render(samples, edit)}
    rows = []
    for name, truth in (("known", edit.model_dump_json()), ("found", "")):
        for kind, wav in files.items():
            write(folder / "audio" / f"{name}_{kind}.flac", samples=wav, rate=RATE)
        rows.append({
            "pair_id": name, "group": name, "split": "test", "raw_path": f"audio/{name}_raw.flac",
            "edit_path": f"audio/{name}_edit.flac", "sample_rate": RATE, "raw_samples": samples.shape[1],
            "edit_samples": edit.output_samples, "reordered": False, "edit_list": truth, "beats": spans[:, 0].tolist(),
        })  # fmt: skip
    write_pairs(folder, rows)
    labels = [{"pair_id": row["pair_id"], "starts": spans[:, 0], "labels": LABELS} for row in rows]
    return read_pairs(folder), pd.DataFrame(labels)


def test_the_pack_lets_the_policys_edit_be_heard_beside_the_true_one(tmp_path):
    pairs, labels = planted_pairs(tmp_path / "pairs")
    folder, out = save_tiny_models(tmp_path / "models"), tmp_path / "pack"
    settings = RenderSettings(n_pairs=2, griffin_lim_iterations=2, tempo_bpm=110, max_beat_s=4, policy_level_db=24.8)
    models = Models.below(folder, FeatureSettings(), 2)
    writer = SampleWriter(out, models, models.policy, settings)
    summary = writer.write(drawn_pairs(pairs, 2, 0), labels, tmp_path / "timeline.png")
    assert summary.groupby("pair_id").size().to_dict() == {"known": 5, "found": 5}
    by_edit = summary[summary["pair_id"] == "known"].set_index("edit")
    assert by_edit["accuracy"]["true edit"] == 1 and by_edit["accuracy"]["all KEEP"] == pytest.approx(3 / 8)
    assert by_edit["copied"]["all KEEP"] == 1 and by_edit["seconds"]["all KEEP"] == 4
    true = read_exact(out / by_edit["sound"]["true edit"]).samples >> 16
    # Rounded here and there: the tone doubles half a step of the raw recording.
    assert np.abs(true - (read_exact(pairs["edit_path"].iloc[1]).samples >> 16)).max() <= 2
    kept = read_exact(out / by_edit["sound"]["all KEEP"]).samples
    np.testing.assert_array_equal(kept, read_exact(pairs["raw_path"].iloc[1]).samples)
    assert read_edit_list(out / by_edit["edit_list"]["true edit"]).output_samples == true.shape[1]
    page = (out / "index.html").read_text()
    for name in (*summary["sound"], *summary["picture"]):
        assert not name or f'src="{name}"' in page
    for picture in (tmp_path / "timeline.png", *(out / name for name in summary["picture"])):
        assert matplotlib.image.imread(picture)[..., :3].std() > 0.1


def test_a_page_names_only_files_that_are_there(tmp_path):
    row = {"pair_id": "a & b", "edit": "<policy>", "sound": "", "picture": "p.png", "edit_list": "e.json"}
    rows = pd.DataFrame([row | dict.fromkeys(("seconds", "raw_seconds", "accuracy", "macro_f1", "copied"), 0.5)])
    (tmp_path / "e.json").touch()
    with pytest.raises(FormatError, match="p.png"):
        write_page(tmp_path, rows, "Edits")
    (tmp_path / "p.png").touch()
    write_page(tmp_path, rows, "Edits")
    page = (tmp_path / "index.html").read_text()
    assert "a &amp; b: &lt;policy&gt;" in page and "Nothing is played" in page


def test_pairs_are_drawn_of_the_test_split(tmp_path):
    pairs = pd.DataFrame({"pair_id": list("abcdef"), "split": ["train", "test"] * 3})
    assert set(drawn_pairs(pairs, 2, 1)["pair_id"]) < {"b", "d", "f"} and len(drawn_pairs(pairs, 9, 1)) == 3
    assert drawn_pairs(pairs, 2, 1)["pair_id"].tolist() == drawn_pairs(pairs[::-1], 2, 1)["pair_id"].tolist()
    with pytest.raises(CorpusError, match="none"):
        drawn_pairs(pairs[pairs["split"] == "train"], 2, 1)
