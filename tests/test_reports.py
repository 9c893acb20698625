"""What workers of the tests report."""

import os
import subprocess
import sys

from tests.pipeline_file import ROOT

FAILS = """
import logging

def test_of_a_name_that_is_not_utf8(caplog):
    logging.warning("caf\\udce9.wav")
    print("caf\\udce9.wav")
    assert "caf\\udce9.wav" == ""
"""


def test_a_worker_can_report_a_name_that_is_not_utf8(tmp_path):
    (tmp_path / "test_fails.py").write_text(FAILS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n1", "-q", "test_fails.py"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "1 failed" in done.stdout and r"caf\udce9.wav" in done.stdout, done.stdout
    assert "INTERNALERROR" not in done.stdout + done.stderr
