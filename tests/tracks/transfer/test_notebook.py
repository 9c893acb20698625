import nbformat
import pytest
from nbclient import NotebookClient

from tests.pipeline_file import ROOT
from tests.waiting import LIMIT_S

from .finished_run import write_finished_run

NOTEBOOK = ROOT / "notebooks/transfer_run.ipynb"


@pytest.mark.slow
def test_the_notebook_shows_a_finished_run(tmp_path, monkeypatch):
    write_finished_run(tmp_path, profile="small")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("SOUNDGATE_PROFILE", "small")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(tmp_path / "notebooks")}}
    NotebookClient(notebook, timeout=LIMIT_S, startup_timeout=LIMIT_S, resources=where).execute()
    data = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    kinds = [kind for entry in data for kind in entry]
    html = "".join(entry.get("text/html", "") for entry in data)
    assert kinds.count("image/png") == 3, "two paths' curves and one picture"
    assert html.count("<audio") == 3, "there is no true target"
    assert "mel_mps" in html and "0.930" in html and "fail" in html and "nan" not in html.lower()
    assert any(entry.get("text/markdown") == "**1 of 2 gates pass**" for entry in data)
