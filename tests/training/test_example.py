"""The worked example of docs/training.md runs as it stands, and goes on where it was."""

import re

import pandas as pd

from tests.pipeline_file import ROOT

TEXT = re.search(r"```python\n(.*?)```", (ROOT / "docs/training.md").read_text(), re.S).group(1)


def test_the_example_is_short_and_learns(tmp_path, monkeypatch):
    assert len(TEXT.splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    exec(compile(TEXT, "docs/training.md", "exec"), whole := {})
    assert [row["epoch"] for row in whole["history"]] == [1, 2, 3]
    assert whole["history"][2]["loss"] < whole["history"][0]["loss"]
    # In two calls it learns what it does in one.
    (tmp_path / "denoise.pt").unlink()
    exec(compile(TEXT.replace("epochs=3", "epochs=1"), "docs/training.md", "exec"), {})
    exec(compile(TEXT, "docs/training.md", "exec"), resumed := {})
    pd.testing.assert_frame_equal(pd.DataFrame(resumed["history"]), pd.DataFrame(whole["history"]), check_exact=True)
