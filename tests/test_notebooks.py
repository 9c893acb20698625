"""The notebooks that stand on committed results and generated audio run as they are, and show what they say."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.pipeline_file import ROOT
from tests.waiting import LIMIT_S

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def run(name):
    """Execute a notebook; return what its cells show, by kind."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    where = {"metadata": {"path": str(ROOT / "notebooks")}}
    NotebookClient(notebook, timeout=LIMIT_S, startup_timeout=LIMIT_S, resources=where).execute()
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert re.fullmatch(r"\*\*\d+ of \d+ gates pass\*\*", shown[0]["text/markdown"])
    return shown


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


@pytest.mark.slow
def test_the_voice_notebook_gives_a_conversion_with_the_pitch_of_its_target():
    shown = run("voice")
    assert sum("<audio" in data.get("text/html", "") for data in shown) == 3
    assert sum("image/png" in data for data in shown) == 2
    (table,) = (data["text/plain"] for data in shown if "median pitch" in data.get("text/plain", ""))
    source, reference, converted = numbers(table)
    assert abs(converted - reference) < 0.1 * reference < abs(source - reference)


@pytest.mark.slow
def test_the_editor_notebook_cuts_the_pause():
    shown = run("editor")
    assert sum("image/png" in data for data in shown) == 2
    before, after = numbers(next(data["text/markdown"] for data in shown[1:] if "text/markdown" in data))
    assert before == 32 and 7 < before - after < 9


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_short_and_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= 8
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
