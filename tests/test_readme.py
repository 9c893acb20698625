import re
import subprocess
import sys

from soundgate.pipeline.report.table import findings_table
from tests.pipeline_file import ROOT

TEXT = (ROOT / "README.md").read_text()
CONSOLE = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)


def test_the_table_of_findings_is_of_the_committed_results():
    _, _, after = TEXT.partition("<!-- soundgate report --table -->\n")
    assert after.startswith(findings_table(ROOT, "embedded") + "\n\n")


def test_tables_fit_a_hundred_columns():
    assert len(CONSOLE) == 2
    assert max(len(line) for block in CONSOLE for line in block.splitlines()) <= 100


def test_the_table_of_metrics_is_what_dvc_shows_of_the_committed_results():
    command = [sys.executable, "-m", "dvc", "metrics", "show"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.rstrip() for line in shown.splitlines()] == CONSOLE[0].rstrip().splitlines()[1:]
    assert len(shown.splitlines()) == 6
